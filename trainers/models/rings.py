"""The smallest classifier here: 2 inputs, 5 hidden units, 2 classes."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

__all__ = ["PlaneClassifier"]


class PlaneClassifier(nn.Module):
    """A multi-layer perceptron for points of a plane."""

    hidden: int = 5
    classes: int = 2
    dropout: float = 0.0
    """Of hidden units."""
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxI: jax.Array, *, train: bool = False) -> jax.Array:
        """Return the logits, shape B x C, fp32."""
        h_BxF: jax.Array = nn.relu(nn.Dense(self.hidden, dtype=self.dtype)(x_BxI))
        h_BxF = nn.Dropout(self.dropout, deterministic=not train)(h_BxF)
        logits_BxC: jax.Array = nn.Dense(self.classes, dtype=self.dtype)(h_BxF)
        return logits_BxC.astype(jnp.float32)
