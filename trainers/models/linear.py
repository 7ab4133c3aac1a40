"""The linear model y = w x + b, and its gradient by hand."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from trainers.data import Array

__all__ = ["Linear", "hand_gradient"]


class Linear(nn.Module):
    """One output, linear in the inputs."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxI: jax.Array, *, train: bool = False) -> jax.Array:
        """Return the outputs y_B, fp32."""
        y_Bx1: jax.Array = nn.Dense(1, dtype=self.dtype)(x_BxI)
        return y_Bx1[:, 0].astype(jnp.float32)


def hand_gradient(weights_I: Array, intercept: Any, x_BxI: Array, y_B: Array) -> tuple[Array, Any]:  # noqa: ANN401 - a scalar
    """Return the gradient of the mean squared error of w x + b by w and by b, derived by hand.

    E = 1/B sum_i (w x_i + b - y_i)^2, hence dE/dw = 2/B sum_i (w x_i + b - y_i) x_i and
    dE/db = 2/B sum_i (w x_i + b - y_i).

    >>> import numpy as np
    >>> x_BxI, y_B = np.array([[1.0], [2.0]]), np.array([0.0, 0.0])
    >>> by_weights_I, by_intercept = hand_gradient(np.array([1.0]), np.array(0.0), x_BxI, y_B)
    >>> float(by_weights_I[0]), float(by_intercept)
    (5.0, 3.0)
    """
    residual_B = x_BxI @ weights_I + intercept - y_B
    return 2 * (residual_B @ x_BxI) / len(y_B), 2 * residual_B.mean()
