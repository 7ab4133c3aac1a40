"""Geographic shifting against sums done by hand: the least that jobs can emit, site by site and hour by hour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from dcsim.rng import stream
from dcsim.simulation.fleet_run import simulate_fleet
from dcsim.workload.jobs import job_table
from tests.oracles.figures import Figures
from tests.simulation.fleets import COP, JOB_W, fleet, router, site

SITES = ("california", "germany", "singapore")
HORIZON_S = 6 * 86_400.0
SIZE_BYTES, PER_BYTE_J = 1e9, 2e-5
COUNT = 300


def kg_per_j(repository: Path, name: str) -> np.ndarray:
    """The 24 hourly intensities of a site of scenarios/three_sites."""
    text = (repository / f"scenarios/three_sites/{name}.yaml").read_text(encoding="utf-8")
    rows = yaml.safe_load(text)["grid"]["carbon"]["intensity_kg_per_j"]
    return np.array([float(row.split()[0]) for row in rows]) / 3.6e9


def mean_by_hand(day: np.ndarray, from_s: float, to_s: float) -> float:
    """The mean of a daily shape, hour by hour."""
    first, last = int(from_s // 3600), int(np.ceil(to_s / 3600))
    parts = [
        day[hour % 24] * (min(to_s, 3600.0 * (hour + 1)) - max(from_s, 3600.0 * hour))
        for hour in range(first, last)
    ]
    return float(sum(parts)) / (to_s - from_s)


def jobs_of_three_homes():
    draw = stream(11, "oracle", "fleet")
    submit_s = np.sort(draw.uniform(0.0, 4 * 86_400.0, COUNT))
    duration_s = draw.uniform(600.0, 36_000.0, COUNT)
    tenants = [f"t{home}" for home in draw.integers(0, 3, COUNT).tolist()]
    return job_table(submit_s=submit_s, duration_s=duration_s, accelerators=4, tenant=tenants)


def test_follow_the_sun_saves_what_perfect_foresight_of_each_run_would(
    figure: Figures, repository: Path
) -> None:
    days = [kg_per_j(repository, name) for name in SITES]
    halls = {
        name: site(servers=400, grid={"carbon": {"kind": "daily", "intensity_kg_per_j": day.tolist()}})
        for name, day in zip(SITES, days, strict=True)
    }
    loaded = fleet(
        halls,
        horizon_s=HORIZON_S,
        tenants=[{"name": f"t{i}", "home": name} for i, name in enumerate(SITES)],
        data={"job_bytes": SIZE_BYTES},
        wan={"latency_s": 0.0, "bandwidth_bytes_per_s": 1e15, "energy_j_per_byte": PER_BYTE_J},
    )
    jobs = jobs_of_three_homes()
    home_kg, least_kg = [], []
    for submit_s, duration_s, tenant in zip(
        jobs.submit_s, jobs.duration_s, jobs.texts("tenant"), strict=True
    ):
        home = int(tenant[1:])
        energy_j = JOB_W * (1.0 + 1.0 / COP) * duration_s
        moved_j = SIZE_BYTES * PER_BYTE_J
        emitted = []
        for number, day in enumerate(days):
            run_kg = energy_j * mean_by_hand(day, submit_s, submit_s + duration_s)
            ends = 0.5 * (day[int(submit_s // 3600) % 24] + days[home][int(submit_s // 3600) % 24])
            emitted.append(run_kg + (moved_j * ends if number != home else 0.0))
        home_kg.append(emitted[home])
        least_kg.append(min(emitted))
    ceiling_kg = sum(home_kg) - sum(least_kg)
    at_home = simulate_fleet(loaded, jobs=jobs).result.total["carbon_kg"]
    saved = {}
    for name in ("cleanest", "cheapest", "follow_the_sun", "load_balance"):
        saved[name] = (
            at_home - simulate_fleet(loaded, jobs=jobs, routing=router(name)).result.total["carbon_kg"]
        )
    figure.equal(
        "carbon saved by follow_the_sun, kg, with room everywhere",
        saved["follow_the_sun"],
        ceiling_kg,
        1e-6,
        "least over the sites of each job's own sum, transfer included",
    )
    for name in ("cleanest", "cheapest", "load_balance"):
        figure.at_most(
            f"carbon saved by {name}, kg", saved[name], ceiling_kg * (1.0 + 1e-6), "the same ceiling"
        )
    figure.tell("part of the jobs' carbon saved", ceiling_kg / sum(home_kg), "of what they emit at home")
