"""From the state at the end of a run to its result: tables, summary, balances, provenance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import GuardError
from dcsim.facility.embodied import embodied
from dcsim.facility.meter import MeterResult
from dcsim.results.metrics import summary_row
from dcsim.results.run_result import RunResult
from dcsim.results.schema import JOBS, SERIES
from dcsim.results.stored_energy import stored_energy_note
from dcsim.simulation.accounting_site import account_row, attributed
from dcsim.simulation.bins import step_count_mean
from dcsim.simulation.gangs import Gangs, gangs_of
from dcsim.simulation.kinds import EVENT_KINDS, LogKind
from dcsim.simulation.record import CANCELLED, TIMED_OUT, WALL, RunRecord
from dcsim.simulation.site_account import SiteAccount
from dcsim.simulation.traffic_log import Traffic
from dcsim.spec import scenario_sha256
from dcsim.spec.grid import PerfectForecastSpec

__all__ = ["BALANCE_TOLERANCE", "assemble"]

Arrays = dict[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float64]

BALANCE_TOLERANCE = 1e-9
"""Largest relative residual of a conservation check; above it the run is refused."""


def assemble(run: RunRecord, account: SiteAccount, end_s: float, edges_s: Floats) -> RunResult:
    """Build the result of a finished run.

    Args:
        run: what it wrote down.
        account: at the meter.
        end_s: end of the run.
        edges_s: (B + 1,) bins of the series.

    Raises:
        GuardError: a balance does not close.
    """
    inputs, metered = run.inputs, account.metered
    scenario = inputs.scenario
    events = run.log.columns()
    gangs = gangs_of(events)
    parts = attributed(run, account, gangs, events, end_s)
    jobs = _jobs_table(run, events["job"][gangs.row[gangs.release_row < 0]], parts)
    balances = dict(metered.balances)
    traffic = _traffic(run, edges_s)
    balances["job_energy"] = _attribution_residual(run, metered, events, end_s)
    balances["site_power"] = account.flows.residual()
    _close(balances)
    table = inputs.jobs
    occupancy = _Occupancy(events, gangs, table.accelerator_share, table.accelerators, end_s)
    placement, energy = inputs.policies.placement.name, inputs.policies.energy.name
    row = account_row(run, account, parts, occupancy.granted_core_s(_cores(run)))
    return RunResult(
        scenario_name=scenario.name,
        scenario_sha256=scenario_sha256(scenario),
        seed=inputs.seed,
        ordering=inputs.policies.ordering.name,
        placement=placement,
        energy=energy,
        jobs=jobs,
        events=events,
        series=_series_table(run, jobs, occupancy, account, edges_s),
        account=row,
        summary=summary_row(
            jobs,
            row,
            placement=placement,
            energy=energy,
            seed=inputs.seed,
            accelerators=inputs.fleet.accelerators,
            end_s=end_s,
            granted_s=occupancy.granted_accelerator_s(),
        ),
        event_kinds=EVENT_KINDS,
        server_names=inputs.fleet.names,
        server_racks=inputs.fleet.rack,
        balances=balances,
        provenance=_provenance(run),
        warnings=_warnings(run, account, row),
        links=traffic.links,
        tiers=traffic.tiers,
        listed_links=traffic.listed,
    )


def _traffic(run: RunRecord, edges_s: Floats) -> Traffic:
    """Return what crossed which links in each bin."""
    links = run.inputs.links
    return run.traffic.tables(
        edges_s,
        links.tiers,
        [bandwidth or math.inf for bandwidth in links.bandwidths],
        run.inputs.jobs.tenant_names,
        names=links.names,
        operations=links.operations,
    )


def _cores(run: RunRecord) -> Floats:
    """Return (N,) cores each job keeps busy: as asked, else the share that goes with its devices."""
    jobs, fleet = run.inputs.jobs, run.inputs.fleet
    with_devices = fleet.total > 0
    each = (fleet.cpu_cores[with_devices] / fleet.total[with_devices]).min(initial=math.inf)
    share = jobs.accelerators * jobs.accelerator_share
    return np.where(
        (jobs.cpu_cores > 0.0) | (share == 0.0), jobs.cpu_cores, share * min(each, fleet.cpu_cores.max())
    )


def _jobs_table(run: RunRecord, still_holding: npt.NDArray[Any], parts: Arrays) -> Arrays:
    """Return the job table.

    Args:
        run: what was written down.
        still_holding: rows of jobs that hold servers at the end.
        parts: of the facility, due to each job.
    """
    inputs, jobs = run.inputs, run.inputs.jobs
    start_s, end_s = np.array(run.start_s), np.array(run.end_s)
    outcome = np.frombuffer(bytes(run.outcome), dtype=np.uint8)
    over, holding = np.isfinite(end_s), np.zeros(len(end_s), dtype=bool)
    holding[still_holding] = True
    table: Arrays = {
        "job_id": np.array(jobs.job_id, dtype=object),
        "tenant": _coded(jobs.tenant_names, jobs.tenant),
        "profile": _coded(jobs.profile_names, jobs.profile),
        "status": np.select(
            [outcome == TIMED_OUT, outcome == CANCELLED, over, holding, jobs.submit_s <= run.now_s],
            ["timed out", "cancelled", "completed", "running", "waiting"],
            "not submitted yet",
        ).astype(object),
        "submit_s": jobs.submit_s,
        "eligible_s": np.array(run.eligible_s),
        "start_s": start_s,
        "end_s": end_s,
        "wait_s": start_s - jobs.submit_s,
        "jct_s": np.where(outcome == 0, end_s - jobs.submit_s, np.nan),
        "ideal_s": inputs.ideal_s,
        "accelerators": jobs.accelerators.astype(np.int32),
        "servers": np.array(run.servers_used, dtype=np.int32),
        "racks": np.array(run.racks_used, dtype=np.int32),
        "first_server": np.array(run.first_server, dtype=np.int32),
        "power_cap_fraction": np.array(run.cap_fraction),
        "energy_j": np.array(run.energy_j),
        **parts,
        "steps": np.array(run.steps_done),
        "network_bytes": np.array(run.network_bytes),
        "input_bytes": np.array(run.input_bytes),
        "attempts": np.array(run.attempts, dtype=np.int32),
        "deadline_s": jobs.deadline_s,
        "productive_accelerator_s": np.array(run.productive),
        "checkpoint_accelerator_s": np.array(run.checkpoint),
        "restore_accelerator_s": np.array(run.restore),
        "redone_accelerator_s": np.array(run.redone),
        "stalled_accelerator_s": np.array(run.stalled),
        "waiting_accelerator_s": np.array(run.waiting),
        "extrapolated": np.frombuffer(bytes(run.extrapolated), dtype=np.bool_),
        **{name: np.array(getattr(run, name)) for name in WALL},
    }
    return {column.name: table[column.name] for column in JOBS}


def _coded(names: tuple[str, ...], codes: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Return dictionary-coded text; -1 is the empty text."""
    return np.array([*names, ""], dtype=object)[codes]


