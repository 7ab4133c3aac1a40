"""Halls whose air mixes: throttling by hand, powers that belong to temperatures, whole runs under guards."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from dcsim.errors import ScenarioError, SimulationError
from dcsim.simulation.cluster_run import ClusterRun
from dcsim.simulation.inputs import prepare
from dcsim.simulation.kinds import LogKind
from dcsim.spec.scenario import Scenario
from dcsim.workload.jobs import job_table
from tests.simulation.halls import DEVICE_IDLE_W, DEVICE_PEAK_W, hall, run

SUPPLY = 24.0
STILL = {"layout": {"kind": "aisles", "containment": 1.0}}
"""No exhaust comes round."""
OPEN = {"layout": {"kind": "aisles", "racks_per_row": 2, "recirculation_fraction": 0.3}}
THERMAL = {
    "resistance_k_per_w": 0.15,
    "time_constant_s": 40.0,
    "throttle_deg_c": 80.0,
    "hysteresis_k": 10.0,
    "throttled_cap_fraction": 0.5,
}
FANS = {"power_w": 8.0, "full_power_w": 216.0, "reference_inlet_deg_c": 24.0, "full_inlet_deg_c": 40.0}


def warm_hall(room, servers=1, *, racks=1, thermal=None, fans=None, **parts):
    """Return a hall with a room whose servers have fans and accelerators that warm up."""
    plain = hall(servers, racks=racks, **parts).model_dump(mode="json", exclude_unset=True)
    plain["cluster"]["racks"][0]["servers"][0] |= {"thermal": thermal, "fans": fans}
    return Scenario.model_validate(plain | {"room": room})


def live(scenario, jobs, horizon_s=None):
    """Return a run that is over, to look at its heat."""
    inputs = prepare(scenario, 0, Path(), jobs=jobs)
    whole = ClusterRun(inputs, lambda _now: None, guards=True)  # type: ignore[arg-type,return-value]
    whole.run_to(horizon_s)
    assert whole.heat is not None
    return whole


def events(result, kind):
    chosen = result.events["kind"] == kind
    return result.events["time_s"][chosen], result.events["value"][chosen], result.events["server"][chosen]


def by_hand(work_s, capped_speed, inlet=SUPPLY):
    """Return (throttle times, release times, end) of one job on all devices of a server from time 0."""

    def wait(start, steady, level):
        return 40.0 * math.log((steady - start) / (steady - level))

    busy, held = inlet + 0.15 * DEVICE_PEAK_W, inlet + 0.15 * DEVICE_PEAK_W / 2.0
    hot_s, cool_s = list[float](), list[float]()
    now, here, left = 0.0, inlet + 0.15 * DEVICE_IDLE_W, work_s
    while True:
        up_s = wait(here, busy, 80.0)
        if up_s >= left:
            return hot_s, cool_s, now + left
        now, left = now + up_s, left - up_s
        hot_s.append(now)
        down_s = wait(80.0, held, 70.0)
        if down_s * capped_speed >= left:
            return hot_s, cool_s, now + left / capped_speed
        now, left, here = now + down_s, left - down_s * capped_speed, 70.0
        cool_s.append(now)


def test_a_hot_server_throttles_and_recovers_by_hand():
    jobs = job_table(submit_s=0.0, duration_s=300.0, accelerators=4)
    scenario = warm_hall(STILL, thermal=THERMAL)
    result, costs = run(scenario, jobs), prepare(scenario, 0, Path(), jobs=jobs).costs
    hot_s, cool_s, end_s = by_hand(300.0, costs.speed(costs.accelerators["D"], 0.5))
    assert len(hot_s) > 5
    found_s, temperature, server = events(result, LogKind.THROTTLE)
    np.testing.assert_allclose(found_s, hot_s, rtol=1e-9)
    np.testing.assert_allclose(temperature, 80.0, rtol=1e-9)
    assert set(server.tolist()) == {0}
    found_s, temperature, _ = events(result, LogKind.UNTHROTTLE)
    np.testing.assert_allclose(found_s, cool_s, rtol=1e-9)
    np.testing.assert_allclose(temperature, 70.0, rtol=1e-9)
    assert float(result.jobs["end_s"][0]) == pytest.approx(end_s, rel=1e-9)
    assert float(result.jobs["throttled_s"][0]) == pytest.approx(end_s - 300.0, rel=1e-6)


def test_a_server_that_stays_below_its_limit_runs_as_without_a_room():
    jobs = job_table(submit_s=[0.0, 5.0], duration_s=[300.0, 40.0], accelerators=[4, 2])
    cool = run(warm_hall(STILL, thermal=THERMAL | {"throttle_deg_c": 95.0}), jobs)
    plain = run(hall(1), jobs)
    assert cool.jobs["end_s"].tolist() == plain.jobs["end_s"].tolist()
    assert cool.jobs["energy_j"].tolist() == plain.jobs["energy_j"].tolist()
    assert cool.summary["energy_it_j"] == plain.summary["energy_it_j"]


def test_a_gang_goes_with_its_hottest_server_and_a_newcomer_is_held_back_too():
    """A job leaves a hot server early; the next one on it starts capped and is let go with the server."""
    jobs = job_table(submit_s=[0.0, 70.0], duration_s=[68.0, 100.0], accelerators=[4, 8])
    result = run(warm_hall(STILL, servers=2, thermal=THERMAL), jobs)
    hot_s, _, server = events(result, LogKind.THROTTLE)
    assert (server[0], hot_s[0] < 68.0) == (0, True)
    cool_s = events(result, LogKind.UNTHROTTLE)[0]
    # The first ends while throttled, at about 68.8 s, and server 0 cools down while the gang waits for nothing.
    caps = result.events["kind"] == LogKind.CAP
    at_s, value = result.events["time_s"][caps], result.events["value"][caps]
    of_gang = result.events["job"][caps] == 1
    assert at_s[of_gang][0] == 70.0
    assert value[of_gang][0] == 0.5
    assert at_s[of_gang][1] == cool_s[0]
    assert value[of_gang][1] == 1.0


def test_inlets_are_supply_and_what_comes_round():
    scenario = warm_hall(OPEN, servers=1, racks=4)
    whole = live(scenario, job_table(submit_s=0.0, duration_s=100.0, accelerators=4), horizon_s=50.0)
    heat = whole.heat
    power = np.full(4, 500.0)
    power[0] = 900.0 + 4 * DEVICE_PEAK_W
    np.testing.assert_allclose(heat.node_power_w, power)
    np.testing.assert_allclose(heat.inlet_deg_c, SUPPLY + heat.room.inlet_rise_k(power), rtol=1e-12)
    assert heat.hottest_rise_k() == pytest.approx(float(heat.inlet_deg_c.max()) - SUPPLY)
    assert heat.log_hottest_deg_c[-1] == heat.inlet_deg_c.max()


def test_nodes_of_several_racks_add_up():
    apart = live(warm_hall(OPEN, racks=4), job_table(submit_s=0.0, duration_s=9.0, accelerators=4)).heat
    room = OPEN | {"racks_per_node": 2}
    grouped = live(warm_hall(room, racks=4), job_table(submit_s=0.0, duration_s=9.0, accelerators=4)).heat
    assert len(grouped.node_power_w) == 2
    assert grouped.node_power_w.sum() == apart.node_power_w.sum()


def test_warm_air_makes_fans_draw_more_and_the_parts_add_up():
    """With fans and leakage: guards prove powers and temperatures at each instant, and the energy balances."""
    jobs = job_table(
        submit_s=[0.0, 10.0, 30.0, 31.0], duration_s=[300.0, 200.0, 250.0, 90.0], accelerators=[4, 8, 3, 2]
    )
    thermal = THERMAL | {"leakage_fraction_per_k": 0.005, "throttle_deg_c": 85.0}
    scenario = warm_hall(OPEN, servers=2, racks=3, thermal=thermal, fans=FANS)
    result = run(scenario, jobs)
    assert all(value <= 1e-9 for value in result.balances.values())
    whole = live(scenario, jobs)
    heat = whole.heat
    extra = np.array(heat.log_extra_w)
    assert extra.max() > 100.0
    # The log of IT power is that of jobs and idle servers, and what is extra, at each instant.
    logged = dict(zip(whole.record.power_times_s, whole.record.it_power_w, strict=True))
    racks = whole.racks
    assert racks is not None
    last_s = max(logged)
    assert logged[last_s] == pytest.approx(float(racks.power_w.sum()), rel=1e-12)


def test_the_same_run_twice_is_the_same():
    jobs = job_table(submit_s=[0.0, 1.0, 2.0], duration_s=[300.0, 200.0, 250.0], accelerators=[4, 8, 3])
    scenario = warm_hall(OPEN, servers=2, racks=3, thermal=THERMAL, fans=FANS)
    one, two = run(scenario, jobs), run(scenario, jobs)
    assert (one.events["kind"] == LogKind.THROTTLE).any()
    for name, column in one.events.items():
        assert column.tobytes() == two.events[name].tobytes()
    assert one.summary == two.summary


@pytest.mark.parametrize(
    "ordering", ["fifo", "easy_backfill", "conservative_backfill", "least_attained_service", "fair_share"]
)
def test_under_every_kind_of_dispatch(ordering):
    jobs = job_table(
        submit_s=np.arange(30) * 20.0,
        duration_s=50.0 + (np.arange(30) * 37) % 240,
        accelerators=np.array([1, 2, 4, 8, 3, 6] * 5),
    )
    scenario = warm_hall(
        OPEN,
        servers=2,
        racks=3,
        thermal=THERMAL,
        fans=FANS,
        policies={"placement": "xint", "ordering": ordering},
    )
    result = run(scenario, jobs)
    assert result.summary["jobs_completed"] == 30


def test_sleeping_servers_turn_no_fans():
    scenario = warm_hall(
        OPEN, racks=2, fans=FANS | {"reference_inlet_deg_c": 10.0}, policies={"energy": "sleep_idle"}
    )
    jobs = job_table(submit_s=0.0, duration_s=2_000.0, accelerators=4)
    awake, asleep = (live(scenario, jobs, horizon_s=until).heat for until in (100.0, 1_000.0))
    assert asleep.extra_w < awake.extra_w
    result = run(scenario, jobs)
    assert (result.events["kind"] == LogKind.SLEEP).any()


def test_parts_of_one_device_warm_it_together():
    jobs = job_table(
        submit_s=[0.0, 0.0], duration_s=[400.0, 400.0], accelerators=[1, 1], accelerator_share=[0.5, 0.5]
    )
    one = job_table(submit_s=[0.0], duration_s=[400.0], accelerators=[1], accelerator_share=[0.5])
    scenario = warm_hall(STILL, thermal=THERMAL | {"throttle_deg_c": 140.0})
    both, half = (live(scenario, table, horizon_s=390.0) for table in (jobs, one))
    rises = [
        float(whole.heat.devices.at(390.0, np.array([0]))[0]) - SUPPLY - 0.15 * DEVICE_IDLE_W
        for whole in (both, half)
    ]
    assert rises[0] == pytest.approx(2.0 * rises[1], rel=1e-6)


def test_another_supply_comes_with_the_instant():
    jobs = job_table(submit_s=0.0, duration_s=200.0, accelerators=4)
    inputs = prepare(warm_hall(OPEN, racks=4, thermal=THERMAL), 0, Path(), jobs=jobs)
    whole = ClusterRun(inputs, lambda _now: None, guards=True)  # type: ignore[arg-type,return-value]
    heat = whole.heat
    assert heat is not None
    whole.engine.call_at(40.0, 0, 0, lambda _: heat.set_supply(30.0, 0.5), None)
    whole.run_to(None)
    hottest = dict(zip(heat.log_time_s, heat.log_hottest_deg_c, strict=True))
    assert hottest[40.0] - 30.0 == pytest.approx(2.0 * (hottest[0.0] - 24.0))
    assert dict(zip(heat.log_time_s, heat.log_supply_deg_c, strict=True))[40.0] == 30.0


def test_fans_that_would_heat_themselves_up_are_refused():
    wild = FANS | {"full_power_w": 5_000.0, "full_inlet_deg_c": 24.5}
    jobs = job_table(submit_s=0.0, duration_s=200.0, accelerators=4)
    with pytest.raises(ScenarioError, match="kelvin of inlet"):
        run(warm_hall(OPEN, racks=4, fans=wild), jobs)
    leaky = THERMAL | {"resistance_k_per_w": 0.5, "leakage_fraction_per_k": 0.1}
    with pytest.raises(ScenarioError, match="leak"):
        run(warm_hall(STILL, thermal=leaky), jobs)


def test_too_little_flow_is_refused_when_it_comes():
    steep = FANS | {"full_power_w": 600.0, "full_inlet_deg_c": 28.0}
    scenario = warm_hall(OPEN, racks=4, fans=steep, cooling={"least_flow": 0.9})
    inputs = prepare(scenario, 0, Path(), jobs=job_table(submit_s=0.0, duration_s=9.0))
    heat = ClusterRun(inputs, lambda _now: None).heat  # type: ignore[arg-type,return-value]
    assert heat is not None
    with pytest.raises(SimulationError, match="of full flow"):
        heat.set_supply(24.0, 0.05)


@pytest.mark.parametrize("placement", ["xint", "min_hr", "coolest_inlet"])
def test_thermal_placement_needs_a_room(placement):
    roomless = hall(policies={"placement": placement}).model_copy(update={"room": None})
    with pytest.raises(ScenarioError, match="needs"):
        run(roomless, job_table(submit_s=0.0, duration_s=1.0))
