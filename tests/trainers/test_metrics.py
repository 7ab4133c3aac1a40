"""Metrics are those of scikit-learn, and evaluation in batches is exact."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra train")

import jax.numpy as jnp

from trainers.data import Dataset
from trainers.evaluate import Evaluator, evaluate
from trainers.loss import LOSSES
from trainers.metrics import metrics_of
from trainers.registry import State, Task

pytestmark = pytest.mark.usefixtures("eight_devices")


@pytest.mark.parametrize(("classes", "seed"), [(2, 0), (3, 1), (10, 2)])
def test_metrics_equal_those_of_scikit_learn(classes: int, seed: int) -> None:
    learn = pytest.importorskip("sklearn.metrics", reason="comes with mlxtend")
    draws = np.random.default_rng(seed)
    truth = draws.integers(classes, size=200)
    guessed = np.where(draws.random(200) < 0.6, truth, draws.integers(classes, size=200))
    if classes == 10:
        # A class that nobody guesses, and one that neither occurs nor is guessed.
        guessed[guessed == 3] = 4
        truth[truth == 7], guessed[guessed == 7] = 8, 8
    got = metrics_of(0.0, truth, guessed, classes)
    np.testing.assert_array_equal(
        got.confusion, learn.confusion_matrix(truth, guessed, labels=range(classes))
    )
    assert got.accuracy == pytest.approx(learn.accuracy_score(truth, guessed))
    each = learn.precision_recall_fscore_support(truth, guessed, labels=range(classes), zero_division=0)
    ours = [[one.precision, one.recall, one.f1, one.support] for one in got.classes]
    np.testing.assert_allclose(np.array(ours).T, each)
    average = "binary" if classes == 2 else "macro"
    whole = learn.precision_recall_fscore_support(truth, guessed, average=average, zero_division=0)
    assert (got.precision, got.recall, got.f1) == pytest.approx(whole[:3])


def test_what_divides_by_nothing_is_said() -> None:
    got = metrics_of(0.0, np.array([0, 0, 1]), np.array([0, 0, 0]), 3)
    assert [one.undefined for one in got.classes] == [False, True, True]
    assert got.classes[1].recall == got.classes[1].precision == 0.0
    assert got.precision == pytest.approx((2 / 3 + 0) / 2)


def stub(kind: str, outputs_of: Any) -> Task:
    """Return a task whose network is a plain function of its inputs."""
    network = SimpleNamespace(apply=lambda params, x: outputs_of(x))
    card = SimpleNamespace(kind=kind, batches=(4,))
    return cast(Task, SimpleNamespace(card=card, network=network, loss=LOSSES[kind]))


STATE = State({}, None, 0)


def held_out(x: Any, y: Any) -> Dataset:
    return Dataset("", "", x, y, x, y)


@pytest.mark.parametrize("batch", [3, 10, 99])
def test_a_ragged_last_batch_counts_each_sample_once(batch: int) -> None:
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(10, 5)).astype(np.float32), draws.integers(5, size=10).astype(np.uint8)
    got = evaluate(stub("classes", lambda x: x), STATE, held_out(x, y), batch=batch)
    likelihood = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    assert got.loss == pytest.approx(-likelihood[np.arange(10), y].mean(), rel=1e-6)
    assert got.accuracy == np.mean(x.argmax(axis=1) == y)
    assert got.samples == 10


def test_of_two_classes_the_second_is_looked_for() -> None:
    logits = np.array([3.0, 2.0, -1.0, -4.0, 0.5], np.float32)
    labels = np.array([1, 0, 1, 0, 1], np.float32)
    got = evaluate(stub("binary", lambda x: x), STATE, held_out(logits, labels))
    assert (got.precision, got.recall) == (2 / 3, 2 / 3)
    assert got.confusion == ((1, 1), (1, 2))
    assert got.loss == pytest.approx(np.mean(np.log1p(np.exp(np.where(labels == 1, -logits, logits)))))


def test_numbers_have_a_loss_only() -> None:
    x = np.array([1.0, 2.0, 4.0], np.float32)
    got = evaluate(stub("regression", lambda x: x), STATE, held_out(x, x + 1.0))
    assert got.scalars() == {"loss": 1.0}


def test_perplexity_of_even_guesses_is_the_vocabulary_and_hidden_tokens_do_not_count() -> None:
    x = np.zeros((5, 8), np.int16)
    y = np.tile(np.arange(8, dtype=np.int16), (5, 1))
    even = stub("tokens", lambda x: jnp.zeros((*x.shape, 8)))
    assert evaluate(even, STATE, held_out(x, y)).perplexity == pytest.approx(8.0)

    # Token 0 has probability 1/2, the seven others share the rest.
    logits = np.log(np.array([7.0] + [1.0] * 7))
    y[:, 3:] = -1
    y[4] = -1
    y[4, 0] = 0
    uneven = stub("tokens", lambda x: jnp.broadcast_to(jnp.asarray(logits), (*x.shape, 8)))
    got = evaluate(uneven, STATE, held_out(x, y), batch=2)
    right, wrong = 5, 8
    assert got.loss == pytest.approx((right * math.log(2) + wrong * math.log(14)) / (right + wrong))
    assert got.accuracy == right / (right + wrong)


def test_an_evaluator_compiles_once() -> None:
    seen = []

    def outputs_of(x: Any) -> Any:
        seen.append(x.shape)
        return x

    evaluator = Evaluator(stub("regression", outputs_of))
    data = held_out(np.zeros(10, np.float32), np.zeros(10, np.float32))
    for _ in range(3):
        evaluator(STATE, data, batch=4)
    assert seen == [(4,)]
