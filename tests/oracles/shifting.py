"""What shifting can save at best, from the raw series and in plain Python, and what simulated jobs emitted."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from dcsim.simulation.kinds import EVENT_KINDS

__all__ = ["HourlySeries", "working_times"]

HOUR_S = 3600.0


class HourlySeries:
    """Hourly values from a CSV file with UTC times, from the first row on."""

    def __init__(self, path: Path, column: str) -> None:
        with path.open(encoding="utf-8", newline="") as file:
            self.values = [float(row[column]) for row in csv.DictReader(file)]
        self._sums = [0.0, *accumulate(value * HOUR_S for value in self.values)]

    @property
    def end_s(self) -> float:
        return HOUR_S * len(self.values)

    def integral(self, begin_s: float, end_s: float) -> float:
        """Return the integral over [begin, end]."""
        return self._to(end_s) - self._to(begin_s)

    def _to(self, time_s: float) -> float:
        hour = min(int(time_s // HOUR_S), len(self.values) - 1)
        return self._sums[hour] + self.values[hour] * (time_s - hour * HOUR_S)

    def pieces(self, begin_s: float, end_s: float) -> list[tuple[float, float]]:
        """Return (value, length) of each hour, or part of one, in [begin, end]."""
        found = []
        hour = int(begin_s // HOUR_S)
        while hour * HOUR_S < end_s:
            length = min(end_s, (hour + 1) * HOUR_S) - max(begin_s, hour * HOUR_S)
            found.append((self.values[hour], length))
            hour += 1
        return found

    def least_interrupted(self, begin_s: float, end_s: float, work_s: float) -> float:
        """Return the least integral over any `work_s` of time in [begin, end]: a fractional knapsack."""
        left, least = work_s, 0.0
        for value, length in sorted(self.pieces(begin_s, end_s)):
            taken = min(left, length)
            least += value * taken
            left -= taken
        return least

    def least_contiguous(self, begin_s: float, latest_s: float, work_s: float) -> float:
        """Return the least integral over [start, start + work] with start in [begin, latest].

        It is piecewise linear in the start, with kinks where the start or the end meets a full hour.
        """
        starts = {begin_s, latest_s}
        for edge in (0.0, work_s):
            hour = int((begin_s + edge) // HOUR_S) + 1
            while hour * HOUR_S - edge < latest_s:
                starts.add(hour * HOUR_S - edge)
                hour += 1
        return min(
            self.integral(start, start + work_s) for start in sorted(starts) if begin_s <= start <= latest_s
        )


def working_times(result: Any, jobs: int) -> list[list[tuple[float, float]]]:
    """Return (begin, end) of every stretch in which each job held its server, from the event log."""
    since: dict[int, float] = {}
    stretches: list[list[tuple[float, float]]] = [[] for _ in range(jobs)]
    events = result.events
    rows: Sequence[tuple[Any, Any, Any]] = list(
        zip(events["time_s"], events["kind"], events["job"], strict=True)
    )
    for time_s, kind, job in rows:
        name = EVENT_KINDS[kind]
        if name == "grant":
            since[int(job)] = float(time_s)
        elif name in {"preempt", "end"}:
            stretches[int(job)].append((since.pop(int(job)), float(time_s)))
    return stretches
