"""Dispatching: who of the waiting jobs starts now, and who has to make room for them."""

from __future__ import annotations

from typing import Protocol

from dcsim.simulation.attempts import Attempts
from dcsim.simulation.placing import Placer
from dcsim.simulation.waiting import WaitingLine

__all__ = ["Dispatch", "ListDispatch"]


class Dispatch(Protocol):
    """What decides at the end of every instant; told of all that may change its mind."""

    def add(self, job: int) -> None:
        """A job may be placed from now on: it came, or it was preempted and waits again."""

    def gone(self, job: int) -> None:
        """A job that held servers ended for good."""

    def capacity_freed(self) -> None:
        """A gang that did not fit may fit now."""

    def serve(self) -> None:
        """Start, and where the policy preempts stop, jobs as the policy says."""

    def jobs(self) -> list[int]:
        """Return the waiting jobs, in order where there is one."""


class ListDispatch:
    """Jobs by a key known when they come; the first that fits goes first, nobody is stopped.

    Args:
        keys: (N,) sort key of each job; ties by index.
        skip: waiting jobs that do not fit and may be overtaken in one decision.
        placer: finds where a gang fits.
        attempts: starts it.
    """

    def __init__(self, keys: list[float], skip: int, placer: Placer, attempts: Attempts) -> None:
        self._line = WaitingLine(keys, skip)
        self._skips = skip > 0
        self._placer = placer
        self._attempts = attempts
        self._refused: dict[tuple[float, ...] | None, None] = {}
        """Shapes of gangs that were refused since the servers last changed: they would be again."""

    def add(self, job: int) -> None:
        """A job may be placed from now on."""
        self._line.add(job)

    def gone(self, job: int) -> None:
        """A job ended: nothing to forget."""

    def capacity_freed(self) -> None:
        """A gang that did not fit may fit now."""
        self._refused.clear()
        self._line.capacity_freed()

    def serve(self) -> None:
        """Start what fits, in order."""
        self._line.serve(self._try_start)

    def jobs(self) -> list[int]:
        """Return the waiting jobs in order."""
        return self._line.jobs()

    def _try_start(self, job: int) -> bool:
        shape = self._placer.shape(job) if self._skips else None
        if shape in self._refused:
            return False
        placement = self._placer.place(job)
        if placement is None:
            if shape is not None:
                self._refused[shape] = None
            return False
        self._refused.clear()
        self._attempts.start(job, placement, self._placer.width[job])
        return True
