"""Thermal-aware placement in a hall of 50 racks: against a linear program, and against heat-blind placement.

The hall has five rows of ten racks with open aisles and a supply heat index of 0.2 (Tang et al. 2008 had 50 nodes,
Moore et al. 2005 four rows; neither matrix is published). That XInt beats first fit is no theorem: it is shown on paired
runs, with the same jobs under every policy.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import t as student

from dcsim.facility.cooling import crac_cop
from dcsim.facility.room import supply_heat_index
from dcsim.policies import PlacementRequest, make_policy
from dcsim.policies.views import ClusterView
from dcsim.simulation.cluster_run import ClusterRun
from dcsim.simulation.inputs import prepare
from dcsim.spec.scenario import Scenario
from tests.oracles.figures import Figures

pytestmark = pytest.mark.oracle

SEEDS = range(6)
RATES = {"a third": 0.02, "six tenths": 0.035, "eight tenths": 0.05}
"""Jobs a second, by the part of the accelerators that they keep busy."""
RED_LINE_DEG_C = 27.0
"""Upper end of ASHRAE's recommended range."""
POLICIES = ("first_fit", "random", "spread", "coolest_inlet", "min_hr", "xint")


def scenario(placement: str, rate: float) -> Scenario:
    server = {
        "count": 4,
        "accelerator": "A100-80",
        "accelerators": 8,
        "idle_power_w": 600,
        "peak_power_w": 1400,
    }
    widths = {"1": 2, "2": 1, "4": 1, "8": 2, "16": 0.3}
    return Scenario.model_validate(
        {
            "name": "fifty",
            "cluster": {"racks": [{"name": "r", "count": 50, "servers": [server]}]},
            "room": {"layout": {"kind": "aisles", "racks_per_row": 10, "recirculation_fraction": 0.2}},
            "workload": {
                "kind": "generated",
                "jobs": 1500,
                "arrivals": {"rate_per_s": rate},
                "mix": [{"profile": "tiny_transformer", "widths": widths}],
                "sizes": {"median_s": 3600, "sigma": 1.0, "min_s": 600, "max_s": 43200},
            },
            "policies": {"placement": placement},
        }
    )


class Measured:
    """The hottest rise over supply while the hall is in use: not the first fifth, nor after the last arrival."""

    def __init__(self, placement: str, rate: float, seed: int) -> None:
        inputs = prepare(scenario(placement, rate), seed, Path())
        run = ClusterRun(inputs, lambda _now: None)  # type: ignore[arg-type,return-value]
        record = run.run_to(None)
        assert run.heat is not None
        last_s = float(inputs.jobs.submit_s[-1])
        times_s = np.array(run.heat.log_time_s)
        weight = np.diff(np.append(times_s, record.now_s))
        keep = (times_s > 0.2 * last_s) & (times_s < last_s)
        rise = (np.array(run.heat.log_hottest_deg_c) - np.array(run.heat.log_supply_deg_c))[keep]
        rows = np.searchsorted(record.power_times_s, times_s[keep], side="right") - 1
        it_w, weight = np.array(record.it_power_w)[rows], weight[keep]
        self.mean_rise_k = float(np.average(rise, weights=weight))
        self.peak_rise_k = float(rise.max())
        self.it_w = float(np.average(it_w, weights=weight))
        # Supply air as warm as the red line allows at each instant, or at the worst of all.
        moved = np.average(it_w / crac_cop(RED_LINE_DEG_C - rise), weights=weight)
        self.crac_over_it = float(moved / self.it_w)
        self.crac_over_it_fixed = float(1.0 / crac_cop(RED_LINE_DEG_C - self.peak_rise_k))


@lru_cache(maxsize=256)
def measured(placement: str, rate: float, seed: int) -> Measured:
    return Measured(placement, rate, seed)


def of(placement: str, rate: float, name: str) -> np.ndarray[Any, Any]:
    return np.array([getattr(measured(placement, rate, seed), name) for seed in SEEDS])


def upper(values: np.ndarray[Any, Any]) -> float:
    """Return the upper end of a 95 % interval of the mean."""
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() + half)


