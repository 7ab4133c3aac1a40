"""Energy, heat and carbon of a run against sums done elsewhere: by hand, from events, and by an ODE solver."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from dcsim.facility.building import HALL_RISE_K
from dcsim.facility.meter import Meter
from dcsim.results.run_result import RunResult
from dcsim.rng import stream
from dcsim.simulation import simulate
from dcsim.spec.scenario import Scenario
from dcsim.workload.jobs import job_table
from tests.oracles.figures import Figures

DEVICE_IDLE_W, DEVICE_PEAK_W = 64, 512
SERVER_IDLE_W, SERVER_PEAK_W, CORES, DEVICES = 256, 768, 64, 4
SWITCH_W, STORAGE_W = 128, 1_024
"""Whole watts, so that no sum of them is rounded."""

CARBON_KG_PER_J, PRICE_USD_PER_J = 1e-7, 3e-8


def _scenario(servers: int = 4, **changes: object) -> Scenario:
    rates = {"fp32": 1e13}
    device = {
        "peak_flop_per_s": rates,
        "memory_bytes": 16e9,
        "memory_bandwidth_bytes_per_s": 1e11,
        "link_bandwidth_bytes_per_s": 1e10,
        "idle_power_w": DEVICE_IDLE_W,
        "peak_power_w": DEVICE_PEAK_W,
        "source": "whole numbers",
    }
    server = {
        "count": servers,
        "accelerator": "round",
        "accelerators": DEVICES,
        "cpu_cores": CORES,
        "idle_power_w": SERVER_IDLE_W,
        "peak_power_w": SERVER_PEAK_W,
    }
    said = {
        "name": "energy",
        "accelerators": {"round": device},
        "cluster": {"racks": [{"name": "r", "servers": [server]}]},
        "network": {"topology": "star", "switch_power_w": SWITCH_W},
        "storage": {"shared": {"power_w": STORAGE_W}},
        "grid": {
            "carbon": {"kind": "constant", "intensity_kg_per_j": CARBON_KG_PER_J},
            "price": {"kind": "constant", "price_usd_per_j": PRICE_USD_PER_J},
        },
        "workload": {"kind": "trace", "path": "not-read.csv"},
        "policies": {"placement": "best_fit"},
    }
    return Scenario.model_validate({**said, **changes})


IDLE_W = SWITCH_W + STORAGE_W + 4 * (SERVER_IDLE_W + DEVICES * DEVICE_IDLE_W)
DEVICE_BUSY_W = (DEVICE_PEAK_W - DEVICE_IDLE_W) + (SERVER_PEAK_W - SERVER_IDLE_W) // DEVICES
"""A busy device above idle, with its quarter of the server's cores."""


def test_two_jobs_by_hand() -> None:
    # 2 devices over [0, 100) and 4 over [50, 250): 448 W + 128 W a device above the 3,200 W of an idle hall.
    jobs = job_table(submit_s=[0.0, 50.0], duration_s=[100.0, 200.0], accelerators=[2, 4])
    result = simulate(_scenario(), 0, jobs=jobs, guards=True)
    assert (IDLE_W, DEVICE_BUSY_W) == (3_200, 576)
    assert result.summary["energy_it_j"] == 3_200 * 250 + 576 * (2 * 100 + 4 * 200)
    assert result.jobs["energy_j"].tolist() == [576.0 * 2 * 100, 576.0 * 4 * 200]


def _random_run(seed: int, jobs: int = 400) -> RunResult:
    draws = stream(seed, "oracle", "energy")
    table = job_table(
        submit_s=np.cumsum(draws.exponential(40.0, jobs)),
        duration_s=draws.lognormal(5.0, 1.0, jobs),
        accelerators=draws.choice([1, 2, 3, 4, 8], jobs),
    )
    return simulate(_scenario(), 0, jobs=table)


def _energy_from_events_j(result: RunResult) -> Fraction:
    """Return the integral of IT power that the events alone say, without rounding."""
    names = np.array(result.event_kinds)[result.events["kind"]]
    held: dict[int, int] = {}
    busy, last_s, energy = 0, Fraction(0), Fraction(0)
    columns = (result.events[name].tolist() for name in ("time_s", "job", "value"))
    for kind, time_s, job, value in zip(names.tolist(), *columns, strict=True):
        now_s = Fraction(time_s)
        energy += (IDLE_W + DEVICE_BUSY_W * busy) * (now_s - last_s)
        last_s = now_s
        if kind == "grant":
            held[job] = held.get(job, 0) + int(value)
            busy += int(value)
        elif kind == "end":
            busy -= held.pop(job)
    assert not held
    return energy


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_energy_is_the_integral_of_the_power_that_events_say(seed: int, figure: Figures) -> None:
    result = _random_run(seed)
    expected_j = float(_energy_from_events_j(result))
    measured_j = float(result.summary["energy_it_j"])
    figure.equal(f"IT energy [J] against events, seed {seed}", measured_j, expected_j, 1e-12)
    series_j = float(np.sum(result.series["it_power_w"] * result.series["duration_s"]))
    figure.equal(f"IT energy [J] in the series, seed {seed}", series_j, expected_j, 1e-9)


def test_energy_carbon_and_cost_agree_with_one_another(figure: Figures) -> None:
    result = _random_run(4)
    series, summary = result.series, result.summary
    facility_j = float(summary["energy_facility_j"])
    parts = ("it_power_w", "cooling_power_w", "loss_power_w")
    parts_j = sum(float(np.sum(series[name] * series["duration_s"])) for name in parts)
    figure.equal("IT + cooling + losses [J] against the meter", parts_j, facility_j, 1e-9)
    figure.equal("carbon [kg]", float(summary["carbon_kg"]), facility_j * CARBON_KG_PER_J, 1e-9)
    figure.equal("cost [USD]", float(summary["cost_usd"]), facility_j * PRICE_USD_PER_J, 1e-9)
    for name, residual in result.balances.items():
        figure.at_most(f"balance of {name}, relative", residual, 1e-9)


