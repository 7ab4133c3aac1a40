"""Weights in int8 after training: symmetric, a scale for each channel of the last axis.

Of dense layers and convolutions those channels are the outputs, and so of what brings the heads of attention together.
Its kernel of queries, keys and values, inputs x 3 x heads x K, has a scale for each of the K places within a head, which
all heads and all three share: coarser than one for each output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from trainers.data import Array

__all__ = [
    "Int8",
    "dequantised",
    "int8_product",
    "outputs_in_int8",
    "outputs_of_int8",
    "quantised",
    "stored_bytes",
]

LARGEST = 127
"""-128 is not used, so that the range is symmetric (Jacob et al., CVPR 2018)."""
COLLECTION = "int8"


class Int8(NamedTuple):
    """An array of weights in int8."""

    values: Any
    """Integers from -127 to 127, shape of the weights."""
    scale: Any
    """What 1 stands for, by channel of the last axis (the module says which are outputs), fp32."""


def _is_int8(node: object) -> bool:
    return isinstance(node, Int8)


def quantised(params: Any) -> Any:  # noqa: ANN401 - pytrees
    """Return the parameters with `Int8` for each array of two axes or more; others stay as they are.

    The error of a weight is half a scale at most, and the scale is max |w| / 127 of its channel of the last axis.

    >>> quantised({"w": np.array([[127.0, 1.0], [-63.6, 0.0]], np.float32)})["w"].values.tolist()
    [[127, 127], [-64, 0]]
    """
    return jax.tree.map(lambda leaf: _to_int8(np.asarray(leaf)) if leaf.ndim > 1 else leaf, params)


def _to_int8(weights: Array) -> Int8:
    largest_C = np.abs(weights).max(axis=tuple(range(weights.ndim - 1)))
    # A channel of zeros has any scale.
    scale_C = np.where(largest_C > 0, largest_C / LARGEST, 1.0).astype(np.float32)
    values = np.clip(np.rint(weights / scale_C), -LARGEST, LARGEST).astype(np.int8)
    return Int8(values, scale_C)


def dequantised(params: Any) -> Any:  # noqa: ANN401 - pytrees
    """Return fp32 parameters, also inside a compiled function."""
    return jax.tree.map(
        lambda leaf: leaf.values.astype(np.float32) * leaf.scale if _is_int8(leaf) else leaf,
        params,
        is_leaf=_is_int8,
    )


def stored_bytes(params: Any) -> int:  # noqa: ANN401 - a pytree
    """Return the bytes that the parameters take, scales included.

    >>> stored_bytes(quantised({"w": np.ones((100, 10), np.float32), "b": np.ones(10, np.float32)}))
    1080
    """
    return sum(int(leaf.nbytes) for leaf in jax.tree.leaves(params))


def int8_product(x: jax.Array, weights: Int8) -> jax.Array:
    """Return x @ weights by an int8 product summed in int32, the inputs quantised row by row on the way.

    Args:
        x: shape ... x I, of any float type.
        weights: shape I x C.
    """
    largest = jnp.max(jnp.abs(x), axis=-1, keepdims=True).astype(jnp.float32)
    x_scale = jnp.where(largest > 0, largest / LARGEST, 1.0)
    x_int8 = jnp.clip(jnp.round(x / x_scale), -LARGEST, LARGEST).astype(jnp.int8)
    sums = jax.lax.dot_general(
        x_int8, weights.values, (((x.ndim - 1,), (0,)), ((), ())), preferred_element_type=jnp.int32
    )
    product: jax.Array = sums.astype(jnp.float32) * x_scale * weights.scale
    return product


def outputs_of_int8(network: Any, params: Any, x: jax.Array) -> jax.Array:  # noqa: ANN401 - a module, a pytree
    """Return the outputs with weights held in int8 and widened where they are used; sums are fp32."""
    outputs: jax.Array = network.apply({"params": dequantised(params)}, x)
    return outputs


def outputs_in_int8(network: Any, params: Any, x: jax.Array) -> jax.Array:  # noqa: ANN401 - a module, a pytree
    """Return the outputs with the products of all dense layers made in int8; other layers as `outputs_of_int8`."""
    kept = jax.tree.map(lambda leaf: leaf if _is_int8(leaf) else None, params, is_leaf=_is_int8)

    def dense(
        call: Callable[..., Any],
        given: tuple[Any, ...],
        named: dict[str, Any],
        context: nn.module.InterceptorContext,
    ) -> Any:  # noqa: ANN401 - what the layer returns
        layer = context.module
        if not isinstance(layer, nn.Dense) or context.method_name != "__call__":
            return call(*given, **named)
        product = int8_product(given[0], layer.get_variable(COLLECTION, "kernel"))
        return product + layer.get_variable("params", "bias") if layer.use_bias else product

    with nn.intercept_methods(dense):
        outputs: jax.Array = network.apply({"params": dequantised(params), COLLECTION: kept}, x)
    return outputs
