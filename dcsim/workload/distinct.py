"""The distinct rows of columns, in linear time where they are codes or constant, as columns of jobs mostly are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["distinct_rows"]

Ints = npt.NDArray[np.int64]

_MAX_SPAN = 1 << 16
"""Whole numbers within so much of each other are told apart by counting, not by sorting."""


def distinct_rows(*columns: npt.NDArray[Any]) -> tuple[Ints, Ints]:
    """Return (first, inverse) of the distinct rows of equally long columns (N,), at least one.

    `first` (K,) is the first row of each kind, kinds ascending by the first column, then the second,
    and so on; `inverse` (N,) is each row's kind. NaNs are equal.

    >>> first, inverse = distinct_rows(np.array([2, 1, 2]), np.array([0.5, 0.5, 0.5]))
    >>> first.tolist(), inverse.tolist()
    ([1, 0], [1, 0, 1])
    """
    rows = len(columns[0])
    code, kinds = np.zeros(rows, dtype=np.int64), min(rows, 1)
    for column in columns:
        digit, span = _digits(column)
        if span <= 1:
            continue
        code = code * span + digit
        code, kinds = _compressed(code, kinds * span)
    first = np.zeros(kinds, dtype=np.int64)
    # Of repeated indices the last assignment stays: backwards, that of the first row.
    first[code[::-1]] = np.arange(rows - 1, -1, -1)
    return first, code


def _digits(column: npt.NDArray[Any]) -> tuple[Ints, int]:
    """Return (N,) numbers from 0, ascending as the column's values do, and a bound above them."""
    if len(column) == 0:
        return np.zeros(0, dtype=np.int64), 0
    low, high = column.min(), column.max()
    if low == high:
        return np.zeros(len(column), dtype=np.int64), 1
    if math.isfinite(low) and column.dtype.kind in "iu" and int(high) - int(low) < _MAX_SPAN:
        return (column - low).astype(np.int64), int(high) - int(low) + 1
    values, digit = np.unique(column, return_inverse=True)
    return digit.astype(np.int64), len(values)


def _compressed(code: Ints, span: int) -> tuple[Ints, int]:
    """Return the codes (N,) in [0, span) renumbered without gaps, in order, and how many there are."""
    if span <= _MAX_SPAN:
        there = np.bincount(code, minlength=span) > 0
        return (np.cumsum(there) - 1)[code], int(np.count_nonzero(there))
    values, renumbered = np.unique(code, return_inverse=True)
    return renumbered.astype(np.int64), len(values)
