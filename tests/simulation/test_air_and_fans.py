"""Racks breathe the air that the meter pays for, and set points follow the heat: by hand and against other ways."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.errors import ScenarioError
from dcsim.facility.grid import start_of
from dcsim.facility.weather import build_weather
from dcsim.policies.cooling import FlowByLoad
from dcsim.policies.facility import CoolingPolicy, FixedSetPoints
from dcsim.simulation import simulate
from dcsim.simulation.inputs import prepare
from dcsim.simulation.set_point_control import SetPointControl, ramped
from dcsim.simulation.site_account import account_site
from dcsim.workload.jobs import job_table
from tests.simulation.halls import DEVICE_IDLE_W, DEVICE_PEAK_W, IDLE_W, PEAK_W, hall, run
from tests.simulation.test_thermal_state import FANS, OPEN, STILL, THERMAL, warm_hall

LEAST = 0.4
FULL_W = 4 * (PEAK_W + 4 * DEVICE_PEAK_W)
"""Of four servers."""
SERVER_IDLE_W = IDLE_W + 4 * DEVICE_IDLE_W
CONSTANT = {"kind": "constant"}


def spied(monkeypatch, scenario, jobs):
    """Return (result, record) of a run under guards."""
    kept = {}

    def keep(inputs, record, *rest):
        kept["record"] = record
        return account_site(inputs, record, *rest)

    monkeypatch.setattr("dcsim.simulation.run.account_site", keep)
    return run(scenario, jobs), kept["record"]


def busy(servers, until_s=600.0):
    return job_table(submit_s=[100.0] * servers, duration_s=[until_s] * servers, accelerators=[4] * servers)


@pytest.mark.parametrize("airflow", ["matched", "constant"])
def test_racks_breathe_what_the_fans_bring_by_hand(monkeypatch, airflow):
    """Half the servers work: flow is heat over peak heat, no less than 0.4, and the rise goes with the flow law."""
    scenario = hall(1, racks=4, room=OPEN | {"airflow": airflow}, weather=CONSTANT, horizon_s=500.0)
    result, record = spied(monkeypatch, scenario, busy(2))
    heat = record.heat
    flows = dict(zip(heat.log_time_s, heat.log_flow, strict=True))
    it_w = dict(zip(record.power_times_s, record.it_power_w, strict=True))
    # Losses in the hall are none, so that heat is IT power.
    for time_s in (0.0, 100.0):
        assert flows[time_s] == pytest.approx(max(it_w[time_s] / FULL_W, LEAST), rel=1e-3)
    assert flows[100.0] > flows[0.0] == LEAST
    power_w, flow = heat.node_power_w, heat.flow_fraction
    rise = heat.room.rise_k_per_w @ power_w
    if airflow == "matched":
        rise = rise / flow
    else:
        rate = heat.room.heat_rate_w_per_k * (1.0 - heat.room.recirculation.sum(axis=1))
        rise = rise + (1.0 / flow - 1.0) * power_w.sum() / rate.sum()
    np.testing.assert_allclose(heat.inlet_deg_c, 24.0 + rise, rtol=1e-12)
    # Fans by their cube, 4 % of peak IT power at full flow.
    paid_j = 0.04 * FULL_W * (100.0 * flows[0.0] ** 3 + 400.0 * flows[100.0] ** 3)
    assert result.account["energy_air_mover_j"] == pytest.approx(paid_j, rel=1e-9)


@pytest.mark.parametrize("airflow", ["matched", "constant"])
def test_flow_belongs_to_the_power_that_inlets_make(monkeypatch, airflow):
    """Fans and leakage rise as flow falls, and flow with them: guards prove both at every instant."""
    steep = FANS | {"full_power_w": 400.0}
    scenario = warm_hall(
        OPEN | {"airflow": airflow}, racks=4, fans=steep, thermal=THERMAL, weather=CONSTANT, horizon_s=900.0
    )
    result, record = spied(monkeypatch, scenario, busy(3))
    heat = record.heat
    assert heat.extra_w > 0.0
    fixed = heat.set_points
    assert len(set(fixed.flow.tolist())) > 1
    ends = np.append(fixed.time_s[1:], 900.0)
    full_w = 0.04 * peak_w(scenario) * fixed.flow**3
    paid_j = float((full_w * (ends - fixed.time_s)).sum())
    assert result.account["energy_air_mover_j"] == pytest.approx(paid_j, rel=1e-9)


def peak_w(scenario):
    """Return the peak IT power that sizes the air movers."""
    return prepare(scenario, 0, Path(), jobs=busy(1)).fleet.peak_power_w()


class _Nothing(CoolingPolicy):
    """Asks for no flow."""

    name, optimises, source = "nothing", "-", "-"

    def set_points(self, hall):
        return FixedSetPoints().set_points(hall)


@pytest.mark.parametrize("room", [None, STILL])
@pytest.mark.parametrize("policy", ["weather_reset", "highest_supply", "flow_by_load"])
def test_a_flow_by_load_is_never_stale(room, policy):
    """Constant weather, an idle hall at t = 0, then work: fans take what the plant's own flow takes."""
    parts: dict[str, Any] = {"weather": CONSTANT, "horizon_s": 7_200.0} | ({"room": room} if room else {})
    own, other = (
        simulate(hall(2, policies={"cooling": name}, **parts), jobs=busy(2, 6_000.0)).account
        for name in ("fixed", policy)
    )
    assert other["energy_air_mover_j"] == pytest.approx(own["energy_air_mover_j"], rel=1e-9)
    assert other["peak_hall_deg_c"] < 47.0


