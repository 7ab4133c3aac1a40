"""Files of equal steps (CSV) to series: strict about time stamps and gaps, placed on the run's calendar."""

from __future__ import annotations

import calendar
import csv
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, SeriesError
from dcsim.facility.local_time import localised
from dcsim.facility.series import StepSeries
from dcsim.units import format_duration

__all__ = [
    "DAY_S",
    "HOUR_S",
    "YEAR_S",
    "HourlyTable",
    "TimedRow",
    "fill_gaps",
    "hourly_table",
    "place_on_calendar",
    "raise_problems",
    "read_hourly_csv",
    "read_text",
    "refuse_short",
    "year_offset_s",
]

Floats = npt.NDArray[np.float64]

HOUR_S = 3600.0
DAY_S = 86_400.0
YEAR_S = 365 * DAY_S
"""Of series that stand for any year: 365 days; 29 February is read as 28 February."""

_MAX_BYTES = 64 * 2**20
_MAX_STEPS = 100 * 8784
_MAX_PROBLEMS = 100
_YEARS = (1700, 2500)
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-"})


@dataclass(frozen=True, slots=True)
class TimedRow:
    """One row of a file: where it stands, its time, and its values (NaN where missing)."""

    line: int | None
    time: datetime
    """Aware."""
    values: tuple[float, ...]
    naive: bool = False
    """Written without an offset, and taken for UTC so far."""


@dataclass(frozen=True)
class HourlyTable:
    """Columns of values in equal steps, hours if nothing else is said, without gaps."""

    start: datetime
    """Time of the first step, UTC."""
    columns: Mapping[str, Floats]
    """(H,) each."""
    notes: tuple[str, ...]
    """What was filled, in words."""
    step_s: float = HOUR_S


def raise_problems(problems: Sequence[Problem]) -> None:
    """Raise `SeriesError` with the problems, if any; a very long list ends with a count."""
    if not problems:
        return
    shown = list(problems[:_MAX_PROBLEMS])
    if len(problems) > len(shown):
        more = f"{len(problems) - len(shown)} more problems"
        shown.append(Problem(shown[0].file, None, "", more, "none"))
    raise SeriesError(shown)


