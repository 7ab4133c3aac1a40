"""Caps that change while jobs run, followed by hand: energy, time, the hall's latency, what telemetry tells and when."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.errors import DeadlockError
from dcsim.facility.cap_curve import response
from dcsim.policies import Decision
from dcsim.simulation.inputs import prepare
from dcsim.simulation.kinds import LogKind
from dcsim.workload.jobs import job_table
from tests.simulation.deciders import Recapping, Told, in_order, preemption, under
from tests.simulation.exchanging import costs, events, gang, net
from tests.simulation.halls import DEVICE_IDLE_W, DEVICE_PEAK_W, IDLE_W, PEAK_W, hall, run

BUSY_W, CORES_W = 4 * (DEVICE_PEAK_W - DEVICE_IDLE_W), PEAK_W - IDLE_W
"""Above idle, of a server's accelerators and of its cores."""


def four(duration_s: float, submit_s: float = 0.0) -> Any:
    """Return a job that takes a whole server."""
    return job_table(submit_s=submit_s, duration_s=duration_s, accelerators=4)


def capped_to(cap: float) -> tuple[float, float]:
    """Return (relative speed, W above idle of four accelerators) of a job without a profile under a cap."""
    accelerators = prepare(hall(1), 0, Path(), jobs=four(1.0)).costs.accelerators
    speed, power = response(accelerators["D"].cap_curve, cap)
    return float(speed), 4 * (float(power) * DEVICE_PEAK_W - DEVICE_IDLE_W)


def caps_of(result: Any) -> list[tuple[float, int, float]]:
    """Return (time, job, cap) of each cap that came into force."""
    chosen = result.events["kind"] == LogKind.CAP
    columns = (result.events[name][chosen].tolist() for name in ("time_s", "job", "value"))
    return list(zip(*columns, strict=True))


def at(times_s: list[float], caps: list[float]) -> Callable[[float], tuple[float, float]]:
    """Return what tells (the cap of now, when the next one holds)."""

    def tell(now_s: float) -> tuple[float, float]:
        due = [cap for time_s, cap in zip(times_s, caps, strict=True) if time_s <= now_s]
        later = [time_s for time_s in times_s if time_s > now_s]
        return due[-1] if due else 1.0, later[0] if later else math.inf

    return tell


def test_energy_and_time_of_a_job_whose_cap_changes_midway():
    speed, busy_w = capped_to(0.6)
    result = run(hall(1), four(1000.0), policies=under("fifo", Recapping(at([400.0], [0.6]))))
    end_s = 400.0 + 600.0 / speed
    jobs, row = result.jobs, result.account
    assert caps_of(result) == [(400.0, 0, 0.6)]
    assert jobs["end_s"][0] == pytest.approx(end_s, rel=1e-12)
    above_j = 400.0 * (BUSY_W + CORES_W) + (end_s - 400.0) * (busy_w + CORES_W)
    assert jobs["energy_j"][0] == pytest.approx(above_j, rel=1e-9)
    idle_w = IDLE_W + 4 * DEVICE_IDLE_W
    assert row["energy_it_j"] == pytest.approx(above_j + idle_w * end_s, rel=1e-9)
    assert jobs["power_cap_fraction"][0] == pytest.approx((400.0 + 0.6 * (end_s - 400.0)) / end_s, rel=1e-12)
    assert jobs["compute_s"][0] == pytest.approx(1000.0, rel=1e-9)
    assert jobs["throttled_s"][0] == pytest.approx(end_s - 1000.0, rel=1e-9)
    assert jobs["productive_accelerator_s"][0] == pytest.approx(4 * end_s, rel=1e-9)
    assert jobs["stalled_accelerator_s"][0] == pytest.approx(0.0, abs=1e-6)


