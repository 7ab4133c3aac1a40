"""Each check of the contract catches a policy that breaks its promise."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from dcsim.errors import DeadlockError, PolicyError
from dcsim.policies import EnergyPolicy, OrderingPolicy, PlacementPolicy
from dcsim.policies.ordering import Fifo
from dcsim.policies.placement import BestFit, FirstFit
from dcsim.testing import ContractError, PolicyContract


class Partial(FirstFit):
    """Grants half of a wide gang."""

    def place(self, request, view):
        if request.accelerators > 1:
            request = replace(request, accelerators=request.accelerators // 2)
        return super().place(request, view)


class Unsorted(FirstFit):
    """Names servers from the last to the first."""

    def place(self, request, view):
        placement = super().place(request, view)
        return placement and placement[::-1]


class NumpyNumbers(FirstFit):
    """Hands out numpy's numbers, which overflow where Python's do not."""

    def place(self, request, view):
        placement = super().place(request, view)
        return placement and tuple((server, np.uint8(count)) for server, count in placement)


class Greedy(PlacementPolicy):
    """Puts everything on the largest server, whatever is free there."""

    def place(self, request, view):
        return ((int(view.total_accelerators.argmax()), request.accelerators),)


class AnyType(FirstFit):
    """Overlooks which servers are allowed."""

    def place(self, request, view):
        return super().place(replace(request, allowed=None), view)


class AnySpan(FirstFit):
    """Overlooks how many servers the gang may span."""

    def place(self, request, view):
        return super().place(replace(request, max_servers=0), view)


class Whim(FirstFit):
    """Decides by chance: as here, never the same twice, so that this test is not one of luck."""

    whims: ClassVar[itertools.cycle[bool]] = itertools.cycle([True, False])

    def place(self, request, view):
        return super().place(request, view) if next(self.whims) else None


class Counting(FirstFit):
    """Lets every third gang wait."""

    def __init__(self):
        self.calls = 0

    def place(self, request, view):
        self.calls += 1
        return super().place(request, view) if self.calls % 3 else None


class Hashing(PlacementPolicy):
    """Picks a server by the hash of a text."""

    def place(self, request, view):
        fitting = np.flatnonzero(view.room(request) >= max(1, request.accelerators)).tolist()
        if not fitting:
            return None
        return ((min(fitting, key=lambda server: hash(str(server))), request.accelerators),)


class Writing(BestFit):
    """Marks in the view what it grants."""

    def place(self, request, view):
        view.free_cpu_cores[0] = 0.0
        return super().place(request, view)


class Unlocking(BestFit):
    """Marks in the view what it grants, and makes it writeable first."""

    def place(self, request, view):
        view.free_cpu_cores.flags.writeable = True
        view.free_cpu_cores[0] -= 1.0
        return super().place(request, view)


class Slow(FirstFit):
    """Looks at every pair of servers."""

    def place(self, request, view):
        for server in range(len(view.rack)):
            sum(range(len(view.rack) // 10 + server % 2))
        return super().place(request, view)


class Shy(FirstFit):
    """Leaves one server empty for better days."""

    def place(self, request, view):
        placement = super().place(request, view)
        return None if placement and placement[0][0] == 0 else placement


PLACEMENTS = [
    (Partial, "gang_is_whole_or_waits"),
    (Unsorted, "servers_are_distinct_and_ascending"),
    (NumpyNumbers, "servers_are_distinct_and_ascending"),
    (Greedy, "nothing_is_over_allocated"),
    (AnyType, "limits_of_the_request_are_kept"),
    (AnySpan, "limits_of_the_request_are_kept"),
    (Whim, "same_question_same_answer"),
    (Hashing, "answer_does_not_depend_on_the_hash_seed"),
    (Writing, "view_is_left_untouched"),
    (Unlocking, "view_is_left_untouched"),
    (Counting, "no_state_is_kept"),
    (Slow, "decides_in_time"),
    (Shy, "obvious_fit_is_taken"),
]


class Short(Fifo):
    """Forgets the last job."""

    def keys(self, jobs):
        return super().keys(jobs)[:-1]


class NotANumber(Fifo):
    """Divides nothing by nothing."""

    def keys(self, jobs):
        return np.where(jobs.slack_s == 0.0, math.nan, jobs.submit_s)


class Dice(Fifo):
    """Orders by chance."""

    def keys(self, jobs):
        return np.random.default_rng().random(len(jobs))


class HashedOrder(Fifo):
    """Orders by the hash of a text."""

    def keys(self, jobs):
        return np.array([hash(str(seconds)) % 1000 for seconds in jobs.submit_s.tolist()], dtype=np.float64)


class InPlace(Fifo):
    """Sorts in the view."""

    def keys(self, jobs):
        jobs.submit_s[:1] += 1.0
        return jobs.submit_s


class Remembering(Fifo):
    """Orders by what it saw before."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def keys(self, jobs):
        self.seen += 1
        return jobs.submit_s * self.seen


