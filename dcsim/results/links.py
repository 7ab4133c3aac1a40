"""The links that a run tells of one by one: their names, tiers and capacities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.results.naming import pack_equal, pack_names, unpack_equal, unpack_names
from dcsim.results.schema import LINKS, TIERS, Column

__all__ = ["ListedLinks", "no_links", "no_tiers", "pack_links", "unpack_links"]

Table = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class ListedLinks:
    """The links that have rows of their own; of a large hall only the busiest."""

    names: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    """Tier of each."""
    capacity_bytes_per_s: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Of each, in one direction; may be infinite."""
    left_out: int = 0
    """Links that carried something and are not listed; the tiers table has their bytes."""


def pack_links(listed: ListedLinks) -> dict[str, Any]:
    """Return listed links as JSON; an infinite capacity is null.

    >>> pack_links(ListedLinks(("a-1", "a-2"), ("leaf", "leaf"), np.array([1e9, 1e9])))["tiers"]
    [['leaf', 2]]
    """
    capacities = [value if math.isfinite(value) else None for value in listed.capacity_bytes_per_s.tolist()]
    return {
        "names": pack_names(listed.names),
        "tiers": pack_equal(listed.tiers),
        "capacity_bytes_per_s": pack_equal(capacities),
        "left_out": int(listed.left_out),
    }


def unpack_links(packed: Mapping[str, Any]) -> ListedLinks:
    """Return the links that `pack_links` was given."""
    capacities = unpack_equal(packed["capacity_bytes_per_s"])
    return ListedLinks(
        names=unpack_names(packed["names"]),
        tiers=tuple(unpack_equal(packed["tiers"])),
        capacity_bytes_per_s=np.array([math.inf if c is None else c for c in capacities], dtype=np.float64),
        left_out=packed["left_out"],
    )


def no_links() -> Table:
    """Return a links table without a row."""
    return _empty(LINKS)


def no_tiers() -> Table:
    """Return a tiers table without a row."""
    return _empty(TIERS)


def _empty(columns: Sequence[Column]) -> Table:
    return {c.name: np.zeros(0, dtype=object if c.dtype == "text" else c.dtype) for c in columns}
