"""The models that predict placements and scale factors find the terms that data were made of."""

from __future__ import annotations

from itertools import product

import pytest

from trainers.imports.holdout import mape, placement_holdout, within
from trainers.imports.placement_model import PlacedStep, fit_placements
from trainers.imports.scaling_model import ScalingStep, fit_scaling

BATCHES = (8, 16, 32, 64)
LAYOUTS = [layout for k in (1, 2, 3) for layout in product((1, 2, 3, 4), repeat=k)]


def step_s(layout: tuple[int, ...], batch: int, power: float) -> float:
    """By the equation: 0.1 s + 10 ms a sample, 2 % longer a further GPU; exchange 0.05 k + 0.2 (n - k) / k seconds."""
    servers, gpus = len(layout), sum(layout)
    compute_s = (0.1 + 0.01 * batch) * (1 + 0.02 * (max(layout) - 1))
    exchange_s = (0.05 * servers + 0.2 * (gpus - servers) / servers) if gpus > 1 else 0.0
    return float((compute_s**power + exchange_s**power) ** (1 / power))


@pytest.mark.parametrize("power", [1.5, 3.0])
def test_the_terms_of_a_placement_are_found(power: float) -> None:
    steps = [
        PlacedStep(layout, batch, step_s(layout, batch, power)) for layout in LAYOUTS for batch in BATCHES
    ]
    model = fit_placements(steps)
    assert model.overlap == pytest.approx(power, rel=0.02)
    assert model.crowding == pytest.approx(0.02, abs=0.003)
    assert model.exchange_s[2] == pytest.approx((0.1, 0.2), rel=0.05)
    assert model.step_time_s((2, 3), 24) == pytest.approx(step_s((2, 3), 24, power), rel=0.01)


def test_placements_that_were_not_seen_are_predicted() -> None:
    steps = [PlacedStep(layout, batch, step_s(layout, batch, 2.0)) for layout in LAYOUTS for batch in BATCHES]
    rows = placement_holdout("made", steps, seed=3)
    assert len(rows) == len(steps)
    assert mape(rows) < 0.01
    assert within(rows) > 0.8
    # The order of the servers does not matter to the equation, so it must not to the fit.
    assert {row.measured for row in rows} == {step.step_time_s for step in steps}


def test_one_step_is_too_few() -> None:
    with pytest.raises(ValueError, match="at least two"):
        fit_placements([PlacedStep((1,), 1, 1.0)])


def test_scaling_finds_the_exchange_and_hides_it() -> None:
    """t = sqrt(c^2 + s^2) with s = 0.3 s: eight devices exchange 1.75 times as long where bandwidth decides."""
    steps = [ScalingStep(one_s, (one_s**2 + 0.09) ** 0.5) for one_s in (0.2, 0.4, 0.8)]
    model = fit_scaling(steps)
    assert model.overlap == 2.0
    assert model.exchange_s == pytest.approx(0.3, rel=1e-3)
    predicted = model.predict(steps[0], 8)
    assert predicted.step_time_s == pytest.approx((0.04 + (0.3 * 1.75) ** 2) ** 0.5, rel=1e-3)
    assert predicted.high_s == pytest.approx((0.04 + (0.3 * 7) ** 2) ** 0.5, rel=1e-2)


def test_no_pair_is_too_few() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fit_scaling([])
