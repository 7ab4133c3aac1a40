"""Rows of a table file with declared columns: read in bulk, doubted row by row when anything is wrong.

The bulk parse (Arrow) takes a file only if every field is what its column declares. Otherwise the
file is read again field by field, to name each problem with its line.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, TraceError
from dcsim.spec.names import nearest

__all__ = [
    "FILE_BYTES_MAX",
    "Field",
    "OnBad",
    "Rows",
    "broken_type_lists",
    "check_size",
    "defaults",
    "header_problems",
    "parsed_field",
    "read_csv_rows",
    "read_text",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
OnBad = Literal["refuse", "skip"]

FILE_BYTES_MAX = 4 * 2**30
"""A larger file is refused [B]."""

_SHOWN = 50
"""Problems printed; the rest is counted."""
_LINES_SHOWN = 10
"""Line numbers named in a note."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Field:
    """One declared column: it drives the reader, the writer and the reference in docs/."""

    name: str
    kind: Literal["text", "whole", "number"]
    unit: str
    """"" for names, counts and ratios."""
    meaning: str
    default: str | float | None = None
    """Where the column or the field is missing; None: required. NaN: nothing given."""
    low: float = 0.0
    high: float = math.inf
    low_open: bool = False
    """The lowest value itself is refused."""

    @property
    def expected(self) -> str:
        """What a field of this column must be, in words."""
        if self.kind == "text":
            return "printable text of at most 200 characters, no blanks around it"
        noun = "a whole number" if self.kind == "whole" else "a finite number"
        low = f"{'>' if self.low_open else '>='} {self.low:g}"
        high = f" and <= {self.high:g}" if math.isfinite(self.high) else ""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{noun} {low}{high}{unit}"

    def accepts(self, values: Floats) -> Bools:
        """Return (N,) which numbers are in range; NaN where it is the default is in range."""
        above = values > self.low if self.low_open else values >= self.low
        good = above & (values <= self.high) & np.isfinite(values)
        if self.kind == "whole":
            good &= values == np.floor(values)
        if isinstance(self.default, float) and math.isnan(self.default):
            good |= np.isnan(values)
        return good

    def accepts_text(self, text: str) -> bool:
        """Return whether a text field is sound."""
        if not text:
            return self.default is not None
        return len(text) <= 200 and text.isprintable() and text == text.strip()


