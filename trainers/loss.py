"""One scalar per batch: squared error for numbers, cross-entropy for classes and bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

__all__ = ["LOSSES", "binary_cross_entropy", "cross_entropy", "mean_squared_error", "penalty"]


def mean_squared_error(predicted_B: jax.Array, target_B: jax.Array) -> jax.Array:
    """Return the mean of the squared differences."""
    return jnp.mean(jnp.square(predicted_B - target_B))


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the mean negative log likelihood of the labels, in nats.

    Args:
        logits: shape B x C, or B x L x V.
        labels: integers, shape B or B x L.
    """
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels.astype(jnp.int32))
    return jnp.mean(losses)


def binary_cross_entropy(logits_B: jax.Array, labels_B: jax.Array) -> jax.Array:
    """Return the mean negative log likelihood of labels 0 and 1, in nats, under a sigmoid."""
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits_B, labels_B.astype(jnp.float32)))


def penalty(params: Any, l1: float, l2: float) -> jax.Array:  # noqa: ANN401 - a pytree
    """Return l1 times the sum of |w| plus l2 times the sum of w^2, over arrays of two axes or more."""
    weights = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
    return sum(
        (l1 * jnp.sum(jnp.abs(leaf)) + l2 * jnp.sum(jnp.square(leaf)) for leaf in weights), jnp.zeros(())
    )


LOSSES: Mapping[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "regression": mean_squared_error,
    "binary": binary_cross_entropy,
    "classes": cross_entropy,
    "tokens": cross_entropy,
}
"""By the kind of a card."""
