"""Local clocks: times in files that a clock shows twice or never, and the calendar of a run by its hours."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem

if TYPE_CHECKING:
    from dcsim.facility.series_file import TimedRow

__all__ = ["LocalCalendar", "LocalFields", "localised"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def localised(
    path: Path, rows: Sequence[TimedRow], zone: str, *, resolve: bool
) -> tuple[list[TimedRow], tuple[Problem, ...], tuple[str, ...]]:
    """Return rows whose times show a local clock with times in UTC, what is wrong, and notes.

    Where the clock is set back an hour comes twice, where it is set forward one never does. With
    `resolve` the first of two equal times is the one before the change, a lone one stands for both,
    and times never shown are left out, each counted in the notes; without, all of them are problems.
    """
    info = ZoneInfo(zone)
    moments = [_moments(row, info) for row in rows]
    seen = Counter(row.time for row, (first, second) in zip(rows, moments, strict=True) if second > first)
    problems: list[Problem] = []
    found: list[TimedRow] = []
    copies: list[TimedRow] = []
    times: Counter[datetime] = Counter()
    never = 0
    for row, (first, second) in zip(rows, moments, strict=True):
        if first == second:
            found.append(replace(row, time=first, naive=False))
        elif not resolve or seen[row.time] > 2:
            problems.append(_doubt(path, row, zone, twice=second > first, count=seen[row.time]))
        elif second < first:
            never += 1
        else:
            times[row.time] += 1
            found.append(replace(row, time=first if times[row.time] == 1 else second, naive=False))
            if seen[row.time] == 1:
                copies.append(replace(row, time=second, naive=False))
    ordered = all(found[i].time < found[i + 1].time for i in range(len(found) - 1))
    if copies and ordered:  # else the caller tells which row is out of order
        found = sorted([*found, *copies], key=lambda row: row.time)
    twice = sum(count > 1 for count in seen.values())
    return found, tuple(problems), tuple(_notes(path, zone, twice, len(copies), never))


def _moments(row: TimedRow, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the instants, UTC, at which the clock shows a time: the same twice if it does so once.

    The second is the later one where it does so twice, and the earlier where it never does (PEP 495).
    """
    wall = row.time.replace(tzinfo=zone)
    return wall.replace(fold=0).astimezone(UTC), wall.replace(fold=1).astimezone(UTC)


def _doubt(path: Path, row: TimedRow, zone: str, *, twice: bool, count: int) -> Problem:
    shows = f"twice in {zone}" if twice else f"never in {zone}"
    got = f"{row.time.replace(tzinfo=None).isoformat()}, which the clock shows {shows}"
    if count > 2:
        return Problem(str(path), row.line, "time", f"{got}, here {count} times", "at most two rows")
    hint = "write UTC or offsets, or choose clock_changes: resolve"
    return Problem(str(path), row.line, "time", got, "a time that the clock shows once", hint)


def _notes(path: Path, zone: str, twice: int, copies: int, never: int) -> Iterator[str]:
    """Yield what was done about clock changes."""
    if twice:
        yield f"{path.name}: {twice} times of two equal rows, the first read as before the clock of {zone} is set back"
    if copies:
        yield f"{path.name}: {copies} rows stand for both passes of an hour that the clock of {zone} shows twice"
    if never:
        yield f"{path.name}: {never} rows left out, at times that the clock of {zone} never shows"


@dataclass(frozen=True, slots=True)
class LocalFields:
    """What the local calendar says at K instants; arrays (K,)."""

    day: Ints
    """Days since 1970-01-01."""
    month_index: Ints
    """Months since January 1970; 12 a year."""
    weekday: Ints
    """0 Monday to 6 Sunday."""
    hour: Ints
    """0 to 23."""

    @property
    def month(self) -> Ints:
        """(K,) 1 January to 12 December."""
        return self.month_index % 12 + 1


