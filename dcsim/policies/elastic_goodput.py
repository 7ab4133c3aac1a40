"""Elastic gangs: each round the widths that make the most of the accelerators, or equal ones.

Who is admitted is decided first, in order of submission and at least widths; rigid jobs at theirs.
What is left goes to elastic jobs.
"""

from __future__ import annotations

import heapq
import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.active import ActiveJobs, Decision
from dcsim.policies.base import ALL_MAY_PASS, DecidingPolicy
from dcsim.policies.dynamic import checked_round_s
from dcsim.policies.views import JobsView

__all__ = ["ElasticEqual", "ElasticGoodput", "concave_corners", "equal_widths", "greedy_widths"]

Ints = npt.NDArray[np.int64]
_ROUNDING = 1e-9
"""Slopes that differ by less, relative to them, are equal."""


def concave_corners(width: Sequence[int], value: Sequence[float]) -> list[int]:
    """Return the indices of the points on the least concave curve above some points, up to its top.

    Args:
        width: ascending.
        value: of each.

    >>> concave_corners([1, 2, 3, 4], [1.0, 1.2, 3.0, 2.5])
    [0, 2]
    """
    corners = [0]
    top = max(range(len(value)), key=lambda at: (value[at], -at))
    for at in range(1, top + 1):
        while len(corners) > 1:
            before, last = corners[-2:]
            old = _slope(width, value, before, last)
            if _slope(width, value, before, at) <= old + abs(old) * _ROUNDING:
                break
            corners.pop()
        corners.append(at)
    return corners


def _slope(width: Sequence[int], value: Sequence[float], one: int, other: int) -> float:
    return (value[other] - value[one]) / (width[other] - width[one])


def greedy_widths(room: int, curves: Sequence[tuple[Sequence[int], Sequence[float]]]) -> list[int]:
    """Return a width for each curve, which together take at most `room` beyond the first width of each.

    Always the next corner with the greatest value per accelerator, of equals at the narrowest curve: best
    possible where curves are concave (Fox, Operations Research 14 (1966) 210-216). A corner for which
    there is no room leaves its curve the best width before it.

    Args:
        room: accelerators to share out, >= 0.
        curves: (widths ascending, values) of each.

    >>> greedy_widths(3, [([1, 2, 3], [1.0, 1.9, 2.0]), ([1, 2, 3], [1.0, 1.5, 1.9])])
    [2, 3]
    """
    chosen = [0] * len(curves)
    corners = [concave_corners(*curve) for curve in curves]
    heap: list[tuple[float, int, int, int]] = []

    def offer(number: int, corner: int) -> None:
        if corner < len(corners[number]):
            width, value = curves[number]
            slope = _slope(width, value, chosen[number], corners[number][corner])
            # To nine digits, so that equal slopes are equal and the narrowest goes first.
            heapq.heappush(heap, (-float(f"{slope:.8e}"), width[chosen[number]], number, corner))

    for number in range(len(curves)):
        offer(number, 1)
    while heap and room > 0:
        _, _, number, corner = heapq.heappop(heap)
        width, value = curves[number]
        now, then = chosen[number], corners[number][corner]
        if width[then] - width[now] > room:
            inside = [at for at in range(now, then) if width[at] - width[now] <= room]
            then = max(inside, key=lambda at: (value[at], -at))
        room -= width[then] - width[now]
        chosen[number] = then
        if then == corners[number][corner]:
            offer(number, corner + 1)
    return [curve[0][at] for curve, at in zip(curves, chosen, strict=True)]


def equal_widths(room: int, least: Sequence[int], most: Sequence[int]) -> list[int]:
    """Return widths within bounds that take at most `room` beyond the least, as equal as can be.

    One accelerator at a time to the narrowest gang that may grow, the first of equals.

    >>> equal_widths(4, [1, 1, 2], [8, 2, 8])
    [3, 2, 3]
    """
    widths = list(least)
    heap = [(width, number) for number, width in enumerate(widths) if width < most[number]]
    heapq.heapify(heap)
    while heap and room > 0:
        width, number = heapq.heappop(heap)
        widths[number] = width + 1
        room -= 1
        if width + 1 < most[number]:
            heapq.heappush(heap, (width + 1, number))
    return widths


class _Elastic(DecidingPolicy):
    """Admits by submission at least widths, then widens."""

    in_line = False

    def __init__(self, *, round_s: float, skip: int) -> None:
        super().__init__(skip=skip)
        self.round_s = checked_round_s(self.name, round_s)

    @abstractmethod
    def _widths(
        self, jobs: JobsView, active: ActiveJobs, members: list[int], kind: int, room: int
    ) -> list[int]:
        """Return the widths of the elastic jobs at some positions, admitted to a type with room to share out."""

    def decide(self, jobs: JobsView, active: ActiveJobs) -> Decision:
        """Return who is admitted, in order of submission, and the width and type of each."""
        rows = active.row
        elastic = jobs.max_accelerators[rows] > 0
        least = np.where(elastic, jobs.min_accelerators[rows], jobs.accelerators[rows])
        kind, room = self._admit(jobs, active, least)
        width = np.where(kind >= 0, least, 0)
        for number, left in enumerate(room):
            members = np.flatnonzero((kind == number) & elastic).tolist()
            if members:
                width[members] = self._widths(jobs, active, members, number, math.floor(left))
        order = np.flatnonzero((kind >= 0) | (least == 0))
        return Decision(order, width, kind, preempts=False)

    @staticmethod
    def _admit(jobs: JobsView, active: ActiveJobs, least: Ints) -> tuple[Ints, list[float]]:
        """Return (K,) the type each job is admitted to, -1: none, and what is left of each.

        A running job stays on its type; another goes where it does best at its least width.
        """
        room = [float(total) for total in active.type_accelerators]
        kind = np.full(len(active), -1, dtype=np.int64)
        for at, row in enumerate(active.row.tolist()):
            width, held = int(least[at]), int(active.accelerator_type[at])
            if width == 0:
                continue
            wanted = width * float(jobs.accelerator_share[row])
            rates = [active.steps_per_s(row, width, number) for number in range(len(room))]
            fits = [number for number, left in enumerate(room) if left >= wanted and rates[number] > 0.0]
            if fits:
                best = max(fits, key=lambda number: (number == held, rates[number], -number))
                kind[at] = best
                room[best] -= wanted
        return kind, room