@dataclass
class Rows:
    """The rows of one file, and what is wrong with some of them."""

    path: Path
    numbers: dict[str, Floats]
    """Columns of kind number and whole, each (N,)."""
    texts: dict[str, list[str]]
    """Columns of kind text, each N long."""
    lines: Callable[[], npt.NDArray[np.int64]]
    """Line (N,) of each row in the file; called only when a message needs it."""
    place: str = ""
    """"" where problems are placed by line; else what a row is called ("row")."""
    problems: list[Problem] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    """Lines of malformed rows that are not in the columns."""
    bad: set[int] = field(default_factory=set)
    """Rows flagged by `flag`."""
    unused: set[int] = field(default_factory=set)
    """Rows that are sound but no jobs."""

    def __len__(self) -> int:
        columns: list[Any] = [*self.numbers.values(), *self.texts.values()]
        return len(columns[0])

    def flag(self, broken: Bools, column: str, expected: str, hint: str = "") -> None:
        """Note a problem for each row (N,) where `broken`."""
        rows = np.flatnonzero(broken).tolist()
        if not rows:
            return
        lines = self.lines()
        values: Any = self.texts[column] if column in self.texts else self.numbers[column]
        for row in rows:
            value = values[row]
            got = repr(value) if isinstance(value, str) else f"{value:.15g}"
            self.problems.append(self._problem(int(lines[row]), column, got, expected, hint))
        self.bad.update(rows)

    def refuse(self, row: int, column: str, got: str, expected: str, hint: str = "") -> None:
        """Note a problem of one row whose value is not in the columns, or not as it was written."""
        self.problems.append(self._problem(int(self.lines()[row]), column, got, expected, hint))
        self.bad.add(row)

    def leave_out(self, mask: Bools) -> None:
        """Leave out the rows (N,) where `mask`: they are sound, but no jobs."""
        self.unused.update(np.flatnonzero(mask).tolist())

    def flag_repeated(self, column: str) -> None:
        """Note a problem for each row whose text in `column` an earlier row has."""
        values = self.texts[column]
        if len(set(values)) == len(values):
            return
        seen: dict[str, int] = {}
        repeated = np.array(
            [seen.setdefault(value, row) != row for row, value in enumerate(values)], dtype=bool
        )
        self.flag(repeated, column, "a name used once in the file")

    def where(self, mask: Bools) -> str:
        """Return "N (lines 3, 17, ...)" for the rows (N,) where `mask`."""
        lines = self.lines()[mask].tolist()
        return f"{len(lines)} ({_line_list(lines, self.place or 'line')})"

    def kept(self, on_bad: OnBad) -> npt.NDArray[np.int64]:
        """Return the indices of sound rows, or raise TraceError with every problem.

        Raises:
            TraceError: Rows are malformed and `on_bad` is refuse, or no row is left.
        """
        if self.problems and on_bad == "refuse":
            raise TraceError(
                _capped(sorted(self.problems, key=lambda problem: (problem.line or 0, problem.path)))
            )
        left_out = self.bad | self.unused
        rows = np.array([row for row in range(len(self)) if row not in left_out], dtype=np.int64)
        if not len(rows):
            raise TraceError([Problem(str(self.path), None, "", "no usable row", "at least one job")])
        return rows

    def skipped(self) -> tuple[str, ...]:
        """Return a note on the malformed rows that were left out, if any."""
        lines = [*self.dropped, *(int(self.lines()[row]) for row in sorted(self.bad))]
        if not lines:
            return ()
        return (f"{len(lines)} malformed rows left out ({_line_list(sorted(lines), self.place or 'line')})",)

    def _problem(self, line: int, column: str, got: str, expected: str, hint: str) -> Problem:
        if self.place:
            return Problem(str(self.path), None, f"{self.place} {line}.{column}", got, expected, hint)
        return Problem(str(self.path), line, column, got, expected, hint)


def read_csv_rows(path: Path, fields: Sequence[Field]) -> Rows:
    """Return the rows of a CSV file: UTF-8 (a byte order mark is fine), any line ends, a header first.

    Columns may come in any order; optional ones may be missing.

    Raises:
        TraceError: Unreadable, not UTF-8, empty, or a header with unknown, missing or repeated columns.
            Malformed rows are in the `problems` of what is returned.
    """
    check_size(path)
    rows = _bulk(path, fields)
    return rows if rows is not None else _one_by_one(path, fields)


