"""The result of a fleet: the run of each site, what the network between them carried, and totals that add up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.results.metrics import (
    deadlines_met_fraction,
    jct_mean_s,
    jct_p95_s,
    jobs_completed,
    pue,
    wait_mean_s,
)
from dcsim.results.run_result import RunResult
from dcsim.results.schema import Column

__all__ = ["ADDITIVE", "FLEET_JOBS", "FLEET_SUMMARY", "FleetResult", "add_up", "jobs_row"]

Table = Mapping[str, npt.NDArray[Any]]

FLEET_JOBS = (
    Column("job_id", "text", "", "name of the job"),
    Column("tenant", "text", "", "who submitted it"),
    Column("home", "text", "", "site at which it and its data are"),
    Column("site", "text", "", "site at which it was to run"),
    Column("status", "text", "", "at the end, as in jobs.parquet of the site"),
    Column("submit_s", "float64", "s", "when it was submitted at home"),
    Column("arrival_s", "float64", "s", "when it and its data were at the site; submit_s at home"),
    Column("start_s", "float64", "s", "resources first granted; NaN if never"),
    Column("end_s", "float64", "s", "work done, time limit reached or cancelled; NaN if not"),
    Column("wait_s", "float64", "s", "start - submit, the transfer included"),
    Column("jct_s", "float64", "s", "job completion time: end - submit; NaN if not completed"),
    Column("accelerators", "int32", "", "gang width"),
    Column("deadline_s", "float64", "s", "absolute; NaN: none"),
    Column("energy_j", "float64", "J", "IT energy above idle attributed to the job"),
    Column("transfer_bytes", "float64", "B", "moved for it"),
    Column("transfer_s", "float64", "s", "from submission until its own transfer had ended; 0 at home"),
    Column("transfer_energy_j", "float64", "J", "drawn by the network for it"),
    Column("transfer_carbon_kg", "float64", "kg", "of that energy, half at the intensity of either site"),
    Column("transfer_cost_usd", "float64", "USD", "paid for it"),
    Column("estimated_arrival_s", "float64", "s", "arrival as the router saw it when it decided"),
    Column("estimated_start_s", "float64", "s", "start as the router saw it"),
    Column("estimated_run_s", "float64", "s", "run time at the site as the router saw it"),
)
"""One row a job, in the order of submission."""

ADDITIVE = (
    Column("energy_it_j", "float64", "J", "servers, storage, network of the halls"),
    Column("energy_facility_j", "float64", "J", "at the sites' meters, and of the network between them"),
    Column("carbon_kg", "float64", "kg", "CO2-equivalent, location-based, operational"),
    Column("cost_usd", "float64", "USD", "of the sites' energy and of what was moved"),
    Column("water_l", "float64", "L", "evaporation and blow-down"),
)
"""What sites and network add up to."""

FLEET_SUMMARY = (
    *ADDITIVE,
    Column("pue", "float64", "", "facility over IT energy"),
    Column("jobs", "int64", "", "sent there"),
    Column("jobs_moved", "int64", "", "of them, at home elsewhere"),
    Column("jobs_completed", "int64", "", "jobs whose work was done"),
    Column(
        "jct_mean_s", "float64", "s", "mean job completion time of completed jobs, from submission at home"
    ),
    Column("jct_p95_s", "float64", "s", "95th percentile, linear interpolation"),
    Column("wait_mean_s", "float64", "s", "mean start - submit of started jobs, transfer included"),
    Column("deadlines_met_fraction", "float64", "", "as in the summary of a run; NaN without deadlines"),
    Column("transfer_bytes", "float64", "B", "moved for its jobs"),
    Column(
        "transfer_energy_j",
        "float64",
        "J",
        "drawn by the network for its jobs; part of the network's row only",
    ),
    Column("transfer_carbon_kg", "float64", "kg", "of that energy; part of the network's row only"),
    Column("transfer_cost_usd", "float64", "USD", "paid for moving; part of the network's row only"),
    Column("transfer_mean_s", "float64", "s", "mean time of the transfers of moved jobs; NaN without"),
    Column("wait_estimate_bias_s", "float64", "s", "mean of estimated minus actual start over started jobs"),
    Column("wait_estimate_error_s", "float64", "s", "mean distance of estimated from actual start"),
)
"""Columns of a row of the summary: one for each site, and one of the fleet."""


@dataclass(frozen=True)
class FleetResult:
    """Everything that running a fleet leaves."""

    fleet_name: str
    fleet_sha256: str
    seed: int
    routing: str
    """Name of the router."""
    site_names: tuple[str, ...]
    runs: tuple[RunResult, ...]
    """(K,) ordinary results, one a site."""
    jobs: Table
    """Columns of `FLEET_JOBS`, one row a job in the order of submission."""
    sites: tuple[Mapping[str, float | int], ...]
    """(K,) rows of `FLEET_SUMMARY`."""
    network: Mapping[str, float]
    """The network's part of `ADDITIVE`."""
    total: Mapping[str, float | int]
    """Row of `FLEET_SUMMARY`: sites and network together."""
    warnings: tuple[str, ...]


def add_up(sites: Sequence[Mapping[str, float]], network: Mapping[str, float]) -> dict[str, float]:
    """Return `ADDITIVE` of sites and network together, each sum rounded once.

    >>> site = {column.name: 0.1 for column in ADDITIVE}
    >>> add_up([site] * 9, site)["carbon_kg"]
    1.0
    """
    return {
        column.name: math.fsum([*(row[column.name] for row in sites), network[column.name]])
        for column in ADDITIVE
    }


def jobs_row(jobs: Table, additive: Mapping[str, float], end_s: float) -> dict[str, float | int]:
    """Return the row of `FLEET_SUMMARY` of some of the fleet's jobs.

    Args:
        jobs: columns of `FLEET_JOBS`.
        additive: of where they ran.
        end_s: end of the run in s.
    """
    moved = jobs["site"] != jobs["home"]
    early_s = (jobs["estimated_start_s"] - jobs["start_s"])[np.isfinite(jobs["start_s"])]
    return {
        **{column.name: float(additive[column.name]) for column in ADDITIVE},
        "pue": pue(additive["energy_facility_j"], additive["energy_it_j"]),
        "jobs": len(jobs["submit_s"]),
        "jobs_moved": int(np.count_nonzero(moved)),
        "jobs_completed": jobs_completed(jobs),
        "jct_mean_s": jct_mean_s(jobs),
        "jct_p95_s": jct_p95_s(jobs),
        "wait_mean_s": wait_mean_s(jobs),
        "deadlines_met_fraction": deadlines_met_fraction(jobs, end_s),
        **{
            name: math.fsum(jobs[name].tolist())
            for name in ("transfer_bytes", "transfer_energy_j", "transfer_carbon_kg", "transfer_cost_usd")
        },
        "transfer_mean_s": _mean(jobs["transfer_s"][moved]),
        "wait_estimate_bias_s": _mean(early_s),
        "wait_estimate_error_s": _mean(np.abs(early_s)),
    }


def _mean(values: npt.NDArray[Any]) -> float:
    return math.fsum(values.tolist()) / values.size if values.size else math.nan