def test_an_idle_hall_draws_its_idle_power() -> None:
    jobs = job_table(submit_s=np.empty(0), duration_s=np.empty(0))
    result = simulate(_scenario(horizon_s=1_000.0), 0, jobs=jobs)
    assert result.summary["energy_it_j"] == IDLE_W * 1_000.0
    assert result.summary["jobs_completed"] == 0


# -- the hall ------------------------------------------------------------------------------------------

TAU_S = 600.0
PEAK_W, LOW_W, HIGH_W = 100_000.0, 20_000.0, 90_000.0
SUPPLY_DEG_C = 22.0


def _crac_meter() -> Meter:
    scenario = _scenario(
        cooling={"plant": "crac", "supply_temperature_deg_c": SUPPLY_DEG_C, "hall_time_constant_s": TAU_S},
        power={"stages": []},
    )
    return Meter(scenario, peak_it_w=PEAK_W, idle_it_w=LOW_W, base_dir=Path())


def _flow(it_w: float) -> float:
    return max(0.4, it_w / PEAK_W)


def _fan_w(it_w: float) -> float:
    return 0.04 * PEAK_W * _flow(it_w) ** 3


RESISTANCE_K_PER_W = HALL_RISE_K / (PEAK_W + 0.04 * PEAK_W)
"""At full flow; less flow warms the same heat's air more."""


def test_a_power_step_heats_the_hall_as_one_exponential(figure: Figures) -> None:
    # In balance at 20 kW and 40 % flow, then 90 kW at 90 % flow from 300 s: one exponential of time constant R C.
    end_s, step_s = 3_900.0, 300.0
    edges = np.arange(0.0, end_s + 1.0, 60.0)
    result = _crac_meter().run([0.0, step_s], [LOW_W, HIGH_W], end_s, bin_edges_s=edges)
    low_w, high_w = LOW_W + _fan_w(LOW_W), HIGH_W + _fan_w(HIGH_W)
    low_k, high_k = (
        RESISTANCE_K_PER_W / _flow(it_w) * heat for it_w, heat in ((LOW_W, low_w), (HIGH_W, high_w))
    )
    tau_s = TAU_S / _flow(HIGH_W)
    start, stop = np.maximum(edges[:-1] - step_s, 0.0), np.maximum(edges[1:] - step_s, 0.0)
    decay_s = tau_s * (np.exp(-start / tau_s) - np.exp(-stop / tau_s))
    mean_k = np.where(stop > 0.0, high_k + (low_k - high_k) * decay_s / 60.0, low_k)
    measured = result.sample()["hall_temperature_deg_c"]
    worst = float(np.max(np.abs(measured / (SUPPLY_DEG_C + mean_k) - 1.0)))
    figure.at_most("hall temperature after a step, worst relative over 65 bins", worst, 1e-12)
    stored_j = TAU_S / RESISTANCE_K_PER_W * (high_k - low_k) * -math.expm1(-(end_s - step_s) / tau_s)
    removed_j = low_w * step_s + high_w * (end_s - step_s) - stored_j
    figure.equal("heat removed after a step [J]", result.heat_removed_j, removed_j, 1e-12)


def test_cooling_energy_is_that_of_an_ode_solver(figure: Figures) -> None:
    # Moore et al. 2005: COP = 0.0068 T^2 + 0.0008 T + 0.458. C dT/dt = heat - (T - supply) / R, solved numerically.
    draws = stream(5, "oracle", "hall")
    times = np.concatenate([[0.0], np.sort(draws.uniform(0.0, 8_000.0, 30))])
    powers = draws.uniform(LOW_W, HIGH_W, len(times))
    end_s, capacity = 9_000.0, TAU_S / RESISTANCE_K_PER_W
    result = _crac_meter().run(times, powers, end_s)
    cop = 0.0068 * SUPPLY_DEG_C**2 + 0.0008 * SUPPLY_DEG_C + 0.458
    begin_k = rise_k = RESISTANCE_K_PER_W / _flow(LOW_W) * (LOW_W + _fan_w(LOW_W))
    cooling_j, heat_j = 0.0, 0.0
    for begin_s, stop_s, it_w in zip(times, np.append(times[1:], end_s), powers, strict=True):
        heat_w, resistance = it_w + _fan_w(it_w), RESISTANCE_K_PER_W / _flow(it_w)

        def rates(
            _: float, state: np.ndarray, heat_w: float = heat_w, it_w: float = it_w, r: float = resistance
        ) -> list[float]:
            removed_w = state[0] / r
            return [(heat_w - removed_w) / capacity, removed_w / cop + _fan_w(it_w)]

        solved = solve_ivp(rates, (begin_s, stop_s), [rise_k, 0.0], rtol=1e-10, atol=1e-9)
        rise_k = float(solved.y[0, -1])
        cooling_j += float(solved.y[1, -1])
        heat_j += heat_w * (stop_s - begin_s)
    figure.equal("cooling energy against an ODE solver [J]", result.energy_cooling_j, cooling_j, 1e-8)
    balance_j = result.heat_removed_j + capacity * (rise_k - begin_k)
    figure.equal("heat in [J]: removed + stored (solver)", balance_j, heat_j, 1e-8)
    figure.at_most("heat balance, relative", result.balances["heat"], 1e-9)
