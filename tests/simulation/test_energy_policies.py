"""Energy policies in whole runs: budgets hold, work is moved to where it is clean, and what it costs is what was said."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from dcsim.facility.grid import build_grid
from dcsim.policies import EnergyPolicy, make_policy
from dcsim.simulation.cluster_run import ClusterRun
from dcsim.simulation.forecasting import make_forecast
from dcsim.simulation.inputs import prepare
from dcsim.simulation.kinds import EVENT_KINDS
from dcsim.workload.jobs import job_table
from tests.simulation.conftest import round_profile
from tests.simulation.deciders import preemption, story, under
from tests.simulation.halls import hall, run
from tests.simulation.stored import made, stepped, storage

HOUR = 3600.0
DAY = [500, 480, 450, 400, 350, 300, 250, 200, 150, 120, 100, 90]
DAY += [90, 100, 130, 180, 250, 330, 400, 450, 480, 500, 510, 510]
"""g/kWh by the hour: a day of sun."""
GRID = {"carbon": {"kind": "daily", "intensity_kg_per_j": [grams / 3.6e9 for grams in DAY]}}


def energy(name: str, **parameters: Any) -> EnergyPolicy:
    policy = make_policy("energy", name, {key.replace("__", "."): value for key, value in parameters.items()})
    assert isinstance(policy, EnergyPolicy)
    return policy


def powers(scenario: Any, jobs: Any, policy: EnergyPolicy) -> tuple[Any, Any]:
    """Return when the IT power changes, and to what."""
    inputs = prepare(scenario, 0, Path(), jobs=jobs, policies=under("fifo", policy))
    forecast = make_forecast(scenario, build_grid(scenario.grid, Path()), 0)
    record = ClusterRun(inputs, forecast, guards=True).run_to(None)
    return np.array(record.power_times_s), np.array(record.it_power_w)


def caps_told(result: Any) -> list[tuple[float, int, float]]:
    """Return (time, job, cap over peak) of each change of a cap that the log tells."""
    columns = (result.events[name].tolist() for name in ("time_s", "kind", "job", "value"))
    return [
        (at_s, job, cap) for at_s, kind, job, cap in zip(*columns, strict=True) if EVENT_KINDS[kind] == "cap"
    ]


# -- budgets ---------------------------------------------------------------------------------------


def _mixed_jobs() -> Any:
    return job_table(
        submit_s=np.arange(12.0) * 100.0,
        duration_s=[500.0, 900.0, 300.0] * 4,
        accelerators=[1, 2, 4] * 4,
        priority=[0.0, 1.0, 2.0] * 4,
    )


@pytest.mark.parametrize("name", ["power_budget", "power_budget_uniform", "power_budget_priority"])
@pytest.mark.parametrize("budget_w", [3300.0, 3800.0, 4500.0])
def test_a_budget_is_kept_at_every_instant(name, budget_w):
    scenario = hall(servers=2, power={"budget_w": budget_w, "stages": []})
    _, it_w = powers(scenario, _mixed_jobs(), energy(name))
    assert it_w.max() <= budget_w
    free = powers(scenario, _mixed_jobs(), energy("none"))[1]
    assert free.max() > 4500.0
    assert it_w.max() > 0.9 * budget_w  # and used


def test_a_budget_below_all_floors_caps_as_deep_as_devices_hold():
    scenario = hall(servers=1, power={"budget_w": 600.0, "stages": []})
    result = run(
        scenario,
        job_table(submit_s=0.0, duration_s=100.0, accelerators=4),
        policies=under("fifo", energy("power_budget")),
    )
    assert [(at_s, job) for at_s, job, _ in caps_told(result)] == [(0.0, 0)]
    assert result.summary["jobs_completed"] == 1


def test_racks_have_budgets_of_their_own():
    scenario = hall(servers=1, racks=2, power={"tree": {"rack_budget_w": 2000.0}, "stages": []})
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=400.0, accelerators=[4, 2])
    for name in ("power_budget", "power_budget_uniform", "power_budget_priority"):
        result = run(scenario, jobs, policies=under("fifo", energy(name)))
        # Alone in the first rack four devices and their cores draw 2,200 W beside 500 W idle; in the other
        # two draw 1,100 W: nobody there is capped.
        assert {job for _, job, _ in caps_told(result)} == {0}
        assert result.jobs["end_s"][0] > 400.0
        assert result.jobs["end_s"][1] == 400.0


def test_watts_go_where_they_add_most_speed():
    """One job exchanges half of the time and gains less by a watt than one that computes all the time."""
    scenario = hall(servers=2, power={"budget_w": 3000.0, "stages": []})
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=[1000.0, 1000.0], accelerators=[4, 2])
    ends = {
        name: run(scenario, jobs, policies=under("fifo", energy(name))).jobs["end_s"]
        for name in ("power_budget", "power_budget_uniform")
    }
    work = np.array([4.0, 2.0])
    assert (work / ends["power_budget"]).sum() >= (work / ends["power_budget_uniform"]).sum() * 0.999


# -- oversubscription ------------------------------------------------------------------------------


def test_low_priority_gives_way_after_the_cap_latency():
    # 1,000 W idle and 2,200 W each: 94.7 % of 5,700 W. The second threshold is passed: job 0 is slowed to
    # 1110 / 1410 after 40 s, which is enough; 40 s after job 1 has gone it is let go.
    scenario = hall(servers=2, power={"budget_w": 5700.0, "cap_latency_s": 40.0, "stages": []})
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=2000.0, accelerators=4, priority=[0.0, 1.0])
    result = run(scenario, jobs, policies=under("fifo", energy("polca")))
    (first_s, first, deep), (then_s, then, none) = caps_told(result)
    assert (first_s, first, then_s, then, none) == (40.0, 0, 2040.0, 0, 1.0)
    assert deep < 0.8
    done = 40.0 + 2000.0 * (1110.0 / 1410.0)
    assert result.jobs["end_s"][0] == pytest.approx(2040.0 + (2000.0 - done), rel=2e-3)
    assert result.jobs["end_s"][1] == 2000.0


def test_a_tighter_budget_slows_high_priority_too():
    scenario = hall(servers=2, power={"budget_w": 5410.0, "cap_latency_s": 40.0, "stages": []})
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=2000.0, accelerators=4, priority=[0.0, 1.0])
    policy = energy("polca", lower_speed=0.9, low_speed=0.95)
    told = caps_told(run(scenario, jobs, policies=under("fifo", policy)))
    assert [(at_s, job) for at_s, job, _ in told[:2]] == [(40.0, 0), (80.0, 1)]


# -- held back -------------------------------------------------------------------------------------


def test_a_stalled_job_takes_less_energy_and_no_more_time():
    """Input for half of the steps that four devices could do: they may run at half speed."""
    scenario = made(servers=1, storage=storage(shared={"bandwidth_bytes_per_s": 0.05e6}))
    told = {
        name: run(scenario, stepped(1000.0), profiles=round_profile(), policies=under("fifo", energy(name)))
        for name in ("none", "straggler_scaling")
    }
    free, saved = (told[name].jobs for name in ("none", "straggler_scaling"))
    assert free["data_stall_s"][0] > 500.0
    assert saved["end_s"][0] == pytest.approx(free["end_s"][0], rel=1e-6)
    assert saved["energy_j"][0] < 0.95 * free["energy_j"][0]


def test_who_is_not_held_back_is_left_alone():
    jobs = job_table(submit_s=0.0, duration_s=1000.0, accelerators=4)
    result = run(hall(servers=1), jobs, policies=under("fifo", energy("straggler_scaling")))
    assert caps_told(result) == []
    assert result.jobs["end_s"].tolist() == [1000.0]


# -- sleep -----------------------------------------------------------------------------------------


def _sparse() -> Any:
    """Return a job of a server's width every 200 s, for 100 s each."""
    return job_table(submit_s=np.arange(60.0) * 200.0, duration_s=100.0, accelerators=4)


