"""Columns of a text table that is not CSV: bulk conversion, doubted value by value only where it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, TraceError
from dcsim.workload.readers.rows import Field, Rows, defaults, parsed_field

__all__ = ["rows_of_columns"]


def rows_of_columns(
    path: Path,
    lines: Sequence[int],
    found: Mapping[str, Sequence[str]],
    fields: Sequence[Field],
) -> Rows:
    """Return checked columns; each value that is not as declared is a problem with its line.

    Args:
        path: Only shown.
        lines: Line of each row (N,), from 1.
        found: Text of each column that the file has, each N long; columns not declared are left out.
        fields: What is declared.

    Raises:
        TraceError: No column at all is found.
    """
    numbers = np.asarray(lines, dtype=np.int64)
    rows = Rows(path, {}, {}, lambda: numbers)
    for column in (column for column in fields if column.name in found):
        texts = found[column.name]
        if column.kind == "text":
            rows.texts[column.name] = _texts(rows, column, texts)
        else:
            values = _in_bulk(column, texts)
            rows.numbers[column.name] = _one_by_one(rows, column, texts) if values is None else values
    for column, filled in defaults(fields, {**rows.numbers, **rows.texts}, len(lines)):
        (rows.texts if column.kind == "text" else rows.numbers)[column.name] = filled
    if not rows.numbers and not rows.texts:
        raise TraceError([Problem(str(path), None, "", "no known column", "at least one of them")])
    return rows


def _in_bulk(column: Field, texts: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """Return all numbers of a column (N,), or None where one of them is not as declared."""
    try:
        values = np.array(list(map(float, texts)), dtype=np.float64)
    except ValueError:
        return None
    # float() takes "1_000" and "nan", which no trace format does.
    if any("_" in text for text in texts) or np.isnan(values).any() or not column.accepts(values).all():
        return None
    return values


def _one_by_one(rows: Rows, column: Field, texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the numbers of a column (N,), NaN and a problem where one is not as declared."""
    values = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        value = parsed_field(column, text)
        if isinstance(value, float):
            values[row] = value
        else:
            rows.refuse(row, column.name, _shown(text), column.expected)
    return values


def _texts(rows: Rows, column: Field, texts: Sequence[str]) -> list[str]:
    """Return the texts of a column, the default where blank, a problem where one is not as declared."""
    sound = {text: column.accepts_text(text) for text in dict.fromkeys(texts)}
    if not all(sound.values()):
        for row, text in enumerate(texts):
            if not sound[text]:
                rows.refuse(row, column.name, _shown(text), column.expected)
    return [text or str(column.default or "") for text in texts]


def _shown(text: str) -> str:
    return repr(text[:80]) if text else "blank"
