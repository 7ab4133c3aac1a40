"""What a job prepares before its first step: held, not worked, at each attempt, and part of its run time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.policies.active import ActiveJobs, Decision
from dcsim.policies.carbon_scaling import CarbonScale
from dcsim.policies.demand_response import DemandResponse
from dcsim.policies.elastic_goodput import ElasticGoodput
from dcsim.policies.suspending import CarbonSuspend
from dcsim.policies.views import JobsView
from dcsim.simulation.inputs import prepare
from dcsim.simulation.open_loop import open_loop_applies
from dcsim.testing.isolation import sample_active_jobs, sample_jobs_view
from dcsim.testing.strategies import make_grid_view
from dcsim.workload.jobs import job_table
from dcsim.workload.profile import StartUp
from tests.simulation.conftest import round_profile
from tests.simulation.deciders import Told, preemption, spent, story, under
from tests.simulation.halls import hall, run

NO_COSTS = preemption(checkpoint_s=0.0, start_s=0.0, restore_s=0.0)
STEP_S = 1.0
"""Of the round profile on one device."""
PREEMPTIVE = {"ordering": {"name": "priority", "parameters": {"preemptive": 1, "skip": 9}}}


def _profiles(process_s: float = 2.0, data_s: float = 3.0, compile_s: float = 5.0) -> dict[str, Any]:
    """Return the round profile with a start-up; its steps take one second."""
    startup = StartUp(process_s=process_s, data_s=data_s, compile_s=compile_s)
    return {
        name: replace(costs, profile=costs.profile.model_copy(update={"startup": startup}))
        for name, costs in round_profile().items()
    }


def _jobs(submit_s: list[float], steps: list[float], **columns: Any) -> Any:
    (name,) = round_profile()
    return job_table(
        submit_s=submit_s, steps=steps, profile=[name] * len(steps), batch_per_accelerator=8, **columns
    )


@given(
    steps=st.integers(1, 50),
    parts=st.tuples(*[st.integers(0, 1000).map(lambda each: each / 8) for _ in range(3)]),
)
def test_alone_a_job_takes_its_start_up_and_then_its_steps(
    steps: int, parts: tuple[float, float, float]
) -> None:
    result = run(hall(servers=1, devices=1), _jobs([0.0], [float(steps)]), profiles=_profiles(*parts))
    expected_s = sum(parts) + steps * STEP_S
    assert result.jobs["end_s"][0] == pytest.approx(expected_s, rel=1e-12)
    assert result.jobs["ideal_s"][0] == pytest.approx(expected_s, rel=1e-12)
    assert result.jobs["restore_accelerator_s"][0] == pytest.approx(sum(parts), rel=1e-12)
    assert result.jobs["productive_accelerator_s"][0] == pytest.approx(steps * STEP_S, rel=1e-12)


@given(stops=st.integers(0, 4))
def test_each_attempt_starts_up_again(stops: int) -> None:
    # Whole devices; every 40 s a job of higher priority pushes the long one out for its 10 + 1 s.
    submit_s = [0.0, *(40.0 * (turn + 1) for turn in range(stops))]
    jobs = _jobs(submit_s, [200.0, *[1.0] * stops], priority=[0.0, *[1.0] * stops])
    scenario = hall(servers=1, devices=1, policies=PREEMPTIVE, preemption=NO_COSTS)
    result = run(scenario, jobs, profiles=_profiles())
    assert result.jobs["attempts"][0] == stops + 1
    # Nothing is lost: a checkpoint is free. Its own time, that of the others, and n + 1 times its start-up.
    assert result.jobs["end_s"][0] == pytest.approx(
        (stops + 1) * 10.0 + 200.0 * STEP_S + stops * (10.0 + STEP_S)
    )
    assert result.jobs["restore_accelerator_s"][0] == pytest.approx((stops + 1) * 10.0)


def test_it_comes_on_top_of_what_the_scenario_says_of_starts() -> None:
    costs = preemption(checkpoint_s=0.0, start_s=4.0, restore_s=7.0)
    result = run(hall(servers=1, devices=1, preemption=costs), _jobs([0.0], [3.0]), profiles=_profiles())
    assert result.jobs["end_s"][0] == pytest.approx(14.0 + 3.0 * STEP_S)
    assert set(spent(result, 0)) == {"productive", "restore"}


def test_a_job_that_goes_while_it_starts_up_has_done_nothing() -> None:
    jobs = _jobs([0.0, 6.0], [10.0, 1.0], priority=[0.0, 1.0])
    result = run(
        hall(servers=1, devices=1, policies=PREEMPTIVE, preemption=NO_COSTS), jobs, profiles=_profiles()
    )
    assert story(result, "preempt") == [(6.0, "preempt", 0)]
    assert result.jobs["restore_accelerator_s"][0] == pytest.approx(16.0)
    assert result.jobs["redone_accelerator_s"][0] == 0.0


def test_shortest_first_weighs_the_start_up() -> None:
    """Two kinds: few steps behind a long start-up are the longer job."""
    (name,) = round_profile()
    profiles = {"slow": _profiles(100.0, 0.0, 0.0)[name], "fast": round_profile()[name]}
    jobs = job_table(
        submit_s=[0.0, 1.0, 2.0],
        steps=[20.0, 5.0, 10.0],
        profile=["fast", "slow", "fast"],
        batch_per_accelerator=8,
    )
    scenario = hall(servers=1, devices=1, policies={"ordering": {"name": "shortest_first"}})
    result = run(scenario, jobs, profiles=profiles)
    assert np.argsort(result.jobs["start_s"]).tolist() == [0, 2, 1]


def test_a_run_time_holds_its_start_up() -> None:
    (name,) = round_profile()
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=[60.0, 4.0], profile=[name] * 2, batch_per_accelerator=8)
    result = run(hall(servers=1, devices=2), jobs, profiles=_profiles())
    # The second says less than its start-up takes: it starts up, and makes one step.
    assert result.jobs["end_s"].tolist() == pytest.approx([60.0, 10.0 + STEP_S])


def test_without_a_start_up_the_open_loop_still_tells_the_run(tmp_path: Any) -> None:
    for profiles, told in ((round_profile(), True), (_profiles(), False)):
        inputs = prepare(hall(servers=1), 0, tmp_path, profiles=profiles, jobs=_jobs([0.0], [3.0]))
        assert open_loop_applies(inputs) is told


def test_who_has_started_up_is_not_stopped_for_who_has_not() -> None:
    """290 s of work left against 100 + 200 s: to stop would cost the first its start-up again."""
    scenario = hall(
        servers=1, devices=1, policies={"ordering": {"name": "shortest_remaining"}}, preemption=NO_COSTS
    )
    result = run(scenario, _jobs([0.0, 110.0], [300.0, 200.0]), profiles=_profiles(process_s=92.0))
    assert result.jobs["end_s"].tolist() == pytest.approx([400.0, 700.0])
    # Stopping is right where it is: 50 steps against 990.
    result = run(scenario, _jobs([0.0, 110.0], [1000.0, 50.0]), profiles=_profiles(process_s=92.0))
    assert result.jobs["end_s"].tolist() == pytest.approx([110.0 + 150.0 + 100.0 + 990.0, 260.0])


def test_policies_see_what_is_left_of_start_up_and_of_work() -> None:
    seen: dict[float, list[float]] = {}

    def tell(jobs: JobsView, active: ActiveJobs) -> Decision:
        seen[active.now_s] = active.left_s(jobs).tolist()
        rows = [] if active.now_s == 20.0 else [0]
        return Decision(np.array(rows, dtype=np.int64), jobs.accelerators[active.row], preempts=True)

    told = Told(tell, round_s=5.0)
    told.knows_progress = True  # type: ignore[misc]
    scenario = hall(servers=1, devices=1, preemption=NO_COSTS)
    result = run(scenario, _jobs([0.0], [30.0]), profiles=_profiles(), policies=under(told))
    # It starts up for 10 s, works for 10, is stopped, and starts up again.
    left_s = {
        0.0: 40.0,
        5.0: 35.0,
        10.0: 30.0,
        15.0: 25.0,
        20.0: 20.0,
        25.0: 30.0,
        30.0: 25.0,
        35.0: 20.0,
        40.0: 15.0,
    }
    assert {at: seen[at][0] for at in left_s} == pytest.approx(left_s)
    assert result.jobs["end_s"][0] == pytest.approx(55.0)


def test_who_goes_has_its_start_up_before_it_again() -> None:
    """It is stopped at 20 s, 10 s of work done, and writes its checkpoint until 27 s."""
    seen: dict[float, list[float]] = {}

    def tell(jobs: JobsView, active: ActiveJobs) -> Decision:
        seen[active.now_s] = active.left_s(jobs).tolist()
        rows = [] if active.now_s == 20.0 else [0]
        return Decision(np.array(rows, dtype=np.int64), jobs.accelerators[active.row], preempts=True)

    told = Told(tell, round_s=5.0)
    told.knows_progress = True  # type: ignore[misc]
    scenario = hall(servers=1, devices=1, preemption=NO_COSTS | {"checkpoint_s": 7.0})
    run(scenario, _jobs([0.0], [30.0]), profiles=_profiles(), policies=under(told))
    assert seen[25.0] == pytest.approx([10.0 + 20.0])


def test_a_scaled_job_at_work_plans_its_work_only() -> None:
    """Of 1000 s of work behind as long a start-up half is left: 500 of the 600 s before the grid gets dirty."""
    base = sample_jobs_view(1)
    figures = {
        "submit_s": 0.0, "accelerators": 1, "estimated_duration_s": 2000.0, "startup_s": 1000.0, "slack_s": 9000.0,
        "min_accelerators": 0, "max_accelerators": 0,
    }  # fmt: skip
    columns = {name: np.array([value], getattr(base, name).dtype) for name, value in figures.items()}
    jobs = replace(base, **columns)
    active = replace(
        sample_active_jobs(jobs, 1, knows_progress=True), now_s=3000.0, left_fraction=np.array([0.5])
    )
    assert active.startup_left_s.tolist() == [0.0]
    grid = make_grid_view(carbon=[CLEAN, DIRTY], now_s=3000.0)
    widths, again_s = CarbonScale().widths(jobs, active, grid)
    assert widths.tolist() == [1]
    assert again_s == pytest.approx(3500.0)


CLEAN, DIRTY, HOUR = 1e-8, 5e-8, 3600.0
GRID = {"carbon": {"kind": "daily", "intensity_kg_per_j": [CLEAN, DIRTY, CLEAN] + [DIRTY] * 21}}


@pytest.mark.parametrize("policy", [CarbonSuspend, CarbonScale])
@pytest.mark.parametrize("slack_s", [600.0, 1100.0, 4000.0, 6000.0])
def test_no_pause_is_so_long_that_the_start_up_after_it_comes_too_late(policy: Any, slack_s: float) -> None:
    jobs = _jobs([0.0], [6000.0], slack_s=slack_s)
    scenario = hall(servers=1, devices=1, grid=GRID, preemption=NO_COSTS)
    profiles = _profiles(process_s=1192.0)
    result = run(scenario, jobs, profiles=profiles, policies=under("fifo", policy()))
    assert result.jobs["end_s"][0] <= 1200.0 + 6000.0 + slack_s + 1e-6


def test_a_pause_for_the_grid_leaves_time_to_start_up_again() -> None:
    event = {"start_s": 3000.0, "duration_s": 6000.0, "notice_s": 3000.0, "import_limit_w": 1.0}
    jobs = _jobs([0.0], [6000.0], slack_s=2000.0)
    scenario = hall(servers=1, devices=1, grid={"demand_response": [event]}, preemption=NO_COSTS)
    result = run(
        scenario, jobs, profiles=_profiles(process_s=1192.0), policies=under("fifo", DemandResponse())
    )
    assert result.jobs["attempts"][0] == 2
    assert result.jobs["end_s"][0] <= 7200.0 + 2000.0 + 1e-6


def test_an_elastic_gang_is_not_resized_where_it_starts_up_for_longer_than_a_round() -> None:
    jobs = _jobs([0.0, 0.0], [2000.0, 50.0], accelerators=2, min_accelerators=1, max_accelerators=4)
    scenario = hall(servers=1, devices=4, preemption=NO_COSTS)
    for process_s, attempts in ((92.0, 1), (0.0, 2)):
        result = run(
            scenario,
            jobs,
            profiles=_profiles(process_s=process_s),
            policies=under(ElasticGoodput(round_s=60.0, restart_s=0.0)),
        )
        assert result.jobs["attempts"][0] == attempts


def test_a_job_of_no_length_does_nothing() -> None:
    (name,) = round_profile()
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=[0.0, 20.0], profile=[name] * 2, batch_per_accelerator=8)
    result = run(hall(servers=1, devices=1), jobs, profiles=_profiles())
    assert result.jobs["end_s"].tolist() == pytest.approx([0.0, 20.0])
    assert result.jobs["ideal_s"].tolist() == pytest.approx([0.0, 20.0])
