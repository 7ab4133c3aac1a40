"""Weather files: EPW (typical years), CSV, and the JSON that Open-Meteo's archive returns."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.errors import Problem, SeriesError
from dcsim.facility.series_file import (
    DAY_S,
    HourlyTable,
    TimedRow,
    hourly_table,
    raise_problems,
    read_hourly_csv,
    read_text,
)

__all__ = ["read_weather_file", "standard_pressure_pa"]

_COLUMNS = ("dry_bulb_deg_c", "relative_humidity", "pressure_pa")
_SEA_LEVEL_PA = 101_325.0
_EPW_HEADER_LINES = 8
_EPW_COLUMNS = ("temp_air", "relative_humidity", "atmospheric_pressure")
_OPEN_METEO_UNITS = {"temperature_2m": "\u00b0C", "relative_humidity_2m": "%", "surface_pressure": "hPa"}
_HOURS_OF_A_YEAR = 8760


def standard_pressure_pa(elevation_m: float) -> float:
    """Return the pressure of the standard atmosphere, Pa: ASHRAE Fundamentals 2017, chapter 1, equation 3.

    >>> round(standard_pressure_pa(0.0))
    101325
    """
    return _SEA_LEVEL_PA * math.pow(1.0 - 2.25577e-5 * elevation_m, 5.2559)


def read_weather_file(path: Path, *, gaps: str = "refuse") -> tuple[HourlyTable, bool]:
    """Return hourly `dry_bulb_deg_c`, `relative_humidity` (0..1), `pressure_pa`, and whether it stands for any year.

    By suffix: `.epw` (a typical year; 8,760 hours); `.json` (Open-Meteo: hourly.time,
    hourly.temperature_2m, hourly.relative_humidity_2m, local time with utc_offset_seconds, pressure
    from surface_pressure or the elevation); `.csv` with the columns time (offset or UTC),
    dry_bulb_deg_c, relative_humidity and, if not at sea level, pressure_pa. Raises `SeriesError`.
    """
    suffix = path.suffix.lower()
    if suffix == ".epw":
        return _read_epw(path, gaps=gaps), True
    if suffix == ".json":
        return _read_open_meteo(path, gaps=gaps), False
    if suffix == ".csv":
        table = read_hourly_csv(path, "time", _COLUMNS[:2], _COLUMNS[2:], gaps=gaps)
        if "pressure_pa" in table.columns:
            return table, False
        sea_level = np.full(len(table.columns["dry_bulb_deg_c"]), _SEA_LEVEL_PA)
        notes = (*table.notes, f"{path.name}: no column 'pressure_pa'; the site is taken to be at sea level")
        return HourlyTable(table.start, {"pressure_pa": sea_level, **table.columns}, notes), False
    raise SeriesError([Problem(str(path), None, "", f"suffix {suffix!r}", ".epw, .csv or .json")])


def _read_epw(path: Path, *, gaps: str) -> HourlyTable:
    """Read an EPW file; its hours are local standard time, its year a mosaic of typical months."""
    from pvlib.iotools import read_epw

    text = read_text(path)
    hours = len(text.splitlines()) - _EPW_HEADER_LINES
    if hours != _HOURS_OF_A_YEAR:
        got, expected = (
            f"{max(hours, 0)} hours",
            f"{_EPW_HEADER_LINES} header lines and {_HOURS_OF_A_YEAR} hours",
        )
        raise SeriesError([Problem(str(path), None, "", got, expected)])
    try:
        # The file's years differ by month; one common year makes the hours consecutive.
        data, meta = read_epw(io.StringIO(text), coerce_year=2001)
        columns = [data[name].to_numpy(dtype=np.float64) for name in _EPW_COLUMNS]
        times = [stamp.to_pydatetime() for stamp in data.index]
        elevation_m = float(meta["altitude"])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise SeriesError([Problem(str(path), None, "", str(error), "an EPW file")]) from error
    dry_bulb, humidity, pressure = columns
    # EPW writes 99.9, 999 and 999999 for missing values.
    dry_bulb = np.where(dry_bulb >= 99.9, math.nan, dry_bulb)
    humidity = np.where(humidity >= 999.0, math.nan, humidity / 100.0)
    pressure = np.where(pressure >= 999_999.0, standard_pressure_pa(elevation_m), pressure)
    values = np.column_stack([dry_bulb, humidity, pressure]).tolist()
    rows = [
        TimedRow(line, time, tuple(row))
        for line, (time, row) in enumerate(zip(times, values, strict=True), start=_EPW_HEADER_LINES + 1)
    ]
    table = hourly_table(path, rows, _COLUMNS, gaps=gaps)
    return _from_new_year(table)


def _from_new_year(table: HourlyTable) -> HourlyTable:
    """Return a typical year turned to begin at 1 January 00:00 UTC."""
    hours = round((table.start - datetime(2001, 1, 1, tzinfo=UTC)).total_seconds() / 3600.0)
    turned = {name: np.roll(values, hours) for name, values in table.columns.items()}
    return HourlyTable(datetime(2001, 1, 1, tzinfo=UTC), turned, table.notes)


def _read_open_meteo(path: Path, *, gaps: str) -> HourlyTable:
    """Read what Open-Meteo's archive returns for hourly variables."""
    document = _json_object(path)
    problems: list[Problem] = []
    hourly = _object(path, document, "hourly", problems)
    units = _object(path, document, "hourly_units", problems)
    offset_s = _offset_s(path, document, problems)
    raise_problems(problems)
    zone = timezone(timedelta(seconds=offset_s))
    names = ["temperature_2m", "relative_humidity_2m"]
    names += ["surface_pressure"] if "surface_pressure" in hourly else []
    for name in names:
        if units.get(name) != _OPEN_METEO_UNITS[name]:
            got, expected = repr(units.get(name)), repr(_OPEN_METEO_UNITS[name])
            problems.append(Problem(str(path), None, f"hourly_units.{name}", got, expected))
    times = _times(path, _list(path, hourly, "time", problems), zone, problems)
    values = [_numbers(path, name, _list(path, hourly, name, problems), problems) for name in names]
    problems += [
        Problem(str(path), None, f"hourly.{name}", f"{len(found)} values", f"{len(times)}, as many as times")
        for name, found in zip(names, values, strict=True)
        if len(found) != len(times)
    ]
    raise_problems(problems)
    elevation_m = document.get("elevation")
    if len(values) < len(_COLUMNS):
        elevation = float(elevation_m) if isinstance(elevation_m, (int, float)) else 0.0
        values.append([standard_pressure_pa(elevation) / 100.0] * len(times))
    rows = [
        TimedRow(None, time, (dry, humidity / 100.0, hpa * 100.0))
        for time, dry, humidity, hpa in zip(times, *values, strict=True)
    ]
    return hourly_table(path, rows, _COLUMNS, gaps=gaps)


