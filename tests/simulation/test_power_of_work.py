"""What jobs draw in runs: under caps, at their own measured power, and on servers whose parts are told."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest

from dcsim.facility.cap_curve import response
from dcsim.facility.catalogue_data import MEASURED_CURVES
from dcsim.workload.jobs import JobTable, job_table
from dcsim.workload.profile import EnergyMeasurement
from tests.simulation.conftest import round_profile
from tests.simulation.halls import DEVICE_IDLE_W, DEVICE_PEAK_W, IDLE_W, PEAK_W, hall, run

CORES_W = PEAK_W - IDLE_W
CURVE = MEASURED_CURVES["V100"]
"""Of accelerators that users add."""


def _capped(cap: float) -> dict[str, Any]:
    return {"energy": {"name": "power_cap", "parameters": {"cap_fraction": cap}}}


def _job(**columns: Any) -> JobTable:
    made: dict[str, Any] = {
        "submit_s": 0.0,
        "steps": 10.0,
        "accelerators": 1,
        "profile": "round",
        "duration_s": math.nan,
    }
    return job_table(**(made | columns))


def _profiles(power_w: float | None, overhead_s: float = 0.5) -> Any:
    """Return profile "round", 1 s a step alone, with a power and an overhead."""
    energy = EnergyMeasurement(energy_per_step_j=None, method="by hand", power_w=power_w)
    (profile,) = round_profile().values()
    fit = profile.profile.fit.model_copy(
        update={"overhead_s": overhead_s, "per_sample_s": (1.0 - overhead_s) / 8}
    )
    return round_profile(energy=energy, fit=fit)


def test_a_measured_power_takes_the_place_of_the_peak() -> None:
    profiles, spec = _profiles(250.0), hall(servers=1, devices=1)
    result = run(spec, _job(), profiles=profiles)
    seconds = float(result.jobs["end_s"][0])
    assert result.jobs["energy_j"].tolist() == pytest.approx([seconds * (250.0 - DEVICE_IDLE_W + CORES_W)])
    unknown = run(spec, _job(), profiles=_profiles(None))
    assert unknown.jobs["end_s"].tolist() == result.jobs["end_s"].tolist()
    assert unknown.jobs["energy_j"].tolist() == pytest.approx(
        [seconds * (DEVICE_PEAK_W - DEVICE_IDLE_W + CORES_W)]
    )


@pytest.mark.parametrize("overhead_s", [0.0, 0.5])
@pytest.mark.parametrize("power_w", [200.0, 400.0, None])
def test_a_cap_slows_by_the_power_and_the_overhead_of_the_work(
    power_w: float | None, overhead_s: float
) -> None:
    profiles = _profiles(power_w, overhead_s)
    spec = hall(servers=1, devices=1, policies=_capped(0.6))
    result = run(spec, _job(), profiles=profiles)
    part = 1.0 if power_w is None else power_w / DEVICE_PEAK_W
    speed, power = response(CURVE, 0.6, power_fraction=part, overhead_fraction=overhead_s)
    seconds = 10.0 / float(speed)
    assert result.jobs["end_s"].tolist() == pytest.approx([seconds])
    assert result.jobs["throttled_s"].tolist() == pytest.approx([seconds - 10.0], abs=1e-9)
    drawn_w = float(power) * DEVICE_PEAK_W - DEVICE_IDLE_W + CORES_W
    assert result.jobs["energy_j"].tolist() == pytest.approx([seconds * drawn_w])


def test_work_that_draws_less_than_the_cap_is_not_slowed() -> None:
    spec = hall(servers=1, devices=1)
    free = run(spec, _job(), profiles=_profiles(140.0))
    capped = run(hall(servers=1, devices=1, policies=_capped(0.6)), _job(), profiles=_profiles(140.0))
    assert capped.jobs["end_s"].tolist() == free.jobs["end_s"].tolist()
    assert capped.jobs["energy_j"].tolist() == pytest.approx(free.jobs["energy_j"].tolist(), rel=1e-12)


@pytest.mark.parametrize("cap", [0.4, 0.55, 0.7, 1.0])
def test_energy_lies_between_idle_and_peak(cap: float) -> None:
    jobs = job_table(submit_s=[0.0, 5.0, 9.0], duration_s=[50.0, 20.0, 70.0], accelerators=[4, 2, 3])
    result = run(hall(policies=_capped(cap)), jobs)
    seconds = (
        result.summary["duration_s"] if "duration_s" in result.summary else float(result.jobs["end_s"].max())
    )
    idle_w = 2 * (IDLE_W + 4 * DEVICE_IDLE_W)
    peak_w = 2 * (PEAK_W + 4 * DEVICE_PEAK_W)
    assert idle_w * seconds < result.summary["energy_it_j"] < peak_w * seconds


def _runs(policies: dict[str, Any], power_w: float) -> tuple[float, float]:
    """Return (run time, energy of the job) of one job on the whole of one server."""
    result = run(hall(servers=1, policies=policies), _job(accelerators=4), profiles=_profiles(power_w, 0.1))
    return float(result.jobs["end_s"][0]), float(result.jobs["energy_j"][0])


@cache
def _each_cap(power_w: float) -> list[tuple[float, float]]:
    """Return what `_runs` does at caps from 0.4 to 1."""
    return [_runs(_capped(step / 50), power_w) for step in range(20, 51, 2)]


@pytest.mark.parametrize("power_w", [150.0, 420.0])
def test_the_energy_optimal_cap_is_the_best_of_all_caps(power_w: float) -> None:
    chosen_s, chosen_j = _runs({"energy": "energy_optimal_cap"}, power_w)
    each = _each_cap(power_w)
    assert chosen_j <= min(energy for _, energy in each) * 1.002
    free_s, free_j = each[-1]
    assert chosen_s >= free_s
    if power_w > 200.0:
        assert chosen_j < 0.97 * free_j


@pytest.mark.parametrize("slowdown", [1.0, 1.03, 1.2])
def test_the_bounded_cap_is_the_best_of_those_within_its_bound(slowdown: float) -> None:
    policy = {"name": "bounded_slowdown_cap", "parameters": {"max_slowdown": slowdown}}
    chosen_s, chosen_j = _runs({"energy": policy}, 420.0)
    each = _each_cap(420.0)
    free_s = each[-1][0]
    assert chosen_s <= slowdown * free_s * (1.0 + 1e-9)
    assert chosen_j <= min(energy for took_s, energy in each if took_s <= slowdown * free_s) * 1.002


def test_idle_power_that_counts_makes_haste() -> None:
    whole = {"energy": {"name": "energy_optimal_cap", "parameters": {"idle_share": 1.0}}}
    patient_s, patient_j = _runs({"energy": "energy_optimal_cap"}, 420.0)
    hasty_s, hasty_j = _runs(whole, 420.0)
    idle_w = IDLE_W + 4 * DEVICE_IDLE_W
    assert hasty_s < patient_s
    assert hasty_j + idle_w * hasty_s < patient_j + idle_w * patient_s
    assert hasty_j > patient_j


def test_parts_of_servers_that_jobs_keep_busy() -> None:
    spec = hall(servers=2)
    server = spec.cluster.racks[0].servers[0]
    parts = {"memory_busy_power_w": 80.0, "nic_busy_power_w": 40.0}
    told = type(server).model_validate({**server.model_dump(), "parts": parts, "memory_bytes": 100e9})
    rack = spec.cluster.racks[0].model_copy(update={"servers": (told,)})
    spec = spec.model_copy(update={"cluster": spec.cluster.model_copy(update={"racks": (rack,)})})
    # One on half of a server with 25 GB, one on both servers' other halves: a gang that spans them.
    jobs = job_table(
        submit_s=[0.0, 0.0],
        duration_s=[10.0, 10.0],
        accelerators=[2, 6],
        cpu_cores=[16.0, 48.0],
        memory_bytes=[25e9, 60e9],
    )
    result = run(spec, jobs)
    devices_w = DEVICE_PEAK_W - DEVICE_IDLE_W
    cores_w = (CORES_W - 120.0) / 64.0
    one = 2 * devices_w + 16 * cores_w + 80.0 * 0.25
    other = 6 * devices_w + 48 * cores_w + 80.0 * 0.6 + 40.0 * 1.5
    assert result.jobs["energy_j"].tolist() == pytest.approx([10.0 * one, 10.0 * other])
