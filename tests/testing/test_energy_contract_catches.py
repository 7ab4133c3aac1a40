"""Each check of the hooks that are asked while a run goes on catches an energy policy that breaks its promise."""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

import numpy as np
import pytest

from dcsim.policies import EnergyPolicy
from dcsim.testing import ContractError, PolicyContract


class Capping(EnergyPolicy):
    name: ClassVar[str] = "broken"
    recaps: ClassVar[bool] = True

    def caps_now(self, jobs, power, grid):
        return np.ones(len(power)), math.inf


class TooDeep(Capping):
    """Turns jobs off."""

    def caps_now(self, jobs, power, grid):
        return np.zeros(len(power)), math.inf


class OneForAll(Capping):
    """Says one number, not one a job."""

    def caps_now(self, jobs, power, grid):
        return np.array([0.5]), math.inf


class NoTime(Capping):
    """Wants to be asked at no time that there is."""

    def caps_now(self, jobs, power, grid):
        return np.ones(len(power)), math.nan


class Bare(Capping):
    """Forgets to say when to be asked again."""

    def caps_now(self, jobs, power, grid):
        return np.ones(len(power))


class Dice(Capping):
    """Caps by chance: as here, never the same twice."""

    whims: ClassVar[itertools.cycle[float]] = itertools.cycle([0.5, 0.75])

    def caps_now(self, jobs, power, grid):
        return np.full(len(power), next(self.whims)), math.inf


class Hashed(Capping):
    """Caps by the hash of a text."""

    def caps_now(self, jobs, power, grid):
        return np.array([0.5 + hash(str(row)) % 8 / 16.0 for row in power.row.tolist()]), math.inf


class Writing(Capping):
    """Marks in the view what it has seen."""

    def caps_now(self, jobs, power, grid):
        power.power_w[:1] = 0.0
        return np.ones(len(power)), math.inf


class Tightening(Capping):
    """Lowers caps each time it is asked."""

    def __init__(self):
        self.cap = 1.0

    def caps_now(self, jobs, power, grid):
        self.cap *= 0.9
        return np.full(len(power), self.cap), math.inf


class LookingAhead(Capping):
    """Caps by how many jobs there will ever be with a priority."""

    def caps_now(self, jobs, power, grid):
        later = float(np.abs(jobs.priority).sum())
        return np.full(len(power), 1.0 / (1.0 + later)), math.inf


class ByNumber(Capping):
    """Caps jobs with a large number more."""

    def caps_now(self, jobs, power, grid):
        return 1.0 / (1.0 + power.row), math.inf


class Slow(Capping):
    """Looks at every pair of jobs."""

    def caps_now(self, jobs, power, grid):
        for _ in range(len(power)):
            sum(range(100 * len(power)))
        return np.ones(len(power)), math.inf


class Suspending(EnergyPolicy):
    """Says by numbers whom it suspends."""

    name: ClassVar[str] = "broken"
    suspends: ClassVar[bool] = True

    def suspended(self, jobs, active, grid):
        return np.ones(len(active)), math.inf


class TooWide(EnergyPolicy):
    """Gives every job all that it likes."""

    name: ClassVar[str] = "broken"
    suspends: ClassVar[bool] = True
    scales: ClassVar[bool] = True

    def widths(self, jobs, active, grid):
        return np.full(len(active), 1000), math.inf


class OnlyScaling(TooWide):
    """Says widths without a word of suspending."""

    suspends: ClassVar[bool] = False


class TooManyAwake(EnergyPolicy):
    """Keeps more servers awake than there are."""

    name: ClassVar[str] = "broken"
    reserves: ClassVar[bool] = True

    def awake_reserve(self, idle):
        return idle.servers + 1, math.inf


class PartOfAServer(TooManyAwake):
    """Keeps half a server awake."""

    def awake_reserve(self, idle):
        return 0.5, math.inf


BROKEN = [
    (TooDeep, "answers_are_well_formed"),
    (OneForAll, "answers_are_well_formed"),
    (NoTime, "answers_are_well_formed"),
    (Bare, "answers_are_well_formed"),
    (Suspending, "answers_are_well_formed"),
    (TooWide, "answers_are_well_formed"),
    (TooManyAwake, "answers_are_well_formed"),
    (PartOfAServer, "answers_are_well_formed"),
    (OnlyScaling, "who_says_widths_may_suspend"),
    (Dice, "same_question_same_answer"),
    (Hashed, "answer_does_not_depend_on_the_hash_seed"),
    (Writing, "view_is_left_untouched"),
    (Tightening, "no_state_is_kept"),
    (LookingAhead, "jobs_that_are_not_there_do_not_count"),
    (ByNumber, "which_of_equal_jobs_is_which_does_not_matter"),
    (Slow, "decides_in_time"),
]


@pytest.mark.parametrize(("policy", "check"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
def test_the_check_catches(policy, check):
    contract = type(
        "Contract", (PolicyContract,), {"policy": policy, "shrink": False, "max_decision_s": 0.05}
    )()
    with pytest.raises(ContractError):
        getattr(contract, f"test_{check}")()


def test_a_policy_that_keeps_its_promises_passes():
    contract = type("Contract", (PolicyContract,), {"policy": Capping, "max_examples": 10, "runs": 2})()
    for name in dir(contract):
        if name.startswith("test_"):
            getattr(contract, name)()