def read_text(path: Path) -> str:
    """Return the text of a file, or raise TraceError saying what else it seems to be."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TraceError(
            [Problem(str(path), None, "", error.strerror or str(error), "a readable file")]
        ) from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        hint = "save the file as UTF-8"
        raise TraceError([Problem(str(path), 1, "", "UTF-16 text", "UTF-8 text", hint)])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        hint = "the file may be Latin-1: save it as UTF-8"
        got = f"byte 0x{content[error.start]:02x}"
        raise TraceError([Problem(str(path), line, "", got, "UTF-8 text", hint)]) from None


def broken_type_lists(texts: Sequence[str]) -> Bools:
    """Return (N,) which texts are not names joined by "|"; blank is fine.

    >>> broken_type_lists(["V100M16|V100M32", "", "T4||A10", "T4 |A10"])
    array([False, False,  True,  True])
    """
    broken = {
        text: any(part != part.strip() or not part for part in text.split("|"))
        for text in dict.fromkeys(texts)
        if text
    }
    return np.array([broken.get(text, False) for text in texts], dtype=bool)


def header_problems(path: Path, header: Sequence[str], fields: Sequence[Field]) -> Iterator[Problem]:
    """Yield unknown, repeated and missing columns; unknown ones with the nearest name."""
    known = {column.name for column in fields}
    for name in dict.fromkeys(header):
        if header.count(name) > 1:
            yield Problem(
                str(path), 1, name, f"{header.count(name)} columns of that name", "each column once"
            )
        if name not in known:
            names = ", ".join(column.name for column in fields)
            yield Problem(str(path), 1, repr(name), "unknown column", f"one of {names}", nearest(name, known))
    for column in fields:
        if column.default is None and column.name not in header:
            yield Problem(
                str(path), 1, column.name, "no such column", f"the column {column.name}: {column.meaning}"
            )


def defaults(fields: Sequence[Field], given: Mapping[str, Any], count: int) -> Iterator[tuple[Field, Any]]:
    """Yield the columns that a file does not give, filled with their defaults."""
    for column in fields:
        if column.name in given or column.default is None:
            continue
        if column.kind == "text":
            yield column, [str(column.default)] * count
        else:
            yield column, np.full(count, float(column.default))


def check_size(path: Path) -> None:
    """Raise TraceError where there is no file, or one too large."""
    try:
        size = path.stat().st_size
        if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe waits for ever
            raise TraceError([Problem(str(path), None, "", "a pipe or device", "a file")])
    except OSError as error:
        raise TraceError(
            [Problem(str(path), None, "", error.strerror or str(error), "a readable file")]
        ) from None
    if size > FILE_BYTES_MAX:
        raise TraceError(
            [Problem(str(path), None, "", f"{size:,} bytes", f"at most {FILE_BYTES_MAX:,} bytes")]
        )


def _bulk(path: Path, fields: Sequence[Field]) -> Rows | None:
    """Return all rows by Arrow's parser, or None where anything in the file is not as declared."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    options = arrow_csv.ConvertOptions(
        # Whole numbers are read as floats too: both parsers then take the same spellings.
        column_types={
            column.name: pa.string() if column.kind == "text" else pa.float64() for column in fields
        },
        null_values=[""],
        strings_can_be_null=False,
    )
    try:
        table = arrow_csv.read_csv(path, convert_options=options)
        header = table.column_names
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError):
        return None
    if any(header_problems(path, header, fields)) or not table.num_rows:
        return None
    rows = Rows(path, {}, {}, lambda: _record_lines(path))
    for column in (column for column in fields if column.name in table.column_names):
        values = table.column(column.name)
        if column.kind == "text":
            texts = values.to_pylist()
            if not all(map(column.accepts_text, dict.fromkeys(texts))):
                return None
            rows.texts[column.name] = (
                [text or str(column.default) for text in texts] if column.default else texts
            )
        else:
            numbers = _bulk_numbers(column, values)
            if numbers is None:
                return None
            rows.numbers[column.name] = numbers
    _fill(rows, fields, table.num_rows)
    return rows


def _bulk_numbers(column: Field, values: Any) -> Floats | None:  # noqa: ANN401  pyarrow ships no types
    """Return one parsed column with blanks filled in, or None where a value is not as declared."""
    blanks = values.null_count
    if blanks:
        if column.default is None:
            return None
        values = values.fill_null(float(column.default))
    numbers: Floats = values.to_numpy()
    spelt_nan = np.count_nonzero(np.isnan(numbers)) > blanks  # "nan" is no way to leave a field blank
    return None if spelt_nan or not column.accepts(numbers).all() else numbers


def _record_lines(path: Path) -> npt.NDArray[np.int64]:
    """Return the first line (N,) of each record below the header."""
    return np.array([line for line, _ in _records(read_text(path))][1:], dtype=np.int64)


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line, fields) of each record that is not an empty line; raises csv.Error."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    for record in reader:
        if record:
            yield line, record
        line = reader.line_num + 1


