"""Ten thousand server names in a few lines: runs of numbered names, of equal racks and of equal values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["pack_equal", "pack_names", "pack_racks", "unpack_equal", "unpack_names", "unpack_racks"]

_NUMBERED = re.compile(r"(?s)^(.*?)([0-9]+)$", re.ASCII)


def pack_names(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return runs of consecutive numbered names: prefix, first number, digits, count.

    A name without a number is a run of its own, with digits 0.

    >>> pack_names(["a-08", "a-09", "a-10", "login"])  # doctest: +NORMALIZE_WHITESPACE
    [{'prefix': 'a-', 'first': 8, 'digits': 2, 'count': 3},
     {'prefix': 'login', 'first': 0, 'digits': 0, 'count': 1}]
    """
    runs: list[dict[str, Any]] = []
    for name in names:
        prefix, number, digits = _split(name)
        last = runs[-1] if runs else None
        if last and last["digits"] and _spell(last, last["count"]) == name:
            last["count"] += 1
        else:
            runs.append({"prefix": prefix, "first": number, "digits": digits, "count": 1})
    return runs


def _split(name: str) -> tuple[str, int, int]:
    match = _NUMBERED.match(name)
    if match is None or len(match[2]) > 15:
        return name, 0, 0
    return match[1], int(match[2]), len(match[2])


def _spell(run: dict[str, Any], offset: int) -> str:
    if not run["digits"]:
        return str(run["prefix"])
    return f"{run['prefix']}{run['first'] + offset:0{run['digits']}d}"


def unpack_names(runs: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """Return the names that `pack_names` was given.

    >>> unpack_names([{"prefix": "a-", "first": 8, "digits": 2, "count": 3}])
    ('a-08', 'a-09', 'a-10')
    """
    return tuple(_spell(run, offset) for run in runs for offset in range(run["count"]))


def pack_racks(racks: npt.NDArray[np.int64]) -> list[list[int]]:
    """Return runs (rack index, servers in a row) of the rack of each server.

    >>> pack_racks(np.array([0, 0, 0, 1]))
    [[0, 3], [1, 1]]
    """
    if racks.size == 0:
        return []
    starts = np.flatnonzero(np.concatenate(([True], racks[1:] != racks[:-1])))
    counts = np.diff(np.append(starts, racks.size))
    return [[int(rack), int(count)] for rack, count in zip(racks[starts], counts, strict=True)]


def unpack_racks(runs: Iterable[Sequence[int]]) -> npt.NDArray[np.int64]:
    """Return the rack of each server that `pack_racks` was given.

    >>> unpack_racks([[0, 3], [1, 1]])
    array([0, 0, 0, 1])
    """
    pairs = np.array(list(runs), dtype=np.int64).reshape(-1, 2)
    return np.repeat(pairs[:, 0], pairs[:, 1])


def pack_equal(values: Iterable[Any]) -> list[list[Any]]:
    """Return runs (value, how often in a row).

    >>> pack_equal(["leaf", "leaf", "spine"])
    [['leaf', 2], ['spine', 1]]
    """
    return [[value, sum(1 for _ in run)] for value, run in groupby(values)]


def unpack_equal(runs: Iterable[Sequence[Any]]) -> list[Any]:
    """Return the values that `pack_equal` was given.

    >>> unpack_equal([["leaf", 2], ["spine", 1]])
    ['leaf', 'leaf', 'spine']
    """
    return [value for value, times in runs for _ in range(times)]
