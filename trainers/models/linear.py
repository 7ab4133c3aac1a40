"""The linear model: y = w x + b."""

from __future__ import annotations

import flax.linen as nn
import jax

__all__ = ["Linear"]


class Linear(nn.Module):
    """One output, linear in the inputs."""

    @nn.compact
    def __call__(self, x_BxI: jax.Array, *, train: bool = False) -> jax.Array:
        """Return the outputs y_B."""
        y_Bx1: jax.Array = nn.Dense(1)(x_BxI)
        return y_Bx1[:, 0]
