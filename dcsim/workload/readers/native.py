"""dcsim's own trace format, CSV or Parquet: one table of columns drives reader, writer and docs."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, TraceError
from dcsim.workload.files import replace_file
from dcsim.workload.jobs import JobTable, job_table
from dcsim.workload.layouts import divides
from dcsim.workload.readers.rows import (
    Field,
    OnBad,
    Rows,
    broken_type_lists,
    check_size,
    defaults,
    header_problems,
    read_csv_rows,
)

__all__ = ["NATIVE_FIELDS", "NATIVE_VERSION", "column_reference", "read_native", "write_jobs"]

NATIVE_VERSION = 1
_VERSION_KEY, _NOTES_KEY = b"dcsim.jobs.version", b"dcsim.jobs.notes"
_COUNT_MAX = 1e6
_PRIORITY_MAX = 1e15
_NAN = float("nan")

NATIVE_FIELDS = (
    Field("job_id", "text", "", "name, unique in the file"),
    Field("submit_s", "number", "s", "arrival, from 0"),
    Field("accelerators", "whole", "", "gang width; 0: a CPU job", default=1.0, high=_COUNT_MAX),
    Field("accelerator_share", "number", "", "part of the one device", default=1.0, low_open=True, high=1.0),
    Field(
        "max_servers", "whole", "", "servers the gang may span; 0: any number", default=0.0, high=_COUNT_MAX
    ),
    Field("cpu_cores", "number", "", "in all; 0: in proportion to accelerators", default=0.0),
    Field("memory_bytes", "number", "B", "in all; 0: in proportion to accelerators", default=0.0),
    Field(
        "duration_s", "number", "s", "run time at reference speed; blank where steps are given", default=_NAN
    ),
    Field(
        "steps",
        "number",
        "",
        "optimizer steps, needs a profile; blank where duration_s is given",
        default=_NAN,
    ),
    Field("profile", "text", "", "cost profile; blank: none", default=""),
    Field(
        "batch_per_accelerator",
        "whole",
        "",
        "samples a step; 0: the profile's largest",
        default=0.0,
        high=2.0**31,
    ),
    Field("slack_s", "number", "s", "how long the job may be held back", default=0.0),
    Field("tenant", "text", "", "who submits", default="default"),
    Field(
        "accelerator_types",
        "text",
        "",
        "catalogue names accepted, a vertical bar between them; blank: any",
        default="",
    ),
    Field(
        "priority",
        "number",
        "",
        "larger goes first where a policy looks at it",
        default=0.0,
        low=-_PRIORITY_MAX,
    ),
    Field("deadline_s", "number", "s", "absolute; blank: none", default=_NAN),
    Field(
        "time_limit_s",
        "number",
        "s",
        "wall-time limit of an attempt; blank: none",
        default=_NAN,
        low_open=True,
    ),
    Field("min_accelerators", "whole", "", "least width if elastic; 0: rigid", default=0.0, high=_COUNT_MAX),
    Field(
        "max_accelerators", "whole", "", "greatest width if elastic; 0: rigid", default=0.0, high=_COUNT_MAX
    ),
    Field(
        "noise_scale_samples",
        "number",
        "",
        "gradient noise scale: batches beyond it buy little progress; blank: none",
        default=_NAN,
    ),
    Field("array", "text", "", "job array it belongs to; blank: none", default=""),
    Field("array_limit", "whole", "", "of its array so many at once; 0: all", default=0.0, high=_COUNT_MAX),
    Field("dataset", "text", "", "one of the scenario's data sets; blank: what the profile says", default=""),
    Field(
        "parallelism",
        "text",
        "",
        "how the gang divides the model, such as tensor=8 pipeline=4; blank: data parallel",
        default="",
    ),
    Field(
        "after", "text", "", "ids of jobs it waits for, a vertical bar between them; blank: none", default=""
    ),
)


def read_native(path: Path, *, on_bad: OnBad = "refuse") -> JobTable:
    """Return the jobs of a native trace, CSV or Parquet by the file's suffix.

    Raises:
        TraceError: With every problem: by line in CSV, by row in Parquet, whose page checksums are
            verified. With `on_bad` skip, malformed rows are left out and counted in the notes.
    """
    suffix = _suffix(path, hint="another format? say which: --format, or format: in a scenario")
    rows = _read_parquet_rows(path) if suffix == ".parquet" else read_csv_rows(path, NATIVE_FIELDS)
    _flag_jobs(rows)
    kept = rows.kept(on_bad)
    everything = len(kept) == len(rows)
    columns: dict[str, Any] = dict(rows.numbers)
    columns |= rows.texts
    if not everything:
        pick = kept.tolist()
        columns = {name: values[kept] for name, values in rows.numbers.items()}
        columns |= {name: [values[row] for row in pick] for name, values in rows.texts.items()}
    notes = _stored_notes(path) if suffix == ".parquet" else ()
    columns["after"] = {
        job: tuple(text.split("|"))
        for job, text in zip(columns["job_id"], columns["after"], strict=True)
        if text
    }
    try:
        return job_table(**columns, notes=(*notes, *rows.skipped()))
    except TraceError as error:  # of jobs together: circles, predecessors that are not there
        told = (dataclasses.replace(p, file=str(path)) if p.file == "jobs" else p for p in error.problems)
        raise TraceError(list(told)) from None


def write_jobs(table: JobTable, path: Path) -> None:
    """Write a table to `path` (.csv or .parquet), whole or not at all; equal tables give equal bytes.

    Parquet carries page checksums, and the table's notes; CSV carries no notes.

    Raises:
        TraceError: Another suffix, an empty table, or broken invariants.
    """
    table.check()
    write = _write_parquet if _suffix(path) == ".parquet" else _write_csv
    if not len(table):
        raise TraceError([Problem(str(path), None, "", "no jobs", "at least one job")])
    replace_file(path, partial(write, table))


def column_reference() -> str:
    """Return the columns of the native format as a Markdown table."""
    lines = ["| column | type | unit | default | meaning |", "|---|---|---|---|---|"]
    for column in NATIVE_FIELDS:
        default = "required" if column.default is None else _default_text(column.default)
        lines.append(f"| `{column.name}` | {column.kind} | {column.unit} | {default} | {column.meaning} |")
    return "\n".join(lines) + "\n"


def _suffix(path: Path, hint: str = "") -> str:
    """Return ".csv" or ".parquet", or raise TraceError for any other suffix."""
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".parquet"}:
        raise TraceError([Problem(str(path), None, "", f"suffix {path.suffix!r}", ".csv or .parquet", hint)])
    return suffix


def _default_text(default: str | float) -> str:
    """Return a default as people read it."""
    if isinstance(default, str):
        return default or "blank"
    return "blank" if math.isnan(default) else f"{default:g}"


def _flag_jobs(rows: Rows) -> None:
    """Flag rows whose fields contradict each other."""
    numbers, texts = rows.numbers, rows.texts
    rows.flag_repeated("job_id")
    timed, stepped = ~np.isnan(numbers["duration_s"]), ~np.isnan(numbers["steps"])
    rows.flag(timed & stepped, "steps", "blank where duration_s is given")
    rows.flag(~timed & ~stepped, "duration_s", "a number here or in steps")
    profiled = np.array([name != "" for name in texts["profile"]], dtype=bool)
    rows.flag(stepped & ~profiled, "profile", "a name where steps are given")
    rows.flag(profiled & (numbers["accelerators"] < 1), "accelerators", ">= 1 where a profile is named")
    shared = numbers["accelerator_share"] < 1
    rows.flag(shared & (numbers["accelerators"] != 1), "accelerators", "1 where accelerator_share is below 1")
    broken = broken_type_lists(texts["accelerator_types"])
    rows.flag(broken, "accelerator_types", "names joined by |")
    rows.flag(broken_type_lists(texts["after"]), "after", "job ids joined by |")
    least, most = numbers["min_accelerators"], numbers["max_accelerators"]
    elastic = (least > 0) | (most > 0)
    wrong = elastic & ~((least >= 1) & (least <= numbers["accelerators"]) & (numbers["accelerators"] <= most))
    rows.flag(wrong, "min_accelerators", "1 <= min_accelerators <= accelerators <= max_accelerators")
    rows.flag(elastic & shared, "accelerator_share", "1 where elastic")
    # An elastic gang may be given any width.
    widths = np.where(elastic, 1.0, numbers["accelerators"]).tolist()
    undivided = [not divides(text, width) for text, width in zip(texts["parallelism"], widths, strict=True)]
    expected = (
        "degrees such as tensor=8 pipeline=4 whose product divides the accelerators; none where elastic"
    )
    rows.flag(np.array(undivided, dtype=bool), "parallelism", expected)
    _flag_arrays(rows)


def _flag_arrays(rows: Rows) -> None:
    """Flag limits without an array, and those that differ from the first of their array."""
    first: dict[str, float] = {}
    limits = rows.numbers["array_limit"].tolist()
    for array, limit in zip(rows.texts["array"], limits, strict=True):
        first.setdefault(array, limit)
    first[""] = 0.0
    differs = [first[array] != limit for array, limit in zip(rows.texts["array"], limits, strict=True)]
    rows.flag(np.array(differs, dtype=bool), "array_limit", "one limit in an array, 0 where there is none")


def _table_columns(table: JobTable) -> Iterator[tuple[Field, Any]]:
    """Yield each column with its values: texts as a list, numbers as an array."""
    for column in NATIVE_FIELDS:
        if column.name == "job_id":
            yield column, list(table.job_id)
        elif column.name == "after":
            yield column, ["|".join(table.after.get(job, ())) for job in table.job_id]
        elif column.kind == "text":
            yield column, table.texts(column.name)
        else:
            yield column, getattr(table, column.name)


def _write_csv(table: JobTable, path: Path) -> None:
    """Write CSV: the shortest text that gives each number back exactly, blank for NaN."""
    columns = []
    for column, values in _table_columns(table):
        numbers = values if column.kind == "text" else values.tolist()
        columns.append(["" if value != value else value for value in numbers])  # noqa: PLR0124  only NaN differs from itself
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column.name for column in NATIVE_FIELDS])
        writer.writerows(zip(*columns, strict=True))


def _write_parquet(table: JobTable, path: Path) -> None:
    """Write Parquet with page checksums; NaN becomes null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {}
    for column, values in _table_columns(table):
        if column.kind == "text":
            arrays[column.name] = pa.array(values, pa.string())
        else:
            kind = pa.int64() if column.kind == "whole" else pa.float64()
            arrays[column.name] = pa.array(values, kind, from_pandas=True)
    metadata = {_VERSION_KEY: str(NATIVE_VERSION), _NOTES_KEY: json.dumps(table.notes)}
    content = pa.table(arrays).replace_schema_metadata(metadata)
    pq.write_table(content, path, compression="zstd", write_page_checksum=True)


