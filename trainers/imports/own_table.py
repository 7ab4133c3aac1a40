"""A CSV file of your own: columns by header names that end in their unit, or by what you say."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from dcsim.errors import InputError, Problem, ProfileError
from dcsim.spec.names import nearest
from dcsim.workload.profile import EnergyMeasurement, MeasuredPoint, Mode
from dcsim.workload.readers.bounded import decoded
from dcsim.workload.readers.columns import rows_of_columns
from dcsim.workload.readers.rows import Field, Rows
from trainers.imports.repeats import point_of_times
from trainers.imports.sources import (
    NO_ENERGY,
    ImportedModel,
    Source,
    catalogue_device,
    content_of,
    file_sha256,
    profile_name,
    refusal,
)

__all__ = ["OWN_FIELDS", "TIME_COLUMNS", "OwnTable", "read_own_table"]

ROWS_MAX = 1_000_000

TIME_COLUMNS: Mapping[str, str] = {
    "step_time_s": "seconds a step",
    "step_time_ms": "milliseconds a step",
    "step_time_us": "microseconds a step",
    "steps_per_s": "steps of the whole gang a second",
    "samples_per_s": "samples of the whole gang a second",
}
"""Exactly one of them is needed."""

OWN_FIELDS = (
    Field("devices", "whole", "", "devices of the gang", low=1, high=1e6),
    Field("batch_per_device", "whole", "", "samples a step on each device", low=1, high=2.0**31),
    Field("global_batch", "whole", "", "samples a step of the whole gang", low=1, high=2.0**31),
    *(Field(name, "number", "", meaning, low_open=True, high=1e12) for name, meaning in TIME_COLUMNS.items()),
    Field("model", "text", "", "a profile for each"),
    Field("device", "text", "", "what the devices are; a profile for each"),
    Field("mode", "text", "", "how they share a step"),
    Field("power_w", "number", "W", "mean draw of one device", low_open=True, high=1e5),
)
_BY_NAME = {field.name: field for field in OWN_FIELDS}
_PER_UNIT = {"step_time_s": 1.0, "step_time_ms": 1e-3, "step_time_us": 1e-6}
_SHOWN = 50


@dataclass(frozen=True, slots=True)
class OwnTable:
    """What you say of your table; None: the table says it, or nobody."""

    columns: Mapping[str, str]
    """Known column -> name in the header."""
    model: str | None = None
    device: str | None = None
    devices: int | None = None
    batch_per_device: int | None = None
    parameters: int | None = None
    repeats: bool = False
    """Rows of the same configuration are repeats of one measurement: their median is taken."""


def read_own_table(path: Path, said: OwnTable) -> tuple[Source, list[ImportedModel]]:
    """Return what a CSV file says, by model and device.

    UTF-8 with or without a byte order mark, any line ends, commas between fields and points in numbers, plain or
    gzipped. Columns are those of `OWN_FIELDS`; others are passed over, and named in the notes.

    Raises:
        InputError: With every problem by line.
    """
    lines, columns, broken = _cells(path)
    try:
        names = _mapping(path, list(columns), said)
        fields = [Field(**{**_as_record(_BY_NAME[known]), "name": header}) for known, header in names.items()]
        rows = rows_of_columns(path, lines, columns, fields)
        times_s = _times_s(rows, names, said)
        _flag_rows(rows, names, said)
        rows.kept("refuse")
    except InputError as error:
        raise ProfileError([*broken, *error.problems][:_SHOWN]) from None
    if broken:
        raise ProfileError(broken[:_SHOWN])
    passed = [name for name in columns if name not in names.values()]
    notes = [f"columns passed over: {', '.join(passed)}"] if passed else []
    models = [_model(path, rows, names, said, mine, times_s, notes) for mine in _groups(rows, names).values()]
    source = Source(
        "a table of one's own",
        "not stated",
        {path.name: file_sha256(path)},
        f"python -m trainers import csv {path.name}",
    )
    return source, models


def _as_record(field: Field) -> dict[str, Any]:
    return {name: getattr(field, name) for name in Field.__slots__}


def _cells(path: Path) -> tuple[list[int], dict[str, list[str]], list[Problem]]:
    """Return (line of each row, column texts by header name, records that are none), refusing what is no such table."""
    text = decoded(content_of(path), path)
    problems: list[Problem] = []
    records = list(_records(path, text, problems))
    if len(records) < 2:
        if problems:
            raise ProfileError(problems[:_SHOWN])
        got = "no rows below the header" if records else "an empty file"
        raise refusal(path, got, "a header and at least one row")
    header = [name.strip() for name in records[0][1]]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ProfileError([Problem(str(path), 1, name, "given twice", "each column once") for name in twice])
    lines = [line for line, _ in records[1:]]
    columns = zip(*(record for _, record in records[1:]), strict=True)
    return (
        lines,
        {name: [text.strip() for text in column] for name, column in zip(header, columns, strict=True)},
        problems,
    )


def _records(path: Path, text: str, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, fields) of each record that has as many fields as the header; others become problems."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    width, line = 0, 1
    try:
        for count, record in enumerate(reader):
            if count > ROWS_MAX:
                problems.append(Problem(str(path), line, "", f"more than {ROWS_MAX:,} rows", "fewer"))
                return
            if any(field.strip() for field in record):
                width = width or len(record)
                if len(record) == width:
                    yield line, record
                else:
                    hint = (
                        "a decimal comma or an unquoted comma?"
                        if len(record) > width
                        else "is the file cut off?"
                    )
                    expected = f"{width} as in the header"
                    problems.append(Problem(str(path), line, "", f"{len(record)} fields", expected, hint))
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(Problem(str(path), line, "", str(error), "well-formed CSV", "look for a lone quote"))


def _mapping(path: Path, header: Sequence[str], said: OwnTable) -> dict[str, str]:
    """Return known column -> header name, or raise with all that is missing or too much."""
    problems = [
        Problem(
            str(path),
            None,
            f"--column {known}",
            "unknown",
            f"one of {', '.join(_BY_NAME)}",
            nearest(known, _BY_NAME),
        )
        for known in said.columns
        if known not in _BY_NAME
    ]
    problems += [
        Problem(
            str(path),
            1,
            f"--column {known}",
            f"{name!r} is not in the header",
            f"one of {', '.join(header)}",
            nearest(name, header),
        )
        for known, name in said.columns.items()
        if name not in header
    ]
    names = {name: name for name in _BY_NAME if name in header} | dict(said.columns)
    times = [name for name in names if name in TIME_COLUMNS]
    hint = "fields are separated by commas" if len(header) == 1 and any(c in header[0] for c in ";\t") else ""
    if len(times) != 1:
        got = f"{', '.join(times) or 'none'} of the columns of time"
        problems.append(
            Problem(
                str(path),
                1,
                "",
                got,
                f"exactly one of {', '.join(TIME_COLUMNS)}",
                hint or "say --column NAME=HEADER",
            )
        )
    if "devices" not in names and said.devices is None:
        problems.append(Problem(str(path), 1, "devices", "no such column", "the column, or --devices", hint))
    batches = [name for name in ("batch_per_device", "global_batch") if name in names]
    if not batches and said.batch_per_device is None:
        expected = "batch_per_device or global_batch, or --batch"
        problems.append(Problem(str(path), 1, "batch_per_device", "no such column", expected, hint))
    if len(batches) > 1:
        problems.append(Problem(str(path), 1, "global_batch", "beside batch_per_device", "one of the two"))
    if problems:
        raise ProfileError(problems)
    return names


def _column(
    rows: Rows, names: Mapping[str, str], known: str, said: float | None
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a column of numbers (N,), or what was said for all rows."""
    if known in names:
        return rows.numbers[names[known]]
    return np.full(len(rows), np.nan if said is None else float(said))


