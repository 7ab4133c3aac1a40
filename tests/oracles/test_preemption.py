"""Preemptive orders on fungible slots against a simulator of a few lines that shares no code with dcsim."""

from __future__ import annotations

import numpy as np
import pytest

from dcsim.simulation import simulate
from dcsim.workload.jobs import job_table
from tests.oracles.preemption import Costs, Task, preemptive_schedule
from tests.oracles.queues import queue_scenario

COSTS = {
    "free": Costs(),
    "restart": Costs(start=2, restore=3),
    "kill": Costs(kill=True, restore=1),
    "kill, periodic checkpoints": Costs(kill=True, restore=2, interval=4, write=1),
}
JOBS = 60
SLOTS = 8


def _scenario(ordering: str, costs: Costs, skip: int):
    parameters = {"skip": skip}
    if ordering in ("priority", "earliest_deadline"):
        parameters["preemptive"] = 1
    choice = {"name": ordering, "parameters": parameters}
    base = queue_scenario(SLOTS)
    preemption = {
        "on_preempt": "kill" if costs.kill else "checkpoint",
        "checkpoint_s": float(costs.write),
        "start_s": float(costs.start),
        "restore_s": float(costs.restore),
        "checkpoint_interval_s": costs.interval and float(costs.interval),
    }
    return type(base).model_validate(
        base.model_dump() | {"preemption": preemption, "policies": {"ordering": choice}}
    )


@pytest.mark.parametrize("skip", [0, 2, 1_000])
@pytest.mark.parametrize("ordering", ["shortest_remaining", "priority", "earliest_deadline"])
@pytest.mark.parametrize("named", COSTS)
@pytest.mark.parametrize("seed", range(3))
def test_every_attempt_is_that_of_the_brute_simulator(
    seed: int, named: str, ordering: str, skip: int
) -> None:
    costs = COSTS[named]
    draws = np.random.default_rng([seed, sorted(COSTS).index(named)])
    submit = np.sort(draws.integers(0, 200, JOBS))
    widths, work = draws.choice([1, 2, 3, 5, 8], JOBS), draws.integers(1, 25, JOBS)
    priority, deadline = draws.integers(0, 4, JOBS), submit + draws.integers(10, 200, JOBS)
    rank = {"priority": -priority, "earliest_deadline": deadline}.get(ordering, np.zeros(JOBS))
    tasks = [
        Task(int(a), int(w), int(d), float(r)) for a, w, d, r in zip(submit, widths, work, rank, strict=True)
    ]
    by_work = ordering == "shortest_remaining"
    expected = preemptive_schedule(
        tasks,
        SLOTS,
        costs,
        lambda task: task.left if by_work else task.rank,
        skip,
        equals_stay=not by_work,
    )
    jobs = job_table(
        job_id=[f"{number:03d}" for number in range(JOBS)],
        submit_s=submit.astype(float),
        duration_s=work.astype(float),
        accelerators=widths,
        priority=priority.astype(float),
        deadline_s=deadline.astype(float),
    )
    table = simulate(_scenario(ordering, costs, skip), 0, jobs=jobs, guards=True).jobs
    assert table["start_s"].tolist() == [outcome.first for outcome in expected]
    assert table["end_s"].tolist() == [outcome.end for outcome in expected]
    assert table["attempts"].tolist() == [outcome.attempts for outcome in expected]
    for name, sort in (
        ("productive", "productive"),
        ("restore", "restored"),
        ("checkpoint", "written"),
        ("redone", "redone"),
    ):
        got = table[f"{name}_accelerator_s"]
        assert got.tolist() == pytest.approx([getattr(outcome, sort) for outcome in expected], abs=1e-9)
    if skip and by_work:
        assert max(outcome.attempts for outcome in expected) > 1