def _one_by_one(path: Path, fields: Sequence[Field]) -> Rows:
    """Return the sound rows, with a problem for each field that is not as declared."""
    records = _records(read_text(path))
    header = next(_guarded(records, path, []), (1, []))[1]
    if not header:
        raise TraceError([Problem(str(path), None, "", "an empty file", "a header and at least one row")])
    by_name = {column.name: column for column in fields}
    wrong_header = list(header_problems(path, header, fields))
    columns = [by_name.get(name) for name in header]
    found: dict[str, list[Any]] = {column.name: [] for column in columns if column}
    lines: list[int] = []
    rows = Rows(path, {}, {}, lambda: np.array(lines, dtype=np.int64), problems=list(wrong_header))
    for line, record in _guarded(records, path, rows.problems):
        values = list(_values(rows, line, record, columns))
        if len(values) < len(record) or len(record) != len(header):
            rows.dropped.append(line)
            continue
        lines.append(line)
        for column, value in zip(columns, values, strict=True):
            if column:
                found[column.name].append(value)
    # A wrong header puts every row in doubt, so it is refused whatever `on_bad` says.
    if wrong_header:
        raise TraceError(_capped(rows.problems))
    for name, parsed in found.items():
        if by_name[name].kind == "text":
            rows.texts[name] = parsed
        else:
            rows.numbers[name] = np.array(parsed, dtype=np.float64)
    _fill(rows, fields, len(lines))
    return rows


def _guarded(
    records: Iterator[tuple[int, list[str]]], path: Path, problems: list[Problem]
) -> Iterator[tuple[int, list[str]]]:
    """Yield the records; raise TraceError with `problems` and this one where quotes are broken.

    What follows a lone quote cannot be told apart, so `on_bad` does not apply.
    """
    line = 0
    try:
        for line, record in records:
            yield line, record
    except csv.Error as error:
        problem = Problem(str(path), line + 1, "", str(error), "well-formed CSV", "look for a lone quote")
        raise TraceError(_capped([*problems, problem])) from None


def _values(
    rows: Rows, line: int, record: list[str], columns: Sequence[Field | None]
) -> Iterator[str | float | None]:
    """Yield the values of one record that are sound; each other one becomes a problem."""
    if len(record) != len(columns):
        hint = "a decimal comma or an unquoted comma?" if len(record) > len(columns) else ""
        expected = f"{len(columns)} fields as in the header"
        rows.problems.append(Problem(str(rows.path), line, "", f"{len(record)} fields", expected, hint))
        return
    for column, text in zip(columns, record, strict=True):
        if column is None:
            yield None
            continue
        value = parsed_field(column, text)
        if value is None:
            got = repr(text[:80]) if text else "blank"
            rows.problems.append(Problem(str(rows.path), line, column.name, got, column.expected))
        else:
            yield value


def parsed_field(column: Field, text: str) -> str | float | None:
    """Return the value of one field, or None where it is not as declared.

    >>> parsed_field(Field("width", "whole", "", "gang width"), "4.0")
    4.0
    """
    if column.kind == "text":
        return (text or str(column.default)) if column.accepts_text(text) else None
    bare = text.strip(" \t")
    if not bare:
        return None if column.default is None else float(column.default)
    if not _NUMBER.match(bare):
        return None
    value = float(bare)
    return value if bool(column.accepts(np.array([value]))[0]) else None


def _fill(rows: Rows, fields: Sequence[Field], count: int) -> None:
    """Add the columns that the file does not give."""
    for column, values in defaults(fields, {**rows.numbers, **rows.texts}, count):
        (rows.texts if column.kind == "text" else rows.numbers)[column.name] = values


def _capped(problems: Sequence[Problem]) -> list[Problem]:
    """Return at most `_SHOWN` problems and one that counts the rest."""
    shown = list(problems[:_SHOWN])
    if len(problems) > _SHOWN:
        more = f"and {len(problems) - _SHOWN:,} more problems"
        shown.append(Problem(problems[0].file, None, "", more, "none"))
    return shown


def _line_list(lines: Sequence[int], noun: str) -> str:
    """Return "lines 3, 17 and 4 more"."""
    shown = ", ".join(map(str, lines[:_LINES_SHOWN]))
    more = f" and {len(lines) - _LINES_SHOWN} more" if len(lines) > _LINES_SHOWN else ""
    return f"{noun}{'s' if len(lines) > 1 else ''} {shown}{more}"
