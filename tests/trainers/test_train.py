"""Training learns: the loss falls to where an independent solution says it should."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra train")

from trainers.data import Dataset
from trainers.evaluate import evaluate
from trainers.registry import load_task
from trainers.train import Training, train

pytestmark = pytest.mark.usefixtures("eight_devices")


task_of = cache(load_task)


@cache
def dataset_of(model: str) -> Dataset:
    return task_of(model).card.dataset(0)


def run(model: str, **settings: Any) -> tuple[Training, Dataset, Any]:
    task, dataset = task_of(model), dataset_of(model)
    result = train(task, dataset, **settings)
    return result, dataset, evaluate(task, result.state, dataset)


def test_linear_model_reaches_the_least_squares_solution() -> None:
    result, dataset, metrics = run("linear", steps=400, batch=100)
    design = np.column_stack([dataset.train_x, np.ones(100)])
    exact, *_ = np.linalg.lstsq(design, dataset.train_y, rcond=None)
    got = np.append(result.state.params["Dense_0"]["kernel"][:, 0], result.state.params["Dense_0"]["bias"])
    np.testing.assert_allclose(got, exact, atol=1e-3)
    assert metrics.loss < 1e-3
    assert metrics.accuracy is None


def test_digit_classifier_learns_on_two_devices() -> None:
    result, dataset, metrics = run("digits_mlp", steps=150, batch=32, devices=2, mode="pmap")
    assert result.losses[0] == pytest.approx(np.log(10), rel=0.25)
    assert np.mean(result.losses[-10:]) < 0.8  # half of the hidden units left out, penalty included
    assert metrics.accuracy is not None
    assert metrics.accuracy > 0.85
    assert len(dataset.test_x) == 500


def test_transformer_learns_bytes() -> None:
    result, dataset, metrics = run("tiny_transformer", steps=60, batch=8)
    # Guessing bytes by how often they occur has the loss of their entropy; use of context beats it later.
    _, counts = np.unique(dataset.train_y, return_counts=True)
    shares = counts / counts.sum()
    entropy = -float((shares * np.log(shares)).sum())
    assert result.losses[0] == pytest.approx(np.log(256), rel=0.25)
    assert np.mean(result.losses[-5:]) < entropy
    assert metrics.loss < entropy


def test_modes_and_device_counts_train_alike() -> None:
    runs = [
        run("linear", steps=50, batch=32 // devices, devices=devices, mode=mode)[0].losses
        for mode, devices in (("jit", 1), ("jit", 8), ("pmap", 8))
    ]
    assert runs[0][-1] < runs[0][0] / 10
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-4)
    np.testing.assert_allclose(runs[2], runs[0], rtol=1e-4)


def test_same_seed_same_losses_other_seed_others() -> None:
    first, again, other = (run("linear", steps=5, batch=20, seed=seed)[0].losses for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_on_step_sees_every_loss() -> None:
    seen: list[tuple[int, float]] = []
    result, _, _ = run("linear", steps=3, batch=10, on_step=lambda step, loss: seen.append((step, loss)))
    assert seen == list(enumerate(result.losses))
