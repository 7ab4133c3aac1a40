"""Sharing and preemptive orders against papers' examples, closed forms and every possible allocation."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from dcsim.policies.gittins import gittins_index
from dcsim.policies.tenants import fill_by_share
from dcsim.simulation.gangs import gangs_of
from dcsim.workload.jobs import job_table
from tests.simulation.deciders import preemption, story
from tests.simulation.halls import hall, run

FREE = preemption()


def _hall(ordering: str, devices: int, tenants: list[dict[str, Any]] | None = None, **parts: Any) -> Any:
    """One server a device; preemption costs nothing."""
    return hall(devices, 1, policies={"ordering": ordering}, preemption=FREE, tenants=tenants or [], **parts)


def _holding(result: Any, tenants: int) -> list[int]:
    """Return how many jobs of each tenant hold servers at the end of the run, tenants by name."""
    gangs = gangs_of(result.events)
    holds = result.events["job"][gangs.row[gangs.release_row < 0]]
    return [int((result.jobs["tenant"][holds] == f"t{number}").sum()) for number in range(tenants)]


# -- dominant resource fairness ----------------------------------------------------------------------


def _drf_run(
    tasks: dict[str, tuple[float, float, int]], weights: dict[str, float] | None = None
) -> list[int]:
    """Return how many tasks (cores, GB, how many are wanted) of each tenant run on 9 cores and 18 GB."""
    rows = [(name, task) for name, task in tasks.items() for _ in range(task[2])]
    base = hall(1, 1)
    rack = base.model_dump()["cluster"]["racks"][0]
    server = rack["servers"][0] | {
        "count": 1,
        "accelerator": None,
        "accelerators": 0,
        "cpu_cores": 9.0,
        "memory_bytes": 18e9,
    }
    scenario = hall(
        1,
        1,
        cluster={"racks": [rack | {"servers": [server]}]},
        policies={"ordering": "drf"},
        preemption=FREE,
        horizon_s=10.0,
        tenants=[{"name": name, "weight": weight} for name, weight in (weights or {}).items()],
    )
    jobs = job_table(
        job_id=[f"{number:02d}" for number in range(len(rows))],
        submit_s=0.0 * np.arange(len(rows)),
        duration_s=100.0,
        accelerators=0,
        cpu_cores=[task[0] for _, task in rows],
        memory_bytes=[task[1] * 1e9 for _, task in rows],
        tenant=[name for name, _ in rows],
    )
    return _holding(run(scenario, jobs), len(tasks))


def test_the_example_of_the_paper():
    """Ghodsi et al., NSDI (2011), section 4.1: <1 CPU, 4 GB> and <3 CPU, 1 GB> get 3 and 2 tasks, 2/3 each."""
    assert _drf_run({"t0": (1.0, 4.0, 9), "t1": (3.0, 1.0, 9)}) == [3, 2]
    assert _drf_run({"t1": (3.0, 1.0, 9), "t0": (1.0, 4.0, 9)}) == [3, 2]


def test_to_ask_for_more_than_one_needs_gets_no_more_tasks():
    """Strategy-proof: the second tenant asks for 4 cores a task, or for 4 GB, and gets no more than 2."""
    assert _drf_run({"t0": (1.0, 4.0, 9), "t1": (4.0, 1.0, 9)})[1] <= 2
    assert _drf_run({"t0": (1.0, 4.0, 9), "t1": (3.0, 4.0, 9)})[1] <= 2


def test_weights_divide_dominant_shares():
    # 1/9 a task for twice the weight, 1/3 for the other: after three and one they are equal, the first is first.
    assert _drf_run({"t0": (1.0, 4.0, 9), "t1": (3.0, 1.0, 9)}, {"t0": 2.0}) == [4, 1]


@pytest.mark.parametrize("seed", range(40))
def test_filling_is_algorithm_1_of_the_paper(seed):
    """In exact fractions: who has the least weighted dominant share goes next; of equals whose job is first."""
    draws = np.random.default_rng(seed)
    tenants, count = int(draws.integers(2, 5)), int(draws.integers(1, 25))
    weight = draws.choice([1, 2, 3], tenants)
    tenant = draws.integers(0, tenants, count)
    share = [Fraction(int(n), 60) for n in draws.integers(1, 30, count)]
    taken = [Fraction(0)] * tenants
    queues = {who: [at for at in range(count) if tenant[at] == who] for who in range(tenants)}
    expected = []
    while any(queues.values()):
        who = min(
            (who for who in queues if queues[who]),
            key=lambda who: (taken[who] / int(weight[who]), queues[who][0]),
        )
        at = queues[who].pop(0)
        expected.append(at)
        taken[who] += share[at]
    shares = np.array([float(part) for part in share])
    assert fill_by_share(tenant, shares, weight.astype(float), np.zeros(tenants)).tolist() == expected


# -- fair share, guarantees --------------------------------------------------------------------------


def _fairest(wanted: list[int], weights: list[int], devices: int) -> list[Fraction]:
    """Return the sorted weighted shares that are lexicographically greatest, of all whole allocations."""
    ranges = [range(want + 1) for want in wanted]
    return max(
        sorted(Fraction(held, weight) for held, weight in zip(allocation, weights, strict=True))
        for allocation in itertools.product(*ranges)
        if sum(allocation) <= devices
    )


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("heaviest", [1, 3])
def test_fair_share_is_the_fairest_of_all_whole_allocations(seed, heaviest):
    draws = np.random.default_rng(seed)
    tenants, devices = int(draws.integers(2, 4)), int(draws.integers(1, 9))
    wanted, weights = (
        draws.integers(0, 9, tenants).tolist(),
        draws.integers(1, heaviest + 1, tenants).tolist(),
    )
    rows = [who for who in range(tenants) for _ in range(wanted[who])]
    if not rows:
        return
    draws.shuffle(rows)
    jobs = job_table(
        submit_s=np.sort(draws.integers(0, 5, len(rows))).astype(float),
        duration_s=100.0,
        tenant=[f"t{who}" for who in rows],
    )
    said = [{"name": f"t{who}", "weight": float(weights[who])} for who in range(tenants)]
    held = _holding(run(_hall("fair_share", devices, said, horizon_s=10.0), jobs), tenants)
    assert sum(held) == min(devices, sum(wanted))
    if heaviest == 1:
        assert sorted(map(Fraction, held)) == _fairest(wanted, weights, devices)
    # Nobody who wants more has less than another had before its last one was given to it.
    for one, other in itertools.permutations(range(tenants), 2):
        if held[one] < wanted[one] and held[other]:
            assert Fraction(held[one], weights[one]) >= Fraction(held[other] - 1, weights[other])


def test_of_equal_shares_nobody_is_stopped_for_another():
    # Two of the second tenant's run; the first wants two: one each is due, the third device to either.
    jobs = job_table(
        submit_s=[0.0, 0.0, 0.0, 5.0, 5.0],
        duration_s=[1.0, 100.0, 100.0, 100.0, 100.0],
        tenant=["t0", "t1", "t1", "t0", "t0"],
    )
    result = run(_hall("fair_share", 3, horizon_s=10.0), jobs)
    assert story(result, "preempt") == []
    assert _holding(result, 2) == [1, 2]


def test_no_more_is_guaranteed_than_there_is():
    """Invariant 40, when the scenario is read."""
    said = [{"name": name, "guaranteed_accelerators": 2} for name in ("t0", "t1")]
    assert len(_hall("fair_share", 4, said).tenants) == 2
    with pytest.raises(ValidationError, match="4 guaranteed in all -> expected at most the cluster's 3"):
        _hall("fair_share", 3, said)


def test_what_is_guaranteed_is_given_back_at_once():
    jobs = job_table(
        submit_s=[0.0, 0.0, 0.0, 0.0, 7.0, 7.0, 8.0],
        duration_s=50.0,
        tenant=["t0"] * 4 + ["t1"] * 3,
    )
    said = [{"name": "t1", "weight": 0.001, "guaranteed_accelerators": 2}]
    result = run(_hall("fair_share", 4, said, horizon_s=10.0), jobs)
    # Borrowed from 0 to 7; two are given back at the instant; a third is beyond the guarantee.
    assert result.jobs["start_s"][4:].tolist() == pytest.approx([7.0, 7.0, np.nan], nan_ok=True)
    assert [time_s for time_s, _, _ in story(result, "preempt")] == [7.0, 7.0]


def test_jobs_on_cores_are_under_no_guarantee():
    """Otherwise they went before everybody, by submission, and no share of cores was fair."""
    assert _drf_run({"t0": (1.0, 1.0, 30), "t1": (1.0, 1.0, 30)}) in ([5, 4], [4, 5])


def test_parts_of_devices_count_as_parts_of_a_guarantee():
    jobs = job_table(
        submit_s=[0.0] * 4 + [5.0] * 2,
        duration_s=50.0,
        accelerator_share=0.5,
        cpu_cores=1.0,
        tenant=["t0"] * 4 + ["t1"] * 2,
    )
    said = [{"name": "t1", "weight": 0.001, "guaranteed_accelerators": 1}]
    assert _holding(run(_hall("fair_share", 2, said, horizon_s=10.0), jobs), 2) == [2, 2]


# -- orders that stop jobs ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_earliest_deadline_has_the_least_greatest_lateness_on_one_machine(seed):
    """max over t and d of t + (work that comes from t on and is due by d) - d: Horn, NRLQ 21 (1974)."""
    draws = np.random.default_rng(seed)
    count = int(draws.integers(1, 9))
    submit, work = np.sort(draws.integers(0, 20, count)), draws.integers(1, 9, count)
    due = submit + draws.integers(1, 30, count)
    bound = max(
        t + int(work[(submit >= t) & (due <= d)].sum()) - d
        for t, d in itertools.product(submit.tolist(), due.tolist())
        if ((submit >= t) & (due <= d)).any()
    )
    ordering = {"name": "earliest_deadline", "parameters": {"preemptive": 1}}
    jobs = job_table(
        submit_s=submit.astype(float), duration_s=work.astype(float), deadline_s=due.astype(float)
    )
    result = run(hall(1, 1, policies={"ordering": ordering}, preemption=FREE), jobs)
    assert float((result.jobs["end_s"] - result.jobs["deadline_s"]).max()) == pytest.approx(bound, abs=1e-9)


@pytest.mark.parametrize("seed", range(15))
def test_priority_pushes_out_lower_ones_only(seed):
    draws = np.random.default_rng(seed)
    count = 40
    priority = draws.integers(0, 3, count).astype(float)
    jobs = job_table(
        job_id=[f"{number:02d}" for number in range(count)],
        submit_s=np.sort(draws.integers(0, 100, count)).astype(float),
        duration_s=draws.integers(1, 40, count).astype(float),
        accelerators=draws.integers(1, 5, count),
        priority=priority,
    )
    ordering = {"name": "priority", "parameters": {"preemptive": 1, "skip": int(draws.integers(0, 9))}}
    result = run(hall(2, 4, policies={"ordering": ordering}, preemption=FREE), jobs)
    stops, grants = story(result, "preempt"), story(result, "grant")
    for time_s, _, stopped in stops:
        begun = [job for at_s, _, job in grants if at_s == time_s]
        assert any(priority[job] > priority[stopped] for job in begun)
    assert stops or seed > 0


@pytest.mark.parametrize("seed", range(60))
def test_gittins_index_by_its_definition(seed):
    """max over all d of P(S - a <= d | S > a) / E[min(S - a, d) | S > a], in exact fractions."""
    draws = np.random.default_rng(seed)
    sizes = draws.integers(0, 12, int(draws.integers(1, 8))).tolist()
    service = list(range(14))
    found = gittins_index(service, sizes)
    for had, index in zip(service, found.tolist(), strict=True):
        beyond = [Fraction(size - had) for size in sizes if size > had]
        best = max(
            (
                Fraction(sum(left <= d for left in beyond)) / sum(min(left, d) for left in beyond)
                for d in (Fraction(n, 4) for n in range(1, 60))
                if beyond
            ),
            default=Fraction(0),
        )
        assert index == pytest.approx(float(best), rel=1e-12)


def test_finish_time_fairness_serves_whom_sharing_hurt_most():
    """Themis: rho = shared over independent finish time. A short job that waited goes before a long one."""
    ordering = {"name": "finish_time_fairness", "parameters": {"round_s": 10.0}}
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=[1000.0, 10.0])
    result = run(hall(1, 1, policies={"ordering": ordering}, preemption=FREE), jobs)
    # At 0 both ratios are 1 and the first goes; at 10 (10 + 990) / 1000 against (10 + 10) / 10.
    assert result.jobs["start_s"].tolist() == [0.0, 10.0]
    assert result.jobs["end_s"].tolist() == [1010.0, 20.0]


STATIC = ("fair_share", "drf", "priority", "earliest_deadline")


@pytest.mark.parametrize("ordering", STATIC)
@pytest.mark.parametrize("seed", range(8))
def test_who_was_stopped_was_stopped_for_somebody(ordering, seed):
    """A job stopped at an instant at which nobody starts would have been stopped for nothing."""
    draws = np.random.default_rng([seed, STATIC.index(ordering)])
    count = 30
    width = draws.choice([0, 1, 2, 3, 4], count, p=[0.2, 0.4, 0.2, 0.1, 0.1])
    half = (width == 1) & (draws.random(count) < 0.4)
    jobs = job_table(
        submit_s=np.sort(draws.integers(0, 60, count)).astype(float),
        duration_s=draws.integers(1, 40, count).astype(float),
        accelerators=width,
        accelerator_share=np.where(half, 0.5, 1.0),
        cpu_cores=np.where(width == 0, 20.0, 4.0 * width),
        max_servers=np.where(width > 2, 1, 0),
        priority=draws.integers(0, 3, count).astype(float),
        deadline_s=draws.integers(50, 200, count).astype(float),
        tenant=draws.choice(["t0", "t1", "t2"], count).tolist(),
    )
    choice: Any = {"name": ordering, "parameters": {"preemptive": 1, "skip": 9}}
    said = [{"name": "t1", "weight": 2.0, "guaranteed_accelerators": 2}]
    result = run(hall(2, 4, policies={"ordering": choice}, preemption=FREE, tenants=said), jobs)
    grants = story(result, "grant")
    for time_s, _, stopped in story(result, "preempt"):
        assert any(at_s == time_s and job != stopped for at_s, _, job in grants)
    assert (result.jobs["status"] == "completed").all()