def test_a_reserve_saves_energy_and_most_of_the_waiting():
    told = {
        name: run(
            hall(servers=6, horizon_s=12_100.0), _sparse(), policies=under("fifo", policy, "awake_first")
        )
        for name, policy in (
            ("none", energy("none")),
            ("sleep", energy("sleep_idle", after_s=30.0)),
            ("reserve", energy("sleep_forecast", after_s=30.0)),
        )
    }
    joules = {name: result.summary["energy_it_j"] for name, result in told.items()}
    late_s = {
        name: float(np.mean(result.jobs["end_s"] - result.jobs["submit_s"])) - 100.0
        for name, result in told.items()
    }
    assert joules["sleep"] < joules["reserve"] < joules["none"]
    assert late_s["none"] == 0.0
    assert late_s["sleep"] > 60.0  # each server sleeps 30 s after its job, and takes 120 s to wake
    assert late_s["reserve"] < 0.1 * late_s["sleep"]


# -- combined --------------------------------------------------------------------------------------


def test_combined_policies_save_more_than_either():
    told = {
        name: run(hall(servers=4, horizon_s=12_100.0), _sparse(), policies=under("fifo", energy(name)))
        for name in ("none", "power_cap", "sleep_idle", "power_cap+sleep_idle")
    }
    joules = {name: result.summary["energy_it_j"] for name, result in told.items()}
    assert joules["power_cap+sleep_idle"] < min(joules["power_cap"], joules["sleep_idle"]) < joules["none"]
    assert told["power_cap+sleep_idle"].energy == "power_cap+sleep_idle"


