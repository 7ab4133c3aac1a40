"""From the state at the end of a run to its result: tables, summary, balances, provenance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import GuardError
from dcsim.facility.meter import MeterResult
from dcsim.results.metrics import summary_row
from dcsim.results.run_result import RunResult
from dcsim.results.schema import JOBS, SERIES
from dcsim.simulation.bins import step_count_mean
from dcsim.simulation.cluster_run import ClusterRun
from dcsim.simulation.kinds import EVENT_KINDS, LogKind
from dcsim.spec import scenario_sha256

__all__ = ["BALANCE_TOLERANCE", "assemble"]

Arrays = dict[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float64]

BALANCE_TOLERANCE = 1e-9
"""Largest relative residual of a conservation check; above it the run is refused."""


def assemble(run: ClusterRun, metered: MeterResult, end_s: float, edges_s: Floats) -> RunResult:
    """Build the result of a finished run.

    Raises:
        GuardError: a balance does not close.
    """
    inputs = run.inputs
    scenario = inputs.scenario
    jobs = _jobs_table(run)
    events = run.log.columns()
    balances = dict(metered.balances)
    balances["job_energy"] = _attribution_residual(run, metered, events, end_s)
    _close(balances)
    share = inputs.jobs.accelerator_share
    started = np.isfinite(jobs["start_s"])
    held_s = np.nan_to_num(jobs["end_s"], nan=end_s) - np.where(started, jobs["start_s"], end_s)
    granted_s = math.fsum((np.where(started, held_s, 0.0) * jobs["accelerators"] * share).tolist())
    placement, energy = inputs.policies.placement.name, inputs.policies.energy.name
    return RunResult(
        scenario_name=scenario.name,
        scenario_sha256=scenario_sha256(scenario),
        seed=inputs.seed,
        ordering=inputs.policies.ordering.name,
        placement=placement,
        energy=energy,
        jobs=jobs,
        events=events,
        series=_series_table(jobs, share, metered, edges_s),
        summary=summary_row(
            jobs,
            _totals(metered),
            placement=placement,
            energy=energy,
            seed=inputs.seed,
            accelerators=inputs.fleet.accelerators,
            end_s=end_s,
            granted_s=granted_s,
        ),
        event_kinds=EVENT_KINDS,
        server_names=inputs.fleet.names,
        server_racks=inputs.fleet.rack,
        balances=balances,
        provenance=_provenance(run),
        warnings=_warnings(run, metered),
    )


def _totals(metered: MeterResult) -> dict[str, float]:
    names = ("energy_it_j", "energy_facility_j", "carbon_kg", "cost_usd", "water_l")
    return {name: float(getattr(metered, name)) for name in names}


def _jobs_table(run: ClusterRun) -> Arrays:
    inputs, jobs = run.inputs, run.inputs.jobs
    start_s, end_s = np.array(run.start_s), np.array(run.end_s)
    done, started = np.isfinite(end_s), np.isfinite(start_s)
    table: Arrays = {
        "job_id": np.array(jobs.job_id, dtype=object),
        "tenant": _coded(jobs.tenant_names, jobs.tenant),
        "profile": _coded(jobs.profile_names, jobs.profile),
        "status": np.select(
            [done, started, jobs.submit_s <= run.engine.now],
            ["completed", "running", "waiting"],
            "not submitted yet",
        ).astype(object),
        "submit_s": jobs.submit_s,
        "eligible_s": np.array(run.eligible_s),
        "start_s": start_s,
        "end_s": end_s,
        "wait_s": start_s - jobs.submit_s,
        "jct_s": end_s - jobs.submit_s,
        "ideal_s": inputs.ideal_s,
        "accelerators": jobs.accelerators.astype(np.int32),
        "servers": np.array(run.servers_used, dtype=np.int32),
        "racks": np.array(run.racks_used, dtype=np.int32),
        "first_server": np.array(run.first_server, dtype=np.int32),
        "power_cap_fraction": inputs.cap_fraction,
        "energy_j": np.array(run.energy_j),
        "network_bytes": np.array(run.network_bytes),
        "input_bytes": np.array(run.input_bytes),
        "extrapolated": np.frombuffer(bytes(run.extrapolated), dtype=np.bool_),
    }
    return {column.name: table[column.name] for column in JOBS}


def _coded(names: tuple[str, ...], codes: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Return dictionary-coded text; -1 is the empty text."""
    return np.array([*names, ""], dtype=object)[codes]


