"""Step series: exact integrals, means, wrapping and shifting, against plain summation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import SeriesError
from dcsim.facility.series import StepSeries

gaps = st.lists(st.integers(1, 5_000), min_size=1, max_size=12)
kinds = st.sampled_from(["repeats", "holds"])
levels = st.lists(st.integers(-1_000, 1_000), min_size=13, max_size=13)


def build(gaps_s: list[int], values: list[int], *, repeat: bool) -> StepSeries:
    """Whole seconds and whole values, so that sums are exact."""
    times = np.concatenate([[0], np.cumsum(gaps_s)]).astype(np.float64)
    if repeat:
        return StepSeries(
            times[:-1], np.array(values[: len(gaps_s)], dtype=np.float64), repeat_s=float(times[-1])
        )
    return StepSeries(times, np.array(values[: len(times)], dtype=np.float64))


def naive_value(series: StepSeries, second: int) -> float:
    inside = second % round(series.repeat_s) if series.repeat_s else second
    return float(max((t, v) for t, v in zip(series.time_s, series.value, strict=True) if t <= inside)[1])


@given(gaps, levels, kinds, st.integers(0, 20_000), st.integers(0, 300))
def test_integral_and_mean_equal_a_sum_over_seconds(
    gaps_s: list[int],
    values: list[int],
    kind: str,
    start: int,
    length: int,
) -> None:
    series = build(gaps_s, values, repeat=kind == "repeats")
    by_second = [naive_value(series, second) for second in range(start, start + length)]
    assert float(series.integral(start, start + length)) == sum(by_second)
    mean = float(series.mean(np.array([float(start)]), float(length))[0])
    assert mean == pytest.approx(
        sum(by_second) / length if length else naive_value(series, start), rel=1e-12, abs=1e-12
    )
    if by_second:
        assert min(by_second) - 1e-9 <= mean <= max(by_second) + 1e-9


@given(gaps, levels, kinds, st.integers(0, 20_000), st.integers(0, 5_000))
def test_a_rolled_series_is_the_same_function_later(
    gaps_s: list[int],
    values: list[int],
    kind: str,
    offset: int,
    ask: int,
) -> None:
    series = build(gaps_s, values, repeat=kind == "repeats")
    later = series.rolled(float(offset))
    assert float(later.at(ask)) == float(series.at(offset + ask))
    assert float(later.integral(0, ask)) == float(series.integral(offset, offset + ask))


@given(gaps, levels, kinds, st.integers(0, 9_000), st.integers(0, 9_000))
def test_breakpoints_are_where_steps_begin(
    gaps_s: list[int],
    values: list[int],
    kind: str,
    start: int,
    length: int,
) -> None:
    series = build(gaps_s, values, repeat=kind == "repeats")
    found = series.breakpoints(float(start), float(start + length))
    assert found.tolist() == sorted(set(found.tolist()))
    period = series.repeat_s or math.inf
    expected = [
        t
        for t in range(start, start + length + 1)
        if (t % period if kind == "repeats" else t) in series.time_s
    ]
    assert found.tolist() == expected


def test_values_hold_from_their_time_on() -> None:
    series = StepSeries(np.array([0.0, 10.0]), np.array([1.0, 2.0]))
    assert series.at([0.0, 9.999, 10.0, 1e9]).tolist() == [1.0, 1.0, 2.0, 2.0]


def test_the_integral_is_additive_far_from_zero() -> None:
    hours = np.arange(24.0)
    series = StepSeries(hours * 3600.0, hours + 0.1, repeat_s=86_400.0)
    assert float(series.integral(0.0, 365 * 86_400.0)) == pytest.approx(
        365 * 3600.0 * float(np.sum(hours + 0.1)), rel=1e-14
    )
    far = 30 * 365 * 86_400.0
    assert series.mean(np.array([far, far + 3600.0]), 3600.0).tolist() == pytest.approx([0.1, 1.1], rel=1e-6)


def test_scaling_by_a_power_of_two_scales_bits() -> None:
    rng = np.random.default_rng(1)
    series = StepSeries(np.arange(50.0) * 7.3, rng.uniform(0.0, 1.0, 50), repeat_s=400.0)
    eighth = StepSeries(series.time_s, series.value / 8.0, repeat_s=400.0)
    starts = rng.uniform(0.0, 5_000.0, 100)
    np.testing.assert_array_equal(eighth.mean(starts, 123.4) * 8.0, series.mean(starts, 123.4))


def test_data_that_end_are_not_extended() -> None:
    series = StepSeries(np.array([0.0, 10.0]), np.array([1.0, 2.0]), end_s=20.0, name="carbon (x.csv)")
    assert float(series.integral(0.0, 20.0)) == 30.0
    with pytest.raises(SeriesError, match=r"carbon \(x.csv\): asked at 20 s but the data end at 20 s"):
        series.at([20.0])
    with pytest.raises(SeriesError, match="expected a series that covers the run"):
        series.mean(np.array([15.0]), 6.0)
    assert series.rolled(15.0).end_s == 5.0


@pytest.mark.parametrize(
    ("times", "values", "repeat_s"),
    [
        ([1.0, 2.0], [1.0, 2.0], None),
        ([0.0, 2.0, 2.0], [1.0, 2.0, 3.0], None),
        ([0.0, 3.0, 2.0], [1.0, 2.0, 3.0], None),
        ([0.0, 1.0], [1.0, math.nan], None),
        ([0.0, math.inf], [1.0, 2.0], None),
        ([0.0, 1.0], [1.0], None),
        ([], [], None),
        ([0.0, 1.0], [1.0, 2.0], 1.0),
        ([0.0, 1.0], [1.0, 2.0], math.inf),
    ],
)
def test_what_is_no_step_series_is_refused(
    times: list[float], values: list[float], repeat_s: float | None
) -> None:
    with pytest.raises(SeriesError):
        StepSeries(np.array(times), np.array(values), repeat_s=repeat_s)


@pytest.mark.parametrize("ask", [-1.0, math.nan, math.inf])
def test_impossible_times_are_refused(ask: float) -> None:
    series = StepSeries.constant(1.0)
    with pytest.raises(SeriesError):
        series.at([ask])
    with pytest.raises(SeriesError):
        series.mean(np.array([0.0]), ask)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        StepSeries.constant(1.0).value[0] = 2.0