def _hottest_inlet(run: RunRecord, account: SiteAccount, edges_s: Floats) -> Floats:
    """Return (B,) the mean temperature of air into the hottest rack; supply air without a room."""
    heat = run.heat
    if heat is None or not len(heat.log_time_s):
        return account.metered.bins["supply_temperature_deg_c"]
    hottest = np.array(heat.log_hottest_deg_c)
    return step_count_mean(np.array(heat.log_time_s), np.diff(hottest, prepend=0.0), edges_s)


def _series_table(
    run: RunRecord, jobs: Arrays, occupancy: _Occupancy, account: SiteAccount, edges_s: Floats
) -> Arrays:
    submit_s, over_s = jobs["submit_s"], jobs["end_s"]
    turns, change = occupancy.devices()
    busy = step_count_mean(turns, change, edges_s)
    grants_s, releases_s = occupancy.grant_s, occupancy.release_s
    begun = np.concatenate([grants_s, releases_s])
    running = step_count_mean(begun, np.repeat([1.0, -1.0], [len(grants_s), len(releases_s)]), edges_s)
    # Who never started and is over was cancelled: it waited until then.
    dropped_s = over_s[np.isfinite(over_s) & ~np.isfinite(jobs["start_s"])]
    lines = np.concatenate([submit_s, occupancy.preempted_s, grants_s, dropped_s])
    joins = len(submit_s) + len(occupancy.preempted_s)
    leaves = len(grants_s) + len(dropped_s)
    waiting = step_count_mean(lines, np.repeat([1.0, -1.0], [joins, leaves]), edges_s)
    table: Arrays = {
        **account.metered.sample(),
        **account.bin_rates(),
        "hottest_inlet_deg_c": _hottest_inlet(run, account, edges_s),
        "time_s": edges_s[:-1],
        "duration_s": np.diff(edges_s),
        "busy_accelerators": np.maximum(busy, 0.0),
        "running_jobs": np.maximum(running, 0.0),
        "waiting_jobs": np.maximum(waiting, 0.0),
    }
    return {column.name: table[column.name] for column in SERIES}