def test_a_budget_is_kept_beside_static_caps():
    scenario = hall(servers=2, power={"budget_w": 4000.0, "stages": []})
    _, it_w = powers(scenario, _mixed_jobs(), energy("power_budget+power_cap", power_cap__cap_fraction=0.9))
    assert it_w.max() <= 4000.0
    capped = energy("power_cap+straggler_scaling", power_cap__cap_fraction=0.7)
    alone = energy("power_cap", cap_fraction=0.7)
    jobs = job_table(submit_s=0.0, duration_s=1000.0, accelerators=4)
    ends = [
        run(hall(servers=1), jobs, policies=under("fifo", policy)).jobs["end_s"] for policy in (capped, alone)
    ]
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)


# -- by the grid -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["carbon_cap", "least_energy_cap"])
def test_caps_stay_within_their_bound_and_save(name):
    jobs = job_table(submit_s=[0.0, 3 * HOUR], duration_s=[20 * HOUR, 5 * HOUR], accelerators=[4, 2])
    scenario = hall(servers=2, grid=GRID, horizon_s=30 * HOUR)
    free, capped = (
        run(scenario, jobs, policies=under("fifo", policy))
        for policy in (energy("none"), energy(name, max_slowdown=1.1))
    )
    slowdown = (
        capped.jobs["run_s"] / free.jobs["run_s"]
        if "run_s" in free.jobs
        else ((capped.jobs["end_s"] - capped.jobs["start_s"]) / (free.jobs["end_s"] - free.jobs["start_s"]))
    )
    assert (slowdown <= 1.1).all()
    assert (slowdown > 1.0).all()
    assert capped.summary["carbon_kg"] < free.summary["carbon_kg"]
    assert capped.summary["energy_it_j"] < free.summary["energy_it_j"]


# -- carbon ----------------------------------------------------------------------------------------


def _carbon(policy: EnergyPolicy, slack_s: float, **costs: Any) -> tuple[float, Any]:
    """Return kg of a job of six hours on two of four devices, above the idle hall, and its run."""
    jobs = job_table(
        submit_s=0.0,
        duration_s=6 * HOUR,
        accelerators=2,
        min_accelerators=1,
        max_accelerators=4,
        slack_s=slack_s,
    )
    scenario = hall(
        servers=1, grid=GRID, horizon_s=48 * HOUR, preemption=preemption(**costs), power={"stages": []}
    )
    result = run(scenario, jobs, policies=under("fifo", policy))
    return _accelerator_carbon(result), result


def _accelerator_carbon(result: Any) -> float:
    """Return accelerators times time times g/kWh, from the log."""
    total, since_s, width = 0.0, 0.0, 0
    intensity = np.array(DAY * 3, dtype=np.float64)
    edges_s = np.arange(len(intensity) + 1) * HOUR

    def between(start_s: float, end_s: float) -> float:
        inside = np.clip(np.minimum(edges_s[1:], end_s) - np.maximum(edges_s[:-1], start_s), 0.0, None)
        return float((inside * intensity).sum())

    for time_s, kind, value in zip(
        *(result.events[name] for name in ("time_s", "kind", "value")), strict=True
    ):
        name = EVENT_KINDS[kind]
        if name in {"grant", "preempt", "end"}:
            total += width * between(since_s, float(time_s))
            since_s, width = float(time_s), int(value) if name == "grant" else 0
    return total


def _bound(slack_s: float, widths: list[int]) -> float:
    """Return the least that any mixture of widths could emit, progress in proportion to width; a linear program."""
    end_s = 6 * HOUR + slack_s
    edges_s = np.append(np.arange(0.0, end_s, HOUR), end_s)
    length_s, intensity = np.diff(edges_s), np.array(DAY * 3)[: len(edges_s) - 1]
    cost = np.outer(intensity, widths).ravel()
    used = np.kron(np.eye(len(length_s)), np.ones(len(widths)))
    done = -np.tile(np.array(widths) / 2.0, len(length_s))[None, :]
    solved = linprog(cost, A_ub=np.vstack([used, done]), b_ub=np.append(length_s, -6 * HOUR))
    return float(solved.fun or math.nan)