def _times_s(rows: Rows, names: Mapping[str, str], said: OwnTable) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return step times (N,) [s], NaN where a cell that they need is wrong."""
    known = next(name for name in names if name in TIME_COLUMNS)
    values = rows.numbers[names[known]]
    if known in _PER_UNIT:
        return values * _PER_UNIT[known]
    if known == "steps_per_s":
        return 1.0 / values
    return _batches(rows, names, said) * _column(rows, names, "devices", said.devices) / values


def _batches(rows: Rows, names: Mapping[str, str], said: OwnTable) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return samples a step on each device (N,)."""
    if "global_batch" in names:
        return rows.numbers[names["global_batch"]] / _column(rows, names, "devices", said.devices)
    return _column(rows, names, "batch_per_device", said.batch_per_device)


def _flag_rows(rows: Rows, names: Mapping[str, str], said: OwnTable) -> None:
    """Flag batches that do not divide, unknown modes, and configurations that are there twice."""
    batches = _batches(rows, names, said)
    if "global_batch" in names:
        uneven = np.isfinite(batches) & (batches != np.floor(batches))
        rows.flag(uneven, names["global_batch"], "a multiple of the devices")
    if "mode" in names:
        modes = get_args(Mode)
        wrong = np.array([mode not in modes for mode in rows.texts[names["mode"]]], dtype=bool)
        rows.flag(wrong, names["mode"], f"one of {', '.join(modes)}")
    if said.repeats:
        return
    seen: dict[tuple[Any, ...], int] = {}
    keys = zip(
        *_keys(rows, names),
        _column(rows, names, "devices", said.devices).tolist(),
        batches.tolist(),
        strict=True,
    )
    twice = np.array([seen.setdefault(key, row) != row for row, key in enumerate(keys)], dtype=bool)
    column = next(name for known, name in names.items() if known in TIME_COLUMNS)
    rows.flag(twice, column, "each configuration once", "say --repeats where rows are repeats of one")


