"""Classifiers of digits: one hidden layer, or one layer of filters before it."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

__all__ = ["DigitClassifier", "DigitFilters"]


class DigitClassifier(nn.Module):
    """A multi-layer perceptron with one hidden layer."""

    hidden: int = 128
    classes: int = 10
    dropout: float = 0.0
    """Of hidden units."""
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxI: jax.Array, *, train: bool = False) -> jax.Array:
        """Return the logits of pixels given as 0 to 255, shape B x C, fp32."""
        h_BxI = x_BxI.astype(self.dtype) / 255.0
        h_BxF: jax.Array = nn.relu(nn.Dense(self.hidden, dtype=self.dtype)(h_BxI))
        h_BxF = nn.Dropout(self.dropout, deterministic=not train)(h_BxF)
        logits_BxC: jax.Array = nn.Dense(self.classes, dtype=self.dtype)(h_BxF)
        return logits_BxC.astype(jnp.float32)


class DigitFilters(nn.Module):
    """3 x 3 filters, the largest of each 2 x 2, and one hidden layer."""

    filters: int = 32
    hidden: int = 64
    classes: int = 10
    side: int = 28
    """Pixels."""
    dropout: float = 0.0
    """Of hidden units."""
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxI: jax.Array, *, train: bool = False) -> jax.Array:
        """Return the logits of pixels given as 0 to 255 row by row, shape B x C, fp32."""
        h_BxXxYx1 = x_BxI.reshape(-1, self.side, self.side, 1).astype(self.dtype) / 255.0
        h_BxXxYxF = nn.relu(nn.Conv(self.filters, (3, 3), padding="VALID", dtype=self.dtype)(h_BxXxYx1))
        h_BxXxYxF = nn.max_pool(h_BxXxYxF, (2, 2), strides=(2, 2))
        h_BxF: jax.Array = nn.relu(nn.Dense(self.hidden, dtype=self.dtype)(h_BxXxYxF.reshape(len(x_BxI), -1)))
        h_BxF = nn.Dropout(self.dropout, deterministic=not train)(h_BxF)
        logits_BxC: jax.Array = nn.Dense(self.classes, dtype=self.dtype)(h_BxF)
        return logits_BxC.astype(jnp.float32)