def test_a_cap_that_comes_and_goes_costs_only_while_it_is_there():
    speed, busy_w = capped_to(0.6)
    result = run(hall(1), four(1000.0), policies=under("fifo", Recapping(at([100.0, 300.0], [0.6, 1.0]))))
    assert caps_of(result) == [(100.0, 0, 0.6), (300.0, 0, 1.0)]
    end_s = 1000.0 + 200.0 * (1.0 - speed)
    assert result.jobs["end_s"][0] == pytest.approx(end_s, rel=1e-12)
    above_j = (end_s - 200.0) * (BUSY_W + CORES_W) + 200.0 * (busy_w + CORES_W)
    assert result.jobs["energy_j"][0] == pytest.approx(above_j, rel=1e-9)
    assert result.jobs["throttled_s"][0] == pytest.approx(200.0 * (1.0 - speed), rel=1e-9)


def test_devices_keep_to_a_cap_after_the_latency_of_the_hall():
    scenario = hall(1, power={"cap_latency_s": 30.0})
    result = run(scenario, four(1000.0), policies=under("fifo", Recapping(at([100.0, 110.0], [0.6, 0.8]))))
    assert caps_of(result) == [(130.0, 0, 0.6), (140.0, 0, 0.8)]


def test_who_ends_before_the_latency_is_over_is_never_capped():
    scenario = hall(1, power={"cap_latency_s": 30.0})
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=[120.0, 50.0], accelerators=4)
    result = run(scenario, jobs, policies=under("fifo", Recapping(at([100.0], [0.6]))))
    # The second is granted the server at 120 s, uncapped, and capped by itself 30 s later.
    assert caps_of(result) == [(150.0, 1, 0.6)]


def test_powers_are_seen_at_multiples_of_the_telemetry_interval_only():
    scenario = hall(2, power={"telemetry_interval_s": 60.0, "cap_latency_s": 7.0})
    jobs = job_table(submit_s=[10.0, 70.0], duration_s=[900.0, 400.0], accelerators=4)
    policy = Recapping(at([100.0], [0.6]))
    result = run(scenario, jobs, policies=under("fifo", policy))
    # The first job is seen at 60 s, the second, which came at 70 s, at 120 s, with the new cap.
    assert policy.asked_s[:2] == [60.0, 120.0]
    assert all(asked_s % 60.0 == 0.0 for asked_s in policy.asked_s)
    assert [(time_s, job) for time_s, job, _ in caps_of(result)] == [(127.0, 0), (127.0, 1)]


def test_a_change_between_two_looks_is_seen_at_the_next_though_nothing_else_happens():
    scenario = hall(2, power={"telemetry_interval_s": 60.0})
    jobs = job_table(submit_s=[10.0, 70.0], duration_s=[900.0, 900.0], accelerators=4)
    policy = Recapping(lambda _now_s: (0.7, math.inf))
    result = run(scenario, jobs, policies=under("fifo", policy))
    assert [(time_s, job) for time_s, job, _ in caps_of(result)] == [(60.0, 0), (120.0, 1)]


@pytest.mark.parametrize(
    ("submit_s", "interval_s", "tick"),
    [(19_660.25, 0.1, 196_603), (144_176.5, 1.1, 131_070), (50.05, 0.7, 72)],
)
def test_intervals_that_no_float_meets_are_kept_to(submit_s, interval_s, tick):
    scenario = hall(1, power={"telemetry_interval_s": interval_s})
    policy = Recapping(lambda _now_s: (0.7, math.inf))
    result = run(scenario, four(100.0, submit_s), policies=under("fifo", policy))
    assert caps_of(result) == [(tick * interval_s, 0, 0.7)]


@pytest.mark.parametrize("traffic", ["fluid", "steps"])
@pytest.mark.parametrize("energy", ["straggler_scaling", "carbon_cap", "price_cap"])
def test_who_asks_for_caps_again_and_again_keeps_no_run_open_that_stands_still(traffic, energy):
    hourly = [(100 + hour) / 3.6e9 for hour in range(24)]
    grid = {
        "carbon": {"kind": "daily", "intensity_kg_per_j": hourly},
        "price": {"kind": "daily", "price_usd_per_j": hourly},
    }
    network = net(traffic=traffic, events=events((5.5, "server 1 up", "fail")))
    scenario = hall(2, network=network, grid=grid, policies={"energy": energy})
    with pytest.raises(DeadlockError, match="job job-0 stands still on its servers"):
        run(scenario, gang(), profiles=costs())


