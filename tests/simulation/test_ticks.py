"""Regular instants: multiples of their interval, strictly ascending, none left out."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dcsim.simulation.ticks import is_tick, next_tick_s

INTERVALS_S = (0.1, 0.7, 1.1, 7.3, 899.7, 5.0, 1.0 / 3.0)
intervals_s = st.sampled_from(INTERVALS_S) | st.floats(1e-3, 1e5)
numbers = st.integers(0, 10**9)


@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_ticks_are_counted_one_by_one(interval_s):
    now_s = 0.0
    for number in range(1, 20_001):
        now_s = next_tick_s(now_s, interval_s)
        assert now_s == number * interval_s
        assert is_tick(now_s, interval_s)


@given(intervals_s, numbers)
@example(0.1, 43)
@example(0.1, 196_602)
@example(1.1, 131_069)
def test_after_a_tick_comes_the_next_however_far_the_clock_is(interval_s, number):
    assert next_tick_s(number * interval_s, interval_s) == (number + 1) * interval_s
    assert is_tick(number * interval_s, interval_s)


@given(intervals_s, st.floats(0.0, 1e9))
def test_the_next_tick_is_the_first_after_a_time(interval_s, now_s):
    due_s = next_tick_s(now_s, interval_s)
    number = round(Fraction(due_s) / Fraction(interval_s))
    assert due_s == number * interval_s > now_s
    assert (number - 1) * interval_s <= now_s


@given(intervals_s, numbers)
def test_beside_a_tick_is_none(interval_s, number):
    tick_s = number * interval_s
    assert not is_tick(math.nextafter(tick_s, math.inf), interval_s)
    assert next_tick_s(math.nextafter(tick_s, -math.inf), interval_s) == tick_s or number == 0


def test_where_floats_are_wider_apart_than_ticks_time_still_goes_on():
    assert next_tick_s(1e18, 1.0) > 1e18
