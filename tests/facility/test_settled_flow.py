"""The flow at which flow and heat agree: closed forms, Brent's method, and what has no answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from dcsim.facility.settled_flow import settled_flow


@given(
    st.floats(0.05, 3.0), st.floats(0.0, 50.0), st.floats(1.0, 4.0), st.floats(0.05, 1.0), st.floats(0.0, 1.0)
)
@settings(max_examples=60)
def test_it_is_the_one_root_that_brent_finds(
    base: float, more: float, power: float, least: float, start: float
) -> None:
    """Heat b + m (1/f^p - 1), as of fans and leakage in air that gets warmer with less flow."""

    def answer(flow: float) -> float:
        return float(np.clip(base * (1.0 + 0.01 * more * (flow**-power - 1.0)), least, 1.0))

    found = settled_flow(answer, max(start, least), least)
    if answer(1.0) >= 1.0:
        assert found == pytest.approx(1.0, abs=1e-8)
    elif answer(least) <= least:
        assert found == pytest.approx(least, abs=1e-8)
    else:
        assert found == pytest.approx(brentq(lambda f: answer(f) - f, least, 1.0, xtol=1e-13), abs=1e-8)


def test_its_last_call_is_at_what_it_returns() -> None:
    asked: list[float] = []

    def answer(flow: float) -> float:
        asked.append(flow)
        return 1.0 - 0.8 * flow**3

    assert asked == []
    assert settled_flow(answer, 1.0, 0.2) == asked[-1]
    assert len(asked) <= 12


def test_what_jumps_over_its_flow_is_refused() -> None:
    with pytest.raises(ArithmeticError, match="do not settle"):
        settled_flow(lambda flow: 0.9 if flow < 0.5 else 0.3, 1.0, 0.1)
