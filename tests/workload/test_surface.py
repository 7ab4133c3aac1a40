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
    measured_neighbours,
    step_time_interval_s,
    surface_contains,
    surface_step_time_s,
    width_doubt,
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
    rings = [1.0 - 1.0 / n for n in devices]
    expected = RegularGridInterpolator((rings, batches), grid)((1.0 - 1.0 / width, batch))
    assert surface_step_time_s(surface, width, batch) == pytest.approx(float(expected), rel=1e-9)
    assert surface_contains(surface, width, batch) is (width in devices)
    assert (measured_neighbours(surface, width) is None) is (width in devices)
    for (own_width, own_batch), time_s in corners.items():
        assert surface_step_time_s(surface, own_width, own_batch) == pytest.approx(time_s, rel=1e-12)


@pytest.mark.parametrize(
    ("devices", "batch", "expected_s", "inside"),
    [
        (1, 16, 2.0, True),
        (2, 24, 3.0 + (5.0 - 3.0) * 0.5 / 0.75, False),  # nothing was measured on 2
        # Weights 1, 1/9, 1/9 about the mean batch 128 / 11 and the mean time 15 / 11 s.
        (1, 48, 3.0 + 16 * ((40 * 4 + 136 * 2 + 224 * 2) / (40**2 + 136**2 / 9 + 224**2 / 9)), False),
        (4, 48, 8.0, False),  # goes on by 2 s for 16
        (1, 4, 0.5, False),  # 1 s for 8 falls by 0.125 a sample
        (4, 8, 3.0, False),  # falls by 0.125 a sample
        (16, 32, 6.0, False),  # the widest is held
        (2, 8, 1.0 + (3.0 - 1.0) * 0.5 / 0.75, False),  # 4 devices were measured from 16 on
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


def test_ranges_that_share_no_batch_are_those_of_the_nearer() -> None:
    apart = surface_of({(1, 8): 1.0, (1, 16): 2.0, (8, 32): 4.0, (8, 64): 8.0})
    # 1 - 1/n is halfway between 1 and 8 at 16/9.
    assert [batch_range(apart, devices) for devices in (1, 2, 8)] == [(8, 16), (32, 64), (32, 64)]
    near = surface_of({(2, 8): 1.0, (2, 16): 2.0, (64, 32): 4.0, (64, 64): 8.0})
    assert [batch_range(near, devices) for devices in (3, 4)] == [(8, 16), (32, 64)]


def test_a_ring_of_any_width_is_exact_between_two() -> None:
    def truth_s(devices: int, batch: int) -> float:
        return 1e-3 * batch + 2.0 * (devices - 1) / devices * 5e-3

    surface = surface_of({(n, b): truth_s(n, b) for n in (1, 8) for b in (8, 16)})
    for devices in range(1, 9):
        for batch in (8, 11, 16):
            expected_s = truth_s(devices, batch)
            assert surface_step_time_s(surface, devices, batch) == pytest.approx(expected_s, rel=1e-12)
    assert measured_neighbours(surface, 3) == (1, 8)


def test_doubt_between_widths_reaches_to_contention_that_grows_with_them() -> None:
    linear = surface_of({(n, b): 1e-3 * b * (1.0 + 0.2 * (n - 1)) for n in (1, 8) for b in (8, 16)})
    for devices in range(1, 9):
        truth_s = 12e-3 * (1.0 + 0.2 * (devices - 1))
        found_s = surface_step_time_s(linear, devices, 12)
        assert found_s / width_doubt(linear, devices, 12) == pytest.approx(truth_s, rel=1e-12)
    assert width_doubt(linear, 8, 12) == width_doubt(linear, 20, 12) == 1.0


CLOSED_IN = {8: 8e-3, 32: 32e-3, 60: 60e-3, 62: 62e-3, 64: 128e-3}
"""A jump to twice as much, closed in on at the largest batch."""


def test_a_jump_at_the_end_does_not_go_on() -> None:
    # The corners from half of 64 on, as numpy fits them; continuous at 64.
    near = [(batch, time_s) for batch, time_s in CLOSED_IN.items() if batch >= 32]
    sizes, times_s = np.array(near).T
    slope = float(np.polyfit(sizes, times_s, 1, w=1.0 / times_s)[0])
    found_s = surface_step_time_s(surface_of({(1, b): t for b, t in CLOSED_IN.items()}), 1, 128)
    assert found_s == pytest.approx(128e-3 + 64 * slope, rel=1e-9)
    assert found_s == pytest.approx(0.256, rel=0.2)


def test_the_end_goes_on_as_its_own_regime() -> None:
    corners = {(1, b): t for b, t in CLOSED_IN.items()}
    # One corner beyond 62: in proportion. So are two that lie close together.
    assert surface_step_time_s(surface_of(corners, regimes=[62]), 1, 128) == pytest.approx(0.256)
    noisy = surface_of({**corners, (1, 66): 150e-3}, regimes=[62])
    assert surface_step_time_s(noisy, 1, 132) == pytest.approx(0.3)
    # Corners far enough apart say the slope: 1 ms a sample.
    wide = surface_of({**corners, (1, 96): 160e-3, (1, 128): 192e-3}, regimes=[62])
    assert surface_step_time_s(wide, 1, 256) == pytest.approx(0.32)
    # Likewise below: of 8 and 9 close together only 8 counts, and its regime ends there.
    low = surface_of({(1, 8): 8e-3, (1, 9): 18e-3, (1, 32): 64e-3}, regimes=[8])
    assert surface_step_time_s(low, 1, 4) == pytest.approx(4e-3)


def test_the_interval_is_relative_and_never_negative() -> None:
    assert step_time_interval_s(RAGGED, 1, 16) == pytest.approx((1.8, 2.2))
    wide = surface_of({(1, 8): 1.0, (1, 16): 2.0}, interval_relative=1.5)
    assert step_time_interval_s(wide, 1, 16) == pytest.approx((0.0, 5.0))