def _keys(rows: Rows, names: Mapping[str, str]) -> list[list[str]]:
    """Return the columns model, device and mode, blank where the table has none."""
    blank = [""] * len(rows)
    return [rows.texts[names[known]] if known in names else blank for known in ("model", "device", "mode")]


def _groups(rows: Rows, names: Mapping[str, str]) -> dict[tuple[str, str], list[int]]:
    """Return the rows of each (model, device)."""
    groups: dict[tuple[str, str], list[int]] = {}
    models, devices, _ = _keys(rows, names)
    for row, key in enumerate(zip(models, devices, strict=True)):
        groups.setdefault(key, []).append(row)
    return groups


def _model(
    path: Path,
    rows: Rows,
    names: Mapping[str, str],
    said: OwnTable,
    mine: Sequence[int],
    times_s: np.ndarray[Any, np.dtype[np.float64]],
    notes: Sequence[str],
) -> ImportedModel:
    models, labels, modes = _keys(rows, names)
    first = mine[0]
    device, assumed = catalogue_device(labels[first], said.device, path, int(rows.lines()[first]))
    widths, batches = _column(rows, names, "devices", said.devices), _batches(rows, names, said)
    times: dict[tuple[int, int, Any], list[float]] = {}
    for row in mine:
        key = (int(widths[row]), int(batches[row]), modes[row] or "jit")
        times.setdefault(key, []).append(float(times_s[row]))
    points: list[MeasuredPoint] = [
        point_of_times(width, batch, found, mode=mode)
        for (width, batch, mode), found in sorted(times.items())
    ]
    name = models[first] or said.model or path.name.split(".")[0]
    return ImportedModel(
        name=profile_name(name, device if labels[first] else ""),
        description=f"{name} on {device}, from {path.name}",
        device=device,
        points=tuple(points),
        notes=(*notes, *filter(None, [assumed])),
        parameters=said.parameters,
        energy=_energy(rows, names, mine, batches, widths),
    )


def _energy(
    rows: Rows,
    names: Mapping[str, str],
    mine: Sequence[int],
    batches: np.ndarray[Any, np.dtype[np.float64]],
    widths: np.ndarray[Any, np.dtype[np.float64]],
) -> EnergyMeasurement:
    """Return the median power of the largest batch on the fewest devices."""
    if "power_w" not in names:
        return NO_ENERGY
    largest = max((batches[row], -widths[row]) for row in mine)
    powers = [rows.numbers[names["power_w"]][row] for row in mine if (batches[row], -widths[row]) == largest]
    return EnergyMeasurement(
        energy_per_step_j=None, method="mean power as the table states it", power_w=float(np.median(powers))
    )
