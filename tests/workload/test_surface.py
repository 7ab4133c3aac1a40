"""A surface is exact at its corners, straight between them, and goes on as its fit did outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from dcsim.workload.profile import StepTimeSurface
from dcsim.workload.surface import (
    batch_range,
    device_range,
    step_time_interval_s,
    surface_contains,
    surface_step_time_s,
)


def surface_of(corners: dict[tuple[int, int], float], **fields: Any) -> StepTimeSurface:
    """A surface through {(devices, batch): seconds}."""
    knots = [
        {"devices": devices, "batch_per_device": batch, "step_time_s": time_s}
        for (devices, batch), time_s in sorted(corners.items())
    ]
    return StepTimeSurface.model_validate(
        {"knots": knots, "interval_relative": 0.1, "coverage": 0.9, **fields}
    )


RAGGED = surface_of({(1, 8): 1.0, (1, 24): 3.0, (1, 32): 3.0, (4, 16): 4.0, (4, 32): 6.0})


@given(
    devices=st.lists(st.integers(1, 64), min_size=2, max_size=4, unique=True).map(sorted),
    batches=st.lists(st.integers(1, 512), min_size=2, max_size=5, unique=True).map(sorted),
    data=st.data(),
)
def test_on_a_grid_it_is_what_scipy_interpolates(
    devices: list[int], batches: list[int], data: st.DataObject
) -> None:
    size = len(devices) * len(batches)
    times = np.array(data.draw(st.lists(st.floats(1e-3, 10.0), min_size=size, max_size=size)))
    grid = times.reshape(len(devices), len(batches))
    corners = {(n, b): float(grid[i, k]) for i, n in enumerate(devices) for k, b in enumerate(batches)}
    surface = surface_of(corners)
    width = data.draw(st.integers(devices[0], devices[-1]))
    batch = data.draw(st.integers(batches[0], batches[-1]))
    expected = RegularGridInterpolator((devices, batches), grid)((width, batch))
    assert surface_step_time_s(surface, width, batch) == pytest.approx(float(expected), rel=1e-9)
    assert surface_contains(surface, width, batch)
    for (own_width, own_batch), time_s in corners.items():
        assert surface_step_time_s(surface, own_width, own_batch) == pytest.approx(time_s, rel=1e-12)


@pytest.mark.parametrize(
    ("devices", "batch", "expected_s", "inside"),
    [
        (1, 16, 2.0, True),
        (2, 24, 3.0 + (5.0 - 3.0) / 3, True),
        (1, 48, 3.0, False),  # the last slope does not rise: held
        (4, 48, 8.0, False),  # goes on by 2 s for 16
        (1, 4, 0.5, False),  # 1 s for 8 falls by 0.125 a sample
        (4, 8, 3.0, False),  # falls by 0.125 a sample
        (16, 32, 6.0, False),  # the widest is held
        (2, 8, 1.0 + (3.0 - 1.0) / 3, False),  # 4 devices were measured from 16 on
    ],
)
def test_worked_by_hand(devices: int, batch: int, expected_s: float, *, inside: bool) -> None:
    assert surface_step_time_s(RAGGED, devices, batch) == pytest.approx(expected_s)
    assert surface_contains(RAGGED, devices, batch) is inside


def test_small_batches_never_cost_nothing() -> None:
    # Through (8, 1) and (16, 10) the line would be below 0 at 7: a sample costs what it does at 8.
    steep = surface_of({(1, 8): 1.0, (1, 16): 10.0})
    assert surface_step_time_s(steep, 1, 1) == pytest.approx(1 / 8)


def test_a_single_corner_is_a_proportion_of_its_batch() -> None:
    only = surface_of({(2, 16): 4.0})
    assert [surface_step_time_s(only, 2, batch) for batch in (8, 16, 32)] == [2.0, 4.0, 8.0]
    assert surface_step_time_s(only, 1, 16) == 4.0
    assert [surface_contains(only, 2, batch) for batch in (8, 16)] == [False, True]


def test_ranges_are_those_of_all_neighbours() -> None:
    assert device_range(RAGGED) == (1, 4)
    assert [batch_range(RAGGED, devices) for devices in (1, 2, 4, 9)] == [
        (8, 32),
        (16, 32),
        (16, 32),
        (16, 32),
    ]


def test_the_interval_is_relative_and_never_negative() -> None:
    assert step_time_interval_s(RAGGED, 1, 16) == pytest.approx((1.8, 2.2))
    wide = surface_of({(1, 8): 1.0, (1, 16): 2.0}, interval_relative=1.5)
    assert step_time_interval_s(wide, 1, 16) == pytest.approx((0.0, 5.0))
