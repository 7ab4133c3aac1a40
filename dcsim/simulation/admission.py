"""Admission: a job joins the waiting line when what it depends on is done and its array has room."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from dcsim.workload.dependencies import waits_for
from dcsim.workload.jobs import JobTable

__all__ = ["Admission"]


class Admission:
    """Holds jobs back until the jobs they wait for have completed and their array's limit lets them in.

    Args:
        jobs: the job table.
        admit: called with a job's row when it may be placed.
        cancel: called with (job, job it waited for) when it never will.
    """

    def __init__(
        self,
        jobs: JobTable,
        admit: Callable[[int], object],
        cancel: Callable[[int, int], object],
    ) -> None:
        self._admit = admit
        self._cancel = cancel
        self._unmet, self._followers = waits_for(jobs.job_id, jobs.after)
        self._offered: set[int] = set()
        """Jobs that came and wait for others."""
        self._doomed: dict[int, int] = {}
        """Jobs yet to come that will never start, and why."""
        limited = (jobs.array >= 0) & (jobs.array_limit > 0)
        self._array = dict(zip(limited.nonzero()[0].tolist(), jobs.array[limited].tolist(), strict=True))
        self._limit = {int(jobs.array[job]): int(jobs.array_limit[job]) for job in self._array}
        self._inside = dict.fromkeys(self._limit, 0)
        self._queues: dict[int, deque[int]] = {array: deque() for array in self._limit}
        self.plain = not (self._unmet or self._array)
        """Whether every job may be placed as soon as it comes."""

    def offer(self, job: int) -> None:
        """A job came, and nothing but other jobs may hold it back."""
        if self.plain:
            self._admit(job)
        elif job in self._doomed:
            self._drop(job, self._doomed.pop(job))
        elif self._unmet.get(job):
            self._offered.add(job)
        else:
            self._enter_array(job)

    def _enter_array(self, job: int) -> None:
        array = self._array.get(job)
        if array is None:
            self._admit(job)
        elif self._inside[array] < self._limit[array]:
            self._inside[array] += 1
            self._admit(job)
        else:
            self._queues[array].append(job)

    def completed(self, job: int) -> None:
        """A job's work is done: those that wait for it come nearer."""
        if self.plain:
            return
        self._leave_array(job)
        for follower in self._followers.get(job, ()):
            self._unmet[follower] -= 1
            if not self._unmet[follower] and follower in self._offered:
                self._offered.discard(follower)
                self._enter_array(follower)

    def failed(self, job: int) -> None:
        """A job ended without its work being done: those that wait for it never start."""
        if self.plain:
            return
        self._leave_array(job)
        self._doom_followers(job)

    def _doom_followers(self, job: int) -> None:
        """Drop the waiting followers of a job that will not be done, and theirs: each before its next sibling."""
        stack = [(follower, job) for follower in reversed(self._followers.get(job, ()))]
        while stack:  # no recursion: chains can be long
            follower, because = stack.pop()
            if follower in self._offered:
                self._offered.discard(follower)
                self._cancel(follower, because)
                stack += [(other, follower) for other in reversed(self._followers.get(follower, ()))]
            else:
                self._doomed.setdefault(follower, because)

    def _drop(self, job: int, because: int) -> None:
        self._cancel(job, because)
        self._doom_followers(job)

    def _leave_array(self, job: int) -> None:
        array = self._array.get(job)
        if array is None:
            return
        self._inside[array] -= 1
        if self._queues[array]:
            self._inside[array] += 1
            self._admit(self._queues[array].popleft())

    def held_back(self) -> list[int]:
        """Return the jobs that came and wait for others, or for room in their array."""
        return sorted([*self._offered, *(job for queue in self._queues.values() for job in queue)])
