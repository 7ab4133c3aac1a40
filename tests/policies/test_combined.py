"""Energy policies that act at once, and how they are named and given their parameters."""

from __future__ import annotations

import math
import pickle
from typing import Any, ClassVar

import numpy as np
import pytest

from dcsim.errors import PolicyError
from dcsim.policies import Combined, EnergyPolicy, choice_problems, make_policy, register
from dcsim.policies.energy import PowerCap, SleepIdle
from dcsim.policies.views import JobView
from dcsim.spec.policy import PolicyChoice, PolicySpec, rewritten
from dcsim.testing import PolicyContract
from dcsim.testing.isolation import (
    sample_active_jobs,
    sample_grid_view,
    sample_idle_view,
    sample_jobs_view,
    sample_power_view,
)


class TestCapAndSleep(PolicyContract):
    policy = Combined([PowerCap(cap_fraction=0.8), SleepIdle(after_s=3.0)])
    max_examples = 20
    runs = 4


class TestBudgetAndSuspension(PolicyContract):
    policy = make_policy("energy", "power_budget+carbon_suspend+sleep_forecast+straggler_scaling")
    max_examples = 20
    runs = 4


class Says(EnergyPolicy):
    """Says what it is told."""

    name: ClassVar[str] = "says"
    optimises: ClassVar[str] = "-"
    source: ClassVar[str] = "-"
    holds_jobs: ClassVar[bool] = True
    suspends: ClassVar[bool] = True
    recaps: ClassVar[bool] = True
    reserves: ClassVar[bool] = True

    def __init__(self, number: float) -> None:
        self.number = number
        vars(self)["name"] = f"says-{number}"

    def power_cap_fractions(self, jobs):
        return np.full(len(jobs), 1.0 / self.number)

    def eligible_s(self, job, grid):
        return job.submit_s + self.number

    def suspended(self, jobs, active, grid):
        return active.row % int(self.number) == 0, self.number

    def caps_now(self, jobs, power, grid):
        return np.where(power.row % 2 == 0, 1.0 / self.number, 1.0), self.number

    def awake_reserve(self, idle):
        return int(self.number), 10.0 * self.number


JOBS = sample_jobs_view(30)
BOTH = Combined([Says(2.0), Says(3.0)])


def test_the_least_cap_holds():
    power = sample_power_view(JOBS, 10)
    caps, again_s = BOTH.caps_now(JOBS, power, sample_grid_view(0.0))
    assert caps.tolist() == np.where(power.row % 2 == 0, 1.0 / 3.0, 1.0).tolist()
    assert again_s == 2.0
    assert BOTH.power_cap_fractions(JOBS).tolist() == [1.0 / 3.0] * 30


def test_caps_that_never_change_hold_beside_those_that_do():
    power = sample_power_view(JOBS, 10)
    mixed = Combined([PowerCap(cap_fraction=0.6), Says(2.0)])
    caps, _ = mixed.caps_now(JOBS, power, sample_grid_view(0.0))
    assert caps.tolist() == np.where(power.row % 2 == 0, 0.5, 0.6).tolist()


def test_suspended_by_any_and_started_by_the_last():
    active = sample_active_jobs(JOBS, 12, knows_progress=True)
    suspended, again_s = BOTH.suspended(JOBS, active, sample_grid_view(active.now_s))
    assert suspended.tolist() == [row % 2 == 0 or row % 3 == 0 for row in range(12)]
    assert again_s == 2.0
    job = JobView(0, 5.0, 1, 10.0, 100.0, 0)
    assert BOTH.eligible_s(job, sample_grid_view(5.0)) == 8.0
    assert Combined([PowerCap(), SleepIdle()]).eligible_s(job, sample_grid_view(5.0)) == 5.0


def test_the_largest_reserve_is_kept():
    assert BOTH.awake_reserve(sample_idle_view(5)) == (3, 20.0)
    assert Combined([PowerCap(), SleepIdle()]).awake_reserve(sample_idle_view(5)) == (0, math.inf)
    assert Combined([PowerCap(), SleepIdle(after_s=9.0)]).sleep_after_s() == 9.0
    assert Combined([PowerCap(), Says(2.0)]).sleep_after_s() is None


