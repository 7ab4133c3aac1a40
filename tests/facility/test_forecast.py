"""Forecasts: what is known, what is expected, the stated error, and that nothing else leaks from the future."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.forecast import (
    ErrorPath,
    Forecaster,
    NoisyForecaster,
    PerfectForecaster,
    PersistenceForecaster,
    log_error_std,
)
from dcsim.facility.series import StepSeries
from dcsim.rng import stream

HOUR, DAY = 3600.0, 86_400.0
HOURS = 24 * 10


def series(
    values: np.ndarray | list[float], end_s: float = math.inf, repeat_s: float | None = None
) -> StepSeries:
    return StepSeries(
        np.arange(len(values), dtype=np.float64) * HOUR, np.array(values, dtype=np.float64), repeat_s, end_s
    )


def noisy(
    truth: StepSeries, mape: float = 0.2, every_s: float = HOUR, reach_s: float = 2 * DAY
) -> NoisyForecaster:
    return NoisyForecaster(truth, ErrorPath(stream(1, "test"), mape, DAY), every_s, reach_s)


MAKERS: dict[str, Callable[[StepSeries], Forecaster]] = {
    "perfect": PerfectForecaster,
    "persistence": PersistenceForecaster,
    "persistence, daily": lambda truth: PersistenceForecaster(truth, DAY),
    "noise": noisy,
    "noise, every 6 h": lambda truth: noisy(truth, every_s=6 * HOUR),
    "noise of prices": lambda truth: NoisyForecaster(
        truth, ErrorPath(stream(2, "t"), 0.1, DAY), HOUR, DAY, 50.0
    ),
}


def hourly(seed: int, highest: int, changed: dict[int, int]) -> np.ndarray:
    """Return whole numbers up to a highest, but for a few hours; few different ones make steps that change nothing."""
    made = np.random.default_rng(seed).integers(0, highest, HOURS, endpoint=True).astype(np.float64)
    made[list(changed)] = list(changed.values())
    return made


# To draw each hour would take longer than all the forecasts.
values = st.builds(
    hourly,
    st.integers(0, 2**32 - 1),
    st.sampled_from([500, 1, 0]),
    st.dictionaries(st.integers(0, HOURS - 1), st.integers(0, 500), max_size=5),
)
makers = st.sampled_from(sorted(MAKERS))
instants = st.floats(0.0, (HOURS - 1) * HOUR)


@given(values, makers, instants, st.floats(0.0, 3 * DAY), st.floats(1.0, 3 * DAY))
def test_means_are_those_of_the_values_between_breakpoints(
    truth: np.ndarray, maker: str, now_s: float, ahead_s: float, length_s: float
) -> None:
    sight = MAKERS[maker](series(truth)).sight(now_s)
    start, end = now_s + ahead_s, now_s + ahead_s + length_s
    inside = sight.breakpoints(start, end)
    assert inside.tolist() == sorted(set(inside.tolist()))
    cuts = np.unique(np.concatenate([[start], inside[(inside > start) & (inside < end)], [end]]))
    middle = 0.5 * (cuts[:-1] + cuts[1:])
    by_hand = float(np.sum(sight.mean(middle, 0.0) * np.diff(cuts))) / (end - start)
    scale = max(1.0, float(truth.max()))
    assert float(sight.mean([start], end - start)[0]) == pytest.approx(by_hand, abs=1e-6 * scale)


@given(values, makers, instants)
def test_the_present_is_known(truth: np.ndarray, maker: str, now_s: float) -> None:
    forecaster = MAKERS[maker](series(truth))
    assert float(forecaster.sight(now_s).mean([now_s], 0.0)[0]) == truth[int(now_s // HOUR)]


@given(values, values, st.sampled_from(["persistence", "persistence, daily"]), st.integers(1, HOURS - 1))
def test_a_forecast_by_persistence_depends_on_the_past_alone(
    truth: np.ndarray, other: np.ndarray, maker: str, hour: int
) -> None:
    changed = np.concatenate([truth[: hour + 1], other[hour + 1 :]])
    asked = (hour + 0.5) * HOUR + np.arange(100) * HOUR
    one, two = (MAKERS[maker](series(v)).sight((hour + 0.5) * HOUR) for v in (truth, changed))
    np.testing.assert_array_equal(one.mean(asked, 0.0), two.mean(asked, 0.0))
    np.testing.assert_array_equal(one.mean(asked, 5 * HOUR), two.mean(asked, 5 * HOUR))


@given(values, values, st.integers(0, HOURS - 60))
def test_a_noisy_forecast_sees_no_further_than_it_reaches(
    truth: np.ndarray, other: np.ndarray, hour: int
) -> None:
    changed = np.concatenate([truth[: hour + 48], other[hour + 48 :]])
    asked = hour * HOUR + np.arange(150) * HOUR
    one, two = (noisy(series(v)).sight(hour * HOUR) for v in (truth, changed))
    np.testing.assert_array_equal(one.mean(asked, 0.0), two.mean(asked, 0.0))


@given(values, st.integers(0, HOURS - 60))
def test_without_error_a_noisy_forecast_is_right_as_far_as_it_reaches(truth: np.ndarray, hour: int) -> None:
    sight = noisy(series(truth), mape=0.0).sight(hour * HOUR)
    np.testing.assert_allclose(
        sight.mean((hour + np.arange(48)) * HOUR, 0.0), truth[hour : hour + 48], rtol=1e-12
    )
    # Beyond, its last day returns.
    np.testing.assert_allclose(
        sight.mean((hour + 48 + np.arange(48)) * HOUR, 0.0),
        np.tile(truth[hour + 24 : hour + 48], 2),
        rtol=1e-12,
    )


def test_persistence_by_hand() -> None:
    """At 30:30 the last 24 hours were 6:00 to 30:00; hour 30 itself is known, hour 31 is as hour 7 was."""
    sight = PersistenceForecaster(series(np.arange(100.0))).sight(30.5 * HOUR)
    assert sight.mean([30.5 * HOUR, 31 * HOUR, 53 * HOUR, 54 * HOUR, 55 * HOUR], 0.0).tolist() == [
        30,
        7,
        29,
        6,
        7,
    ]
    assert float(sight.mean([30.5 * HOUR], HOUR)[0]) == pytest.approx(0.5 * 30 + 0.5 * 7)


def test_persistence_on_the_first_day_knows_what_it_saw() -> None:
    """At 2:00, hours 0 and 1 were seen; other hours of the day are taken to be as now."""
    sight = PersistenceForecaster(series([5.0, 6.0, 7.0, *range(50)])).sight(2 * HOUR)
    assert sight.mean(np.array([3, 10, 24, 25, 26]) * HOUR, 0.0).tolist() == [7, 7, 5, 6, 7]


def test_a_perfect_forecast_past_the_end_of_the_data_sees_its_last_day_again() -> None:
    truth = np.arange(72.0)
    sight = PerfectForecaster(series(truth, end_s=72 * HOUR)).sight(60.5 * HOUR)
    asked = (60.5 + np.arange(40)) * HOUR
    expected = np.concatenate([truth, truth[48:], truth[48:]])[60:100]
    np.testing.assert_array_equal(sight.mean(asked, 0.0), expected)
    assert sight.breakpoints(70 * HOUR, 75 * HOUR).tolist() == [h * HOUR for h in range(70, 76)]


def test_a_noisy_forecast_near_the_end_of_the_data_goes_on_with_the_last_day() -> None:
    truth = np.arange(1.0, 73.0)
    sight = noisy(series(truth, end_s=72 * HOUR), mape=0.0).sight(66 * HOUR)
    expected = np.concatenate([truth[66:], truth[48:], truth[48:]])
    np.testing.assert_allclose(sight.mean((66 + np.arange(54)) * HOUR, 0.0), expected)


def test_forecasts_of_a_series_that_repeats() -> None:
    truth = series(np.arange(24.0), repeat_s=DAY)
    for maker in MAKERS.values():
        sight = maker(truth).sight(100 * DAY + 3.25 * HOUR)
        assert float(sight.mean([100 * DAY + 3.25 * HOUR], 0.0)[0]) == 3.0
        assert sight.breakpoints(100 * DAY + 3.5 * HOUR, 100 * DAY + 5 * HOUR).tolist() == [
            100 * DAY + 4 * HOUR,
            100 * DAY + 5 * HOUR,
        ]


def test_a_forecast_is_used_until_the_next() -> None:
    forecaster = noisy(series(np.full(HOURS, 100.0)), every_s=6 * HOUR)
    asked = [20 * HOUR]
    early, late, next_one = (float(forecaster.sight(h * HOUR).mean(asked, 0.0)[0]) for h in (6, 11.9, 12))
    assert early == late != next_one


def test_who_asks_when_does_not_change_a_forecast() -> None:
    truth = series(np.linspace(50.0, 300.0, HOURS))
    one, other = noisy(truth), noisy(truth)
    for hour in (200, 3, 77):
        other.sight(hour * HOUR).mean([hour * HOUR], DAY)
    asked = (20 + np.arange(40)) * HOUR
    np.testing.assert_array_equal(
        one.sight(20 * HOUR).mean(asked, 0.0), other.sight(20 * HOUR).mean(asked, 0.0)
    )


@pytest.mark.parametrize("mape", [0.05, 0.10, 0.30])
def test_the_error_a_day_ahead_is_the_stated_one(mape: float) -> None:
    """2,000 independent paths: the mean absolute error, and the mean ratio 1, within four standard errors."""
    ratios = np.array(
        [
            math.exp(float(ErrorPath(stream(7, "mape", n), mape, DAY).log_ratio(5, np.array([29]))[0]))
            for n in range(2_000)
        ]
    )
    errors = np.abs(ratios - 1.0)
    assert errors.mean() == pytest.approx(mape, abs=4 * errors.std() / math.sqrt(2_000))
    assert ratios.mean() == pytest.approx(1.0, abs=4 * ratios.std() / math.sqrt(2_000))


def test_the_error_grows_with_the_lead_time_and_shrinks_for_the_same_hour() -> None:
    """RMS over 1,000 paths at leads of 0 to 96 h against the closed form sqrt(1 - phi^2h), phi = exp(-1/24)."""
    leads = np.array([0, 1, 6, 24, 96])
    drawn = np.array([ErrorPath(stream(9, "lead", n), 0.1, DAY).log_ratio(0, leads) for n in range(1_000)])
    found = drawn.std(axis=0)
    expected = log_error_std(0.1) * np.sqrt((1 - np.exp(-2 * leads / 24.0)) / (1 - math.exp(-2.0)))
    np.testing.assert_allclose(found, expected, rtol=0.1, atol=1e-12)
    assert found[0] == 0.0
    path = ErrorPath(stream(3, "same hour"), 0.3, DAY)
    last = [abs(float(path.log_ratio(48 - lead, np.array([48]))[0])) for lead in (1, 0)]
    assert last[1] == 0.0


def test_errors_of_neighbouring_hours_are_alike() -> None:
    """The correlation of X over one hour is exp(-1/24) = 0.959; of white noise it would be 0."""
    path = ErrorPath(stream(4, "neighbours"), 0.1, DAY).log_ratio(0, np.arange(20_000))
    late = path[1_000:]
    assert float(np.corrcoef(late[:-1], late[1:])[0, 1]) == pytest.approx(math.exp(-1 / 24), abs=0.01)


def test_a_question_costs_no_more_for_a_longer_series() -> None:
    """What is asked of a forecast of ten years touches only what it reaches."""
    truth = series(np.arange(24.0 * 3650) % 24)
    sight = noisy(truth).sight(30_000 * HOUR)
    assert len(sight.outlook.near.value) == 48