@pytest.mark.parametrize("slack_s", [3 * HOUR, 6.5 * HOUR, 18 * HOUR, 24 * HOUR])
def test_elastic_jobs_are_cleaner_than_stopped_ones_and_never_below_the_bound(slack_s):
    at_once, _ = _carbon(energy("none"), slack_s)
    stopped, first = _carbon(energy("carbon_suspend"), slack_s)
    scaled, second = _carbon(energy("carbon_scale", restart_s=0.0), slack_s)
    assert _bound(slack_s, [2]) * (1.0 - 1e-9) <= stopped <= at_once
    assert _bound(slack_s, [1, 2, 3, 4]) * (1.0 - 1e-9) <= scaled
    assert scaled <= _bound(slack_s, [1, 2, 3, 4]) * 1.001
    assert scaled < stopped
    for result in (first, second):
        assert result.jobs["end_s"][0] <= 6 * HOUR + slack_s + 1.0


@pytest.mark.parametrize("cost_s", [60.0, 300.0])
@pytest.mark.parametrize("slack_s", [1 * HOUR, 6.5 * HOUR, 20 * HOUR])
def test_slack_is_missed_by_no_more_than_restarts_take(slack_s, cost_s):
    _, result = _carbon(energy("carbon_scale"), slack_s, checkpoint_s=cost_s, restore_s=cost_s)
    stops = len(story(result, "preempt"))
    assert result.jobs["end_s"][0] <= 6 * HOUR + slack_s + (stops + 1) * 2.0 * cost_s


# -- demand response -------------------------------------------------------------------------------


def _asked(**event: Any) -> Any:
    whole = {"start_s": 3600.0, "duration_s": 1800.0, "notice_s": 900.0, "it_limit_w": 3000.0} | event
    return hall(
        servers=2,
        grid={"demand_response": [whole]},
        power={"stages": [], "cap_latency_s": 30.0},
        preemption=preemption(),
    )


def test_jobs_with_slack_pause_and_others_keep_to_the_limit():
    # Job 0 may be late, job 1 may not: 1,000 W idle, and 2,200 W for each.
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=7200.0, accelerators=4, slack_s=[3600.0, 0.0])
    result = run(_asked(), jobs, policies=under("fifo", energy("demand_response")))
    assert story(result, "preempt", "grant") == [
        (0.0, "grant", 0),
        (0.0, "grant", 1),
        (3540.0, "preempt", 0),
        (5400.0, "grant", 0),
    ]
    times_s, it_w = powers(_asked(), jobs, energy("demand_response"))
    during = (times_s >= 3600.0) & (times_s < 5400.0)
    assert it_w[during].max(initial=0.0) <= 3000.0
    assert it_w[times_s < 3540.0].max() > 3000.0
    # The cap is let go with the event, and 30 s later no longer in force.
    (down_s, first, cap), (up_s, second, none) = caps_told(result)
    assert (first, second, none) == (1, 1, 1.0)
    assert down_s == 3570.0
    assert up_s == 5430.0
    assert cap < 1.0


def test_nobody_pauses_beyond_its_slack():
    jobs = job_table(submit_s=0.0, duration_s=7200.0, accelerators=4, slack_s=900.0)
    result = run(_asked(), jobs, policies=under("fifo", energy("demand_response")))
    assert story(result, "preempt", "grant")[1:] == [(3540.0, "preempt", 0), (4440.0, "grant", 0)]
    assert result.jobs["end_s"][0] == pytest.approx(8100.0, rel=0.02)


def test_without_notice_nothing_is_done_before():
    jobs = job_table(submit_s=0.0, duration_s=7200.0, accelerators=4, slack_s=3600.0)
    result = run(_asked(notice_s=0.0), jobs, policies=under("fifo", energy("demand_response")))
    assert story(result, "preempt") == [(3600.0, "preempt", 0)]


def test_any_budget_policy_keeps_to_an_event_too():
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=7200.0, accelerators=4)
    times_s, it_w = powers(_asked(it_limit_w=4000.0), jobs, energy("power_budget"))
    within = (times_s >= 3630.0) & (times_s < 5400.0)
    assert it_w[within].max() <= 4000.0
