"""Compare routers: the same fleet and the same seeds under each of them, in pairs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from dcsim.errors import ResultError, ScenarioError
from dcsim.policies import make_policy
from dcsim.policies.routing import RoutingPolicy
from dcsim.results.canonical import signed_json
from dcsim.results.files import write_atomically
from dcsim.results.fleet import FLEET_SUMMARY, FleetResult
from dcsim.results.schema import RESULT_VERSION
from dcsim.results.versions import dcsim_version
from dcsim.simulation.fleet_run import simulate_fleet
from dcsim.spec.fleet_load import LoadedFleet, fleet_sha256
from dcsim.study.statistics import Interval, PairedDifference, compare_arms, mean_interval

__all__ = ["FLEET_METRICS", "FleetCell", "FleetStudy", "compare_fleet", "make_router", "write_fleet_study"]

FLEET_METRICS = (
    "energy_it_j",
    "energy_facility_j",
    "carbon_kg",
    "cost_usd",
    "water_l",
    "jct_mean_s",
    "jct_p95_s",
    "wait_mean_s",
    "jobs_completed",
    "deadlines_met_fraction",
    "transfer_bytes",
)
"""Columns of `FLEET_SUMMARY` that are compared."""
STUDY, SUMMARY = "fleet-study.json", "fleet-summary.csv"
_FORMAT = "dcsim-fleet-study"


@dataclass(frozen=True, slots=True)
class FleetCell:
    """What is kept of one run: the rows of its summary."""

    routing: str
    seed: int
    sites: Mapping[str, Mapping[str, float | int]]
    network: Mapping[str, float]
    total: Mapping[str, float | int]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class FleetStudy:
    """Routers compared on the same seeds."""

    fleet_name: str
    fleet_sha256: str
    routings: tuple[str, ...]
    seeds: tuple[int, ...]
    cells: tuple[FleetCell, ...]
    """Router by router, seed by seed."""

    @property
    def baseline(self) -> str:
        """The router that others are compared with: the first."""
        return self.routings[0]

    def values(self, routing: str, metric: str) -> dict[int, float]:
        """Return a metric of the whole fleet under one router, by seed."""
        return {cell.seed: float(cell.total[metric]) for cell in self.cells if cell.routing == routing}

    def interval(self, routing: str, metric: str) -> Interval:
        """Return the mean of a metric over the seeds, with its interval."""
        return mean_interval(list(self.values(routing, metric).values()))

    def moved(self, routing: str) -> float:
        """Return the mean part of the jobs that ran away from their homes, 0..1."""
        jobs = self.values(routing, "jobs")
        moved = self.values(routing, "jobs_moved")
        return sum(moved[seed] / jobs[seed] for seed in jobs) / len(jobs)

    def differences(self) -> tuple[PairedDifference, ...]:
        """Return every router against the first, on every metric of `FLEET_METRICS`."""
        table = {name: {m: self.values(name, m) for m in FLEET_METRICS} for name in self.routings}
        return compare_arms(table, self.baseline, FLEET_METRICS)

    def warnings(self) -> tuple[str, ...]:
        """Return the runs' warnings, each once."""
        return tuple(dict.fromkeys(text for cell in self.cells for text in cell.warnings))


def compare_fleet(
    loaded: LoadedFleet,
    *,
    routings: Sequence[str],
    seeds: Sequence[int],
    progress: Callable[[int, int, FleetCell], object] | None = None,
) -> FleetStudy:
    """Run the fleet under each router on each seed, in this process.

    Parameters in the fleet file hold for the router they were written for; others take their defaults.

    Args:
        loaded: the fleet.
        routings: names of routers; the first is what others are compared with.
        seeds: the same for every router.
        progress: called after each run with (runs done, runs, what is kept of it).

    Raises:
        ScenarioError: no router or seed, or one twice.
        InputError, PolicyError, SimulationError: as `simulate_fleet`.
    """
    for what, given in (("router", list(routings)), ("seed", list(seeds))):
        if not given or len(set(given)) < len(given):
            raise ScenarioError(f"{what}s {given} -> expected at least one, each once")
    cells: list[FleetCell] = []
    for routing in routings:
        policy = make_router(loaded, routing)
        for seed in seeds:
            cells.append(_cell(simulate_fleet(loaded, seed, routing=policy).result))
            if progress is not None:
                progress(len(cells), len(routings) * len(seeds), cells[-1])
    return FleetStudy(loaded.fleet.name, fleet_sha256(loaded), tuple(routings), tuple(seeds), tuple(cells))


def make_router(loaded: LoadedFleet, name: str) -> RoutingPolicy:
    """Return a router by name, with the fleet file's parameters where it is the one written there.

    Raises:
        PolicyError: the name is unknown or a parameter does not fit.
    """
    written = loaded.fleet.routing
    parameters = written.parameters if written.name == name else {}
    return cast("RoutingPolicy", make_policy("routing", name, parameters))


def write_fleet_study(study: FleetStudy, out: Path) -> Path:
    """Write `fleet-summary.csv` (one row for each router, seed and site) and `fleet-study.json`; return the CSV.

    Raises:
        ResultError: `out` holds something else, or the disk fails.
    """
    if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} <= {STUDY, SUMMARY}):
        raise ResultError(f"{out}: holds files that are not a dcsim fleet study; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    content = {
        "format": _FORMAT,
        "version": RESULT_VERSION,
        "dcsim_version": dcsim_version(),
        "fleet_name": study.fleet_name,
        "fleet_sha256": study.fleet_sha256,
        "routings": list(study.routings),
        "seeds": list(study.seeds),
        "cells": [asdict(cell) for cell in study.cells],
        "differences": [asdict(difference) for difference in study.differences()],
    }
    write_atomically(out / SUMMARY, _csv(study))
    write_atomically(out / STUDY, signed_json(content, "study_sha256"))
    return out / SUMMARY


def _cell(result: FleetResult) -> FleetCell:
    rows = dict(zip(result.site_names, result.sites, strict=True))
    return FleetCell(result.routing, result.seed, rows, result.network, result.total, result.warnings)


def _csv(study: FleetStudy) -> bytes:
    """Return every row of every run; floats keep every bit, what a row has not is blank."""
    columns = [column.name for column in FLEET_SUMMARY]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["routing", "seed", "site", *columns])
    for cell in study.cells:
        rows = [*cell.sites.items(), ("(network)", cell.network), ("(fleet)", cell.total)]
        for name, row in rows:
            writer.writerow(
                [cell.routing, cell.seed, name, *(repr(row[c]) if c in row else "" for c in columns)]
            )
    return text.getvalue().encode()
