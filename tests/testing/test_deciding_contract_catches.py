"""Each check of the contract for deciding policies catches one that breaks its promise."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from dcsim.policies.base import DynamicOrdering
from dcsim.policies.dynamic import LeastAttainedService, ShortestRemaining
from dcsim.testing import ContractError, PolicyContract


class Twice(LeastAttainedService):
    """Serves everybody twice."""

    def decide(self, jobs, active):
        said = super().decide(jobs, active)
        return replace(said, order=np.concatenate([said.order, said.order]))


class Strange(LeastAttainedService):
    """Serves somebody who is not there."""

    def decide(self, jobs, active):
        said = super().decide(jobs, active)
        return replace(said, order=np.append(said.order, len(active)))


class Wide(LeastAttainedService):
    """Gives rigid jobs one device more."""

    def decide(self, jobs, active):
        said = super().decide(jobs, active)
        return replace(said, width=np.where(said.width > 0, said.width + 1, 0))


class Unmoved(LeastAttainedService):
    """Says of nobody whether it moves."""

    def decide(self, jobs, active):
        return replace(super().decide(jobs, active), move=np.zeros(len(active) + 1, dtype=bool))


class NewType(LeastAttainedService):
    """Sends everybody to hardware that is not there."""

    def decide(self, jobs, active):
        return replace(super().decide(jobs, active), accelerator_type=np.full(len(active), 9))


class Foreseeing(ShortestRemaining):
    """Knows how long the jobs to come are."""

    def keys_now(self, jobs, active):
        return (1.0 + active.row) * np.cos(jobs.estimated_duration_s.sum())


class Moody(LeastAttainedService):
    """Turns its order around now and then: never the same twice, so that this test is not one of luck."""

    moods: ClassVar[itertools.cycle[int]] = itertools.cycle([1, -1])

    def keys_now(self, jobs, active):
        return next(self.moods) * (1.0 + active.row)


class Hashed(DynamicOrdering):
    """Goes by the hash of a text."""

    name = "hashed"
    optimises = source = "-"

    def keys_now(self, jobs, active):
        return np.array([hash(str(row)) % 1000 for row in active.row.tolist()], dtype=np.float64)


class Marking(LeastAttainedService):
    """Marks in the view whom it served."""

    def keys_now(self, jobs, active):
        active.attained_accelerator_s[:1] += 1.0
        return active.attained_accelerator_s


class Counting(LeastAttainedService):
    """Reverses its order after the third decision."""

    def __init__(self):
        super().__init__()
        self.decisions = 0

    def keys_now(self, jobs, active):
        self.decisions += 1
        return np.where(self.decisions > 3, -1.0, 1.0) * active.row


class Slow(LeastAttainedService):
    """Compares everybody with everybody."""

    def keys_now(self, jobs, active):
        for _ in range(len(active) * 30):
            sum(range(len(active)))
        return super().keys_now(jobs, active)


@pytest.mark.parametrize(
    ("policy", "check"),
    [
        (Twice, "a_decision_is_well_formed"),
        (Strange, "a_decision_is_well_formed"),
        (Wide, "a_decision_is_well_formed"),
        (Unmoved, "a_decision_is_well_formed"),
        (NewType, "a_decision_is_well_formed"),
        (Foreseeing, "jobs_that_are_not_there_do_not_count"),
        (Moody, "same_question_same_answer"),
        (Hashed, "answer_does_not_depend_on_the_hash_seed"),
        (Marking, "view_is_left_untouched"),
        (Counting, "no_state_is_kept"),
        (Slow, "decides_in_time"),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_broken_policy_is_caught(policy: Any, check: str) -> None:
    # Examples are random: enough of them that missing what is broken is no matter of luck.
    members = {"policy": policy, "shrink": False, "max_decision_s": 0.05, "max_examples": 500}
    contract = type("Contract", (PolicyContract,), members)
    with pytest.raises(ContractError):
        getattr(contract(), f"test_{check}")()


def test_a_deciding_policy_gets_the_checks_of_its_kind() -> None:
    contract = type("Contract", (PolicyContract,), {"policy": LeastAttainedService})
    assert hasattr(contract, "test_a_decision_is_well_formed")
    assert not hasattr(contract, "test_keys_are_numbers_one_a_job")
