"""What a job prepares before its first step: held, not worked, at each attempt, and part of its run time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.simulation.inputs import prepare
from dcsim.simulation.open_loop import open_loop_applies
from dcsim.workload.jobs import job_table
from dcsim.workload.profile import StartUp
from tests.simulation.conftest import round_profile
from tests.simulation.deciders import preemption, spent, story
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