def _json_object(path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a repeated key")
        return found

    def refuse(text: str) -> float:
        raise ValueError(text)

    try:
        document = json.loads(read_text(path), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise SeriesError([Problem(str(path), line, "", str(error), "a JSON object")]) from error
    if not isinstance(document, dict):
        raise SeriesError([Problem(str(path), None, "", type(document).__name__, "a JSON object")])
    return document


def _object(path: Path, parent: Mapping[str, Any], key: str, problems: list[Problem]) -> dict[str, Any]:
    value = parent.get(key)
    if isinstance(value, dict):
        return value
    _absent(path, key, value, problems)
    return {}


def _list(path: Path, parent: Mapping[str, Any], key: str, problems: list[Problem]) -> list[Any]:
    value = parent.get(key)
    if isinstance(value, list):
        return value
    _absent(path, f"hourly.{key}", value, problems)
    return []


def _offset_s(path: Path, parent: Mapping[str, Any], problems: list[Problem]) -> float:
    """Return the UTC offset, s, within a day."""
    value = parent.get("utc_offset_seconds")
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < DAY_S:
        return float(value)
    _absent(path, "utc_offset_seconds", value, problems)
    return 0.0


def _absent(path: Path, key: str, value: object, problems: list[Problem]) -> None:
    """Note that an Open-Meteo reply lacks a member."""
    got = "nothing" if value is None else type(value).__name__
    problems.append(Problem(str(path), None, key, got, "as in a reply of Open-Meteo's archive"))


def _times(path: Path, texts: list[Any], zone: timezone, problems: list[Problem]) -> list[datetime]:
    times = []
    for index, text in enumerate(texts):
        try:
            times.append(datetime.fromisoformat(text).replace(tzinfo=zone))
        except (TypeError, ValueError):
            times.append(datetime.min.replace(tzinfo=UTC))
            problems.append(Problem(str(path), None, f"hourly.time[{index}]", repr(text), "a local time"))
    return times


def _numbers(path: Path, name: str, values: list[Any], problems: list[Problem]) -> list[float]:
    """Return numbers with NaN for null."""
    numbers = []
    for index, value in enumerate(values):
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        numbers.append(float(value) if good else math.nan)
        if not good and value is not None:
            problems.append(
                Problem(str(path), None, f"hourly.{name}[{index}]", repr(value), "a finite number or null")
            )
    return numbers