def _series_table(jobs: Arrays, share: Floats, metered: MeterResult, edges_s: Floats) -> Arrays:
    start_s, end_s, submit_s = jobs["start_s"], jobs["end_s"], jobs["submit_s"]
    started, done = np.isfinite(start_s), np.isfinite(end_s)
    devices = jobs["accelerators"] * share
    starts, ends = start_s[started], end_s[done]
    turns = np.concatenate([starts, ends])
    busy = step_count_mean(turns, np.concatenate([devices[started], -devices[done]]), edges_s)
    running = step_count_mean(turns, np.repeat([1.0, -1.0], [len(starts), len(ends)]), edges_s)
    lines = np.concatenate([submit_s, starts])
    waiting = step_count_mean(lines, np.repeat([1.0, -1.0], [len(submit_s), len(starts)]), edges_s)
    table: Arrays = {
        **metered.sample(),
        "time_s": edges_s[:-1],
        "duration_s": np.diff(edges_s),
        "busy_accelerators": np.maximum(busy, 0.0),
        "running_jobs": np.maximum(running, 0.0),
        "waiting_jobs": np.maximum(waiting, 0.0),
    }
    return {column.name: table[column.name] for column in SERIES}


def _attribution_residual(run: ClusterRun, metered: MeterResult, events: Arrays, end_s: float) -> float:
    """Return how far idle, sleep and job energies, summed apart, are from the metered IT energy."""
    fleet = run.fleet
    saving_w = fleet.idle_power_w - fleet.sleep_power_w
    kinds = events["kind"]
    asleep = np.flatnonzero(kinds == LogKind.SLEEP)
    woken = np.flatnonzero(kinds == LogKind.WAKE)
    saved_j = math.fsum((saving_w[events["server"][asleep]] * (end_s - events["time_s"][asleep])).tolist())
    saved_j -= math.fsum((saving_w[events["server"][woken]] * (end_s - events["time_s"][woken])).tolist())
    total_j = run.base_power_w * end_s - saved_j + math.fsum(run.energy_j)
    scale_j = max(abs(metered.energy_it_j), 1.0)
    return abs(total_j - metered.energy_it_j) / scale_j


def _close(balances: dict[str, float]) -> None:
    open_ones = {k: v for k, v in balances.items() if not v <= BALANCE_TOLERANCE}
    if open_ones:
        msg = f"balances do not close to {BALANCE_TOLERANCE:g}: {open_ones}"
        raise GuardError(msg)


def _provenance(run: ClusterRun) -> tuple[dict[str, Any], ...]:
    """Return one record for each profile that the jobs use."""
    inputs, records = run.inputs, []
    for number, name in enumerate(inputs.jobs.profile_names):
        loaded = inputs.costs.loaded(number)
        reasons = inputs.costs.reasons(number)
        records.append(
            {
                "profile": name,
                "sha256": loaded.sha256,
                "measured_on": loaded.profile.device,
                "measured_host": loaded.profile.provenance.host_cpu,
                "measured_utc": loaded.profile.provenance.created_utc,
                "used_on": inputs.costs.used_on(number),
                "extrapolated": bool(reasons),
                "reasons": list(reasons),
            }
        )
    return tuple(records)


def _warnings(run: ClusterRun, metered: MeterResult) -> tuple[str, ...]:
    inputs = run.inputs
    found = [*inputs.jobs.notes, *metered.warnings]
    for record in _provenance(run):
        found += [f"extrapolated: {reason}" for reason in record["reasons"]]
    if inputs.policies.energy.holds_jobs:
        found.append(f"{inputs.policies.energy.name} sees a perfect forecast of the carbon series")
    return tuple(dict.fromkeys(found))
