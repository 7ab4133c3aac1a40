"""What cannot work is refused before or during a run, with its reason."""

from __future__ import annotations

import numpy as np
import pytest

from dcsim.errors import DeadlockError, PolicyError, ScenarioError
from dcsim.policies import EnergyPolicy, PlacementPolicy
from dcsim.policies.energy import NoEnergyPolicy, PowerCap
from dcsim.policies.ordering import Fifo
from dcsim.policies.placement import FirstFit
from dcsim.simulation import Policies
from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall, run

JOB = job_table(submit_s=0.0, duration_s=10.0, accelerators=2)


def _with(placement=None, energy=None):
    return Policies(Fifo(), placement or FirstFit(), energy or NoEnergyPolicy())


def _placing(answer):
    class Fixed(PlacementPolicy):
        name, optimises, source = "fixed", "nothing", "-"

        def place(self, request, view):
            return answer

    return _with(placement=Fixed())


@pytest.mark.parametrize("horizon_s", [None, 1000.0])
def test_a_policy_that_never_places_is_a_deadlock_with_names(horizon_s):
    with pytest.raises(DeadlockError, match=r"job-0 wants 2 accelerators \(8 free in all\)"):
        run(hall(horizon_s=horizon_s), JOB, policies=_placing(None))


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        (((0, 1),), r"\[1\] accelerators for a gang of 2"),
        (((0, 3),), "for a gang of 2"),
        (((0, 1), (0, 1)), "ascending and distinct"),
        (((1, 1), (0, 1)), "ascending and distinct"),
        (((0, 2), (1, 0)), "for a gang of 2"),
        (((7, 2),), "does not exist"),
        (((-1, 2),), "does not exist"),
        ((), "for a gang of 2"),
        (((0, np.uint8(2)),), "plain integers"),
        (((0, 2.0),), "plain integers"),
    ],
)
def test_a_wrong_placement_is_the_policys_error(placement, message):
    with pytest.raises(PolicyError, match=message):
        run(hall(), JOB, policies=_placing(placement))


def test_over_allocation_is_the_policys_error():
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=10.0, accelerators=[3, 3])
    with pytest.raises(PolicyError, match="3 accelerators wanted, 1 free"):
        run(hall(), jobs, policies=_placing(((0, 3),)))


def test_more_servers_than_allowed_is_the_policys_error():
    jobs = job_table(submit_s=0.0, duration_s=10.0, accelerators=2, max_servers=1)
    with pytest.raises(PolicyError, match="2 servers where 1 are allowed"):
        run(hall(), jobs, policies=_placing(((0, 1), (1, 1))))


def _mixed_hall():
    servers = [
        {"count": 1, "accelerator": name, "accelerators": 4, "cpu_cores": 64.0} for name in ("V100", "T4")
    ]
    return hall(cluster={"racks": [{"name": "r", "servers": servers}]})


@pytest.mark.parametrize("wanted", ["T4", "T4|A100-80"])
def test_the_wrong_accelerator_type_is_the_policys_error(wanted):
    jobs = job_table(submit_s=0.0, duration_s=10.0, accelerators=2, accelerator_types=wanted)
    with pytest.raises(PolicyError, match="type that suits"):
        run(_mixed_hall(), jobs, policies=_placing(((0, 2),)))
    assert run(_mixed_hall(), jobs).jobs["first_server"].tolist() == [1]


def test_a_gang_over_two_types_is_the_policys_error():
    jobs = job_table(submit_s=0.0, duration_s=10.0, accelerators=2)
    with pytest.raises(PolicyError, match="type that suits"):
        run(_mixed_hall(), jobs, policies=_placing(((0, 1), (1, 1))))


@pytest.mark.parametrize(
    "column",
    [
        {"accelerators": 9},
        {"accelerators": 5, "max_servers": 1},
        {"accelerators": 1, "accelerator_types": "H100"},
        {"accelerators": 0, "cpu_cores": 65.0},
        {"accelerators": 2, "cpu_cores": 129.0},
        {"accelerators": 1, "memory_bytes": 2.0**50},
    ],
)
def test_a_job_that_no_placement_can_hold_is_refused_before_the_run(column):
    with pytest.raises(ScenarioError):
        run(hall(), job_table(submit_s=0.0, duration_s=1.0, **column))


class _Late(EnergyPolicy):
    name, optimises, source = "late", "nothing", "-"
    holds_jobs = True

    def eligible_s(self, job, grid):
        return job.submit_s + job.slack_s + 1.0


def test_a_job_held_beyond_its_slack_is_the_policys_error():
    jobs = job_table(submit_s=0.0, duration_s=1.0, slack_s=10.0)
    with pytest.raises(PolicyError, match=r"eligible at 11\.0 s"):
        run(hall(), jobs, policies=_with(energy=_Late()))


def test_a_cap_no_accelerator_can_hold_is_refused():
    with pytest.raises(ScenarioError, match=r"cannot hold a power cap of 0\.01"):
        run(hall(), JOB, policies=_with(energy=PowerCap(cap_fraction=0.01)))


class _Backwards(Fifo):
    def keys(self, jobs):
        return np.full(len(jobs), np.nan)


def test_keys_that_are_no_numbers_are_the_policys_error():
    with pytest.raises(PolicyError, match="ordering keys"):
        run(hall(), JOB, policies=Policies(_Backwards(), FirstFit(), NoEnergyPolicy()))
