"""The digit classifier: 784 pixels, 128 hidden units, 10 classes."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

__all__ = ["DigitClassifier"]


class DigitClassifier(nn.Module):
    """A multi-layer perceptron with one hidden layer."""

    hidden: int = 128
    classes: int = 10

    @nn.compact
    def __call__(self, x_BxI: jax.Array, *, train: bool = False) -> jax.Array:
        """Return the logits of pixels given as 0 to 255, shape B x C."""
        h_BxI = x_BxI.astype(jnp.float32) / 255.0
        h_BxF: jax.Array = nn.relu(nn.Dense(self.hidden)(h_BxI))
        logits_BxC: jax.Array = nn.Dense(self.classes)(h_BxF)
        return logits_BxC
