"""Static caps on curves whose best cap is known in closed form, and on those of the catalogue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import PolicyError
from dcsim.facility.cap_curve import CapCurve, response
from dcsim.facility.catalogue_data import MEASURED_CURVES
from dcsim.policies import make_policy
from dcsim.policies.cap_view import CapView
from dcsim.policies.capping_static import BoundedSlowdownCap, EnergyOptimalCap
from dcsim.policies.combined import Combined
from dcsim.policies.energy import PowerCap
from dcsim.testing.isolation import sample_jobs_view

Floats = npt.NDArray[np.float64]
FINE = 2e-3
"""Caps are tried in steps: energies within so much of the least."""


def _closed(static_w: float, dynamic_w: float, idle_w: float, jobs: int = 1, floor: float = 0.05) -> CapView:
    """Return jobs whose power is static + dynamic s^3 at speed s, the cap being s."""
    return CapView(
        np.full(jobs, floor),
        np.full(jobs, idle_w),
        np.array,
        lambda caps: static_w + dynamic_w * np.array(caps) ** 3,
    )


def _of(curve: CapCurve, power: Floats, idle_w: float = 0.0) -> CapView:
    """Return jobs on a device of 1 W, by the uncapped power of each."""

    def at(caps: Floats) -> tuple[Floats, Floats]:
        return response(curve, caps, power_fraction=power)

    floor = np.full(len(power), curve.least_cap)
    return CapView(floor, np.full(len(power), idle_w), lambda c: at(c)[0], lambda c: at(c)[1])


@given(st.floats(1.0, 200.0), st.floats(50.0, 500.0), st.floats(0.0, 300.0), st.floats(0.0, 1.0))
def test_the_energy_optimal_cap_in_closed_form(
    static: float, dynamic: float, idle: float, share: float
) -> None:
    # (a + c s^3) / s is least at s = (a / 2c)^(1/3), a the static power and the idle power that counts.
    view = _closed(static, dynamic, idle)
    (cap,) = EnergyOptimalCap(idle_share=share).static_caps(sample_jobs_view(1), view)
    overhead = static + share * idle
    best = min(1.0, max(0.05, (overhead / (2.0 * dynamic)) ** (1.0 / 3.0)))

    def energy(speed: float) -> float:
        return (overhead + dynamic * speed**3) / speed

    assert energy(cap) == pytest.approx(energy(best), rel=FINE)
    assert energy(cap) >= energy(best) * (1.0 - 1e-12)


@given(st.floats(1.0, 2.0), st.floats(0.0, 200.0))
def test_the_bounded_cap_keeps_its_bound_and_is_the_best_within_it(slowdown: float, static: float) -> None:
    view = _closed(static, 300.0, 0.0)
    (cap,) = BoundedSlowdownCap(max_slowdown=slowdown).static_caps(sample_jobs_view(1), view)
    assert 1.0 / cap <= slowdown * (1.0 + 1e-9)
    free = (static / 600.0) ** (1.0 / 3.0)
    least = min(1.0, max(free, 1.0 / slowdown))

    def energy(speed: float) -> float:
        return (static + 300.0 * speed**3) / speed

    assert energy(cap) <= energy(least) * (1.0 + FINE) + 0.3


@pytest.mark.parametrize("curve", MEASURED_CURVES.values(), ids=MEASURED_CURVES)
def test_on_the_curves_of_the_catalogue(curve: CapCurve) -> None:
    power = np.linspace(0.2, 1.0, 9)
    jobs, view = sample_jobs_view(9), _of(curve, power, idle_w=0.5)
    every = np.linspace(curve.least_cap, 1.0, 400)[:, None]
    speed, drawn = response(curve, every, power_fraction=power)
    least = (drawn / speed).min(axis=0)
    caps = EnergyOptimalCap().static_caps(jobs, view)
    at = view.power_at(caps) / view.speed_at(caps)
    assert (at <= least * (1.0 + FINE)).all()
    # Haste saves idle power: the more of it counts, the higher the cap.
    dearer = EnergyOptimalCap(idle_share=1.0).static_caps(jobs, view)
    assert (dearer >= caps).all()
    assert (dearer > caps).any()
    bounded = BoundedSlowdownCap(max_slowdown=1.05).static_caps(jobs, view)
    assert (1.0 / view.speed_at(bounded) <= 1.05 * (1.0 + 1e-9)).all()
    assert (view.power_at(bounded) / view.speed_at(bounded) <= power * (1.0 + 1e-9)).all()


def test_where_nothing_is_saved_the_cap_is_left_open() -> None:
    constant = CapView(np.full(2, 0.3), np.zeros(2), lambda caps: np.ones(2), lambda caps: np.full(2, 100.0))
    assert EnergyOptimalCap().static_caps(sample_jobs_view(2), constant).tolist() == [1.0, 1.0]


def test_without_curves_nothing_is_capped() -> None:
    assert EnergyOptimalCap().power_cap_fractions(sample_jobs_view(2)).tolist() == [1.0, 1.0]


def test_with_another_policy_the_lower_cap_holds() -> None:
    view = _closed(10.0, 300.0, 0.0, jobs=2)
    alone = EnergyOptimalCap().static_caps(sample_jobs_view(2), view)
    both = Combined([EnergyOptimalCap(), PowerCap(cap_fraction=0.9)])
    assert both.weighs_caps
    assert both.static_caps(sample_jobs_view(2), view).tolist() == alone.tolist()
    low = Combined([EnergyOptimalCap(), PowerCap(cap_fraction=0.1)])
    assert low.static_caps(sample_jobs_view(2), view).tolist() == [0.1, 0.1]


@pytest.mark.parametrize(
    ("name", "parameters", "part"),
    [
        ("energy_optimal_cap", {"idle_share": 1.5}, "fraction in"),
        ("energy_optimal_cap", {"idle_share": float("nan")}, "fraction in"),
        ("bounded_slowdown_cap", {"max_slowdown": 0.9}, "factor >= 1"),
        ("bounded_slowdown_cap", {"max_slowdown": float("inf")}, "factor >= 1"),
        ("bounded_slowdown_cap", {"idle_share": -0.1}, "idle_share: -0.1"),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, parameters: dict[str, float], part: str) -> None:
    with pytest.raises(PolicyError, match=part):
        make_policy("energy", name, parameters)
