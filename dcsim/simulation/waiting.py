"""The waiting line: jobs by the ordering policy's key, the first that fits goes first."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

__all__ = ["WaitingLine"]


class WaitingLine:
    """A priority queue that remembers a head that did not fit until something is freed.

    Args:
        keys: (N,) sort key of each job; ties by index.
        skip: how many jobs that do not fit may be overtaken in one round.
    """

    def __init__(self, keys: list[float], skip: int) -> None:
        self._keys = keys
        self._skip = skip
        self._heap: list[tuple[float, int]] = []
        self._blocked_head = -1

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, job: int) -> None:
        """Let a job wait."""
        heappush(self._heap, (self._keys[job], job))
        if self._skip:
            self._blocked_head = -1

    def capacity_freed(self) -> None:
        """Tell that a job which did not fit may fit now."""
        self._blocked_head = -1

    def serve(self, start: Callable[[int], bool]) -> None:
        """Start waiting jobs in order until one does not fit (and `skip` more have been passed).

        Args:
            start: tries to start a job, returns whether it did.
        """
        heap = self._heap
        if not heap or heap[0][1] == self._blocked_head:
            return
        passed: list[tuple[float, int]] = []
        while heap:
            entry = heap[0]
            if start(entry[1]):
                heappop(heap)
                continue
            if len(passed) >= self._skip:
                break
            passed.append(heappop(heap))
        for entry in passed:
            heappush(heap, entry)
        self._blocked_head = heap[0][1] if heap else -1

    def jobs(self) -> list[int]:
        """Return the waiting jobs in order."""
        return [job for _, job in sorted(self._heap)]
