"""Shares of time made true round by round: what everybody gets in the long run, and that nobody is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dcsim.errors import DeadlockError, PolicyError
from dcsim.policies import make_policy
from dcsim.policies.allocation import AllocationPolicy
from dcsim.policies.programs import max_sum_throughput
from dcsim.simulation.gangs import gangs_of
from dcsim.workload.jobs import job_table
from tests.simulation.deciders import preemption, story, under
from tests.simulation.halls import hall, run

FREE = preemption()
NAMES = (
    "max_min_fairness",
    "max_min_fairness_perf",
    "max_sum_throughput",
    "min_makespan",
    "finish_time_fairness_perf",
    "allox",
    "fifo_perf",
)


class Fixed(AllocationPolicy):
    """Gives what it is told, whoever comes."""

    name = "fixed"
    optimises = "nothing: for tests"
    source = "-"

    def __init__(self, shares: Any, *, shuffles: bool = False, **parameters: Any) -> None:
        super().__init__(**parameters)
        self._shares = np.asarray(shares)
        self.shuffles_types = shuffles

    def allocate(self, view):
        return self._shares[view.row]


def typed_hall(*servers: tuple[str, int, int], **parts: Any) -> Any:
    """Return a hall with servers (accelerator type, how many servers, devices on each)."""
    base = hall(1, 1).model_dump(exclude_none=True)
    device, server = base["accelerators"]["D"], base["cluster"]["racks"][0]["servers"][0]
    listed = [
        server | {"count": count, "accelerator": name, "accelerators": devices}
        for name, count, devices in servers
    ]
    return hall(
        1,
        1,
        accelerators={name: device for name, _, _ in servers},
        cluster={"racks": [{"name": "r", "servers": listed}]},
        **({"preemption": FREE} | parts),
    )


def choice(name: str, **parameters: Any) -> dict[str, Any]:
    return {"ordering": {"name": name, "parameters": {"round_s": 10.0} | parameters}}


def shares_had(result: Any, type_of_server: list[int], jobs: int, until_s: float) -> Any:
    """Return (jobs, types) the part of the time each job held each type, by the log."""
    gangs, events = gangs_of(result.events), result.events
    freed_s = np.where(gangs.release_row >= 0, events["time_s"][gangs.release_row], until_s)
    had = np.zeros((jobs, max(type_of_server) + 1))
    kinds = np.array(type_of_server)[events["server"][gangs.row]]
    np.add.at(had, (events["job"][gangs.row], kinds), freed_s - events["time_s"][gangs.row])
    return had / until_s


@pytest.mark.parametrize("shuffles", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_in_the_long_run_everybody_has_its_share(seed, shuffles):
    draws = np.random.default_rng(seed)
    shares = sum(
        part * max_sum_throughput(draws.uniform(0.1, 1.0, (6, 2)), np.ones(6), [3, 2])
        for part in draws.dirichlet(np.ones(5))
    )
    jobs = job_table(submit_s=np.zeros(6), duration_s=1e6)
    off = []
    for rounds in (30, 300):
        scenario = typed_hall(("A", 3, 1), ("B", 2, 1), horizon_s=rounds * 10.0)
        result = run(scenario, jobs, policies=under(Fixed(shares, shuffles=shuffles, round_s=10.0)))
        had = shares_had(result, [0, 0, 0, 1, 1], 6, rounds * 10.0)
        assert had.sum() == pytest.approx(5.0)  # five devices, and six jobs that want them
        off.append(float(np.abs(had - shares).max()))
    assert off[0] < 0.15
    assert off[1] < 0.05


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("whole_steps", [0, 1])
def test_everybody_ends(name, whole_steps):
    """Jobs on cores alone, parts of devices, gangs on one server, costs, and an allocation that is long in coming."""
    for seed in range(4):
        draws = np.random.default_rng(seed)
        width = draws.choice([0, 1, 2, 4, 5], 10, p=[0.2, 0.3, 0.2, 0.2, 0.1])
        jobs = job_table(
            submit_s=np.sort(draws.uniform(0.0, 90.0, 10)),
            duration_s=draws.uniform(1.0, 40.0, 10),
            accelerators=width,
            accelerator_share=np.where((width == 1) & (draws.random(10) < 0.5), 0.5, 1.0),
            cpu_cores=np.where(width == 0, 40.0, 0.0),
            max_servers=np.where((width > 1) & (width < 5), 1, 0),
            accelerator_types=np.where((width == 2) & (draws.random(10) < 0.5), "B", "").tolist(),
        )
        costs = {"checkpoint_s": 2.0, "restore_s": 3.0, "requeue_s": float(seed % 2) * 4.0}
        policies = choice(name, whole_steps=whole_steps, reallocate_after_s=[0.0, 100.0][seed % 2])
        result = run(typed_hall(("A", 2, 4), ("B", 2, 2), policies=policies, preemption=costs), jobs)
        assert (result.jobs["status"] == "completed").all()


@pytest.mark.parametrize("whole_steps", [0, 1])
def test_who_comes_to_an_empty_cluster_does_not_wait_for_the_next_allocation(whole_steps):
    policies = choice("max_min_fairness", whole_steps=whole_steps, reallocate_after_s=1_000.0)
    jobs = job_table(submit_s=[100.0, 200.0], duration_s=[30.0, 30.0])
    result = run(hall(1, 1, policies=policies, preemption=FREE), jobs)
    assert result.jobs["end_s"].tolist() == [130.0, 230.0]


def test_a_gang_that_is_due_is_made_room_for():
    """Two single jobs on each server of four: the gang of four must have one of the servers to itself."""
    jobs = job_table(
        job_id=["a", "b", "c", "d", "gang"],
        submit_s=[0.0, 0.0, 0.0, 0.0, 5.0],
        duration_s=1_000.0,
        accelerators=[1, 1, 1, 1, 4],
        max_servers=[1, 1, 1, 1, 1],
    )
    policies = choice("max_min_fairness", reallocate_after_s=0.0) | {"placement": "spread"}
    result = run(hall(2, 4, policies=policies, preemption=FREE, horizon_s=50.0), jobs)
    assert result.jobs["start_s"].tolist() == [0.0, 0.0, 0.0, 0.0, 20.0]
    # At 10 all are due alike and it comes last; at 20 it has had the least. Whoever went is back at once.
    assert gangs_of(result.events).release_row.tolist().count(-1) == 5


def test_a_type_that_cannot_hold_a_gang_is_not_promised_to_it():
    """Four servers of one device hold four, but not on two servers."""
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=20.0, accelerators=[4, 1], max_servers=[2, 0])
    for name in NAMES:
        result = run(typed_hall(("A", 4, 1), ("B", 1, 4), policies=choice(name)), jobs)
        assert result.jobs["first_server"][0] == 4


def test_cores_that_a_type_does_not_have_are_not_promised():
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=20.0, cpu_cores=[64.0, 1.0], accelerators=[2, 1])
    scenario = typed_hall(("A", 1, 4), ("B", 1, 4), policies=choice("max_min_fairness"))
    small = scenario.model_dump(exclude_none=True)
    small["cluster"]["racks"][0]["servers"][0]["cpu_cores"] = 8.0
    assert run(type(scenario).model_validate(small), jobs).jobs["first_server"][0] == 1


def test_no_place_is_kept_for_who_waits_out_its_delay():
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=1e6)
    policy = Fixed([[0.5], [0.5]], round_s=10.0)
    costs = preemption(requeue_s=15.0)
    result = run(hall(1, 1, preemption=costs, horizon_s=2_000.0), jobs, policies=under(policy))
    had = shares_had(result, [0], 2, 2_000.0)
    assert had[:, 0].tolist() == pytest.approx([0.5, 0.5], abs=0.05)


def test_a_restart_longer_than_what_is_left_of_a_job_ends():
    """Whole steps: the round is not over before those are at work that have to be loaded first."""
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=[31.0, 31.0])
    policies = choice("max_min_fairness", whole_steps=1)
    costs = preemption(restore_s=6.0, requeue_s=2.0)
    result = run(hall(1, 1, policies=policies, preemption=costs), jobs)
    assert (result.jobs["status"] == "completed").all()
    assert len(story(result, "grant")) < 20


def test_a_program_that_gives_nobody_anything_is_a_deadlock_that_says_who():
    class Nothing(Fixed):
        work_conserving = False

    for whole_steps in (0, 1):
        policy = Nothing([[0.0]], round_s=10.0, whole_steps=whole_steps, reallocate_after_s=0.0)
        with pytest.raises(DeadlockError, match="job-0 wants 1"):
            run(hall(1, 1), job_table(submit_s=0.0, duration_s=5.0), policies=under(policy))


@pytest.mark.parametrize(
    ("shares", "message"),
    [([[1.5]], "a share of 1.5"), ([[np.nan]], "a share of nan"), ([[0.5, 0.5]], "shape")],
)
def test_shares_that_mean_nothing_are_refused(shares, message):
    with pytest.raises(PolicyError, match=message):
        run(hall(1, 1), job_table(submit_s=0.0, duration_s=5.0), policies=under(Fixed(shares)))


def test_work_that_is_done_counts_for_finish_time_fairness():
    """Near its end a job is not the one that sharing hurt most: what it did would have taken time alone, too."""
    seen = []
    policy: Any = make_policy(
        "ordering", "finish_time_fairness_perf", {"round_s": 10.0, "reallocate_after_s": 0.0}
    )
    allocate = policy.allocate

    def spy(view):
        shares = allocate(view)
        seen.append((view.now_s, shares[:, 0].tolist()))
        return shares

    policy.allocate = spy
    jobs = job_table(submit_s=[0.0, 100.0], duration_s=[110.0, 100.0])
    run(hall(1, 1, preemption=FREE), jobs, policies=under(policy))
    both = next(shares for now_s, shares in seen if len(shares) == 2)
    # At 100 s the first has 10 s left: rho = (100 + 10 / x) / (2 x 110); the second's is (100 / y) / 200.
    # Equal with x + y = 1: x = 0.096 gives 0.927 and 0.553; x = 0.25 gives 0.636 and 0.667.
    worst = max((100 + 10 / both[0]) / 220, (100 / both[1]) / 200)
    for x in np.linspace(0.01, 0.99, 99).tolist():
        assert worst <= max((100 + 10 / x) / 220, (100 / (1 - x)) / 200) + 1e-6
