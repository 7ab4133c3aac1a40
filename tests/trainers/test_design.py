"""The design finds what a range costs with few points, and says how sure it is, on functions that are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.workload.profile import StepTimeSurface
from dcsim.workload.surface import (
    batch_range,
    step_time_interval_s,
    surface_contains,
    surface_step_time_s,
)
from trainers.design import Space, next_point, predicted_error
from trainers.fit import Sample
from trainers.regimes import regimes
from trainers.surface import Scatter, build_surface, half_width, left_out, mean_error

Truth = Callable[[int, int], float]

TARGET, LIMIT, NOISE = 0.05, 12, 0.03
PAIR, SMALL = Space((1, 2), 8, 128), Space((1, 2), 4, 32)


def _line(devices: int, batch: int) -> float:
    return 1e-3 + 1e-4 * batch + 5e-4 * (devices - 1)


def _cache(devices: int, batch: int) -> float:
    """The convolutional net on a CPU: 463 us a sample while it fits into the cache, 997 us beyond."""
    return (1e-3 + 463e-6 * batch if batch <= 37 else 997e-6 * batch) * (1.0 + 0.15 * (devices - 1))


def _knee(devices: int, batch: int) -> float:
    """A roofline: a floor until the device is busy."""
    return max(4e-3, 1e-4 * batch) + 1e-3 * (devices - 1)


def _saw_tooth(devices: int, batch: int) -> float:
    """Odd batches take 8 % longer than multiples of 8."""
    return (1e-3 + 1e-4 * batch) * (1.0 if batch % 8 == 0 else 1.08) * (1.0 + 0.15 * (devices - 1))


def _concave(devices: int, batch: int) -> float:
    return (2e-4 + 2.2e-5 * batch**0.72) * (1.0 + 0.15 * (devices - 1))


TRUTHS: Mapping[str, tuple[Truth, Space]] = {
    "line": (_line, PAIR),
    "cache": (_cache, PAIR),
    "knee": (_knee, PAIR),
    "saw tooth": (_saw_tooth, PAIR),
    "concave": (_concave, PAIR),
    "cache, not reached": (_cache, SMALL),
}


@dataclass(frozen=True)
class Outcome:
    """What one calibration of a known function came to, at 20 random unseen configurations."""

    samples: tuple[Sample, ...]
    surface: StepTimeSurface
    errors: tuple[float, ...]
    """|predicted / true - 1|."""
    covered: float
    """Share of noisy new measurements inside the interval."""


def calibrated(truth: Truth, space: Space, noise: float, seed: int) -> Outcome:
    """Choose, measure with noise, and compare."""
    rng = np.random.default_rng([seed, 7])
    samples: list[Sample] = []
    while True:
        point = next_point(samples, space, noise_relative=noise, target=TARGET, limit=LIMIT)
        if point is None:
            break
        samples.append(Sample(*point, truth(*point) * math.exp(noise * rng.standard_normal())))
    surface = build_surface(samples, "jit", noise)
    assert surface is not None
    seen = {(sample.devices, sample.batch_per_device) for sample in samples}
    assert len(seen) == len(samples)
    unseen = [
        (devices, batch)
        for devices in space.devices
        for batch in range(space.batch_min, space.batch_max + 1)
        if (devices, batch) not in seen
    ]
    chosen = [unseen[index] for index in rng.permutation(len(unseen))[:20]]
    inside = []
    for each in chosen:
        low_s, high_s = step_time_interval_s(surface, *each)
        inside.append(low_s <= truth(*each) * math.exp(noise * rng.standard_normal()) <= high_s)
    errors = tuple(abs(surface_step_time_s(surface, *each) / truth(*each) - 1.0) for each in chosen)
    return Outcome(tuple(samples), surface, errors, float(np.mean(inside)))


@pytest.fixture(scope="module")
def outcomes() -> dict[str, list[Outcome]]:
    """Twelve calibrations of each function, with 3 % noise."""
    return {
        name: [calibrated(truth, space, NOISE, seed) for seed in range(12)]
        for name, (truth, space) in TRUTHS.items()
    }


@pytest.mark.parametrize("name", TRUTHS)
def test_twelve_points_are_enough(outcomes: dict[str, list[Outcome]], name: str) -> None:
    rows = outcomes[name]
    assert all(len(each.samples) <= LIMIT for each in rows)
    assert np.mean([np.mean(each.errors) for each in rows]) <= TARGET
    # Of the largest error at 20 places the median: a place inside an open jump may be drawn.
    assert np.median([max(each.errors) for each in rows]) <= 0.12


@pytest.mark.parametrize("name", TRUTHS)
def test_intervals_cover_at_their_stated_rate_and_are_of_use(
    outcomes: dict[str, list[Outcome]], name: str
) -> None:
    rows = outcomes[name]
    assert np.mean([each.covered for each in rows]) >= rows[0].surface.coverage - 0.05
    # 1.64 times the noise is the least that covers at 90 %.
    assert np.median([each.surface.interval_relative for each in rows]) <= 5 * 1.64 * NOISE


def test_without_noise_a_jump_is_found_to_the_batch_and_named() -> None:
    found = calibrated(_cache, PAIR, 0.0, 0)
    assert found.surface.regimes == (37,)
    assert {37, 38} <= {sample.batch_per_device for sample in found.samples if sample.devices == 1}
    assert max(found.errors) < 0.01


def test_the_regime_is_named_through_noise(outcomes: dict[str, list[Outcome]]) -> None:
    assert np.mean([each.surface.regimes == (37,) for each in outcomes["cache"]]) >= 0.75
    assert all(each.surface.regimes == () for each in outcomes["line"])


def test_a_straight_line_needs_its_grid_only() -> None:
    assert len(calibrated(_line, PAIR, 0.01, 0).samples) == 8
    assert len(calibrated(_line, Space((1,), 8, 128), 0.01, 0).samples) == 5


def test_measurements_decide_and_nothing_else(outcomes: dict[str, list[Outcome]]) -> None:
    whole = outcomes["cache"][0].samples
    for count in range(len(whole)):
        for known in (whole[:count], whole[:count][::-1]):  # whatever their order
            chosen = next_point(known, PAIR, noise_relative=NOISE, target=TARGET, limit=LIMIT)
            assert chosen == (whole[count].devices, whole[count].batch_per_device)


def test_batches_of_all_kinds_are_seen(outcomes: dict[str, list[Outcome]]) -> None:
    for each in outcomes["saw tooth"]:
        kinds = {sample.batch_per_device % 2 for sample in each.samples}
        assert kinds == {0, 1}


@given(
    low=st.integers(1, 40),
    width=st.integers(1, 60),
    devices=st.sets(st.integers(1, 8), min_size=1, max_size=3),
    limit=st.integers(1, 15),
    times=st.lists(st.floats(1e-4, 10.0), min_size=15, max_size=15),
)
def test_any_times_end_within_the_limit_and_the_space(
    low: int, width: int, devices: set[int], limit: int, times: list[float]
) -> None:
    space = Space(tuple(sorted(devices)), low, low + width)
    samples: list[Sample] = []
    for time_s in times:
        point = next_point(samples, space, noise_relative=0.02, target=0.05, limit=limit)
        if point is None:
            break
        assert point[0] in devices
        assert low <= point[1] <= low + width
        assert point not in {(sample.devices, sample.batch_per_device) for sample in samples}
        samples.append(Sample(*point, time_s))
    assert len(samples) <= limit
    build_surface(samples, "jit", 0.02)


def test_too_few_points_give_no_surface() -> None:
    assert build_surface([Sample(1, 8, 1.0), Sample(1, 16, 2.0)], "jit", 0.01) is None
    assert predicted_error([Sample(1, 8, 1.0), Sample(1, 16, 2.0)], 0.01) == math.inf


def test_a_left_out_point_is_predicted_from_its_neighbours() -> None:
    curve = [Sample(1, 10, 1.0), Sample(1, 20, 2.2), Sample(1, 40, 4.0)]
    (only,) = left_out(curve, 0.5)
    # Between 10 and 40, at 20: 1 + 3 / 3 = 2. It stands for 15 to 30 of 10 to 40.
    assert only.error_relative == pytest.approx(2.0 / 2.2 - 1.0)
    assert only.share == pytest.approx(0.5)
    assert mean_error([only]) == pytest.approx(0.2 / 2.2)
    # One point: Student's t with one degree of freedom at 95 % is 6.3138 (tables).
    assert half_width([only], [], 0.0) == pytest.approx(6.3138 * 0.2 / 2.2, rel=1e-4)


def test_one_new_measurement_scatters_more_than_the_mean_of_some() -> None:
    (only,) = left_out([Sample(1, 10, 1.0), Sample(1, 20, 2.2), Sample(1, 40, 4.0)], 0.5)
    alone = half_width([only], [], 0.03)
    assert half_width([only], [], 0.03, scatter=Scatter(0.05, 1.0)) == alone
    # Of two visits the mean lacks half the variance of one; 1.645 standard deviations hold 90 %.
    two = half_width([only], [], 0.03, scatter=Scatter(0.05, 2.0))
    assert two == pytest.approx(math.hypot(alone, 1.645 * 0.05 / 2**0.5), rel=1e-4)
    # Never more than a whole visit on top.
    many = half_width([only], [], 0.03, scatter=Scatter(0.05, 1e9))
    assert many == pytest.approx(math.hypot(alone, 1.645 * 0.05), rel=1e-4)


def test_no_prediction_is_surer_than_a_mean_of_visits() -> None:
    sure = left_out([Sample(1, batch, float(batch)) for batch in (10, 20, 30, 40)], 0.01)
    for visits in (1.0, 2.0, 4.0):
        width = half_width(sure, [], 0.01, scatter=Scatter(0.05, visits))
        assert width == pytest.approx(1.645 * 0.05 * (1.0 + 1.0 / visits) ** 0.5, rel=1e-4)


def test_other_devices_take_the_shape_of_the_first() -> None:
    base = [Sample(1, batch, _cache(1, batch)) for batch in (8, 20, 37, 38, 60, 128)]
    other = [Sample(2, batch, _cache(2, batch)) for batch in (8, 128)]
    surface = build_surface([*base, *other], "jit", 0.01)
    assert surface is not None
    for batch in (12, 30, 37, 38, 90):
        assert surface_step_time_s(surface, 2, batch) == pytest.approx(_cache(2, batch), rel=1e-9)


def test_other_devices_take_it_only_between_their_own_batches() -> None:
    # Two devices leave a cache above batch 32 that one alone does not.
    base = [Sample(1, batch, 1e-3 + 1e-3 * batch) for batch in (8, 16, 24, 48, 64, 96, 128)]
    surface = build_surface(
        [*base, *(Sample(2, batch, 1e-3 + 1e-3 * batch) for batch in (12, 32))], "jit", 0.02
    )
    assert surface is not None
    assert [knot.batch_per_device for knot in surface.knots if knot.devices == 2] == [12, 16, 24, 32]
    assert batch_range(surface, 2) == (12, 32)
    assert not surface_contains(surface, 2, 128)


def test_regimes_are_changes_that_noise_does_not_explain() -> None:
    sizes = (8, 16, 24, 32, 40, 48, 56, 64)
    rng = np.random.default_rng(3)
    noisy = [Sample(1, batch, _line(1, batch) * math.exp(0.03 * rng.standard_normal())) for batch in sizes]
    assert regimes(noisy, 0.03) == ()
    knee = [Sample(1, batch, _knee(1, batch)) for batch in sizes]
    assert regimes(knee, 0.01) in {(32,), (40,)}  # the knee itself, 40, lies on both lines
    small = [Sample(1, batch, batch * (1.1 if batch > 32 else 1.0)) for batch in sizes]
    assert regimes(small, 0.01) == ()  # a tenth more is a cut, not a regime
