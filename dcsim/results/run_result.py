"""The result of one run, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.results.links import ListedLinks, no_links, no_tiers

__all__ = ["RunResult"]

Table = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class RunResult:
    """Everything a run leaves: five column tables, the summary row, balances and warnings.

    Tables hold exactly the columns of `dcsim.results.schema`, in that order; text columns are
    object or numpy-string arrays.
    """

    scenario_name: str
    scenario_sha256: str
    seed: int
    ordering: str
    placement: str
    energy: str
    jobs: Table
    events: Table
    series: Table
    summary: Mapping[str, float | int | str]
    """One row with the columns of schema.SUMMARY."""
    account: Mapping[str, float]
    """The facility's account, one row with the columns of schema.ACCOUNT."""
    event_kinds: tuple[str, ...]
    server_names: tuple[str, ...]
    server_racks: npt.NDArray[np.int64]
    balances: Mapping[str, float]
    """Relative residuals of the conservation checks, e.g. it_energy, heat, facility_energy."""
    provenance: tuple[Mapping[str, Any], ...]
    """One record a profile used: name, sha256, device measured on, hardware used on, extrapolated, why."""
    warnings: tuple[str, ...]
    links: Table = field(default_factory=no_links)
    """Bytes on each listed link in each bin; rows only where there are any, by link, then time."""
    tiers: Table = field(default_factory=no_tiers)
    """Bytes of each tenant on each tier of links in each bin; rows only where there are any."""
    listed_links: ListedLinks = field(default_factory=ListedLinks)
    """What `links` counts on."""