class ElasticGoodput(_Elastic):
    """The widths with the most progress in the coming round, summed over jobs, restarts counted.

    Progress includes the statistical efficiency of larger batches: it is the goodput of Pollux. Each
    job's counts over what it would have with an equal share of the cluster. A job whose width changes
    does nothing for `restart_s` of the round, or its start-up if that is longer, so it is left alone unless that pays back
    within the round: of rounds no longer than its start-up, never.
    """

    name: ClassVar[str] = "elastic"
    optimises: ClassVar[str] = "the sum of goodputs over those with equal shares"
    source: ClassVar[str] = (
        "Qiao et al., Pollux, OSDI (2021), with the greedy steps of Optimus, EuroSys (2018)"
    )
    needs: ClassVar[str] = "progress at each width (profiles, gradient noise scales)"
    complexity: ClassVar[str] = "O(n w + w log n) a round, n jobs present, w widths each"

    def __init__(self, *, round_s: float = 60.0, restart_s: float = 30.0, skip: int = ALL_MAY_PASS) -> None:
        """Take the time between decisions, > 0, and what a change of width is thought to cost, >= 0.

        Raises:
            PolicyError: not finite numbers in these ranges.
        """
        super().__init__(round_s=round_s, skip=skip)
        if not 0.0 <= restart_s < math.inf:
            msg = f"{self.name}.restart_s: {restart_s} -> expected a finite duration in seconds >= 0"
            raise PolicyError(msg)
        self.restart_s = restart_s

    def _widths(
        self, jobs: JobsView, active: ActiveJobs, members: list[int], kind: int, room: int
    ) -> list[int]:
        share = max(1, round(int(active.type_accelerators[kind]) / len(active)))
        curves = [self._curve(jobs, active, at, kind, room, share) for at in members]
        return greedy_widths(room, curves)

    def _curve(
        self, jobs: JobsView, active: ActiveJobs, at: int, kind: int, room: int, share: int
    ) -> tuple[list[int], list[float]]:
        """Return a job's possible widths and its progress in the coming round at each."""
        row = int(active.row[at])
        least, most = int(jobs.min_accelerators[row]), int(jobs.max_accelerators[row])
        widths = list(range(least, min(most, least + room) + 1))
        goodput: Callable[[int], float] = lambda width: active.steps_per_s(row, width, kind)  # noqa: E731
        usual = goodput(min(max(share, least), most)) or goodput(least)
        here = int(active.width[at]) if int(active.accelerator_type[at]) == kind else 0
        # Who waits starts up at any width.
        restart_s = max(self.restart_s, float(jobs.startup_s[row])) if here else self.restart_s
        rest = max(0.0, 1.0 - restart_s / (self.round_s or 1.0))
        return widths, [goodput(width) / usual * (1.0 if width == here else rest) for width in widths]


class ElasticEqual(_Elastic):
    """Equal widths, as far as least and greatest widths allow: EQUI."""

    name: ClassVar[str] = "elastic_equal"
    optimises: ClassVar[str] = "mean job completion time, knowing nothing of jobs"
    source: ClassVar[str] = "Edmonds, Scheduling in the Dark, STOC (1999)"
    needs: ClassVar[str] = "least and greatest widths"
    complexity: ClassVar[str] = "O(n + m log n) a round, n jobs present, m accelerators"

    def __init__(self, *, round_s: float = 300.0, skip: int = ALL_MAY_PASS) -> None:
        """Take the time between decisions, > 0.

        Raises:
            PolicyError: not a finite number above 0.
        """
        super().__init__(round_s=round_s, skip=skip)

    def _widths(
        self, jobs: JobsView, active: ActiveJobs, members: list[int], kind: int, room: int
    ) -> list[int]:
        least = jobs.min_accelerators[active.row[members]].tolist()
        most = [
            _widest(
                active,
                int(active.row[at]),
                low,
                min(int(jobs.max_accelerators[active.row[at]]), low + room),
                kind,
            )
            for at, low in zip(members, least, strict=True)
        ]
        return equal_widths(room, least, most)


def _widest(active: ActiveJobs, row: int, least: int, most: int, kind: int) -> int:
    """Return the greatest width up to which a job can run on a type."""
    return next(
        (width - 1 for width in range(least + 1, most + 1) if not active.steps_per_s(row, width, kind)), most
    )