def read_text(path: Path, *, what: str = "an hourly series") -> str:
    """Return the text of a data file (UTF-8, with or without byte-order mark); `SeriesError` if it cannot be read.

    `what` was expected, where the file is larger than any such.
    """
    try:
        if not path.is_file():
            raise SeriesError([Problem(str(path), None, "", "no such file", "a readable file")])
        if path.stat().st_size > _MAX_BYTES:
            raise SeriesError([Problem(str(path), None, "", "a file above 64 MiB", what)])
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SeriesError(
            [Problem(str(path), None, "", error.strerror or str(error), "a readable file")]
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        got = f"byte 0x{error.object[error.start]:02x}"
        raise SeriesError(
            [Problem(str(path), line, "", got, "UTF-8 text", "save it as UTF-8 (is it Latin-1 or UTF-16?)")]
        ) from error


def read_hourly_csv(
    path: Path,
    time_column: str,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    *,
    gaps: str = "refuse",
    step_s: float = HOUR_S,
    time_zone: str | None = None,
    resolve_clock: bool = False,
) -> HourlyTable:
    """Return columns of a CSV file of equal steps with a header line, gaps treated by the rule.

    Times are ISO 8601, with an offset, or on the clock of `time_zone` (None: UTC); what becomes of
    times that a clock shows twice or never says `localised`. Raises `SeriesError` with every problem
    found: missing and repeated columns, rows of a wrong length, unreadable times and numbers, times
    out of order, repeated or off the grid of steps, and gaps under the rule "refuse".
    """
    lines = read_text(path).splitlines()
    reader = csv.reader(lines, strict=True)
    problems: list[Problem] = []
    rows: list[TimedRow] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        wanted = [*columns, *(name for name in optional if name in header)]
        places = _places(path, header, [time_column, *wanted])
        for cells in reader:
            if cells:
                row = _row((path, reader.line_num), cells, header, places, problems)
                if row is not None:
                    rows.append(row)
    except csv.Error as error:
        problems.append(Problem(str(path), reader.line_num, "", str(error), "a CSV row"))
    raise_problems(problems)
    notes: tuple[str, ...] = ()
    if time_zone is not None and all(row.naive for row in rows):
        rows, doubts, notes = localised(path, rows, time_zone, resolve=resolve_clock)
        raise_problems(doubts)
    table = hourly_table(path, rows, wanted, gaps=gaps, step_s=step_s)
    return replace(table, notes=(*notes, *table.notes))


def _places(path: Path, header: Sequence[str], wanted: Sequence[str]) -> list[int]:
    problems: list[Problem] = []
    for name in wanted:
        if header.count(name) != 1:
            near = difflib.get_close_matches(name, header, n=1)
            hint = f"did you mean {near[0]!r}" if near and near[0] != name else ""
            got = f"{header.count(name)} columns of that name"
            problems.append(Problem(str(path), 1, f"column {name!r}", got, "exactly one", hint))
    raise_problems(problems)
    return [header.index(name) for name in wanted]


def _row(
    where: tuple[Path, int],
    cells: Sequence[str],
    header: Sequence[str],
    places: Sequence[int],
    problems: list[Problem],
) -> TimedRow | None:
    """Return one parsed row, or None with its problems noted."""
    path, line = where
    if len(cells) != len(header):
        problems.append(
            Problem(str(path), line, "", f"{len(cells)} fields", f"{len(header)}, as in the header")
        )
        return None
    before = len(problems)
    time, naive = _time(cells[places[0]])
    if time is None:
        expected = f"a time such as 2023-01-31T23:00:00+00:00, from {_YEARS[0]} to {_YEARS[1]}"
        problems.append(
            Problem(str(path), line, f"column {header[places[0]]!r}", repr(cells[places[0]]), expected)
        )
    values = []
    for place in places[1:]:
        value = _number(cells[place])
        if value is None:
            got = repr(cells[place])
            problems.append(
                Problem(str(path), line, f"column {header[place]!r}", got, "a finite number or nothing")
            )
        values.append(math.nan if value is None else value)
    if time is None or len(problems) > before:
        return None
    return TimedRow(line, time, tuple(values), naive)


def _time(text: str) -> tuple[datetime | None, bool]:
    """Return an aware time (None if unreadable) and whether the text had no offset, which is read as UTC."""
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return None, False
    if not _YEARS[0] <= time.year <= _YEARS[1]:  # a calendar ends, and 10000 or 0000 cannot be written
        return None, False
    return (time.replace(tzinfo=UTC), True) if time.tzinfo is None else (time, False)


def _number(text: str) -> float | None:
    """Return a finite number, NaN for a missing value, None for anything else."""
    stripped = text.strip()
    if stripped.lower() in _MISSING:
        return math.nan
    try:
        value = float(stripped)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in stripped else None


def hourly_table(
    path: Path,
    rows: Sequence[TimedRow],
    columns: Sequence[str],
    *,
    gaps: str = "refuse",
    step_s: float = HOUR_S,
) -> HourlyTable:
    """Return rows as gapless columns of equal steps from the first row to the last.

    Raises `SeriesError` as `read_hourly_csv`.
    """
    if not rows:
        raise SeriesError([Problem(str(path), None, "", "no rows", "at least one hour")])
    problems: list[Problem] = []
    first = rows[0].time
    for row in rows:
        if row.naive != rows[0].naive:
            expected = "offsets on all rows or on none"
            problems.append(Problem(str(path), row.line, "time", row.time.isoformat(), expected))
            break
    steps: list[int] = []
    for row in rows:
        delta_s = (row.time - first).total_seconds()
        step = round(delta_s / step_s)
        previous = steps[-1] if steps else -1
        if step * step_s != delta_s or not previous < step < _MAX_STEPS:
            expected = (
                f"a whole number of {_noun(step_s)} after {first.isoformat()} and later than the row before"
            )
            repeats = (
                "local clocks repeat and skip an hour a year: name the time_zone, or write UTC or offsets"
            )
            problems.append(
                Problem(
                    str(path),
                    row.line,
                    "time",
                    row.time.isoformat(),
                    expected,
                    repeats
                    if step == previous and step * step_s == delta_s
                    else _interval_hint(delta_s, step_s),
                )
            )
        steps.append(max(step, previous))
    raise_problems(problems)
    table = np.full((steps[-1] + 1, len(columns)), math.nan)
    table[steps] = [row.values for row in rows]
    filled: dict[str, Floats] = {}
    notes: list[str] = []
    for index, name in enumerate(columns):
        filled[name], missing = fill_gaps(path, name, table[:, index], first, gaps=gaps, step_s=step_s)
        if missing:
            notes.append(
                f"{path.name}: {missing} missing {_noun(step_s)} of {name!r} filled by the rule {gaps!r}"
            )
    return HourlyTable(first.astimezone(UTC), filled, tuple(notes), step_s)


def _noun(step_s: float) -> str:
    """Return what steps are called."""
    return "hours" if step_s == HOUR_S else f"steps of {step_s:g} s"


def _interval_hint(delta_s: float, step_s: float) -> str:
    """Return what to say where a time lies between the steps: shorter ones, likely."""
    whole_minutes = delta_s > 0.0 and delta_s % 60.0 == 0.0 and delta_s % step_s != 0.0
    return f"if rows are {delta_s % step_s:g} s apart, say so in interval_s" if whole_minutes else ""


def fill_gaps(
    path: Path, name: str, values: Floats, first: datetime, *, gaps: str, step_s: float = HOUR_S
) -> tuple[Floats, int]:
    """Return the values with NaN filled, and how many were missing.

    `gaps`: "refuse" raises `SeriesError` naming the hours; "hold" repeats the value before;
    "interpolate" draws a line between the neighbours. A gap at an end takes the nearest value.
    """
    missing = np.isnan(values)
    count = int(missing.sum())
    if count == 0:
        return values, 0
    known = np.flatnonzero(~missing)
    if gaps == "refuse" or len(known) == 0:
        hint = "choose gaps: hold or gaps: interpolate" if len(known) else ""
        raise_problems(
            [
                Problem(
                    str(path),
                    None,
                    f"{name!r} at {_time_of(first, hour, step_s)}",
                    "missing",
                    "a number",
                    hint,
                )
                for hour in np.flatnonzero(missing).tolist()
            ]
        )
    index = np.arange(len(values))
    if gaps == "interpolate":
        return np.interp(index, known, values[known]), count
    before = np.maximum(np.searchsorted(known, index, side="right") - 1, 0)
    return values[known[before]], count


def _time_of(first: datetime, step: int, step_s: float) -> str:
    return (first + timedelta(seconds=step * step_s)).isoformat()


def year_offset_s(start: datetime) -> float:
    """Return seconds from the beginning of `start`'s UTC year, in a 365-day year (29 Feb read as 28 Feb).

    >>> year_offset_s(datetime(2024, 3, 1, tzinfo=UTC)) / 86400
    59.0
    """
    moment = start.astimezone(UTC)
    day = 28 if (moment.month, moment.day) == (2, 29) else moment.day
    common = moment.replace(year=2001, day=day)
    return (common - datetime(2001, 1, 1, tzinfo=UTC)).total_seconds()


def place_on_calendar(
    table: HourlyTable, start: datetime, *, beyond_end: str, name: str, any_year: bool = False
) -> tuple[StepSeries, tuple[str, ...]]:
    """Return the series of row numbers of the table on the run's clock, t = 0 at `start`, and notes.

    Inside the file's span rows stand where the calendar puts them. Under "repeat" the file wraps,
    and a start outside it, or a table for `any_year`, is placed at the same hour of the year (of
    the file's first year), or where the file is shorter, at the same place in its cycle. Under
    "refuse" a start outside raises `SeriesError`, as does later asking beyond the end.
    """
    hours = len(next(iter(table.columns.values())))
    span_s = hours * table.step_s
    offset_s = (start - table.start).total_seconds()
    notes: list[str] = []
    if any_year:
        offset_s = _same_hour_of_year(table.start, start) % span_s
    elif not 0.0 <= offset_s < span_s:
        if beyond_end == "refuse":
            until = (table.start + timedelta(seconds=span_s)).isoformat()
            expected = f"a start in the file's span from {table.start.isoformat()} to {until}"
            raise SeriesError(
                [Problem(name, None, "grid.start", start.isoformat(), expected, "or beyond_end: repeat")]
            )
        offset_s = _same_hour_of_year(table.start, start) % span_s
        where = (table.start + timedelta(seconds=offset_s)).isoformat()
        notes.append(f"{name}: the run starts at {start.isoformat()}, outside the file; read from {where} on")
        if span_s % DAY_S:
            notes.append(f"{name}: the file is no whole number of days, so its hours shift when it repeats")
    index = np.arange(hours, dtype=np.float64)
    repeat_s, end_s = (span_s, math.inf) if beyond_end == "repeat" else (None, span_s)
    rows = StepSeries(index * table.step_s, index, repeat_s, end_s, name)
    return rows.rolled(offset_s), tuple(notes)


def refuse_short(rows: StepSeries, path: Path, place: str, start: datetime, horizon_s: float | None) -> None:
    """Raise `SeriesError` where the data of a file end before a run of `horizon_s` from `start` does; None: unknown.

    `place` is the field of the scenario that names the file.
    """
    if horizon_s is None or horizon_s <= rows.end_s:
        return
    got = f"{path.name} ends {format_duration(rows.end_s)} after the start ({start.isoformat()})"
    expected = f"data for the whole horizon_s of {format_duration(horizon_s)}"
    hint = "a longer file, a shorter horizon_s, or beyond_end: repeat"
    raise SeriesError([Problem(str(path), None, place, got, expected, hint)])


def _same_hour_of_year(file_start: datetime, start: datetime) -> float:
    """Return seconds from the file's start to the next such date and hour of the year; 29 Feb may become 28 Feb."""
    moment = start.astimezone(UTC)
    for year in (file_start.year, file_start.year + 1):
        day = 28 if (moment.month, moment.day) == (2, 29) and not calendar.isleap(year) else moment.day
        moved = moment.replace(year=year, day=day)
        if moved >= file_start:
            break
    return (moved - file_start).total_seconds()
