"""Events of demand response: what is refused, and what is made of them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from dcsim.simulation.budgets import Budgets
from dcsim.spec.demand_response import DemandResponseSpec, demand_response_issues
from dcsim.spec.energy_likely import energy_doubts
from tests.simulation.halls import hall


def test_an_event_limits_something():
    with pytest.raises(ValidationError, match="an event without a limit"):
        DemandResponseSpec(start_s=0.0, duration_s=60.0)
    with pytest.raises(ValidationError, match="duration_s"):
        DemandResponseSpec(start_s=0.0, duration_s=0.0, it_limit_w=1.0)
    with pytest.raises(ValidationError, match="notice_s"):
        DemandResponseSpec(start_s=0.0, duration_s=1.0, it_limit_w=1.0, notice_s=-1.0)


def test_texts_have_units():
    event = DemandResponseSpec.model_validate(
        {"start_s": "2 h", "duration_s": "30 min", "import_limit_w": "1.5 MW"}
    )
    assert (event.start_s, event.end_s, event.import_limit_w) == (7200.0, 9000.0, 1.5e6)


def test_what_cannot_work_is_told():
    events = (
        DemandResponseSpec(start_s=0.0, duration_s=60.0, it_limit_w=900.0),
        DemandResponseSpec(start_s=7200.0, duration_s=60.0, import_limit_w=5000.0),
        # A battery or the sun carries the rest.
        DemandResponseSpec(start_s=60.0, duration_s=60.0, import_limit_w=5.0),
    )
    found = list(demand_response_issues(events, idle_it_w=1000.0, horizon_s=3600.0))
    assert [issue.at for issue in found] == [(0, "it_limit_w"), (1, "start_s")]
    assert not list(demand_response_issues(events[1:], idle_it_w=1000.0))


def test_of_overlapping_events_the_least_counts():
    events = [
        {"start_s": 100.0, "duration_s": 100.0, "it_limit_w": 5000.0},
        {"start_s": 150.0, "duration_s": 100.0, "it_limit_w": 3000.0},
        {"start_s": 160.0, "duration_s": 10.0, "import_limit_w": 1.0},
    ]
    scenario = hall(grid={"demand_response": events}, power={"budget_w": 4500.0})
    budgets = Budgets(scenario, 1)
    assert [budgets.at(time_s) for time_s in (0.0, 100.0, 150.0, 200.0)] == [
        (4500.0, 100.0),
        (4500.0, 150.0),
        (3000.0, 200.0),
        (3000.0, 250.0),
    ]
    assert budgets.at(250.0) == (4500.0, float("inf"))
    assert [budgets.import_w(time_s) for time_s in (159.0, 160.0, 170.0)] == [float("inf"), 1.0, float("inf")]


@pytest.mark.parametrize(
    ("energy", "doubts"),
    [
        ("power_cap", []),
        ("power_budget+carbon_cap", ["no budget to keep", "under a constant carbon intensity"]),
        ({"name": "polca", "parameters": {"budget_w": 1e5}}, []),
        ({"name": "polca+power_cap", "parameters": {"polca.budget_w": 1e5}}, []),
        ("demand_response", ["without events"]),
        ("carbon_scale", ["under a constant carbon intensity"]),
    ],
)
def test_policies_without_effect_are_told(energy, doubts):
    found = list(energy_doubts(hall(policies={"energy": energy})))
    assert len(found) == len(doubts)
    assert all(doubt in said for doubt, said in zip(doubts, found, strict=True))
    event = {"start_s": 0.0, "duration_s": 1.0, "it_limit_w": 1e4}
    with_event = hall(policies={"energy": "demand_response+power_budget"}, grid={"demand_response": [event]})
    assert not list(energy_doubts(with_event))
