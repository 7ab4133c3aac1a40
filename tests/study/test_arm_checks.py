"""What arms lack is found before the first run: batteries, rooms, budgets, events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dcsim.errors import ScenarioError
from dcsim.spec import Scenario
from dcsim.spec.onsite import BatterySpec, OnsiteSpec
from dcsim.spec.power import PowerChainSpec
from dcsim.spec.room import RoomSpec
from dcsim.study import Study, compare
from dcsim.study.arm_checks import check_arms
from dcsim.study.arms import make_arms
from tests.results.synthetic import make_scenario
from tests.study.fakes import simulate

StudyMaker = Callable[..., Study]


def equipped() -> Scenario:
    """Return a scenario with a battery and a room."""
    onsite = OnsiteSpec(battery=BatterySpec(capacity_j=3.6e8))
    return make_scenario().model_copy(update={"onsite": onsite, "room": RoomSpec()})


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"batteries": ["idle", "battery_price"]}, "onsite.battery"),
        ({"placements": ["first_fit", "xint"]}, "policies.placement"),
    ],
)
def test_an_arm_without_what_its_policy_needs_stops_the_study_before_it_starts(
    study: StudyMaker, tmp_path: Path, changes: dict[str, object], path: str
) -> None:
    with pytest.raises(ScenarioError) as refused:
        study(**changes)
    assert [problem.path for problem in refused.value.problems] == [path]  # once, however many arms have it
    assert not (tmp_path / "study").exists()


def test_everything_that_arms_lack_comes_at_once() -> None:
    arms = make_arms(["first_fit", "xint"], ["none"], ["fifo"], (), ["battery_price", "peak_shaving"])
    with pytest.raises(ScenarioError) as refused:
        check_arms(make_scenario(), arms)
    assert [problem.path for problem in refused.value.problems] == [
        "onsite.battery",
        "onsite.battery",
        "policies.placement",
    ]


def test_arms_that_have_what_they_need_pass() -> None:
    arms = make_arms(["first_fit", "xint"], ["none"], ["fifo"], (), ["idle", "peak_shaving"])
    assert check_arms(equipped(), arms) == ()


def test_a_budget_that_one_arm_keeps_to_is_no_matter() -> None:
    limited = equipped().model_copy(update={"power": PowerChainSpec(budget_w=1e5)})
    arms = make_arms(["first_fit"], ["none", "power_budget"], ["fifo"])
    assert check_arms(limited, arms) == ()


@pytest.mark.parametrize(
    ("energy", "battery", "lack"),
    [
        ("power_budget", "idle", "policies.energy: power_budget has no budget to keep"),
        ("polca", "idle", "policies.energy: polca has no budget to keep"),
        (
            "power_cap+demand_response",
            "idle",
            "policies.energy: demand_response has no effect without events",
        ),
        ("none", "battery_solar", "policies.battery: battery_solar has no sun to store"),
        ("none", "demand_response", "policies.battery: demand_response has no effect without events"),
    ],
)
def test_policies_without_effect_are_told_once(tmp_path: Path, energy: str, battery: str, lack: str) -> None:
    told: list[str] = []
    done = compare(
        equipped(),
        placements=["first_fit", "spread"],
        energies=[energy],
        batteries=[battery],
        seeds=[0, 1],
        out=tmp_path / "study",
        executor="inline",
        simulate=simulate,
        warn=told.append,
    )
    assert [text.startswith(lack) for text in told] == [True]
    assert done.warnings[:1] == tuple(told)
