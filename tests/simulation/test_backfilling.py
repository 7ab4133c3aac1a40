"""Backfilling on servers: fragmented, of several types, with cores and memory; what was promised is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.errors import PolicyError
from dcsim.policies import EnergyPolicy, OrderingPolicy, PlacementPolicy, make_policy
from dcsim.policies.backfill import EasyBackfill
from dcsim.policies.placement import BestFit
from dcsim.simulation import Policies, simulate
from dcsim.simulation.backfilling_future import Future
from dcsim.simulation.backfilling_profile import Profile
from dcsim.testing.strategies import clusters, job_tables
from dcsim.testing.whole_run import scenario_of
from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall, run

NAMES = ["easy_backfill", "conservative_backfill"]


def starts_s(ordering, jobs, placement="best_fit", servers=2, devices=4, **parts):
    policies = {"ordering": ordering, "placement": placement}
    parts.setdefault("preemption", {"enforce_time_limits": False})
    return run(hall(servers, devices, policies=policies, **parts), jobs).jobs["start_s"].tolist()


def two_servers(widths, durations_s):
    """A holds a part of server 0 until 10 s, B one of server 1 until 20 s; gang H wants a whole server.

    Others come at 2 s.
    """
    count = len(widths)
    return job_table(
        job_id=["a", "b", "h", *(f"late-{number}" for number in range(count))],
        submit_s=[0.0, 0.0, 1.0] + [2.0] * count,
        accelerators=[2, 3, 4, *widths],
        duration_s=[10.0, 20.0, 5.0, *durations_s],
        max_servers=1,
    )


def test_who_would_sit_where_the_gang_is_to_go_waits():
    # C would stay until 17 s on server 0, the emptier one, where H is to start at 10 s.
    found = starts_s("easy_backfill", two_servers([1], [15.0]), placement="spread")
    assert found == [0.0, 0.0, 10.0, 10.0]
    # With a reservation for each, C is placed where it can stay: on server 1.
    found = starts_s("conservative_backfill", two_servers([1], [15.0]), placement="spread")
    assert found == [0.0, 0.0, 10.0, 2.0]


@pytest.mark.parametrize("name", NAMES)
def test_who_sits_elsewhere_may_stay_longer(name):
    # Best fit puts C on server 1, where one accelerator is left: H does not mind.
    assert starts_s(name, two_servers([1], [15.0])) == [0.0, 0.0, 10.0, 2.0]


@pytest.mark.parametrize("name", NAMES)
def test_free_devices_in_all_are_not_a_server_of_ones_own(name):
    # 2 + 1 accelerators are free, but pairs fit server 0 alone, and must be gone by 10 s.
    assert starts_s(name, two_servers([2], [8.0])) == [0.0, 0.0, 10.0, 2.0]
    assert starts_s(name, two_servers([2], [8.5])) == [0.0, 0.0, 10.0, 15.0]


@st.composite
def halls_and_jobs(draw):
    cluster = draw(clusters(max_servers=4))
    return scenario_of(cluster, preemption={"enforce_time_limits": False}), draw(job_tables(cluster))


def promises(monkeypatch_context, kept):
    """Note the first start that each job was promised, by either policy."""
    reserve, earliest = Future.reserve, Profile.earliest

    def noted_reserve(self, head, now_s):
        start_s = reserve(self, head, now_s)
        kept.setdefault(head, start_s)
        return start_s

    def noted_earliest(self, job, shape, length_s):
        slot = earliest(self, job, shape, length_s)
        kept.setdefault(job, slot.start_s)
        return slot

    monkeypatch_context.setattr(Future, "reserve", noted_reserve)
    monkeypatch_context.setattr(Profile, "earliest", noted_earliest)


@settings(max_examples=30)
@given(st.data())
@pytest.mark.parametrize("name", NAMES)
def test_with_exact_estimates_nobody_starts_later_than_promised(name, data):
    cluster = data.draw(clusters(max_servers=4))
    draws = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    count = 25
    largest = max(server.accelerators for rack in cluster.racks for server in rack.servers)
    if not largest:
        return
    single = draws.random(count) < 0.5
    jobs = job_table(
        job_id=[f"{number:02d}" for number in range(count)],
        submit_s=np.sort(draws.integers(0, 40, count)).astype(float),
        accelerators=np.where(single, draws.integers(1, largest + 1, count), 1),
        duration_s=draws.integers(1, 20, count).astype(float),
        max_servers=np.where(single, 1, 0),
    )
    kept: dict[int, float] = {}
    with pytest.MonkeyPatch.context() as patch:
        promises(patch, kept)
        policies = Policies(
            make_policy("ordering", name),  # type: ignore[arg-type]
            make_policy("placement", data.draw(st.sampled_from(["best_fit", "first_fit", "spread"]))),  # type: ignore[arg-type]
            make_policy("energy", "none"),  # type: ignore[arg-type]
        )
        result = simulate(scenario_of(cluster), jobs=jobs, policies=policies, guards=True)
    start_s = result.jobs["start_s"]
    for job, promised_s in kept.items():
        assert start_s[job] <= promised_s + 1e-9


@settings(max_examples=25)
@given(halls_and_jobs(), st.sampled_from(NAMES), st.sampled_from([0.1, 1.0, 3.0]), st.sampled_from([0, 1, 3]))
def test_whatever_the_estimates_all_jobs_complete(case, name, factor, depth):
    scenario, jobs = case
    policies = Policies(
        make_policy("ordering", name, {"estimate_factor": factor, "depth": depth}),  # type: ignore[arg-type]
        make_policy("placement", "best_fit"),  # type: ignore[arg-type]
        make_policy("energy", "none"),  # type: ignore[arg-type]
    )
    result = simulate(scenario, jobs=jobs, policies=policies, guards=True)
    assert result.summary["jobs_completed"] == len(jobs)


def long_line(count=40, seed=3, widest=8):
    draws = np.random.default_rng(seed)
    duration_s = draws.integers(1, 20, count).astype(float)
    return job_table(
        job_id=[f"{number:02d}" for number in range(count)],
        submit_s=np.sort(draws.integers(0, 60, count)).astype(float),
        accelerators=draws.integers(1, widest + 1, count),
        duration_s=duration_s,
        time_limit_s=duration_s * draws.integers(1, 4, count),
        priority=draws.integers(0, 3, count).astype(float),
    )


def with_parameters(name, **parameters):
    return {"name": name, "parameters": parameters}


def test_with_one_reservation_and_nobody_behind_it_conservative_is_strict_fifo():
    jobs = long_line()
    assert starts_s(with_parameters("conservative_backfill", depth=1), jobs) == starts_s("fifo", jobs)


@pytest.mark.parametrize("name", NAMES)
def test_a_depth_that_nobody_reaches_changes_nothing(name):
    jobs = long_line()
    assert starts_s(with_parameters(name, depth=1000), jobs) == starts_s(name, jobs)


@pytest.mark.parametrize("name", NAMES)
def test_backfilling_shortens_the_wait(name):
    jobs = long_line()
    waits = [sum(starts_s(ordering, jobs)) for ordering in (name, "fifo")]
    assert waits[0] < waits[1]


@pytest.mark.parametrize("name", NAMES)
def test_higher_priority_gets_the_reservation(name):
    jobs = job_table(
        job_id=["a", "low", "high"],
        submit_s=[0.0, 1.0, 2.0],
        accelerators=[5, 8, 8],
        duration_s=[10.0, 4.0, 4.0],
        priority=[0.0, 0.0, 1.0],
    )
    assert starts_s(name, jobs) == [0.0, 10.0, 14.0]
    assert starts_s(with_parameters(name, by_priority=1), jobs) == [0.0, 14.0, 10.0]


@pytest.mark.parametrize("name", NAMES)
def test_a_job_that_outlives_its_estimate_holds_up_only_itself(name):
    # At 5 s A is overdue: from then on H is thought to start at once, so nobody long may pass it.
    jobs = job_table(
        job_id=["a", "h", "one", "two"],
        submit_s=[0.0, 1.0, 2.0, 6.0],
        accelerators=[6, 8, 2, 2],
        duration_s=[30.0, 5.0, 2.0, 2.0],
        time_limit_s=[5.0, 5.0, 2.0, 2.0],
    )
    assert starts_s(name, jobs) == [0.0, 30.0, 2.0, 35.0]


class OneServerOnly(BestFit):
    """Refuses gangs that no single server holds, though jobs allow it."""

    name = "one_server_only"

    def place(self, request, view):
        placement = super().place(request, view)
        return placement if placement is not None and len(placement) == 1 else None


def picky(name, jobs):
    ordering, energy = make_policy("ordering", name), make_policy("energy", "none")
    assert isinstance(ordering, OrderingPolicy)
    assert isinstance(energy, EnergyPolicy)
    placement: PlacementPolicy = OneServerOnly()
    return simulate(hall(2, 4), jobs=jobs, policies=Policies(ordering, placement, energy), guards=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_placement_policy_that_refuses_free_slots_is_believed(name):
    jobs = job_table(
        job_id=["a", "b", "h", "c"],
        submit_s=[0.0, 0.0, 1.0, 2.0],
        accelerators=[2, 2, 4, 2],
        duration_s=[10.0, 20.0, 5.0, 15.0],
    )
    # As with jobs that are kept to one server: H is promised server 0 at 10 s, C fits behind B only from 20 s.
    limited = job_table(
        job_id=["a", "b", "h", "c"],
        submit_s=[0.0, 0.0, 1.0, 2.0],
        accelerators=[2, 2, 4, 2],
        duration_s=[10.0, 20.0, 5.0, 15.0],
        max_servers=1,
    )
    assert picky(name, jobs).jobs["start_s"].tolist() == picky(name, limited).jobs["start_s"].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_jobs_that_take_no_time_are_in_nobodys_way(name):
    jobs = job_table(
        job_id=["a", "b", "c", "d"],
        submit_s=[0.0, 0.0, 0.0, 1.0],
        accelerators=[8, 8, 8, 8],
        duration_s=[0.0, 0.0, 4.0, 0.0],
    )
    assert starts_s(name, jobs) == [0.0, 0.0, 0.0, 4.0]


def test_estimates_that_are_no_durations_are_refused():
    class Wild(EasyBackfill):
        name = "wild"

        def estimates_s(self, jobs):
            return np.full(len(jobs), -1.0)

    energy = make_policy("energy", "none")
    assert isinstance(energy, EnergyPolicy)
    with pytest.raises(PolicyError, match="wild: estimates"):
        simulate(
            hall(1, 1),
            jobs=job_table(submit_s=[0.0], duration_s=1.0),
            policies=Policies(Wild(), BestFit(), energy),
        )


def test_a_long_line_of_one_shape_is_not_gone_through_again_and_again(monkeypatch):
    from dcsim.simulation.placing import Placer

    calls = []
    place = Placer.place

    def counted(self, job, *rest):
        calls.append(job)
        return place(self, job, *rest)

    monkeypatch.setattr(Placer, "place", counted)
    count = 400
    jobs = job_table(
        job_id=[f"{number:03d}" for number in range(count)],
        submit_s=np.zeros(count),
        accelerators=np.where(np.arange(count) % 2, 5, 3),
        duration_s=1.0 + np.arange(count) % 7,
    )
    assert len(starts_s("easy_backfill", jobs)) == count
    assert len(calls) < 4 * count