class LocalCalendar:
    """The clock of a zone beside that of a run.

    Args:
        zone: IANA name.
        start: calendar time of t = 0, aware.

    >>> calendar = LocalCalendar("Europe/Berlin", datetime(2023, 3, 26, tzinfo=UTC))
    >>> calendar.fields(np.array([0.0, 3599.0, 3600.0])).hour.tolist()
    [1, 1, 3]
    """

    def __init__(self, zone: str, start: datetime) -> None:
        self._zone = ZoneInfo(zone)
        self._start_s = (start - _EPOCH).total_seconds()

    def fields(self, times_s: Floats) -> LocalFields:
        """Return the local calendar at times of the run (K,), s; ascending or not."""
        # To the microsecond: t = 0 in the middle of a second must not put an hour's edge into the hour before.
        utc_s = np.round(times_s + self._start_s, 6)
        local_s = np.floor(utc_s + self._offsets(utc_s)).astype(np.int64)
        day = local_s // _DAY_S
        months = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        return LocalFields(day, months, (day + 3) % 7, local_s % _DAY_S // 3600)

    def month_edges_s(self, end_s: float) -> Floats:
        """Return times of the run: the first of the local months that meet [0, end_s), and the end of the last.

        The first may be before 0.
        """
        first, last = self.fields(np.array([0.0, max(np.nextafter(end_s, 0.0), 0.0)])).month_index.tolist()
        return np.array([self._month_start_s(month) for month in range(first, last + 2)])

    def grid_s(self, step_s: float, end_s: float) -> Floats:
        """Return 0, when in (0, end_s) the local clock shows a multiple of a step or is changed, and `end_s`.

        Args:
            step_s: > 0; an hour is a whole number of them.
            end_s: >= 0.

        >>> LocalCalendar("Asia/Kathmandu", datetime(2023, 1, 1, tzinfo=UTC)).grid_s(3600.0, 7200.0).tolist()
        [0.0, 900.0, 4500.0, 7200.0]
        """
        changes_s, offsets_s = self._spells(self._start_s, self._start_s + end_s)
        parts = [changes_s[1:]]
        ends_s = np.append(changes_s[1:], self._start_s + end_s)
        for begin_s, until_s, offset_s in zip(changes_s, ends_s, offsets_s, strict=True):
            first = math.ceil((max(begin_s, self._start_s) + offset_s) / step_s)
            parts.append(np.arange(first, math.ceil((until_s + offset_s) / step_s)) * step_s - offset_s)
        times_s = np.concatenate(parts) - self._start_s
        return np.unique(np.concatenate([[0.0], times_s[(times_s > 0.0) & (times_s < end_s)], [end_s]]))

    def _month_start_s(self, month_index: int) -> float:
        wall = datetime(1970 + month_index // 12, month_index % 12 + 1, 1, tzinfo=self._zone)
        return (wall - _EPOCH).total_seconds() - self._start_s

    def _offsets(self, utc_s: Floats) -> Floats:
        """Return the zone's offset from UTC, s, at each instant."""
        if not utc_s.size:
            return np.zeros_like(utc_s)
        changes_s, offsets_s = self._spells(float(utc_s.min()), float(utc_s.max()))
        found = np.searchsorted(changes_s, utc_s, side="right") - 1
        return np.asarray(offsets_s[np.maximum(found, 0)], dtype=np.float64)

    def _spells(self, first_s: float, last_s: float) -> tuple[Floats, Floats]:
        """Return from which instants, UTC, which offsets hold, s, between two; the first is no change."""
        days = [day * _DAY_S for day in range(int(first_s // _DAY_S), int(last_s // _DAY_S) + 2)]
        offsets = [self._offset_s(second) for second in days]
        changes, values = [float(days[0])], [offsets[0]]
        for place in range(1, len(days)):
            if offsets[place] != offsets[place - 1]:
                changes.append(float(self._change(days[place - 1], days[place])))
                values.append(offsets[place])
        return np.array(changes), np.array(values)

    def _change(self, before_s: int, after_s: int) -> int:
        """Return the first second of the new offset between two instants."""
        old = self._offset_s(before_s)
        while after_s - before_s > 1:
            middle = (before_s + after_s) // 2
            if self._offset_s(middle) == old:
                before_s = middle
            else:
                after_s = middle
        return after_s

    def _offset_s(self, second: int) -> float:
        offset = (_EPOCH + timedelta(seconds=second)).astimezone(self._zone).utcoffset()
        return offset.total_seconds() if offset is not None else 0.0