class _Least(_Nothing):
    """Sets the least flow for ever."""

    def set_points(self, hall):
        return np.full(len(hall.now_s), 24.0), np.full(len(hall.now_s), hall.least_flow)


def test_too_little_flow_for_the_heat_is_named():
    """At 0.4 of the flow with every server at work air comes back up to 12 / 0.4 = 30 K over 24 degC.

    The 12 K are those of peak power with air movers at full flow, 4 % of it; here these draw 0.4^3 of that.
    """
    jobs, scenario = busy(2, 90_000.0), hall(2, weather=CONSTANT, horizon_s=80_000.0)
    policies = prepare(scenario, 0, Path(), jobs=jobs).policies
    result = simulate(scenario, jobs=jobs, policies=replace(policies, cooling=_Least()))
    said = [text for text in result.warnings if "air went back" in text]
    assert len(said) == 1
    heat_w = result.series["it_power_w"].max() + 0.04 * peak_w(scenario) * LEAST**3
    steady_deg_c = 24.0 + 12.0 / LEAST * heat_w / (1.04 * peak_w(scenario))
    assert result.account["peak_hall_deg_c"] == pytest.approx(steady_deg_c, rel=1e-3)
    assert steady_deg_c > 47.0
    assert not [text for text in simulate(scenario, jobs=jobs).warnings if "air went back" in text]


@given(
    st.lists(st.tuples(st.floats(0.1, 900.0), st.floats(10.0, 30.0)), min_size=1, max_size=40),
    st.sampled_from([1e-4, 20.0 / 3_600.0, 1.0, math.inf]),
)
@settings(max_examples=80)
def test_ramps_as_if_walked_row_by_row(rows, most_per_s):
    lengths, asked = (np.array(column) for column in zip(*rows, strict=True))
    times = np.cumsum(lengths)
    walked = [asked[0]]
    for k in range(1, len(asked)):
        most = most_per_s * (times[k] - times[k - 1])
        walked.append(walked[-1] + min(max(asked[k] - walked[-1], -most), most))
    np.testing.assert_allclose(ramped(times, asked, most_per_s), walked, rtol=1e-12)


def control_of(policy):
    scenario = hall(1, weather=CONSTANT)
    inputs: Any = SimpleNamespace(policies=SimpleNamespace(cooling=policy), scenario=scenario)
    weather = build_weather(scenario.weather, start_of(scenario.grid), Path())
    return SetPointControl(inputs, weather, 1e6)


def test_a_year_of_seconds_is_a_bounded_number_of_instants():
    asked = []

    class Counting(FlowByLoad):
        def set_points(self, hall):
            asked.append(hall.now_s)
            return super().set_points(hall)

    year_s = 365 * 86_400.0
    record = SimpleNamespace(power_times_s=[0.0, 1e7], it_power_w=[1e5, 9e5])
    begin = time.process_time()
    found = control_of(Counting(interval_s=1.0)).over(record, year_s)
    assert time.process_time() - begin < 10.0
    assert len(asked) == 1
    assert len(asked[0]) <= 500_001
    assert len(found.time_s) == 1
    assert np.isnan(found.flow[0])


def test_a_policy_without_an_interval_is_asked_every_300_s():
    asked = []

    class Slow(_Nothing):
        def set_points(self, hall):
            asked.extend(hall.now_s.tolist())
            return super().set_points(hall)

    record = SimpleNamespace(power_times_s=[0.0], it_power_w=[1e5])
    control_of(Slow()).over(record, 1_000.0)
    assert asked == [0.0, 300.0, 600.0, 900.0]


def test_feedback_at_the_least_flow_is_refused_before_the_run():
    """A kelvin comes back as q at full flow and as q / 0.05 at a twentieth of it."""
    steep = FANS | {"full_power_w": 600.0, "full_inlet_deg_c": 28.0}
    jobs = busy(1)
    run(warm_hall(OPEN, racks=4, fans=steep, cooling={"least_flow": 1.0}, horizon_s=200.0), jobs)
    with pytest.raises(ScenarioError, match=r"at 0\.05 of full flow"):
        run(warm_hall(OPEN, racks=4, fans=steep, cooling={"least_flow": 0.05}, horizon_s=200.0), jobs)


def test_an_overload_says_that_the_room_does_not_feel_it():
    cooling = {"capacity_w": 3_000.0}
    for room, felt in ((None, False), (STILL, True)):
        parts: dict[str, Any] = {"room": room} if room else {}
        scenario = hall(2, cooling=cooling, weather=CONSTANT, horizon_s=3_600.0, **parts)
        result = simulate(scenario, jobs=busy(2, 3_000.0))
        said = [text for text in result.warnings if "more heat than the capacity" in text]
        assert len(said) == 1
        assert ("do not feel" in said[0]) is felt
