"""When the first in line can start, by the estimates of the jobs that run, and who may start beside that.

A shadow of the servers shows them as they will be at the instant of the reservation: without the jobs
that are to end by then. It follows the run and moves in time only as far as the reservation does.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import replace

from dcsim.errors import GuardError
from dcsim.facility.servers import Fleet, Held
from dcsim.policies.views import Placement
from dcsim.simulation.placing import Placer

__all__ = ["CountedFuture", "Future", "PlacedFuture", "shadow_placer"]


def shadow_placer(placer: Placer) -> Placer:
    """Return a placer with the same policy over servers of its own, all free."""
    inputs = placer.inputs
    shadow = replace(inputs, fleet=Fleet(inputs.scenario.cluster, inputs.catalogue))
    return Placer(shadow, heat=placer.heat)


class Future(ABC):
    """The jobs that run by their estimated ends, and the reservation of the first in line.

    A job that outlives its estimate counts as one that ends right now, whenever that is.

    Args:
        need: (N,) whole devices without which each job surely does not fit.
        devices: there are in all.
    """

    def __init__(self, need: Sequence[int], devices: int) -> None:
        self._need = need
        self.room = devices
        """Devices that are free now, or more."""
        self._room_then = devices
        """Devices that are free in the shadow, or more."""
        self._ends: list[tuple[float, int]] = []
        """(estimated end, job) of all that run, in order."""
        self._end_s: dict[int, float] = {}
        self._held: dict[int, tuple[Held, ...]] = {}
        self.start_s = -math.inf
        """Of the reservation; infinite: the job would not even fit if all others were gone."""
        self.head = -1
        """Whose reservation it is."""
        self.changed = True
        """Whether the reservation may be earlier than it is."""

    # -- what runs ---------------------------------------------------------------------------------

    def started(self, job: int, end_s: float, held: tuple[Held, ...]) -> None:
        """A job began to run that is thought to end at `end_s`."""
        insort(self._ends, (end_s, job))
        self._end_s[job] = end_s
        self._held[job] = held
        self.room -= self._need[job]
        if end_s > self.start_s:
            self._hold(job)

    def ended(self, job: int, now_s: float) -> None:
        """A job ended; if it was thought to do so later, the reservation may move."""
        end_s = self._end_s.pop(job, None)
        if end_s is None:
            return
        del self._ends[bisect_left(self._ends, (end_s, job))]
        self.room += self._need[job]
        if end_s > self.start_s:
            self._release(job)
        del self._held[job]
        if end_s > now_s:
            self.changed = True

    def keep_only(self, running: Callable[[int], bool], count: int, now_s: float) -> None:
        """Forget jobs that stopped without having ended, where not `count` jobs are known to run."""
        if len(self._ends) != count:
            for _, job in [entry for entry in self._ends if not running(entry[1])]:
                self.ended(job, now_s)

    def known(self) -> list[tuple[int, float, tuple[Held, ...]]]:
        """Return (job, estimated end, what it holds) of all that run."""
        return [(job, end_s, self._held[job]) for end_s, job in self._ends]

    # -- the reservation ---------------------------------------------------------------------------

    def stands(self, head: int, now_s: float) -> bool:
        """Return whether the reservation is that of `head`, and still the earliest."""
        return not self.changed and self.head == head and self.start_s >= now_s

    def reserve(self, head: int, now_s: float) -> float:
        """Return the first instant from now on at which `head` fits."""
        self.head = head
        if self.start_s < now_s:
            self._move(now_s)
        if self._fits():
            self._pull_back(now_s)
        else:
            self._push_on()
        self.changed = False
        return self.start_s

    def _move(self, to_s: float) -> None:
        """Let the shadow be that of another instant."""
        ends = self._ends
        here, there = self._after(self.start_s), self._after(to_s)
        for _, job in ends[here:there]:
            self._release(job)
        for _, job in ends[there:here]:
            self._hold(job)
        self.start_s = to_s

    def _hold(self, job: int) -> None:
        self._room_then -= self._need[job]
        self._take(job, self._held[job])

    def _release(self, job: int) -> None:
        self._room_then += self._need[job]
        self._give_back(job, self._held[job])

    def _after(self, time_s: float) -> int:
        """Return how many jobs are thought to end by an instant."""
        return bisect_right(self._ends, time_s, key=_end)

    def _push_on(self) -> None:
        """Go on to the first end at which the head fits, which it does not now."""
        ends, stride = self._ends, 1
        while True:
            misfit = self._after(self.start_s)
            if misfit >= len(ends):
                self.start_s = math.inf
                return
            self._move(ends[min(misfit + stride, len(ends)) - 1][0])
            if self._fits():
                break
            stride *= 2
        self._narrow(misfit, self.start_s)

    def _pull_back(self, now_s: float) -> None:
        """Go back to the first end, or to now, at which the head fits, as it does here."""
        stride, fits_s = 1, self.start_s
        first = self._after(now_s)
        while fits_s > now_s:
            at = bisect_left(self._ends, fits_s, key=_end) - stride
            self._move(self._ends[at][0] if at >= first else now_s)
            if not self._fits():
                self._narrow(self._after(self.start_s), fits_s)
                return
            fits_s = self.start_s
            stride *= 2

    def _narrow(self, misfit: int, fits_s: float) -> None:
        """Find the first end at which the head fits: it does at `fits_s`, and not before the end at `misfit`."""
        while misfit < (fit := bisect_left(self._ends, fits_s, key=_end)):
            self._move(self._ends[(misfit + fit) // 2][0])
            if self._fits():
                fits_s = self.start_s
            else:
                misfit = self._after(self.start_s)
        self._move(fits_s)

    # -- what fits -----------------------------------------------------------------------------------

    def may_admit(self, job: int) -> bool:
        """Return False where no placement of a job would be admitted."""
        return self._room_then - self._need[job] >= self._need[self.head]

    def _fits(self) -> bool:
        """Return whether the head fits the shadow."""
        return self._room_then >= self._need[self.head]

    @abstractmethod
    def admits(self, job: int, placement: Placement) -> bool:
        """Return whether the head fits at its instant beside a job that still runs then."""

    @abstractmethod
    def _take(self, job: int, held: tuple[Held, ...]) -> None:
        """Let a job hold in the shadow what it holds."""

    @abstractmethod
    def _give_back(self, job: int, held: tuple[Held, ...]) -> None:
        """Let a job hold nothing in the shadow."""


class CountedFuture(Future):
    """A shadow of fungible slots: whoever needs no more than are free fits."""

    def admits(self, job: int, placement: Placement) -> bool:
        """Return whether enough slots are left for the head."""
        return self.may_admit(job)

    def _take(self, job: int, held: tuple[Held, ...]) -> None:
        """Counting is enough."""

    def _give_back(self, job: int, held: tuple[Held, ...]) -> None:
        """Counting is enough."""


class PlacedFuture(Future):
    """A shadow of the servers themselves: the head fits where the placement policy puts it.

    Args:
        need: (N,) whole devices without which each job surely does not fit.
        placer: of the run.
    """

    def __init__(self, need: Sequence[int], placer: Placer) -> None:
        super().__init__(need, placer.fleet.accelerators)
        self._real = placer
        self._shadow = shadow_placer(placer)
        self._place: Placement | None = None

    def admits(self, job: int, placement: Placement) -> bool:
        """Return whether the head still fits, there or elsewhere, with the job in place."""
        # The very devices that the job would hold are taken, not any that would do.
        width, head_width = self._real.width[job], self._real.width[self.head]
        held = self._real.take(job, width, placement)
        self._real.give_back(job, width, held)
        self._take(job, held)
        there = self._place is not None and self._shadow.is_free(self.head, head_width, self._place)
        fits = there or self._fits()
        self._give_back(job, held)
        return fits

    def _fits(self) -> bool:
        if not super()._fits():
            return False
        place = self._shadow.place(self.head)
        if place is not None:
            self._place = place
        return place is not None

    def _take(self, job: int, held: tuple[Held, ...]) -> None:
        if not self._shadow.retake(job, self._real.width[job], held):
            raise GuardError(f"row {job} holds what is not free in the shadow of the servers")

    def _give_back(self, job: int, held: tuple[Held, ...]) -> None:
        self._shadow.give_back(job, self._real.width[job], held)


def _end(entry: tuple[float, int]) -> float:
    return entry[0]
