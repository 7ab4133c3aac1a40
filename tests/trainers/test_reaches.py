"""Each model, trained as its card says, reaches what is asked of it on data it has not seen. Minutes on a core."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra train")

from trainers.data import Dataset, unigram_perplexity, words_data
from trainers.metrics import Metrics
from trainers.registry import card, load_task
from trainers.train import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("eight_devices")]


def reached(name: str) -> tuple[Metrics, Dataset]:
    """Train as the card says and return the metrics on held-out data."""
    found = card(name)
    dataset = found.dataset(0)
    result = train(
        load_task(name, steps=found.train_steps), dataset,
        steps=found.train_steps, batch=found.train_batch, evaluate_every=found.train_steps,
    )  # fmt: skip
    assert result.metrics is not None
    print(f"{name}: {result.metrics.scalars()}")
    return result.metrics, dataset


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        ("rings", 0.95),
        ("digits_mlp_64", 0.94),
        ("digits_mlp", 0.94),
        ("digits_conv", 0.97),
        ("textures", 0.95),
    ],
)
def test_classifiers(name: str, accuracy: float) -> None:
    metrics, _ = reached(name)
    assert metrics.accuracy is not None
    assert metrics.accuracy >= accuracy


def test_linear_model_is_left_with_the_noise() -> None:
    metrics, _ = reached("linear")
    assert metrics.loss == pytest.approx(1e-4, rel=0.5)  # noise of deviation 0.01


@pytest.mark.parametrize(("name", "share"), [("transformer_lm", 0.5), ("transformer_encoder", 0.6)])
def test_context_is_used(name: str, share: float) -> None:
    metrics, dataset = reached(name)
    unigram = unigram_perplexity(dataset)
    print(f"{name}: perplexity {metrics.perplexity}, unigram {unigram}")
    assert metrics.perplexity is not None
    assert metrics.perplexity < share * unigram


def test_tiny_transformer_beats_the_shares_of_bytes() -> None:
    metrics, dataset = reached("tiny_transformer")
    assert metrics.perplexity is not None
    assert metrics.perplexity < 0.5 * unigram_perplexity(dataset, vocabulary=256)


def test_the_standard_library_fills_the_vocabulary_and_reads_alike_twice() -> None:
    first, again = words_data(0), words_data(0)
    assert first.name == again.name  # holds a digest of all tokens
    assert np.array_equal(first.train_x, again.train_x)
    assert len(first.vocabulary) == 10_000
    assert len(first.train_x) * 64 > 300_000
