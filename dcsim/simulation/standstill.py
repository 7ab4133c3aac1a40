"""A run in which nobody gets on any more: told from one that is only slow, and stopped."""

from __future__ import annotations

from dcsim.errors import DeadlockError

__all__ = ["Standstill"]

_AT_LEAST, _A_JOB = 10_000, 10


class Standstill:
    """Counts attempts stopped, and checkpoints left out, in a row without any job having got on.

    To get on is to save a step, or to end.

    Args:
        jobs: of the run; the more there are, the longer a row may be.
    """

    def __init__(self, jobs: int) -> None:
        self._in_vain = 0
        self._limit = _AT_LEAST + _A_JOB * jobs

    def over(self) -> None:
        """Note that a job got on."""
        self._in_vain = 0

    def idled(self, job_id: str, now_s: float, *, endless: bool) -> None:
        """Note that a job did nothing from one checkpoint to the next.

        Args:
            job_id: of the job.
            now_s: the time.
            endless: whether nothing from outside can help or end the run any more.

        Raises:
            DeadlockError: so it has been for very long, and nothing can help.
        """
        self._in_vain += 1
        if endless and self._in_vain > self._limit:
            msg = f"job {job_id} stands still on its servers for ever at {now_s} s"
            raise DeadlockError(msg)

    def stopped(self, job_id: str, now_s: float) -> None:
        """Note that an attempt at a job was stopped before it got anywhere.

        Raises:
            DeadlockError: jobs push each other out, nobody having got on for very many attempts.
        """
        self._in_vain += 1
        if self._in_vain > self._limit:
            msg = (
                f"{self._in_vain} attempts in a row were stopped before they got anywhere, the last, of job {job_id}, at"
                f" {now_s} s: give longer rounds, shorter restarts, or checkpoints, or repair its links"
            )
            raise DeadlockError(msg)
