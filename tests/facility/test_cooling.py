"""Cooling: published numbers, closed forms, a differential-equation solver, and theorems."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.cooling import (
    carnot_cop,
    chiller_cop,
    crac_cop,
    economiser_fraction,
    tower_water_l_per_j,
)

powers = st.floats(0.0, 1e7)
KWH = 3.6e6


@pytest.mark.parametrize(("supply", "published"), [(15.0, 2.00), (20.0, 3.19), (25.0, 4.73)])
def test_crac_cop_of_moore_2005(supply: float, published: float) -> None:
    assert float(crac_cop(supply)) == pytest.approx(published, abs=0.005)


@pytest.mark.parametrize(("cycles", "published"), [(1e9, 1.48), (5.0, 1.85)])
def test_tower_water_per_kwh_rejected(cycles: float, published: float) -> None:
    assert tower_water_l_per_j(cycles) * KWH == pytest.approx(published, abs=0.005)


def test_carnot_by_hand() -> None:
    """T_c = 280 K, T_h = 300 K: 280 / 20 = 14."""
    assert float(carnot_cop(6.85, 26.85)) == pytest.approx(14.0)
    assert np.isinf(carnot_cop(10.0, 10.0))
    assert np.isinf(carnot_cop(10.0, 5.0))


@given(st.floats(-10.0, 30.0), st.floats(0.01, 60.0), st.floats(0.01, 1.0), st.floats(1.1, 30.0))
def test_chiller_never_beats_carnot(chilled: float, lift: float, fraction: float, cop_max: float) -> None:
    cop = float(chiller_cop(chilled, chilled + lift, fraction, cop_max))
    assert 0.0 < cop <= float(carnot_cop(chilled, chilled + lift)) * (1 + 1e-12)
    assert cop <= cop_max


def test_economiser_takes_all_at_the_set_point_and_nothing_at_the_return() -> None:
    fractions = economiser_fraction(np.array([-5.0, 12.0, 12.0 + 5.56 / 4, 17.56, 30.0]), 12.0)
    np.testing.assert_allclose(fractions, [1.0, 1.0, 0.75, 0.0, 0.0], atol=1e-12)
