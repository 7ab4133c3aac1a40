"""What a router makes of a site's load: the jobs it sent there, run in order of arrival at their estimated lengths."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import count

__all__ = ["SiteLedger"]


class SiteLedger:
    """A site as equal slots served strictly first come, first served, with run times as estimated.

    S_n = max(A_n, S_(n-1), first instant with enough free slots): exact for one such queue, an estimate for a
    hall with racks, other orders, shared links and measured run times. Jobs on their way count as ahead of
    whoever comes after their arrival.

    >>> ledger = SiteLedger(4)
    >>> ledger.send(0.0, 4.0, 100.0)
    >>> ledger.advance(10.0)
    >>> ledger.start_s(10.0, 1.0), ledger.free()
    (100.0, 0.0)
    """

    def __init__(self, slots: float) -> None:
        self.slots = slots
        self._free = slots
        """At the frontier."""
        self._frontier_s = 0.0
        """Start of the last job placed: nobody starts before."""
        self._now_s = 0.0
        self._ends: list[tuple[float, int, float]] = []
        """(end, serial, slots), of jobs that hold slots at the frontier, ascending."""
        self._coming: list[tuple[float, int, float, float]] = []
        """(arrival, serial, slots, run time) of jobs on their way."""
        self._coming_slots = 0.0
        self._coming_run_s = 0.0
        self._serial = count()

    def send(self, arrival_s: float, slots: float, run_s: float) -> None:
        """Note that a job will arrive; `slots` 0: it waits for nobody and holds nothing back."""
        if slots <= 0.0:
            return
        heappush(self._coming, (arrival_s, next(self._serial), min(slots, self.slots), run_s))
        self._coming_slots += slots
        self._coming_run_s += slots * run_s

    def advance(self, now_s: float) -> None:
        """Go to an instant: whoever has arrived by now is given a start."""
        coming = self._coming
        while coming and coming[0][0] <= now_s:
            arrival_s, serial, slots, run_s = heappop(coming)
            self._coming_slots -= slots
            self._coming_run_s -= slots * run_s
            self._frontier_s = start_s = self._release_until(arrival_s, slots)
            self._free -= slots
            insort(self._ends, (start_s + run_s, serial, slots))
        if not coming:  # sums of differences leave rounding
            self._coming_slots = self._coming_run_s = 0.0
        self._now_s = now_s
        if self._frontier_s <= now_s:
            self._frontier_s = self._release_until(now_s, 0.0)

    def restart(self, now_s: float, running: Iterable[tuple[float, float]]) -> None:
        """Forget everything but that these (end, slots) hold slots now; ends are now or later."""
        self._ends = sorted(
            (end_s, next(self._serial), min(slots, self.slots)) for end_s, slots in running if slots > 0.0
        )
        self._free = self.slots - sum(slots for _, _, slots in self._ends)
        self._frontier_s = self._now_s = now_s
        self._coming.clear()
        self._coming_slots = self._coming_run_s = 0.0

    def start_s(self, arrival_s: float, slots: float) -> float:
        """Return when a job that arrives then, now or later, would start."""
        if slots <= 0.0:
            return arrival_s
        start_s = max(arrival_s, self._frontier_s)
        wanted = slots + self._coming_slots
        whole = min(wanted, self.slots)
        free = self._free
        for end_s, _, freed in self._ends:
            if end_s > start_s:
                if free >= whole:
                    break
                start_s = end_s
            free += freed
        if wanted > self.slots:  # more is on its way than there are slots: fluid beyond the first fill
            start_s += (
                (wanted - self.slots) / self.slots * self._coming_run_s / max(self._coming_slots, slots)
            )
        return start_s

    def free(self) -> float:
        """Return slots that nobody holds now or is promised on the way, >= 0."""
        if self._frontier_s > self._now_s:
            return 0.0
        return max(0.0, self._free - self._coming_slots)

    def _release_until(self, earliest_s: float, slots: float) -> float:
        """Free what ends until `slots` are there, and no earlier than `earliest_s`; returns that instant."""
        start_s = max(earliest_s, self._frontier_s)
        passed = 0
        for end_s, _, freed in self._ends:
            if end_s > start_s:
                if self._free >= slots:
                    break
                start_s = end_s
            self._free += freed
            passed += 1
        del self._ends[:passed]
        return start_s
