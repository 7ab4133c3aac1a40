"""Augmentation moves pixels as its parameters say, and nothing else."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from scipy import ndimage

from trainers.data import Affine, batches, textures_data
from trainers.data.augment import affine_maps, warp

EVERYTHING = Affine((20, 30, 3), rotation_deg=40.0, shift=0.2, shear_rad=0.2, zoom=0.2, flip=True)


def images(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, shape).astype(dtype)


def blob(rows: int = 41, columns: int = 41, row: float = 20, column: float = 20) -> np.ndarray:
    """A smooth spot, whose centre of mass says where it is."""
    down, right = np.mgrid[:rows, :columns]
    return np.exp(-((down - row) ** 2 + (right - column) ** 2) / 18.0)[None, :, :, None]


def centre(image: np.ndarray) -> np.ndarray:
    return np.array(ndimage.center_of_mass(image[0, :, :, 0]))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_no_ranges_change_nothing(dtype: type) -> None:
    x = images(3, 20, 30, 3, dtype=dtype)
    changed = Affine((20, 30, 3))(np.random.default_rng(0), x)
    assert changed.dtype == dtype
    assert np.array_equal(changed, x)


def test_a_flip_mirrors_left_and_right_of_about_half() -> None:
    x = images(200, 4, 5, 3)
    changed = Affine((4, 5, 3), flip=True)(np.random.default_rng(0), x)
    mirrored = np.array([np.array_equal(new, old[:, ::-1]) for old, new in zip(x, changed, strict=True)])
    same = np.array([np.array_equal(new, old) for old, new in zip(x, changed, strict=True)])
    assert (mirrored ^ same).all()
    assert 70 < mirrored.sum() < 130  # four deviations of a fair coin


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_pixels_are_those_of_an_independent_resampler(dtype: type) -> None:
    x = images(4, 20, 30, 3, dtype=dtype)
    maps = affine_maps(EVERYTHING, np.random.default_rng(3), 4)
    middle = np.array([9.5, 14.5])
    for image, at, got in zip(x, maps, warp(x, maps), strict=True):
        offset = middle - at[:, :2] @ middle + at[:, 2]
        for colour in range(3):
            expected = ndimage.affine_transform(
                image[:, :, colour].astype(float), at[:, :2], offset, order=1, mode="nearest"
            )
            # Coordinates are fp32: a ten-thousandth of a pixel, times 255; bytes are rounded besides.
            assert np.abs(got[:, :, colour] - expected).max() < (0.55 if dtype is np.uint8 else 0.05)


def test_a_positive_shift_takes_pixels_from_further_down_and_right_so_the_picture_moves_up_and_left() -> None:
    ranges = Affine((41, 41, 1), shift=0.2)
    for seed in range(5):
        at = affine_maps(ranges, np.random.default_rng(seed), 1)
        assert np.abs(at[0, :, 2]).max() <= 0.2 * 41
        np.testing.assert_allclose(centre(warp(blob(), at)), [20, 20] - at[0, :, 2], atol=0.05)


def test_shifts_are_drawn_evenly_both_ways() -> None:
    drawn = affine_maps(Affine((40, 20, 1), shift=0.1), np.random.default_rng(0), 4000)[:, :, 2]
    # An even draw of width 2a has deviation a / sqrt(3); four deviations of the mean.
    for axis, reach in ((0, 4.0), (1, 2.0)):
        assert abs(drawn[:, axis].mean()) < 4 * reach / np.sqrt(3 * 4000)
        assert drawn[:, axis].std() == pytest.approx(reach / np.sqrt(3), rel=0.05)


def test_a_turn_keeps_the_distance_from_the_middle_and_stays_in_its_range() -> None:
    spot = blob(row=20, column=32)
    angles = []
    for seed in range(20):
        at = affine_maps(Affine((41, 41, 1), rotation_deg=20.0), np.random.default_rng(seed), 1)
        down, right = centre(warp(spot, at)) - 20
        assert np.hypot(down, right) == pytest.approx(12, abs=0.05)
        angles.append(np.rad2deg(np.arctan2(down, right)))
    assert max(np.abs(angles)) < 20.5
    assert min(angles) < -5 < 5 < max(angles)


def test_a_zoom_above_one_makes_the_picture_smaller() -> None:
    at = np.array([[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]])
    np.testing.assert_allclose(centre(warp(blob(row=14, column=28), at)), [17, 24], atol=0.05)


def test_a_range_leaves_the_draws_of_the_others_alone() -> None:
    alone = affine_maps(Affine((20, 20, 1), shift=0.1), np.random.default_rng(0), 5)
    with_flip = affine_maps(Affine((20, 20, 1), shift=0.1, flip=True), np.random.default_rng(0), 5)
    assert np.array_equal(alone[:, :, 2], with_flip[:, :, 2])


def test_flat_samples_keep_their_shape_and_equal_draws_give_equal_images() -> None:
    x_BxI = images(6, 784)
    change = Affine((28, 28, 1), rotation_deg=20.0, shift=0.1, zoom=0.1)
    first, again, other = (change(np.random.default_rng(seed), x_BxI) for seed in (1, 1, 2))
    assert (first.shape, first.dtype) == (x_BxI.shape, x_BxI.dtype)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    square = change(np.random.default_rng(1), x_BxI.reshape(6, 28, 28, 1))
    assert np.array_equal(square.reshape(6, 784), first)


def test_batches_change_images_and_leave_labels_and_the_data_set_alone() -> None:
    data = textures_data(0, images=10, side=20)
    before = data.train_x.copy()
    change = Affine((20, 20, 3), shift=0.2)
    for (x, y), (x_changed, y_changed) in islice(
        zip(batches(data, 4, 0), batches(data, 4, 0, augment=change), strict=False), 4
    ):
        assert np.array_equal(y, y_changed)
        assert not np.array_equal(x, x_changed)
    assert np.array_equal(data.train_x, before)
