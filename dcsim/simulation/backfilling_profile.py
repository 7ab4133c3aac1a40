"""What will be free when, with the jobs that run and the reservations made so far.

A profile is a list of instants and, for each, what is free from then to the next. On fungible slots that
is a number; else it is the books of all servers, and a job fits where the placement policy puts it on
what is free throughout its stay.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.facility.servers import SHARE_UNITS, Fleet, Held
from dcsim.policies.views import Placement
from dcsim.simulation.backfilling_future import shadow_placer
from dcsim.simulation.placing import Placer

__all__ = ["CountedProfile", "PlacedProfile", "Profile", "Slot"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Books = list[npt.NDArray[Any]]
"""What is free on each server: devices (S,) or thousandths of each (S, G), then, if counted, cores, bytes (S,)."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a job fits in a profile."""

    start_s: float
    """Infinite: nowhere."""
    placement: Placement | None = None
    """None: anywhere."""


class Profile(ABC):
    """Free devices over time, and the earliest slot for a job.

    Args:
        need: (N,) whole devices without which each job surely does not fit.
    """

    def __init__(self, need: Sequence[int]) -> None:
        self._need = np.array(need, dtype=np.int64)
        self._times_s: Floats = np.zeros(1)
        """Ascending; the first is now."""
        self._room: Ints = np.zeros(1, dtype=np.int64)
        """Devices that are free from each instant to the next, or more."""
        self._found: dict[int, tuple[list[float], list[float]]] = {}
        """By shape: lengths and, for each, the latest slot found for one no longer, both ascending. In a
        profile that only fills up nobody as long or longer fits before that."""

    def _restart(self, now_s: float, room: int, ends: Sequence[tuple[float, int]]) -> Ints:
        """Set instants and room anew from (end, job) of all that run; return (R,) the instant each ends at."""
        self._found.clear()
        soon_s = math.nextafter(now_s, math.inf)
        end_s = np.maximum(np.array([end_s for end_s, _ in ends], dtype=np.float64), soon_s)
        freed = np.cumsum(self._need[np.array([job for _, job in ends], dtype=np.int64)])
        first = np.diff(end_s, prepend=-math.inf) > 0.0
        last = np.diff(end_s, append=math.inf) > 0.0
        self._times_s = np.concatenate([[now_s], end_s[first]])
        self._room = room + np.concatenate([np.zeros(1, dtype=np.int64), freed[last]])
        number: Ints = np.cumsum(first)
        return number

    def go_to(self, now_s: float) -> None:
        """Forget what was before now."""
        past = int(np.searchsorted(self._times_s, now_s, side="right")) - 1
        if past > 0:
            self._forget(past)
        self._times_s[0] = now_s

    def _forget(self, count: int) -> None:
        self._times_s, self._room = self._times_s[count:].copy(), self._room[count:].copy()

    def free_for_s(self, job: int) -> float:
        """Return for how long from now on there is room for a job; 0: not now."""
        lacks = self._room < self._need[job]
        at = int(lacks.argmax())
        return float(self._times_s[at] - self._times_s[0]) if lacks[at] else math.inf

    def earliest(self, job: int, shape: int, length_s: float) -> Slot:
        """Return the earliest slot for a job that stays for `length_s`."""
        times_s, count, begin = self._times_s, len(self._times_s), self._not_before(shape, length_s)
        lacks = begin + np.flatnonzero(self._room[begin:] < self._need[job])
        # There is room from `starts` until just before `stops`.
        starts, stops = np.append(begin, lacks + 1), np.append(lacks, count)
        until_s = np.append(times_s[lacks], math.inf)
        fits = (starts < stops) & (until_s - times_s[np.minimum(starts, count - 1)] >= length_s)
        for gap in np.flatnonzero(fits).tolist():
            for at in range(int(starts[gap]), int(stops[gap])):
                start_s = float(times_s[at])
                if until_s[gap] - start_s < length_s:
                    break
                after = at + max(1, int(np.searchsorted(times_s[at:] - start_s, length_s)))
                slot = self._slot(job, at, after)
                if slot is not None:
                    self._note(shape, length_s, start_s)
                    return slot
        return Slot(math.inf)

    def _not_before(self, shape: int, length_s: float) -> int:
        """Return the first instant that has to be looked at."""
        found = self._found.get(shape)
        if found is None:
            return 0
        at = bisect_right(found[0], length_s)
        return max(0, int(np.searchsorted(self._times_s, found[1][at - 1], side="right")) - 1) if at else 0

    def _note(self, shape: int, length_s: float, start_s: float) -> None:
        """Note where a job of a shape was found to fit."""
        lengths, starts = self._found.setdefault(shape, ([], []))
        at = bisect_right(lengths, length_s)
        if at and starts[at - 1] >= start_s:
            return
        past = bisect_right(starts, start_s, lo=at)
        at = bisect_left(lengths, length_s)
        lengths[at:past] = [length_s]
        starts[at:past] = [start_s]

    def reserve(self, job: int, slot: Slot, length_s: float) -> None:
        """Take what a job will hold in the slot that was found last."""
        first = self._split(slot.start_s)
        last = self._split(slot.start_s + length_s)
        self._room[first:last] -= self._need[job]
        self._fill(job, slot, first, last)

    def _split(self, time_s: float) -> int:
        """Return the index of an instant, which becomes one of the profile."""
        at = int(np.searchsorted(self._times_s, time_s))
        if at == len(self._times_s) or self._times_s[at] != time_s:
            self._times_s = np.insert(self._times_s, at, time_s)
            self._room = np.insert(self._room, at, self._room[at - 1])
            self._insert(at)
        return at

    @abstractmethod
    def reset(
        self, now_s: float, ends: Sequence[tuple[float, int]], held: dict[int, tuple[Held, ...]]
    ) -> None:
        """Start from the servers as they are now.

        Args:
            now_s: time.
            ends: (estimated end, job) of all that run, ascending; those in the past count as just after now.
            held: what each of them holds.
        """

    @abstractmethod
    def _slot(self, job: int, first: int, last: int) -> Slot | None:
        """Return the slot of a job that stays from one instant until before another, if it fits."""

    @abstractmethod
    def _fill(self, job: int, slot: Slot, first: int, last: int) -> None:
        """Take what a job will hold from one instant until before another."""

    @abstractmethod
    def _insert(self, at: int) -> None:
        """Double the entry before `at`."""


