"""The fit finds the law that made the samples, stays non-negative, and is tested on others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.fit import Coefficients, Sample, choose_held_out, fit_step_time, relative_errors

GRID = [(devices, batch) for devices in (1, 2, 4) for batch in (8, 16, 32, 64)]

times_s = st.floats(1e-6, 10.0)


def samples_of(law: Coefficients) -> list[Sample]:
    return [Sample(devices, batch, law.predict_s(devices, batch)) for devices, batch in GRID]


@given(overhead_s=times_s, per_sample_s=times_s, per_device_s=times_s)
def test_an_exact_law_is_found_again(overhead_s: float, per_sample_s: float, per_device_s: float) -> None:
    samples = samples_of(Coefficients(overhead_s, per_sample_s, per_device_s))
    assert max(map(abs, relative_errors(fit_step_time(samples), samples))) < 1e-6


def test_coefficients_are_those_of_the_law() -> None:
    law = Coefficients(3e-4, 6e-6, 8e-4)
    assert fit_step_time(samples_of(law)) == pytest.approx(law, rel=1e-9)


def test_times_that_fall_with_devices_do_not_make_a_negative_term() -> None:
    fitted = fit_step_time([Sample(1, 8, 2.0), Sample(1, 16, 3.0), Sample(2, 8, 1.0), Sample(2, 16, 1.5)])
    assert min(fitted) >= 0
    assert fitted.per_device_s == 0


def test_error_is_relative() -> None:
    # No line meets both; the least squares of p/1 - 1 and p/3 - 1 put p at (1 + 1/3) / (1 + 1/9) = 1.2.
    fitted = fit_step_time([Sample(1, 8, 1.0), Sample(1, 8, 3.0)])
    assert fitted.predict_s(1, 8) == pytest.approx(1.2)


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fit_step_time([])


def test_held_out_samples_are_inside_the_range_and_chosen_by_seed() -> None:
    samples = [Sample(devices, batch, 1.0) for devices, batch in GRID]
    chosen = choose_held_out(samples, seed=3)
    assert len(chosen) == len(GRID) // 4
    assert {samples[index].batch_per_device for index in chosen} <= {16, 32}
    assert chosen == choose_held_out(samples, seed=3)
    assert any(choose_held_out(samples, seed=seed) != chosen for seed in range(10))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_samples_hold_out_none(count: int) -> None:
    assert choose_held_out([Sample(1, 8 * (index + 1), 1.0) for index in range(count)], seed=0) == []
