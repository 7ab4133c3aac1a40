"""The waiting line of an open loop: one for a strict order, one where jobs that do not fit may be passed."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from dcsim.simulation.open_loop_kinds import JobKind

__all__ = ["SkippingLine", "StrictLine"]

_NOBODY = -1


class StrictLine:
    """Jobs by rank; the first that does not fit holds up all behind it.

    Args:
        by_rank: (N,) row of the job of each rank, the smallest goes first.
        start: tries to start a job, by its row, now; returns whether it did.
    """

    def __init__(self, by_rank: Sequence[int], start: Callable[[int, float], bool]) -> None:
        self._by_rank = by_rank
        self._start = start
        self._heap: list[int] = []
        self._blocked = _NOBODY

    def __len__(self) -> int:
        return len(self._heap)

    def join(self, rank: int) -> None:
        """Let a job wait."""
        heappush(self._heap, rank)

    def serve(self, now_s: float, *, freed: bool) -> None:
        """Start who fits; `freed` says whether anything was freed since the last time."""
        heap, by_rank, start = self._heap, self._by_rank, self._start
        if not heap or (heap[0] == self._blocked and not freed):
            return
        while heap:
            head = heap[0]
            if not start(by_rank[head], now_s):
                self._blocked = head
                return
            heappop(heap)


class SkippingLine:
    """Jobs by rank; up to `skip` that do not fit may be passed over each time.

    Jobs of one kind fit or do not fit together, so the line is one for each kind, and a kind that was
    refused is not asked again until something is freed: with thousands of jobs waiting, the work is
    that of the few kinds they are of.

    Args:
        by_rank: (N,) row of the job of each rank, the smallest goes first.
        kinds: (N,) kind of each job by its row.
        skip: how many that do not fit may be passed.
        start: tries to start a job, by its row, now; returns whether it did.
    """

    def __init__(
        self,
        by_rank: Sequence[int],
        kinds: Sequence[JobKind],
        skip: int,
        start: Callable[[int, float], bool],
    ) -> None:
        self._by_rank = by_rank
        self._kinds = kinds
        self._skip = skip
        self._start = start
        self._open: dict[JobKind, list[int]] = {}
        """Kinds that may fit, with the ascending ranks of those who wait."""
        self._refused: dict[JobKind, list[int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._open.values())) + sum(map(len, self._refused.values()))

    def join(self, rank: int) -> None:
        """Let a job wait."""
        kind = self._kinds[self._by_rank[rank]]
        waiting = self._refused.get(kind)
        if waiting is None:
            waiting = self._open.setdefault(kind, [])
        insort(waiting, rank)

    def serve(self, now_s: float, *, freed: bool) -> None:
        """Start who fits; `freed` says whether anything was freed since the last time."""
        if freed and self._refused:
            self._open |= self._refused
            self._refused.clear()
        while self._open:
            kind = min(self._open, key=self._first_rank)
            waiting = self._open[kind]
            head = waiting[0]
            # All of a refused kind who come before are passed over.
            if sum(bisect_left(ranks, head) for ranks in self._refused.values()) > self._skip:
                return
            if self._start(self._by_rank[head], now_s):
                del waiting[0]
                if not waiting:
                    del self._open[kind]
            else:
                self._refused[kind] = self._open.pop(kind)

    def _first_rank(self, kind: JobKind) -> int:
        return self._open[kind][0]
