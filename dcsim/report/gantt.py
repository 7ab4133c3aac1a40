"""Which job ran on which server and when, thinned until a person can read it."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.report.grants import Grants

__all__ = ["MAX_SERVERS", "GanttBars", "assign_lanes", "gantt_bars"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Table = Mapping[str, npt.NDArray[Any]]

MAX_SERVERS = 40
"""Rows that fit one screen."""


@dataclass(frozen=True)
class GanttBars:
    """Bars of one arm, ready to be drawn."""

    rows: tuple[str, ...]
    """Name of the server of each row, top first."""
    job: Ints
    """Row of the job table, of each bar."""
    attempt: Ints
    """Which attempt at the job it is, 1 the first."""
    row: Ints
    start_s: Floats
    end_s: Floats
    offset: Floats
    """Centre of the bar above the row's, in rows."""
    height: Floats
    """In rows."""
    note: str
    """What was left out, for the reader; empty if nothing."""


def assign_lanes(start: Floats, end: Floats) -> Ints:
    """Return a lane for each interval so that no two of one lane overlap, with as few lanes as possible.

    Greedy by start (interval-graph colouring is optimal that way); half-open intervals, so that
    one may begin where another ends.

    >>> assign_lanes(np.array([0.0, 1.0, 5.0]), np.array([5.0, 2.0, 6.0])).tolist()
    [0, 1, 0]
    """
    lanes = np.zeros(start.size, dtype=np.int64)
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    for index in np.lexsort((end, start)).tolist():
        while busy and busy[0][0] <= start[index]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        lanes[index] = lane
        heapq.heappush(busy, (float(end[index]), lane))
    return lanes


def gantt_bars(
    jobs: Table,
    servers: Sequence[str],
    end_s: float,
    max_bars: int,
    grants: Grants | None = None,
) -> GanttBars:
    """Return the bars of a run, at most `max_bars` on at most `MAX_SERVERS` servers.

    Where there are too many servers, evenly spaced ones are kept; where there are too many bars,
    the first ones.

    Args:
        jobs: the job table.
        servers: names by index.
        end_s: where bars of jobs still running end, in s.
        max_bars: at most so many are drawn.
        grants: each part of a gang; None: jobs on their lowest server only, from start to end.
    """
    if grants is None:
        rows = np.flatnonzero((jobs["first_server"] >= 0) & np.isfinite(jobs["start_s"]))
        server = jobs["first_server"][rows].astype(np.int64)
        ends = jobs["end_s"][rows].astype(np.float64)
        grants = Grants(rows, server, jobs["start_s"][rows], ends, np.ones(rows.size, dtype=np.int64))
    used = np.unique(grants.server)
    kept = used[_evenly(used.size, MAX_SERVERS)]
    chosen = np.flatnonzero(np.isin(grants.server, kept))
    chosen = chosen[np.argsort(grants.start_s[chosen], kind="stable")][:max_bars]
    row = np.searchsorted(kept, grants.server[chosen]).astype(np.int64)
    start = np.asarray(grants.start_s[chosen], dtype=np.float64)
    end = np.nan_to_num(grants.end_s[chosen], nan=end_s)
    offset, height = _stacked(row, start, end, kept.size)
    return GanttBars(
        rows=tuple(servers[index] for index in kept),
        job=grants.job[chosen],
        attempt=grants.attempt[chosen],
        row=row,
        start_s=start,
        end_s=end,
        offset=offset,
        height=height,
        note=_note(chosen.size, grants.job.size, kept.size, used.size),
    )


def _evenly(count: int, limit: int) -> Ints:
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, limit)).astype(np.int64))


def _stacked(row: Ints, start: Floats, end: Floats, rows: int) -> tuple[Floats, Floats]:
    """Stack the jobs that share a server: each row is cut into as many lanes as it ever needs."""
    offset, height = np.zeros(row.size), np.zeros(row.size)
    for index in range(rows):
        mine = np.flatnonzero(row == index)
        if mine.size:
            lanes = assign_lanes(start[mine], end[mine])
            count = int(lanes.max()) + 1
            height[mine] = 0.9 / count
            offset[mine] = ((lanes + 0.5) / count - 0.5) * 0.9
    return offset, height


def _note(drawn: int, bars: int, rows: int, servers: int) -> str:
    if drawn == bars:
        return ""
    parts = [f"{drawn:,} of {bars:,} bars are drawn"]
    if rows < servers:
        parts.append(f"those of {rows} evenly spaced of {servers:,} servers")
    return ", ".join(parts) + ", earliest first"
