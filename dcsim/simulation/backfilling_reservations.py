"""Conservative backfilling: all that wait have reservations, and nobody delays one made before."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from heapq import heappop, heappush

from dcsim.engine import Engine
from dcsim.facility.servers import Held
from dcsim.policies.backfill import BackfillOrdering
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.backfilling import shaped_line, slots_are_fungible
from dcsim.simulation.backfilling_profile import CountedProfile, PlacedProfile, Profile, Slot
from dcsim.simulation.backfilling_shapes import Shapes, devices_needed
from dcsim.simulation.placing import Placer

__all__ = ["ConservativeDispatch"]


class ConservativeDispatch:
    """Makes reservations in order, each the earliest beside those before; starts what is reserved for now.

    Reservations are made anew from the first in line on whenever something is free earlier, or later,
    than was thought, or someone came who goes before one that has a reservation; until then they stand.
    They are made no further than to the last job that might start now: those behind it cannot matter.

    Args:
        engine: for the time.
        policy: for the estimates, and how many may have a reservation.
        placer: finds where a gang fits.
        attempts: starts it.
    """

    def __init__(self, engine: Engine, policy: BackfillOrdering, placer: Placer, attempts: Attempts) -> None:
        self._engine = engine
        self._placer = placer
        self._attempts = attempts
        self._depth = policy.depth
        self._shapes = Shapes(placer)
        self._line = shaped_line(policy, placer, self._shapes)
        """Waiting jobs without a reservation."""
        self._need = devices_needed(placer)
        self._room = placer.fleet.accelerators
        """Devices that are free now, or more."""
        self._counts = slots_are_fungible(placer)
        self._profile: Profile = (
            CountedProfile(self._need, placer.fleet.accelerators)
            if self._counts
            else PlacedProfile(self._need, placer)
        )
        self._ends: list[tuple[float, int]] = []
        """(estimated end, job) of all that run, in order."""
        self._end_s: dict[int, float] = {}
        self._held: dict[int, tuple[Held, ...]] = {}
        self._reserved: dict[int, Slot] = {}
        self._last_rank = -1
        """Of those with a reservation, the last in line."""
        self._due: list[tuple[float, int, int]] = []
        """(start, rank, job) of the reservations: a heap."""
        self._stale = True
        """Whether the reservations have to be made anew."""
        self._changed = False
        self._misfits = self._shapes.refused()

    # -- what the run tells ------------------------------------------------------------------------

    def add(self, job: int) -> None:
        """A job may be placed from now on."""
        self._line.add(job)
        self._changed = True
        if self._line.rank[job] < self._last_rank:
            self._stale = True

    def gone(self, job: int) -> None:
        """A job ended for good."""
        end_s = self._end_s.pop(job, None)
        if end_s is None:
            return
        del self._ends[bisect_left(self._ends, (end_s, job))]
        del self._held[job]
        self._room += self._need[job]
        if end_s != self._engine.now:
            self._stale = True

    def capacity_freed(self) -> None:
        """A gang that did not fit may fit now."""
        self._changed = True

    def jobs(self) -> list[int]:
        """Return the waiting jobs in order."""
        return sorted([*self._line.jobs(), *self._reserved], key=self._line.rank.__getitem__)

    # -- a decision --------------------------------------------------------------------------------

    def serve(self) -> None:
        """Start what may start."""
        if not self._changed:
            return
        self._changed = False
        running = self._attempts.running
        if len(running) != len(self._ends):
            for job in [job for _, job in self._ends if job not in running]:
                self.gone(job)
        while self._line or self._reserved:
            fresh, counts = self._stale or self._overdue(), self._counts
            if not fresh:
                self._profile.go_to(self._engine.now)
            elif self._nobody_fits():
                self._stale = True
                return
            else:
                self._restart()
            self._misfits.clear()
            if self._start_due() and self._plan():
                return
            self._stale = True
            if fresh and counts == self._counts:
                return  # who is in the way holds servers for no time, or for an instant yet

    def _overdue(self) -> bool:
        """Return whether a job has outlived its estimate."""
        return bool(self._ends) and self._ends[0][0] <= self._engine.now

    def _nobody_fits(self) -> bool:
        """Return whether there are too few devices for anyone who waits."""
        return not self._shapes.possible(self._room) and all(
            self._need[job] > self._room for job in self._reserved
        )

    def _restart(self) -> None:
        """Forget all reservations."""
        for job in self._reserved:
            self._line.add(job)
        self._reserved.clear()
        self._due.clear()
        self._last_rank = -1
        self._profile.reset(self._engine.now, self._ends, self._held)
        self._stale = False

    def _start_due(self) -> bool:
        """Start those with a reservation for now; return whether they all could."""
        while self._due and self._due[0][0] <= self._engine.now:
            job = self._due[0][2]
            if not self._start(job, self._reserved[job]):
                return False
            heappop(self._due)
            del self._reserved[job]
        return True

    def _start(self, job: int, slot: Slot) -> bool:
        """Start a job in its slot; return whether that could be done."""
        width, placement = self._placer.width[job], slot.placement
        if self._counts:
            room = self._need[job] <= self._room
            placement = self._placer.place(job) if room else None
            if placement is None and room:
                # The policy refused a gang for which there is room: look at the servers from now on.
                self._counts = False
                self._profile = PlacedProfile(self._need, self._placer)
        elif placement is not None and not self._placer.is_free(job, width, placement):
            placement = None
        if placement is None:
            return False
        self._attempts.start(job, placement, width)
        self._held[job] = self._attempts.running[job].held
        end_s = self._engine.now + self._line.estimate_s[job]
        self._end_s[job] = end_s
        insort(self._ends, (end_s, job))
        self._room -= self._need[job]
        return True

    def _plan(self) -> bool:
        """Make reservations as long as someone may start now; return whether those for now could start."""
        line, profile = self._line, self._profile
        while (last := self._last_that_may_start()) >= 0:
            job = -1
            while job != last:
                if self._depth and len(self._reserved) >= self._depth:
                    return True
                job = line.head()
                length_s = line.estimate_s[job]
                slot = profile.earliest(job, line.shape[job], length_s)
                if slot.start_s <= self._engine.now:
                    if not self._start(job, slot):
                        return False
                    line.remove(job)
                    profile.reserve(job, slot, length_s)
                    continue
                line.remove(job)
                self._last_rank = line.rank[job]
                self._reserved[job] = slot
                if slot.start_s == math.inf:  # the policy may think otherwise at another time
                    self._stale = True
                    continue
                profile.reserve(job, slot, length_s)
                heappush(self._due, (slot.start_s, line.rank[job], job))
        return True

    def _last_that_may_start(self) -> int:
        """Return the first in line without a reservation that might start now, or -1."""
        line, found = self._line, -1
        for shape in self._shapes.possible(self._room):
            if shape in self._misfits:
                continue
            first = line.first(shape)
            if not self._counts and self._placer.place(first) is None:
                self._misfits.add(shape)
                continue
            job = line.first(shape, self._profile.free_for_s(first))
            if job >= 0 and (found < 0 or line.rank[job] < line.rank[found]):
                found = job
        return found