class _Occupancy:
    """Who held what and when, from the log of events.

    Args:
        events: columns of the log.
        gangs: of that log.
        share: (N,) part of a device that each job takes of its one.
        accelerators: (N,) devices that each job asked for.
        end_s: end of the run.
    """

    def __init__(
        self, events: Arrays, gangs: Gangs, share: Floats, accelerators: npt.NDArray[np.int64], end_s: float
    ) -> None:
        kind, job, time_s = events["kind"], events["job"], events["time_s"]
        self._end_s = end_s
        self._width, self._job = gangs.width, job[gangs.row]
        self._asked = np.maximum(accelerators[self._job], 1)
        self.grant_s = time_s[gangs.row]
        self._granted = gangs.width * share[job[gangs.row]]
        freed = gangs.release_row >= 0
        self._freed_at = np.flatnonzero(freed)
        self.release_s = time_s[gangs.release_row[freed]]
        self._freed = self._granted[freed]
        self.preempted_s = time_s[kind == LogKind.PREEMPT]

    def devices(self) -> tuple[Floats, Floats]:
        """Return when the number of devices held changes, and by how much."""
        return np.concatenate([self.grant_s, self.release_s]), np.concatenate([self._granted, -self._freed])

    def granted_core_s(self, cores: Floats) -> float:
        """Return the core-seconds granted until the end of the run; an elastic gang's go with its width.

        Args:
            cores: (N,) of each job at the width it asked for.
        """
        until_s = np.full(len(self.grant_s), self._end_s)
        until_s[self._freed_at] = self.release_s
        scale = np.where(self._width > 0, self._width / self._asked, 1.0)
        return math.fsum(((until_s - self.grant_s) * cores[self._job] * scale).tolist())

    def granted_accelerator_s(self) -> float:
        """Return the accelerator-seconds granted until the end of the run."""
        given = (self._end_s - self.grant_s) * self._granted
        returned = (self._end_s - self.release_s) * self._freed
        return math.fsum([*given.tolist(), *(-returned).tolist()])


def _attribution_residual(run: RunRecord, metered: MeterResult, events: Arrays, end_s: float) -> float:
    """Return how far idle, sleep, boot and job energies, summed apart, are from the metered IT energy."""
    fleet = run.inputs.fleet
    specs = [kind.spec for kind in fleet.types]
    kind_of = np.array(fleet.type_of, dtype=np.int64)
    boots_w = [
        kind.idle_power_w if kind.spec.boot_power_w is None else kind.spec.boot_power_w
        for kind in fleet.types
    ]
    saving_w, boot_w = (
        fleet.idle_power_w - fleet.sleep_power_w,
        np.array(boots_w)[kind_of] - fleet.idle_power_w,
    )
    sleep_latency_s = np.array([spec.sleep_latency_s for spec in specs])[kind_of]
    wake_latency_s = np.array([spec.wake_latency_s for spec in specs])[kind_of]
    kinds, servers, times = events["kind"], events["server"], events["time_s"]
    asleep, woken = servers[kinds == LogKind.SLEEP], servers[kinds == LogKind.WAKE]
    from_s = times[kinds == LogKind.SLEEP] + sleep_latency_s[asleep]
    awake_s = times[kinds == LogKind.WAKE] + events["value"][kinds == LogKind.WAKE]
    boots_s = awake_s - wake_latency_s[woken]
    saved_j = math.fsum((saving_w[asleep] * np.maximum(end_s - from_s, 0.0)).tolist())
    saved_j -= math.fsum((saving_w[woken] * np.maximum(end_s - boots_s, 0.0)).tolist())
    booting_s = np.minimum(awake_s, end_s) - np.minimum(boots_s, end_s)
    saved_j -= math.fsum((boot_w[woken] * booting_s).tolist())
    total_j = run.base_power_w * end_s - saved_j + math.fsum(run.energy_j)
    total_j += run.heat.extra_energy_j(end_s) if run.heat is not None else 0.0
    scale_j = max(abs(metered.energy_it_j), 1.0)
    return abs(total_j - metered.energy_it_j) / scale_j


def _close(balances: dict[str, float]) -> None:
    open_ones = {k: v for k, v in balances.items() if not v <= BALANCE_TOLERANCE}
    if open_ones:
        msg = f"balances do not close to {BALANCE_TOLERANCE:g}: {open_ones}"
        raise GuardError(msg)


def _provenance(run: RunRecord) -> tuple[dict[str, Any], ...]:
    """Return one record for each profile that the jobs use."""
    inputs, records = run.inputs, []
    for number, name in enumerate(inputs.jobs.profile_names):
        reasons = inputs.costs.reasons(number)
        records.append(
            {
                "profile": name,
                **inputs.costs.origin(number),
                "used_on": inputs.costs.used_on(number),
                "extrapolated": bool(reasons),
                "reasons": list(reasons),
            }
        )
    return tuple(records)


def _warnings(run: RunRecord, account: SiteAccount, row: dict[str, float]) -> tuple[str, ...]:
    inputs, stored = run.inputs, stored_energy_note(row)
    found = [
        *inputs.jobs.notes,
        *account.metered.warnings,
        *account.notes,
        *run.notes,
        *embodied(inputs.scenario).notes,
        *([] if stored is None else [stored]),
    ]
    if run.tree is not None:
        found += run.tree.notes()
    if run.hall is not None:
        found += run.hall.notes()
    for record in _provenance(run):
        found += [f"extrapolated: {reason}" for reason in record["reasons"]]
    if isinstance(inputs.scenario.grid.forecast, PerfectForecastSpec):
        found += [
            f"{policy.name} sees a perfect forecast of the grid (grid.forecast)"
            for policy in (inputs.policies.energy, inputs.policies.battery)
            if policy.reads_forecast
        ]
    return tuple(dict.fromkeys(found))
