"""One scalar per batch: squared error for numbers, cross-entropy for classes and bytes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

__all__ = ["cross_entropy", "mean_squared_error"]


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
