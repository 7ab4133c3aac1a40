"""simulate_fleet(fleet, seed) -> FleetResult: route the jobs, move their data, run every site."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from dcsim.policies import make_policy
from dcsim.policies.registry import ROUTING
from dcsim.policies.routing import RoutingPolicy
from dcsim.results.fleet import ADDITIVE, FleetResult, add_up, jobs_row
from dcsim.results.metrics import pue
from dcsim.results.run_result import RunResult
from dcsim.simulation.fleet_feedback import Feedback
from dcsim.simulation.fleet_jobs import FleetJobs, build_fleet_jobs, jobs_at_site
from dcsim.simulation.fleet_routing import Routed, route
from dcsim.simulation.fleet_site import FleetSite, make_site
from dcsim.simulation.fleet_wan import Wan, luggage_of
from dcsim.simulation.run import simulate
from dcsim.spec.fleet_load import LoadedFleet, fleet_sha256
from dcsim.units import Quantity, format_quantity
from dcsim.workload.jobs import JobTable

__all__ = ["FleetRun", "simulate_fleet", "site_seed"]

Arrays = dict[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_FAR_OFF_S = 600.0
"""A router whose picture of the queues is this wrong, in the mean, decides by chance."""


@dataclass(frozen=True, slots=True)
class FleetRun:
    """A result, and the jobs that each site was sent: what its run can be made again from."""

    result: FleetResult
    tables: tuple[JobTable, ...]
    """(K,) in the order of arrival at the site."""


def simulate_fleet(
    loaded: LoadedFleet,
    seed: int | None = None,
    *,
    routing: RoutingPolicy | None = None,
    jobs: JobTable | None = None,
    guards: bool = False,
) -> FleetRun:
    """Run one fleet with one seed.

    Jobs are routed when they are submitted, by what is known then. After that the halls have nothing to do with
    each other: each is an ordinary run with the jobs it was sent, submitted when they and their data are there.

    Args:
        loaded: the fleet and its sites.
        seed: of the named random streams; None: the fleet's. Each site runs with `site_seed`.
        routing: a router instead of the one the fleet names.
        jobs: a job table instead of the fleet's workload.
        guards: prove every instant of every site, as `simulate` does (slow).

    Raises:
        InputError: a file or value cannot be used; holds every problem found.
        PolicyError: a policy is unknown or broke its contract.
        SimulationError: deadlock, or a balance that does not close.
    """
    chosen = loaded.fleet.routing
    policy = routing or cast("RoutingPolicy", make_policy(ROUTING, chosen.name, chosen.parameters))
    chosen_seed = loaded.fleet.seed if seed is None else seed
    names = tuple(site.name for site in loaded.fleet.sites)
    seeds = [site_seed(chosen_seed, name) for name in names]
    stream = build_fleet_jobs(loaded, chosen_seed, jobs)
    routed, moves = _route(loaded, seeds, stream, policy)
    tables, rows = zip(
        *(
            jobs_at_site(stream, moves.arrival_s, np.flatnonzero(routed.site == site))
            for site in range(len(names))
        ),
        strict=True,
    )
    runs = tuple(
        simulate(
            hall.scenario,
            its_seed,
            base_dir=hall.base_dir,
            guards=guards,
            profiles=stream.profiles,
            jobs=table,
        )
        for hall, its_seed, table in zip(loaded.sites, seeds, tables, strict=True)
    )
    columns = _job_columns(stream, names, routed, moves, rows, runs)
    result = _result(loaded, chosen_seed, policy.name, names, runs, columns)
    return FleetRun(result, tables)


def site_seed(seed: int, name: str) -> int:
    """Return the seed of one site's run: sites of one fleet draw from different streams.

    >>> site_seed(0, "oregon") == site_seed(0, "dublin")
    False
    """
    return zlib.crc32(f"{seed}/{name}".encode())


@dataclass(frozen=True, slots=True)
class _Moves:
    """What became of the transfers: (N,) a job."""

    arrival_s: Floats
    """When a job and all its data are at its site."""
    transfer_s: Floats
    carbon_kg: Floats


def _route(
    loaded: LoadedFleet, seeds: Sequence[int], jobs: FleetJobs, policy: RoutingPolicy
) -> tuple[Routed, _Moves]:
    """Send every job somewhere, and its data after it."""
    fleet = loaded.fleet
    sites = [
        make_site(hall, site.name, number, jobs, fleet.horizon_s, seed)
        for number, (hall, site, seed) in enumerate(zip(loaded.sites, fleet.sites, seeds, strict=True))
    ]
    wan = Wan(fleet, luggage_of(fleet, jobs, loaded.sites[0].scenario))
    feedback = None
    if fleet.feedback_every_s is not None:
        feedback = Feedback(loaded.sites, seeds, jobs, sites, wan, fleet.feedback_every_s)
    routed = route(jobs, sites, wan, policy, feedback)
    return routed, _moves(jobs, sites, wan, routed, fleet.horizon_s)


def _moves(jobs: FleetJobs, sites: Sequence[FleetSite], wan: Wan, routed: Routed, horizon_s: float) -> _Moves:
    """Move the data of all jobs under fair sharing, and count its carbon over the time it took."""
    submit_s = jobs.table.submit_s
    arrival_s, transfer_s, carbon_kg = submit_s.copy(), np.zeros(len(submit_s)), np.zeros(len(submit_s))
    away = np.flatnonzero(routed.transfer >= 0)
    if len(away):
        ends_s, ready_s = wan.arrivals_s()
        transfer = routed.transfer[away]
        arrival_s[away] = np.maximum(ready_s[transfer], submit_s[away])
        transfer_s[away] = ends_s[transfer] - submit_s[away]
        for row in away[routed.energy_j[away] > 0.0].tolist():
            begins_s = float(submit_s[row])
            ended_s = min(begins_s + float(transfer_s[row]), max(begins_s, horizon_s))
            ends = (sites[int(routed.site[row])], sites[int(jobs.home[row])])
            mean = 0.5 * sum(end.outlook.carbon.mean(begins_s, ended_s) for end in ends)
            carbon_kg[row] = routed.energy_j[row] * mean
    return _Moves(arrival_s, transfer_s, carbon_kg)


def _job_columns(
    jobs: FleetJobs,
    names: tuple[str, ...],
    routed: Routed,
    moves: _Moves,
    rows: Sequence[Ints],
    runs: Sequence[RunResult],
) -> Arrays:
    """Return the columns of `FLEET_JOBS`."""
    table = jobs.table
    order = np.concatenate(rows)
    of_runs = {
        name: np.concatenate([run.jobs[name] for run in runs])[np.argsort(order)]
        for name in ("status", "start_s", "end_s", "jct_s", "energy_j", "accelerators")
    }
    completed = np.isfinite(of_runs["jct_s"])
    at = np.array(names, dtype=object)
    return {
        "job_id": np.array(table.job_id, dtype=object),
        "tenant": np.array(table.texts("tenant"), dtype=object),
        "home": at[jobs.home],
        "site": at[routed.site],
        "status": of_runs["status"],
        "submit_s": table.submit_s,
        "arrival_s": moves.arrival_s,
        "start_s": of_runs["start_s"],
        "end_s": of_runs["end_s"],
        "wait_s": of_runs["start_s"] - table.submit_s,
        "jct_s": np.where(completed, of_runs["end_s"] - table.submit_s, np.nan),
        "accelerators": of_runs["accelerators"],
        "deadline_s": table.deadline_s,
        "energy_j": of_runs["energy_j"],
        "transfer_bytes": routed.size_bytes,
        "transfer_s": moves.transfer_s,
        "transfer_energy_j": routed.energy_j,
        "transfer_carbon_kg": moves.carbon_kg,
        "transfer_cost_usd": routed.cost_usd,
        "estimated_arrival_s": routed.estimated_arrival_s,
        "estimated_start_s": routed.estimated_start_s,
        "estimated_run_s": routed.estimated_run_s,
    }


def _result(
    loaded: LoadedFleet,
    seed: int,
    routing: str,
    names: tuple[str, ...],
    runs: tuple[RunResult, ...],
    columns: Arrays,
) -> FleetResult:
    horizon_s = loaded.fleet.horizon_s
    parts = [{c.name: float(run.summary[c.name]) for c in ADDITIVE} for run in runs]
    site_rows = []
    for name, part in zip(names, parts, strict=True):
        mine = {key: values[columns["site"] == name] for key, values in columns.items()}
        site_rows.append(jobs_row(mine, part, horizon_s))
    network = {
        "energy_it_j": 0.0,
        "energy_facility_j": math.fsum(columns["transfer_energy_j"].tolist()),
        "carbon_kg": math.fsum(columns["transfer_carbon_kg"].tolist()),
        "cost_usd": math.fsum(columns["transfer_cost_usd"].tolist()),
        "water_l": 0.0,
    }
    total = jobs_row(columns, add_up(parts, network), horizon_s)
    # The network between sites is no part of any hall.
    total["pue"] = pue(
        *(math.fsum(part[name] for part in parts) for name in ("energy_facility_j", "energy_it_j"))
    )
    told: dict[str, list[str]] = {}
    for name, run in zip(names, runs, strict=True):
        for text in run.warnings:
            told.setdefault(text, []).append(name)
    warnings = [f"{', '.join(where)}: {text}" for text, where in told.items()]
    off_s = float(total["wait_estimate_error_s"])
    if loaded.fleet.feedback_every_s is None and off_s > _FAR_OFF_S:
        shown = format_quantity(off_s, Quantity.DURATION)
        warnings.append(f"routing: starts were {shown} off what the router expected; give `feedback_every_s`")
    return FleetResult(
        fleet_name=loaded.fleet.name,
        fleet_sha256=fleet_sha256(loaded),
        seed=seed,
        routing=routing,
        site_names=names,
        runs=runs,
        jobs=columns,
        sites=tuple(site_rows),
        network=network,
        total=total,
        warnings=tuple(warnings),
    )
