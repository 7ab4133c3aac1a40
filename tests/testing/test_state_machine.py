"""The fleet keeps its books under every built-in placement policy; broken policies are found out."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from dcsim.policies.placement import BestFit, FirstFit, RackLocal, Spread
from dcsim.testing import ContractError, PolicyStateMachine

QUICK = settings(max_examples=25, stateful_step_count=25, deadline=None, phases=[Phase.generate])


@pytest.mark.parametrize("placement", [FirstFit, BestFit, Spread, RackLocal])
def test_random_histories_keep_the_books(placement):
    machine = type("Machine", (PolicyStateMachine,), {"policy": placement})
    run_state_machine_as_test(machine, settings=QUICK)


class Shy(FirstFit):
    def place(self, request, view):
        return None


class Greedy(FirstFit):
    def place(self, request, view):
        return ((0, request.accelerators),)


class Half(FirstFit):
    def place(self, request, view):
        placement = super().place(request, view)
        return placement[:1] if placement else None


@pytest.mark.parametrize("placement", [Shy, Greedy, Half])
def test_a_broken_policy_is_found(placement):
    machine = type("Machine", (PolicyStateMachine,), {"policy": placement()})
    with pytest.raises(ContractError):
        run_state_machine_as_test(machine, settings=QUICK)