def test_it_is_asked_what_any_part_is_asked():
    flags = ("holds_jobs", "suspends", "scales", "recaps", "reserves", "weighs_caps")

    def asked(*names: str) -> set[str]:
        made = make_policy("energy", "+".join(names))
        return {flag for flag in flags if getattr(made, flag)}

    assert asked("power_cap", "sleep_idle") == set()
    assert asked("carbon_shift", "power_budget") == {"holds_jobs", "recaps"}
    assert asked("carbon_scale", "sleep_forecast") == {"suspends", "scales", "reserves"}
    assert asked("energy_optimal_cap", "sleep_idle") == {"weighs_caps"}


def test_widths_come_from_the_one_that_says_them():
    active, grid = sample_active_jobs(JOBS, 12, knows_progress=True), sample_grid_view(0.0)
    alone = make_policy("energy", "carbon_scale")
    beside = make_policy("energy", "power_cap+carbon_scale")
    assert isinstance(alone, EnergyPolicy)
    assert isinstance(beside, Combined)
    assert beside.widths(JOBS, active, grid)[0].tolist() == alone.widths(JOBS, active, grid)[0].tolist()
    assert set(Combined([PowerCap(), SleepIdle()]).widths(JOBS, active, grid)[0].tolist()) == {-1}


def test_it_has_a_name_and_can_be_sent():
    made = make_policy("energy", "power_cap+sleep_idle", {"power_cap.cap_fraction": 0.6})
    again = pickle.loads(pickle.dumps(made))  # noqa: S301  made one line above
    assert again.name == "power_cap+sleep_idle"
    assert again.power_cap_fractions(JOBS).tolist() == [0.6] * 30
    assert "Zeus" in again.source
    assert "PowerNap" in again.source


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("power_cap+power_cap", {}, "power_cap twice -> expected each policy once"),
        ("power_cap+none", {}, "none among others -> expected power_cap alone"),
        ("sleep_idle+sleep_forecast", {}, "expected one policy that puts idle servers to sleep"),
        ("energy_optimal_cap+power_budget", {}, "expected least_energy_cap in place of energy_optimal_cap"),
        ("power_cap+power_cup", {}, "'power_cup' -> expected one of .* did you mean 'power_cap'"),
        ("power_cap+", {}, "'' -> expected one of"),
        (
            "power_cap+sleep_idle",
            {"after_s": 5.0},
            r"parameter without its policy -> expected sleep_idle\.after_s",
        ),
        ("power_cap+sleep_idle", {"polca.after_s": 5.0}, "a policy that is not among those combined"),
        ("power_cap+sleep_idle", {"power_cap.cap": 5.0}, r"power_cap\.cap: an unknown parameter"),
        ("power_cap+sleep_idle", {"sleep_idle.after_s": -1.0}, r"sleep_idle\.after_s: -1.0 -> expected"),
        ("power_cap", {"power_cap.cap_fraction": 0.5}, "an unknown parameter"),
    ],
)
def test_what_cannot_be_combined_is_refused(name, parameters, message):
    with pytest.raises(PolicyError, match=message):
        make_policy("energy", name, parameters)


def test_one_policy_is_no_combination():
    with pytest.raises(PolicyError, match="two or more"):
        Combined([PowerCap()])


def test_only_energy_policies_are_combined():
    with pytest.raises(PolicyError, match=r"'first_fit\+spread' -> expected one of"):
        make_policy("placement", "first_fit+spread")


def test_a_name_with_a_plus_is_refused():
    with pytest.raises(PolicyError, match="a name without"):
        register(type("Mine", (PowerCap,), {"name": "mine+yours"}))


def test_problems_come_all_at_once():
    given: dict[str, Any] = {"power_cap.cap_fraction": 2.0, "sleep_idle.after_s": 0.0, "x": 1.0}
    assert [key for key, _, _ in choice_problems("energy", "power_cap+sleep_idle", given)] == [
        "x",
        "power_cap.cap_fraction",
        "sleep_idle.after_s",
    ]


def test_parameters_follow_their_policy():
    combined = PolicyChoice(
        name="power_cap+sleep_idle", parameters={"power_cap.cap_fraction": 0.6, "sleep_idle.after_s": 9.0}
    )
    assert rewritten(combined, "sleep_idle").parameters == {"after_s": 9.0}
    assert rewritten(combined, "sleep_idle+polca").parameters == {"sleep_idle.after_s": 9.0}
    assert rewritten(combined, "none").parameters == {}
    assert rewritten(combined, combined.name) is combined
    assert PolicySpec(energy=combined).energy.parts == ("power_cap", "sleep_idle")
    for wrong in ("power_cap+", "+power_cap", "power_cap ++ sleep_idle"):
        with pytest.raises(ValueError, match="name"):
            PolicyChoice(name=wrong)