def test_a_policy_sees_the_powers_of_now_and_of_any_cap():
    speed, busy_w = capped_to(0.6)
    policy = Recapping(at([100.0], [0.6]))
    run(hall(1), four(300.0), policies=under("fifo", policy))
    # Asked when the job starts and at 100 s; and once more, because the power it had seen has changed since.
    first, *_, last = policy.views
    assert (first.now_s, first.power_w.tolist()) == (0.0, [BUSY_W + CORES_W])
    assert last.power_at(np.array([0.6])) == pytest.approx([busy_w + CORES_W], rel=1e-9)
    assert last.speed_at(np.array([0.6])) == pytest.approx([speed], rel=1e-9)
    assert last.power_at(np.array([1.0])) == pytest.approx([BUSY_W + CORES_W], rel=1e-9)


HOT = {
    "resistance_k_per_w": 0.15,
    "time_constant_s": 40.0,
    "throttle_deg_c": 80.0,
    "hysteresis_k": 10.0,
    "throttled_cap_fraction": 0.5,
}


def hot_hall(servers: int, **parts: Any) -> Any:
    """Return a hall whose accelerators throttle after 40 ln((91.5 - 31.5) / (91.5 - 80)) = 66.1 s of full work."""
    scenario = hall(servers, room={"layout": {"kind": "aisles", "containment": 1.0}}, **parts)
    plain = scenario.model_dump()
    plain["cluster"]["racks"][0]["servers"][0]["thermal"] = HOT
    return type(scenario).model_validate(plain)


def test_energy_of_a_throttled_job_by_hand():
    speed, busy_w = capped_to(0.5)
    hot_s = 40.0 * math.log((91.5 - 31.5) / (91.5 - 80.0))
    end_s = hot_s + (70.0 - hot_s) / speed  # over before it is cool again
    result = run(hot_hall(1), four(70.0))
    [(capped_s, row, cap)] = caps_of(result)
    assert (row, cap) == (0, 0.5)
    assert capped_s == pytest.approx(hot_s, rel=1e-9)
    assert result.jobs["end_s"][0] == pytest.approx(end_s, rel=1e-9)
    above_j = hot_s * (BUSY_W + CORES_W) + (end_s - hot_s) * (busy_w + CORES_W)
    assert result.jobs["energy_j"][0] == pytest.approx(above_j, rel=1e-9)
    assert result.jobs["throttled_s"][0] == pytest.approx(end_s - 70.0, rel=1e-7)


def test_who_is_stopped_while_throttled_starts_again_uncapped():
    """The heat stays with the server: it holds back whoever is there, and lets them go when it is cool again."""
    order = {False: in_order(0, 1), True: in_order(1, 0)}
    told = Told(lambda jobs, active: _at_once(order[1 in active.row.tolist()](active), jobs, active))
    free = preemption()
    # The first is throttled at 66.1 s and gives way to the second at 67 s, on the hot server.
    jobs = job_table(submit_s=[0.0, 67.0], duration_s=[100.0, 40.0], accelerators=4)
    result = run(hot_hall(1, preemption=free), jobs, policies=under(told))
    caps, cool_s = caps_of(result), result.events["time_s"][result.events["kind"] == LogKind.UNTHROTTLE]
    (again_s,) = result.events["time_s"][(result.events["kind"] == LogKind.END) & (result.events["job"] == 1)]
    first = [(time_s, cap) for time_s, job, cap in caps if job == 0]
    assert [(time_s, cap) for time_s, job, cap in caps if job == 1][:2] == [(67.0, 0.5), (cool_s[0], 1.0)]
    # It starts again uncapped on a server that is throttled just then, and is let go with it.
    assert first[1:] == [(again_s, 1.0), (again_s, 0.5), (cool_s[1], 1.0)]


def _at_once(order: Any, jobs: Any, active: Any) -> Decision:
    return Decision(order, jobs.accelerators[active.row], preempts=True)