@pytest.mark.parametrize("load", RATES)
def test_xint_keeps_the_hottest_inlet_lower(load: str, figure: Figures) -> None:
    rate = RATES[load]
    blind, aware = of("first_fit", rate, "mean_rise_k"), of("xint", rate, "mean_rise_k")
    power = of("xint", rate, "it_w") / of("first_fit", rate, "it_w")
    figure.near(f"{load} busy: IT power, xint over first fit", float(power.mean()), 1.0, 0.005)
    for name in POLICIES:
        rise = of(name, rate, "mean_rise_k")
        basis = f"at the worst instant {of(name, rate, 'peak_rise_k').mean():.2f} K"
        figure.tell(f"{load} busy: {name}, mean rise of the hottest inlet, K", float(rise.mean()), basis)
    basis = f"95 % of {len(blind)} paired runs; mean {float((aware / blind).mean()):.2f}"
    figure.at_most(f"{load} busy: hottest rise, xint over first fit", upper(aware / blind), 1.0, basis)
    warmer = f"{float((blind - aware).mean()):.2f} K warmer supply at the same red line"
    saved = 1.0 - of("xint", rate, "crac_over_it") / of("first_fit", rate, "crac_over_it")
    figure.tell(
        f"{load} busy: CRAC energy saved by xint, supply at the red line", float(saved.mean()), warmer
    )


@pytest.mark.parametrize("load", ["a third", "six tenths"])
@pytest.mark.parametrize("name", ["min_hr", "coolest_inlet"])
def test_the_others_do_too(name: str, load: str, figure: Figures) -> None:
    ratio = of(name, RATES[load], "mean_rise_k") / of("first_fit", RATES[load], "mean_rise_k")
    figure.at_most(f"{load} busy: hottest rise, {name} over first fit", upper(ratio), 1.0)


def filled(name: str, part: float) -> tuple[float, ClusterRun]:
    """Return the hottest rise when the policy has filled a part of an empty hall with jobs of 8 accelerators."""
    inputs = prepare(scenario(name, 0.01), 0, Path())
    run = ClusterRun(inputs, lambda _now: None)  # type: ignore[arg-type,return-value]
    policy: Any = make_policy("placement", name)
    heat, fleet = run.heat, run.fleet
    assert heat is not None
    view: Any = run.attempts._placer.view
    assert isinstance(view, ClusterView)
    for _ in range(round(part * len(fleet))):
        for server, count in policy.place(PlacementRequest(8), view):
            fleet.take(server, count, 0.0, 0.0)
    power = heat.node_power_w + np.bincount(
        fleet.rack, weights=(fleet.total - fleet.free) * heat.view(fleet).busy_power_w
    )
    return float(heat.room.inlet_rise_k(power).max()), run


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75])
def test_greedy_xint_is_near_the_least_that_any_placement_can_do(part: float, figure: Figures) -> None:
    """The linear program spreads the same power at will: min m with D P <= m, idle <= P <= full, sum P given."""
    hottest, run = filled("xint", part)
    heat = run.heat
    assert heat is not None
    room, idle = heat.room, heat.node_power_w
    full = idle + 32 * float(heat.view(run.fleet).busy_power_w[0])
    count = len(room)
    found = linprog(
        np.append(np.zeros(count), 1.0),
        A_ub=np.hstack([room.rise_k_per_w, -np.ones((count, 1))]),
        b_ub=np.zeros(count),
        A_eq=np.append(np.ones(count), 0.0)[None, :],
        b_eq=[idle.sum() + part * float((full - idle).sum())],
        bounds=[*zip(idle.tolist(), full.tolist(), strict=True), (0.0, None)],
    )
    assert found.fun is not None
    blind = filled("first_fit", part)[0]
    basis = f"{found.fun:.3f} K by the program, {hottest:.3f} K by xint, {blind:.3f} K by first fit"
    figure.at_most(
        f"{part:.0%} filled: hottest rise, xint over the optimum", hottest / found.fun, 1.05, basis
    )
    assert hottest >= found.fun * (1.0 - 1e-9)


def test_the_hall_has_the_heat_index_it_was_given(figure: Figures) -> None:
    heat = filled("first_fit", 0.0)[1].heat
    assert heat is not None
    room = heat.room
    index = supply_heat_index(room, room.heat_rate_w_per_k * 12.0)
    figure.near("supply heat index of the hall, all racks at full power", index, 0.2, 0.01)
