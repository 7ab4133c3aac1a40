"""Heat exchangers: against the differential equations of the two streams, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_bvp

from dcsim.facility.heat_exchange import (
    cooler_air_flow,
    cooler_effectiveness,
    counterflow_effectiveness,
    counterflow_ntu,
)


@pytest.mark.parametrize(("ntu", "ratio"), [(0.5, 0.3), (1.0, 1.0), (2.0, 0.5), (3.0, 0.9), (4.0, 1.0)])
def test_counterflow_meets_the_equations_of_both_streams(ntu: float, ratio: float) -> None:
    """dTh/dx = -NTU (Th - Tc), dTc/dx = -Cr NTU (Th - Tc); hot enters at 0 with 1, cold at the far end with 0."""

    def slopes(_: object, t: np.ndarray) -> np.ndarray:
        return np.vstack([-ntu * (t[0] - t[1]), -ratio * ntu * (t[0] - t[1])])

    mesh = np.linspace(0.0, 1.0, 101)
    start = np.vstack([1.0 - 0.5 * mesh, 0.5 * (1.0 - mesh)])
    solved = solve_bvp(slopes, lambda a, b: np.array([a[0] - 1.0, b[1]]), mesh, start, tol=1e-9)
    assert solved.success
    # The hot stream has the smaller rate here: its drop over the largest possible one.
    assert float(counterflow_effectiveness(ntu, ratio)) == pytest.approx(1.0 - solved.y[0, -1], abs=1e-7)


@given(st.floats(0.001, 0.98), st.floats(0.0, 1.0))
def test_ntu_and_effectiveness_are_inverses(effectiveness: float, ratio: float) -> None:
    ntu = counterflow_ntu(effectiveness, ratio)
    assert float(ntu) >= 0.0
    assert float(counterflow_effectiveness(ntu, ratio)) == pytest.approx(effectiveness, rel=1e-6)


@given(st.floats(0.0, 50.0), st.floats(0.0, 1.0))
def test_no_exchanger_passes_more_than_all(ntu: float, ratio: float) -> None:
    effectiveness = float(counterflow_effectiveness(ntu, ratio))
    assert 0.0 <= effectiveness <= 1.0
    # A condenser (Cr = 0) does best: 1 - exp(-NTU).
    assert effectiveness <= 1.0 - np.exp(-ntu) + 1e-12


@given(st.floats(0.1, 6.0), st.floats(0.3, 1.0), st.floats(0.01, 1.0))
def test_the_fans_of_a_cooler_run_as_fast_as_they_must(full_ntu: float, water: float, air: float) -> None:
    effectiveness = cooler_effectiveness(full_ntu, water, air)
    assert 0.0 <= float(effectiveness) <= 1.0
    if effectiveness < 1.0 - 1e-6:
        assert float(cooler_air_flow(effectiveness, full_ntu, water)) == pytest.approx(air, rel=1e-4)
    assert float(cooler_air_flow(1.0, full_ntu, water)) <= 1.0
    assert float(cooler_air_flow(0.0, full_ntu, water)) == 0.0
