"""Who held a part of which server, from when to when: read from a stored run's event log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Grants", "grants_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_RELEASES = ("end", "preempt", "kill")
"""Event kinds after which a job holds nothing."""


@dataclass(frozen=True, slots=True)
class Grants:
    """Parts of gangs, one row a server, in the order of the log."""

    job: Ints
    server: Ints
    start_s: Floats
    end_s: Floats
    """NaN: held at the end of the run."""
    attempt: Ints
    """1 for the first time the job was granted anything."""


def grants_of(events: Mapping[str, npt.NDArray[Any]], kinds: Sequence[str]) -> Grants | None:
    """Return every part of a gang that was granted; None if the log has none.

    >>> events = {"time_s": np.array([0.0, 5.0, 7.0]), "kind": np.array([0, 1, 0]),
    ...           "job": np.array([0, 0, 0]), "server": np.array([2, -1, 3])}
    >>> grants = grants_of(events, ["grant", "preempt"])
    >>> grants.server.tolist(), grants.end_s.tolist(), grants.attempt.tolist()
    ([2, 3], [5.0, nan], [1, 2])
    """
    if "grant" not in kinds:
        return None
    kind, job, time_s = events["kind"], events["job"].astype(np.int64), events["time_s"]
    granted = np.flatnonzero(kind == kinds.index("grant"))
    releases = [kinds.index(name) for name in _RELEASES if name in kinds]
    freed = np.flatnonzero(np.isin(kind, releases))
    # A grant is freed by the first release of the same job after it: both sorted by job, then by row.
    rows = len(kind) + 1
    release_key = np.sort(job[freed] * rows + freed)
    grant_key = job[granted] * rows + granted
    at = np.searchsorted(release_key, grant_key)
    first = np.searchsorted(release_key, job[granted] * rows)
    found = at < len(release_key)
    found[found] = release_key[at[found]] // rows == job[granted][found]
    end_s = np.full(len(granted), np.nan)
    end_s[found] = time_s[release_key[at[found]] % rows]
    return Grants(
        job[granted], events["server"][granted].astype(np.int64), time_s[granted], end_s, 1 + at - first
    )