def _read_parquet_rows(path: Path) -> Rows:
    """Return the rows of a Parquet file, its page checksums verified."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_size(path)
    try:
        table = pq.read_table(path, page_checksum_verification=True, partitioning=None)
        table.validate(full=True)
        header = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        hint = "write it again with dcsim trace import"
        reason = str(error).splitlines()[0][:200]
        raise TraceError([Problem(str(path), None, "", reason, "a sound Parquet file", hint)]) from None
    _check_version(path, table.schema.metadata or {})
    problems = list(header_problems(path, header, NATIVE_FIELDS))
    problems += _type_problems(path, table.schema)
    if problems:
        raise TraceError(problems)
    if not table.num_rows:
        raise TraceError([Problem(str(path), None, "", "no rows", "at least one job")])
    return _parquet_rows(path, table)


def _check_version(path: Path, metadata: dict[bytes, bytes]) -> None:
    """Raise TraceError for a file of another format version; files of other writers carry none."""
    version = metadata.get(_VERSION_KEY, str(NATIVE_VERSION).encode())
    if version != str(NATIVE_VERSION).encode():
        got = version.decode(errors="replace")[:20]
        raise TraceError([Problem(str(path), None, "version", got, str(NATIVE_VERSION))])


def _stored_notes(path: Path) -> tuple[str, ...]:
    """Return the notes that a Parquet trace carries."""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata or {}
    try:
        notes = json.loads(metadata.get(_NOTES_KEY, b"[]"))
    except ValueError:
        notes = None
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise TraceError([Problem(str(path), None, "metadata", "broken notes", "a list of texts")])
    return tuple(notes)


def _type_problems(path: Path, schema: Any) -> Iterator[Problem]:  # noqa: ANN401  pyarrow ships no types
    """Yield columns whose stored type is not that of the format."""
    import pyarrow as pa

    for column in NATIVE_FIELDS:
        if column.name not in schema.names:
            continue
        kind = schema.field(column.name).type
        if column.kind == "text":
            inner = kind.value_type if pa.types.is_dictionary(kind) else kind
            good = pa.types.is_string(inner) or pa.types.is_large_string(inner)
        else:
            good = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if not good:
            yield Problem(str(path), None, column.name, f"a column of {kind}", f"a column of {column.kind}s")


def _parquet_rows(path: Path, table: Any) -> Rows:  # noqa: ANN401  pyarrow ships no types
    """Return checked columns; each value out of range becomes a problem with its row, from 1."""
    import pyarrow as pa

    count = table.num_rows
    rows = Rows(path, {}, {}, lambda: np.arange(1, count + 1), place="row")
    for column in (column for column in NATIVE_FIELDS if column.name in table.column_names):
        values = table.column(column.name)
        if column.kind == "text":
            texts = [text or "" for text in values.cast(pa.string()).to_pylist()]
            rows.texts[column.name] = [text or str(column.default or "") for text in texts]
            accepted = {text: column.accepts_text(text) for text in dict.fromkeys(rows.texts[column.name])}
            good: npt.NDArray[np.bool_] = np.array(
                [accepted[text] for text in rows.texts[column.name]], dtype=bool
            )
        else:
            filler = _NAN if column.default is None else float(column.default)
            rows.numbers[column.name] = values.cast(pa.float64()).fill_null(filler).to_numpy()
            good = column.accepts(rows.numbers[column.name])
        rows.flag(~good, column.name, column.expected)
    for column, filled in defaults(NATIVE_FIELDS, {**rows.numbers, **rows.texts}, count):
        (rows.texts if column.kind == "text" else rows.numbers)[column.name] = filled
    return rows
