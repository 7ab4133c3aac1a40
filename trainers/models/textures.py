"""The classifier of images: four layers of filters, each pooled, then one hidden layer and one logit."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

__all__ = ["ImageClassifier"]


class ImageClassifier(nn.Module):
    """3 x 3 filters, the largest of each 2 x 2, repeated; for images of two kinds."""

    filters: tuple[int, ...] = (32, 64, 128, 128)
    hidden: int = 512
    dropout: float = 0.0
    """Of hidden units."""
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxXxYx3: jax.Array, *, train: bool = False) -> jax.Array:
        """Return a logit for each image, given as red, green and blue of 0 to 255; shape B, fp32."""
        # About 0 and of size 1: with 0 to 1 the mean grey drowns the waves, and nothing is learnt for long.
        h_BxXxYxF = (x_BxXxYx3.astype(self.dtype) - 127.5) / 64.0
        for count in self.filters:
            h_BxXxYxF = nn.relu(nn.Conv(count, (3, 3), padding="VALID", dtype=self.dtype)(h_BxXxYxF))
            h_BxXxYxF = nn.max_pool(h_BxXxYxF, (2, 2), strides=(2, 2))
        h_BxF: jax.Array = nn.relu(
            nn.Dense(self.hidden, dtype=self.dtype)(h_BxXxYxF.reshape(len(x_BxXxYx3), -1))
        )
        h_BxF = nn.Dropout(self.dropout, deterministic=not train)(h_BxF)
        logit_Bx1: jax.Array = nn.Dense(1, dtype=self.dtype)(h_BxF)
        return logit_Bx1[:, 0].astype(jnp.float32)