class CountedProfile(Profile):
    """Fungible slots: whoever needs no more than are free fits.

    Args:
        need: (N,) slots each job takes.
        slots: there are in all.

    >>> profile = CountedProfile([2, 1], 2)
    >>> profile.reset(0.0, [(4.0, 1)], {})
    >>> slot = profile.earliest(0, 0, 3.0)
    >>> profile.reserve(0, slot, 3.0)
    >>> slot.start_s, profile.free_for_s(1), profile.earliest(1, 1, 5.0).start_s
    (4.0, 4.0, 7.0)
    """

    def __init__(self, need: Sequence[int], slots: int) -> None:
        super().__init__(need)
        self._slots = slots

    def reset(
        self, now_s: float, ends: Sequence[tuple[float, int]], held: dict[int, tuple[Held, ...]]
    ) -> None:
        """Start from the slots that no running job takes."""
        self._restart(now_s, 0, ends)
        self._room += self._slots - self._room[-1]

    def _slot(self, job: int, first: int, last: int) -> Slot:
        return Slot(float(self._times_s[first]))

    def _fill(self, job: int, slot: Slot, first: int, last: int) -> None:
        """Counting is enough."""

    def _insert(self, at: int) -> None:
        """Counting is enough."""


class PlacedProfile(Profile):
    """Servers: a job fits where the placement policy puts it on what is free throughout its stay.

    Args:
        need: (N,) whole devices without which each job surely does not fit.
        placer: of the run.
    """

    def __init__(self, need: Sequence[int], placer: Placer) -> None:
        super().__init__(need)
        self._real = placer
        self._shadow = shadow_placer(placer)
        self._books: list[Books] = [_read(placer.fleet)]
        self._amounts: dict[int, Books] = {}
        """What running jobs hold of each column, on their servers."""
        self._found_amounts: Books = []
        """The same of the job for which a slot was found last."""

    def reset(
        self, now_s: float, ends: Sequence[tuple[float, int]], held: dict[int, tuple[Held, ...]]
    ) -> None:
        """Start from what is free on the servers, and give back what each job holds when it is to end."""
        fleet = self._real.fleet
        self._amounts = {job: self._amounts.get(job) or self._taken(job, held[job]) for _, job in ends}
        number = self._restart(now_s, int(fleet.free.sum(dtype=np.int64)), ends)
        if fleet.has_shares:  # a device that is free in part counts once it is free
            self._room[:] = fleet.accelerators
        self._books = [_read(fleet)]
        leaving: list[list[int]] = [[] for _ in self._times_s]
        for at, (_, job) in zip(number.tolist(), ends, strict=True):
            leaving[at].append(job)
        for jobs in leaving[1:]:
            books = [column.copy() for column in self._books[-1]]
            for job in jobs:
                servers = [part[0] for part in held[job]]
                for column, amount in zip(books, self._amounts[job], strict=True):
                    column[servers] += amount
            self._books.append(books)

    def _taken(self, job: int, held: tuple[Held, ...]) -> Books:
        """Return what a running job holds of each column, on its servers."""
        width, servers = self._real.width[job], [part[0] for part in held]
        before = _read(self._real.fleet, servers)
        self._real.give_back(job, width, held)
        after = _read(self._real.fleet, servers)
        self._real.retake(job, width, held)
        return [more - less for more, less in zip(after, before, strict=True)]

    def _slot(self, job: int, first: int, last: int) -> Slot | None:
        fleet, width = self._shadow.fleet, self._real.width[job]
        _write(fleet, [reduce(np.minimum, column) for column in zip(*self._books[first:last], strict=True)])
        placement = self._shadow.place(job)
        if placement is None:
            return None
        servers = [server for server, _ in placement]
        before = _read(fleet, servers)
        held = self._shadow.take(job, width, placement)
        after = _read(fleet, servers)
        self._shadow.give_back(job, width, held)
        self._found_amounts = [more - less for more, less in zip(before, after, strict=True)]
        return Slot(float(self._times_s[first]), placement)

    def _fill(self, job: int, slot: Slot, first: int, last: int) -> None:
        servers = [server for server, _ in slot.placement or ()]
        for books in self._books[first:last]:
            for column, amount in zip(books, self._found_amounts, strict=True):
                column[servers] -= amount

    def _insert(self, at: int) -> None:
        self._books.insert(at, [column.copy() for column in self._books[at - 1]])

    def _forget(self, count: int) -> None:
        super()._forget(count)
        del self._books[:count]


def _read(fleet: Fleet, servers: list[int] | slice = slice(None)) -> Books:
    """Return what is free, on some servers, as copies."""
    columns: Books = [fleet.free if fleet.units is None else fleet.units]
    if fleet.track_cpu_memory:
        columns += [fleet.free_cpu, fleet.free_memory]
    return [np.array(column[servers]) for column in columns]


def _write(fleet: Fleet, books: Books) -> None:
    """Let a fleet that nobody runs on have free what the books say."""
    devices = books[0]
    if fleet.units is not None:
        fleet.units[:] = devices
        fleet.largest_share[:] = devices.max(axis=1, initial=0) / SHARE_UNITS
        devices = (devices == SHARE_UNITS).sum(axis=1).astype(np.uint8)
    fleet.free_bytes[:] = devices.tobytes()
    if fleet.track_cpu_memory:
        fleet.free_cpu[:], fleet.free_memory[:] = books[1], books[2]
