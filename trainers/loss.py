"""One scalar per batch, in fp32: squared error for numbers, cross-entropy for classes and tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

__all__ = ["LOSSES", "binary_cross_entropy", "cross_entropy", "mean_squared_error", "penalty"]


def mean_squared_error(predicted_B: jax.Array, target_B: jax.Array) -> jax.Array:
    """Return the mean of the squared differences."""
    return jnp.mean(jnp.square(predicted_B.astype(jnp.float32) - target_B))


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the mean negative log likelihood of the labels, in nats.

    Args:
        logits: shape B x C, or B x L x V.
        labels: integers, shape B or B x L. Negative ones do not count: a masked language model is asked about the
            hidden tokens only. The mean is taken in each sample, then over samples: so it is the mean over devices too.
    """
    logits = logits.astype(jnp.float32)
    if jnp.issubdtype(labels.dtype, jnp.unsignedinteger):
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels.astype(jnp.int32))
        return jnp.mean(losses)
    counted = labels >= 0
    chosen = jnp.where(counted, labels, 0).astype(jnp.int32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, chosen)
    within = tuple(range(1, labels.ndim))
    return jnp.mean(jnp.sum(losses * counted, within) / jnp.maximum(jnp.sum(counted, within), 1))


def binary_cross_entropy(logits_B: jax.Array, labels_B: jax.Array) -> jax.Array:
    """Return the mean negative log likelihood of labels 0 and 1, in nats, under a sigmoid."""
    losses_B = optax.sigmoid_binary_cross_entropy(logits_B.astype(jnp.float32), labels_B.astype(jnp.float32))
    return jnp.mean(losses_B)


def penalty(params: Any, l1: float, l2: float) -> jax.Array:  # noqa: ANN401 - a pytree
    """Return l1 times the sum of |w| plus l2 times the sum of w^2, over arrays of two axes or more.

    The gradient is l1 sign(w) + 2 l2 w, and 0 at w = 0: what is pruned is not pushed away from there.
    """
    total = jnp.zeros(())
    for leaf in jax.tree.leaves(params):
        if leaf.ndim > 1:
            # JAX gives |w| the slope 1 at 0; the sign is 0 there.
            absolute = leaf * jax.lax.stop_gradient(jnp.sign(leaf))
            total += l1 * jnp.sum(absolute) + l2 * jnp.sum(jnp.square(leaf))
    return total


LOSSES: Mapping[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "regression": mean_squared_error,
    "binary": binary_cross_entropy,
    "classes": cross_entropy,
    "tokens": cross_entropy,
}
"""By the kind of a card."""
