"""Gangs as the event log tells them: which rows grant one, and which row frees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.simulation.kinds import RELEASES, LogKind

__all__ = ["Gangs", "gangs_of"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Gangs:
    """The G grants of whole gangs, in the order of the log."""

    row: Ints
    """First GRANT row of each gang."""
    width: Floats
    """Accelerators of each."""
    release_row: Ints
    """Row that frees each; -1: it is held at the end of the log."""
    of_grant: Ints
    """(GRANT rows,) the gang that each belongs to."""
    torn: Bools
    """Whether its rows are not all of one instant."""
    overlaps: Bools
    """Whether it was granted before the gang that the same job had before it was freed."""


def gangs_of(log: Mapping[str, npt.NDArray[Any]]) -> Gangs:
    """Return the gangs of an event log; the k-th release of a job frees its k-th gang."""
    time_s, kind, job, value = (np.asarray(log[name]) for name in ("time_s", "kind", "job", "value"))
    grants = np.flatnonzero(kind == LogKind.GRANT)
    first = np.ones(len(grants), dtype=bool)
    first[1:] = (np.diff(grants) > 1) | (np.diff(job[grants]) != 0)
    starts = np.flatnonzero(first)
    of_grant = np.cumsum(first) - 1
    width = np.bincount(of_grant, weights=value[grants], minlength=len(starts)).astype(np.float64)
    row = grants[starts]
    releases = np.flatnonzero(np.isin(kind, RELEASES))
    by_job = np.lexsort((row, job[row]))
    released_by_job = np.lexsort((releases, job[releases]))
    released, granted = job[releases][released_by_job], job[row][by_job]
    number = np.arange(len(released)) - np.searchsorted(released, released, side="left")
    place = np.searchsorted(granted, released, side="left") + number
    release_row = np.full(len(row), -1, dtype=np.int64)
    good = place < len(granted)
    good[good] = granted[place[good]] == released[good]
    release_row[by_job[place[good]]] = releases[released_by_job[good]]
    torn = np.bincount(of_grant, weights=time_s[grants] != time_s[row][of_grant], minlength=len(row)) > 0
    overlaps = np.zeros(len(row), dtype=bool)
    same = np.flatnonzero(granted[1:] == granted[:-1])
    before = release_row[by_job[same]]
    overlaps[by_job[same + 1]] = (before < 0) | (before > row[by_job[same + 1]])
    return Gangs(row, width, release_row, of_grant, torn, overlaps)
