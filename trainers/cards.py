"""All tasks: which data, network, recipe and batches belong together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trainers.card import Card
from trainers.data import (
    Affine,
    digits_data,
    linear_data,
    masked_words_data,
    rings_data,
    text_data,
    textures_data,
    words_data,
)
from trainers.recipe import Recipe

__all__ = ["CARDS", "card"]


def _dtype(recipe: Recipe) -> Any:  # noqa: ANN401 - a type of jax.numpy
    from trainers.models.precision import COMPUTE_DTYPES

    return COMPUTE_DTYPES[recipe.precision]


def _linear(recipe: Recipe) -> Any:  # noqa: ANN401 - a flax.linen.Module
    from trainers.models.linear import Linear

    return Linear(dtype=_dtype(recipe))


def _rings(recipe: Recipe) -> Any:  # noqa: ANN401 - a flax.linen.Module
    from trainers.models.rings import PlaneClassifier

    return PlaneClassifier(dropout=recipe.dropout, dtype=_dtype(recipe))


def _digits(hidden: int) -> Callable[[Recipe], Any]:
    """Return what makes the classifier with so many hidden units."""

    def network(recipe: Recipe) -> Any:  # noqa: ANN401 - a flax.linen.Module
        from trainers.models.digits import DigitClassifier

        return DigitClassifier(hidden=hidden, dropout=recipe.dropout, dtype=_dtype(recipe))

    return network


def _digit_filters(recipe: Recipe) -> Any:  # noqa: ANN401 - a flax.linen.Module
    from trainers.models.digits import DigitFilters

    return DigitFilters(dropout=recipe.dropout, dtype=_dtype(recipe))


def _images(recipe: Recipe) -> Any:  # noqa: ANN401 - a flax.linen.Module
    from trainers.models.textures import ImageClassifier

    return ImageClassifier(dropout=recipe.dropout, dtype=_dtype(recipe))


def _transformer(**shape: Any) -> Callable[[Recipe], Any]:  # noqa: ANN401 - attributes of the module
    """Return what makes a Transformer of that shape."""

    def network(recipe: Recipe) -> Any:  # noqa: ANN401 - a flax.linen.Module
        from trainers.models.transformer import Transformer

        return Transformer(dropout=recipe.dropout, dtype=_dtype(recipe), **shape)

    return network


_WORDS = {"width": 128, "heads": 8, "blocks": 6, "vocabulary": 10_000, "tied": True}

CARDS: Mapping[str, Card] = {
    each.name: each
    for each in (
        Card("linear", "linear model on 100 x 10 inputs, squared error",
             linear_data, Recipe("sgd", 0.05), (25, 50, 75, 100), (25, 50, 100), "regression", _linear,
             train_steps=400, train_batch=100),
        Card("rings", "2-5-2 classifier of points in a disc and a ring around it",
             rings_data, Recipe("adam", 1e-3, l2=0.01), (5, 10, 25, 50, 100), (10, 50, 100), "classes", _rings,
             train_steps=4000, train_batch=10),
        Card("digits_mlp_64", "784-64-10 classifier of MNIST digits",
             digits_data, Recipe("adam", 1e-3), (32, 64, 128, 192, 256), (32, 64, 128), "classes", _digits(64),
             train_steps=2500, train_batch=64, augment=Affine((28, 28, 1), rotation_deg=10.0, shift=0.05, zoom=0.05)),
        Card("digits_mlp", "784-128-10 classifier of MNIST digits",
             digits_data, Recipe("adam", 2e-3, "cosine", l2=3e-4, dropout=0.2), (32, 64, 128, 192, 256), (32, 64, 128), "classes",
             _digits(128), train_steps=3000, train_batch=64),
        Card("digits_conv", "convolutional classifier of MNIST digits: 32 filters, 64 hidden units",
             digits_data, Recipe("adam", 1e-3, "cosine"), (8, 16, 32, 64, 96, 128), (8, 32, 64), "classes", _digit_filters,
             train_steps=4000, train_batch=32, augment=Affine((28, 28, 1), rotation_deg=20.0, shift=0.1, zoom=0.1)),
        Card("textures", "convolutional classifier of images, 150 x 150 x 3, of two textures",
             textures_data, Recipe("adam", 1e-3, "cosine"), (2, 4, 8, 12, 16), (2, 4, 8), "binary", _images,
             train_steps=120, train_batch=16,
             augment=Affine((150, 150, 3), rotation_deg=40.0, shift=0.2, shear_rad=0.2, zoom=0.2, flip=True)),
        Card("tiny_transformer", "causal Transformer over bytes: 2 blocks, width 64, 64 tokens",
             text_data, Recipe("adamw", 3e-3, weight_decay=0.01), (4, 8, 16, 24, 32), (4, 8, 16), "tokens",
             _transformer(), train_steps=400, train_batch=16),
        Card("transformer_lm", "causal Transformer over 10,000 words: 6 blocks, width 128, 64 tokens",
             words_data, Recipe("adamw", 1e-3, "cosine", 50, weight_decay=0.01, clip_norm=1.0), (2, 4, 8, 12, 16),
             (2, 4, 8), "tokens", _transformer(**_WORDS), train_steps=600, train_batch=16),
        Card("transformer_encoder", "Transformer that sees both ways, over 10,000 words, some of them hidden",
             masked_words_data, Recipe("adamw", 2e-3, "cosine", 50, weight_decay=0.01, clip_norm=1.0), (2, 4, 8, 12, 16),
             (2, 4, 8), "tokens", _transformer(**_WORDS, causal=False, relative=True), train_steps=600, train_batch=16),
    )
}  # fmt: skip
"""All tasks by name."""


def card(name: str) -> Card:
    """Return the card of a task.

    Raises:
        ValueError: if there is no such task; the message names those there are.

    >>> card("digits_mlp").optimizer
    'adam'
    """
    if name not in CARDS:
        raise ValueError(f"model {name!r} -> expected one of {', '.join(CARDS)}")
    return CARDS[name]
