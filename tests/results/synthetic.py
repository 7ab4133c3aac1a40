"""Small made-up runs with the shape of real ones, for tests of everything after the simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.results import schema
from dcsim.results.links import ListedLinks
from dcsim.results.metrics import summary_row
from dcsim.results.run_result import RunResult
from dcsim.rng import stream
from dcsim.spec.cluster import ClusterSpec, RackSpec, ServerSpec
from dcsim.spec.policy import PolicyChoice, PolicySpec
from dcsim.spec.scenario import Scenario
from dcsim.spec.workload import GeneratedWorkloadSpec, JobKindSpec

SERVERS = 8
DEVICES_PER_SERVER = 4
KINDS = ("submit", "start", "end")
SPEED = {"first_fit": 1.0, "spread": 1.25, "best_fit": 0.98}
POWER = {"none": 1.0, "power_cap": 0.8, "sleep_idle": 0.9}


def make_scenario(
    name: str = "synthetic", placement: str = "first_fit", energy: str = "none", jobs: int = 40
) -> Scenario:
    """Return a valid scenario of 8 servers of 4 accelerators."""
    rack = RackSpec(
        name="rack", count=2, servers=(ServerSpec(count=4, accelerator="A100-80", accelerators=4),)
    )
    return Scenario(
        name=name,
        cluster=ClusterSpec(racks=(rack,)),
        workload=GeneratedWorkloadSpec(jobs=jobs, mix=(JobKindSpec(profile="digits-mlp"),)),
        policies=PolicySpec(placement=PolicyChoice(name=placement), energy=PolicyChoice(name=energy)),
    )


def make_jobs(seed: int, count: int, speed: float, unfinished: int = 0) -> dict[str, Any]:
    """Return a job table; the last `unfinished` jobs never start."""
    draws = stream(seed, "synthetic")
    submit = np.sort(draws.uniform(0.0, 4_000.0, count))
    wait = draws.exponential(60.0, count) * speed
    run = draws.lognormal(6.0, 1.0, count) * speed
    start, end = submit + wait, submit + wait + run
    if unfinished:
        start[-unfinished:] = end[-unfinished:] = np.nan
    waiting = np.isnan(start)
    status = np.where(waiting, "waiting", "completed").astype(object)
    return {
        "job_id": np.array([f"job-{i:05d}" for i in range(count)], dtype=object),
        "tenant": _cycle(("ada", "grace"), count),
        "profile": _cycle(("digits-mlp", ""), count),
        "status": status,
        "submit_s": submit,
        "eligible_s": submit.copy(),
        "start_s": start,
        "end_s": end,
        "wait_s": start - submit,
        "jct_s": end - submit,
        "ideal_s": run / 1.1,
        "accelerators": draws.integers(1, 5, count).astype(np.int32),
        "servers": np.ones(count, dtype=np.int32),
        "racks": np.ones(count, dtype=np.int32),
        "first_server": np.where(waiting, -1, draws.integers(0, SERVERS, count)).astype(np.int32),
        "power_cap_fraction": np.ones(count),
        "energy_j": run * 300.0,
        **make_parts(np.where(waiting, 0.0, run * 300.0)),
        "steps": np.where(waiting, 0.0, run * 10.0),
        "network_bytes": np.zeros(count),
        "input_bytes": run * 1e6,
        "attempts": np.where(waiting, 0, 1).astype(np.int32),
        "deadline_s": np.full(count, np.nan),
        **{
            f"{name}_accelerator_s": np.zeros(count)
            for name in ("checkpoint", "restore", "redone", "stalled", "waiting")
        },
        "productive_accelerator_s": np.where(waiting, 0.0, run),
        **make_times(waiting, wait, run),
        "extrapolated": np.arange(count) % 7 == 0,
    }


def make_parts(energy_j: npt.NDArray[Any]) -> dict[str, Any]:
    """Return what jobs answer for at the meter of `make_series`: the same of each joule of IT energy."""
    return {
        "facility_energy_j": 1.25 * energy_j,
        "carbon_kg": 1.25 * energy_j * 0.3 / 3.6e6,
        "cost_usd": 1.25 * energy_j * 0.1 / 3.6e6,
        "water_l": energy_j * 1e-7,
    }


def make_account(series: dict[str, Any], jobs: dict[str, Any]) -> dict[str, float]:
    """Return the account of a series and a job table: what the plant's parts took, and what is left to nobody.

    It has neither sun nor battery nor contracts, and no room with racks.
    """
    width = series["duration_s"]
    it = float(np.sum(series["it_power_w"] * width))
    carbon = float(np.sum(series["carbon_kg_per_s"] * width))
    cost = float(np.sum(series["cost_usd_per_s"] * width))
    row = dict.fromkeys((column.name for column in schema.ACCOUNT), 0.0)
    parts = {"air_mover": 0.06, "compressor": 0.1, "pump": 0.02, "tower_fan": 0.02, "loss": 0.05}
    row |= {f"energy_{name}_j": share * it for name, share in parts.items()}
    row |= {"energy_it_j": it, "energy_cooling_j": 0.2 * it, "energy_facility_j": 1.25 * it}
    row |= {"energy_import_j": 1.25 * it, "heat_removed_j": it, "heat_rejected_j": 1.1 * it}
    row |= {"pue": 1.25, "ppue_cooling": 1.2, "ppue_power": 1.05, "erf": 0.0, "ere": 1.25, "iteu_sv": 0.4}
    row |= {"water_l": it * 1e-7, "evaporated_l": it * 0.8e-7, "wue_l_per_j": 1e-7}
    row |= {"carbon_kg": carbon, "cue_kg_per_j": carbon / it, "carbon_embodied_kg": 0.25 * carbon}
    row |= dict.fromkeys(("carbon_market_kg", "carbon_marginal_kg", "carbon_lifecycle_kg"), np.nan)
    row |= {"cost_usd": cost, "cost_energy_usd": 0.8 * cost, "cost_demand_usd": 0.2 * cost}
    row |= {"peak_facility_w": float(series["facility_power_w"].max()), "free_cooling_fraction": 0.25}
    row |= {"peak_import_w": row["peak_facility_w"], "peak_hall_deg_c": 31.0, "hottest_inlet_deg_c": np.nan}
    totals = {
        "facility_energy_j": 1.25 * it,
        "carbon_kg": carbon,
        "cost_usd": cost,
        "water_l": row["water_l"],
    }
    return row | {f"unattributed_{name}": total - float(jobs[name].sum()) for name, total in totals.items()}


def make_times(
    waiting: npt.NDArray[np.bool_], wait: npt.NDArray[Any], run: npt.NDArray[Any]
) -> dict[str, Any]:
    """Return where the time of jobs went: most of it computing, a tenth lost to shared links."""
    parts = {
        "queue_s": wait,
        "compute_s": 0.7 * run,
        "communication_s": 0.2 * run,
        "network_stall_s": 0.1 * run,
    }
    nothing = np.zeros(len(run))
    return {column.name: np.where(waiting, 0.0, parts.get(column.name, nothing)) for column in schema.TIMES}


def make_traffic(end_s: float, bins: int) -> dict[str, Any]:
    """Return tables of links and tiers, and what they count on: two tiers, waves of traffic, one link idle."""
    edges = np.linspace(0.0, end_s, bins + 1)
    width = np.diff(edges)
    names = (*(f"server {s} up" for s in range(SERVERS)), "rack 0 up", "rack 1 up", "shared file system")
    tiers = ("server",) * SERVERS + ("rack",) * 2 + ("storage",)
    capacity = np.array([1e9] * SERVERS + [2e9] * 2 + [5e9])
    load = np.abs(np.sin(np.arange(len(names))[:, None] + np.linspace(0.0, 6.0, bins)))
    load[1] = 0.0
    carried = np.round(load * capacity[:, None] * width)
    link, bin_ = np.nonzero(carried)
    of_tier = {tier: carried[[t == tier for t in tiers]].sum(axis=0) for tier in dict.fromkeys(tiers)}
    shares = {"ada": 0.25, "grace": 0.75}
    rows = [(tier, tenant, b) for tier in of_tier for tenant in shares for b in range(bins)]
    return {
        "links": {
            "time_s": edges[:-1][bin_],
            "duration_s": width[bin_],
            "link": link.astype(np.int32),
            "bytes": carried[link, bin_],
        },
        "tiers": {
            "time_s": np.array([edges[b] for _, _, b in rows]),
            "duration_s": np.array([width[b] for _, _, b in rows]),
            "tier": np.array([tier for tier, _, _ in rows], dtype=object),
            "tenant": np.array([tenant for _, tenant, _ in rows], dtype=object),
            "bytes": np.array([of_tier[tier][b] * shares[tenant] for tier, tenant, b in rows]),
            "capacity_bytes_per_s": np.array(
                [capacity[[t == tier for t in tiers]].sum() for tier, _, _ in rows]
            ),
            "unit": np.array(["B"] * len(rows), dtype=object),
        },
        "listed_links": ListedLinks(names, tiers, capacity),
    }


def _cycle(words: tuple[str, ...], count: int) -> npt.NDArray[np.object_]:
    return np.array([words[i % len(words)] for i in range(count)], dtype=object)


def make_series(end_s: float, power: float, bins: int) -> dict[str, Any]:
    """Return a series table of equal bins over [0, end_s]."""
    edges = np.linspace(0.0, end_s, bins + 1)
    it = 20e3 * power * (1.0 + 0.3 * np.sin(edges[:-1] / 900.0))
    intensity = (0.3 + 0.1 * np.sin(edges[:-1] / 4_000.0)) / 3.6e6
    flat = np.ones(bins)
    return {
        "time_s": edges[:-1],
        "duration_s": np.diff(edges),
        "it_power_w": it,
        "cooling_power_w": 0.2 * it,
        "loss_power_w": 0.05 * it,
        "facility_power_w": 1.25 * it,
        "pue": 1.25 * flat,
        "carbon_kg_per_s": 1.25 * it * intensity,
        "carbon_intensity_kg_per_j": intensity,
        "price_usd_per_j": 0.1 / 3.6e6 * flat,
        "cost_usd_per_s": 1.25 * it * 0.1 / 3.6e6,
        "water_l_per_s": it * 1e-7,
        "import_power_w": 1.25 * it,
        "solar_power_w": 0.0 * flat,
        "battery_power_w": 0.0 * flat,
        "stored_j": 0.0 * flat,
        "supply_temperature_deg_c": 22.0 * flat,
        "hottest_inlet_deg_c": 22.0 * flat,
        "hall_temperature_deg_c": 30.0 * flat,
        "dry_bulb_deg_c": 20.0 * flat,
        "wet_bulb_deg_c": 14.0 * flat,
        "busy_accelerators": 16.0 * flat,
        "running_jobs": 8.0 * flat,
        "waiting_jobs": 2.0 * flat,
    }


def make_events(jobs: dict[str, Any]) -> dict[str, Any]:
    """Return submit, start and end events of a job table, in time order."""
    count = jobs["job_id"].size
    times = np.concatenate([jobs["submit_s"], jobs["start_s"], jobs["end_s"]])
    kinds = np.repeat(np.arange(3, dtype=np.int16), count)
    rows = np.tile(np.arange(count, dtype=np.int32), 3)
    known = np.isfinite(times)
    chosen = np.flatnonzero(known)[np.lexsort((rows[known], kinds[known], times[known]))]
    return {
        "time_s": times[chosen],
        "kind": kinds[chosen],
        "job": rows[chosen],
        "server": np.tile(jobs["first_server"], 3)[chosen],
        "value": np.zeros(chosen.size),
    }


def make_result(
    seed: int = 0,
    placement: str = "first_fit",
    energy: str = "none",
    *,
    count: int = 40,
    bins: int = 48,
    unfinished: int = 0,
    name: str = "synthetic",
    scenario_sha256: str = "0" * 64,
) -> RunResult:
    """Return a made-up run: the same arguments, the same arrays."""
    speed, power = SPEED.get(placement, 1.0), POWER.get(energy, 1.0)
    jobs = make_jobs(seed, count, speed / power**0.25, unfinished)
    end_s = float(np.nanmax(jobs["end_s"])) if count > unfinished else 3_600.0
    series = make_series(end_s, power, bins)
    account = make_account(series, jobs)
    return RunResult(
        scenario_name=name,
        scenario_sha256=scenario_sha256,
        seed=seed,
        ordering="fifo",
        placement=placement,
        energy=energy,
        jobs=jobs,
        events=make_events(jobs),
        series=series,
        summary=summary_row(
            jobs,
            account,
            placement=placement,
            energy=energy,
            seed=seed,
            accelerators=SERVERS * DEVICES_PER_SERVER,
            end_s=end_s,
        ),
        account=account,
        event_kinds=KINDS,
        server_names=tuple(f"rack-{r}/server-{s}" for r in range(2) for s in range(4)),
        server_racks=np.repeat(np.arange(2), 4).astype(np.int64),
        balances={"it_energy": 1e-15, "heat": 2e-15},
        provenance=(
            {
                "profile": "digits-mlp",
                "sha256": "a" * 64,
                "measured_on": "cpu-core",
                "used_on": "A100-80",
                "extrapolated": True,
                "why": ("other hardware: scaled by a roofline",),
            },
        ),
        warnings=("profile digits-mlp is extrapolated",),
        **make_traffic(end_s, bins),
    )