class LookingAhead(Fifo):
    """Knows who is still to come."""

    def keys(self, jobs):
        return jobs.submit_s - jobs.submit_s.max(initial=0.0)


class Ranked(Fifo):
    """Prefers the tenant that came first."""

    def keys(self, jobs):
        return jobs.tenant.astype(np.float64)


class SlowOrder(Fifo):
    """Compares every pair of jobs."""

    def keys(self, jobs):
        for _ in range(len(jobs)):
            sum(range(len(jobs) // 10))
        return super().keys(jobs)


ORDERINGS = [
    (Short, "keys_are_numbers_one_a_job"),
    (NotANumber, "keys_are_numbers_one_a_job"),
    (Dice, "same_question_same_answer"),
    (HashedOrder, "answer_does_not_depend_on_the_hash_seed"),
    (InPlace, "view_is_left_untouched"),
    (Remembering, "no_state_is_kept"),
    (LookingAhead, "a_key_depends_on_its_own_job_only"),
    (Ranked, "tenant_numbers_are_only_names"),
    (SlowOrder, "decides_in_time"),
]


class Energy(EnergyPolicy):
    name: ClassVar[str] = "broken"
    holds_jobs: ClassVar[bool] = True


class ZeroCap(Energy):
    """Turns jobs off."""

    def power_cap_fractions(self, jobs):
        return np.where(jobs.slack_s == 0.0, 0.0, 1.0)


class TooLate(Energy):
    """Holds a job beyond its slack."""

    def eligible_s(self, job, grid):
        return job.submit_s + job.slack_s * 1.5


class Whimsical(Energy):
    """Holds a job by chance."""

    chances: ClassVar[itertools.cycle[float]] = itertools.cycle([0.25, 0.5, 0.75])

    def eligible_s(self, job, grid):
        return job.submit_s + job.slack_s * next(self.chances)


class NeverAwake(Energy):
    """Sleeps before it idles."""

    def sleep_after_s(self):
        return -1.0


class DiceCaps(Energy):
    """Caps by chance."""

    def power_cap_fractions(self, jobs):
        return np.random.default_rng().uniform(0.5, 1.0, len(jobs))


class HashedCaps(Energy):
    """Caps by the hash of a text."""

    def power_cap_fractions(self, jobs):
        return np.array([0.5 + hash(str(s)) % 8 / 16.0 for s in jobs.submit_s.tolist()])


class WritingCaps(Energy):
    """Marks in the view."""

    def power_cap_fractions(self, jobs):
        jobs.slack_s[:1] = 0.0
        return np.ones(len(jobs))


class TighteningCaps(Energy):
    """Lowers the cap each time it is asked."""

    def __init__(self):
        self.cap = 1.0

    def power_cap_fractions(self, jobs):
        self.cap *= 0.9
        return np.full(len(jobs), self.cap)


class BudgetCaps(Energy):
    """Shares one budget among all jobs, those to come included."""

    def power_cap_fractions(self, jobs):
        return np.full(len(jobs), 1.0 / max(1, len(jobs)))


class TenantCaps(Energy):
    """Caps some tenants."""

    def power_cap_fractions(self, jobs):
        return np.where(jobs.tenant == 0, 0.5, 1.0)


class SlowCaps(Energy):
    """Looks at every pair of jobs."""

    def power_cap_fractions(self, jobs):
        for _ in range(len(jobs)):
            sum(range(len(jobs) // 10))
        return np.ones(len(jobs))


ENERGIES = [
    (ZeroCap, "caps_are_fractions_one_a_job"),
    (TooLate, "a_job_becomes_eligible_within_its_slack"),
    (Whimsical, "a_job_becomes_eligible_within_its_slack"),
    (NeverAwake, "sleep_comes_after_a_duration_or_never"),
    (DiceCaps, "same_question_same_answer"),
    (HashedCaps, "answer_does_not_depend_on_the_hash_seed"),
    (WritingCaps, "view_is_left_untouched"),
    (TighteningCaps, "no_state_is_kept"),
    (BudgetCaps, "a_cap_depends_on_its_own_job_only"),
    (TenantCaps, "tenant_numbers_are_only_names"),
    (SlowCaps, "decides_in_time"),
]


def _check(policy: Any, name: str) -> None:
    contract = type(
        "Contract", (PolicyContract,), {"policy": policy, "shrink": False, "max_decision_s": 0.05}
    )
    getattr(contract(), f"test_{name}")()


@pytest.mark.parametrize(
    ("policy", "check"),
    [*PLACEMENTS, *ORDERINGS, *ENERGIES],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_broken_policy_is_caught(policy: Any, check: str) -> None:
    with pytest.raises(ContractError):
        _check(policy, check)


@pytest.mark.parametrize("policy", [Partial, Greedy, Shy, ZeroCap])
def test_a_whole_run_shows_it_too(policy: Any) -> None:
    with pytest.raises((AssertionError, PolicyError, DeadlockError)):
        _check(type(policy.__name__, (policy,), {"name": "broken"}), "whole_runs_complete")


class ByName(FirstFit):
    """Reads the names of the racks behind the view's back."""

    names: ClassVar[list[str]] = []

    def place(self, request, view):
        placement = super().place(request, view)
        return None if self.names[-1].startswith("aisle") else placement


def test_names_that_decide_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from dcsim.testing import whole_run

    original = whole_run.scenario_of

    def spying(cluster, **parts):
        ByName.names.append(cluster.racks[0].name)
        return original(cluster, **parts)

    monkeypatch.setattr(whole_run, "scenario_of", spying)
    with pytest.raises((AssertionError, DeadlockError)):
        _check(ByName, "names_do_not_matter")


def test_a_policy_that_may_idle_says_so() -> None:
    contract = type("Contract", (PolicyContract,), {"policy": Shy, "non_idling": False})
    contract().test_obvious_fit_is_taken()


def test_a_policy_with_arguments_is_made_by_the_subclass() -> None:
    class Contract(PolicyContract):
        policy = Fifo

        def make_policy(self) -> OrderingPolicy:
            return Fifo(skip=3)

    contract: Any = Contract()
    contract.test_no_state_is_kept()
    assert contract.make_policy().skip == 3


def test_what_is_no_policy_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="expected a placement, ordering or energy policy"):
        type("Contract", (PolicyContract,), {"policy": int})


def test_a_subclass_gets_the_checks_of_its_kind_only() -> None:
    contract = type("Contract", (PolicyContract,), {"policy": Fifo})
    assert hasattr(contract, "test_keys_are_numbers_one_a_job")
    assert not hasattr(contract, "test_gang_is_whole_or_waits")
    assert not hasattr(contract, "test_caps_are_fractions_one_a_job")
