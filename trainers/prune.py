"""Magnitude pruning: the smallest weights become 0 and stay there."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
import optax

from trainers.registry import Task

__all__ = ["masks_by_magnitude", "pruned", "sparse_bytes", "sparsity_of", "with_masks"]


def masks_by_magnitude(params: Any, sparsity: float) -> Any:  # noqa: ANN401 - pytrees
    """Return which weights stay: true for all but the smallest, over the whole network (Han et al. 2015).

    Only arrays of two axes or more are pruned, as they hold nearly all numbers; biases and norms stay whole.

    Args:
        params: of the network, on the host.
        sparsity: share of the weights to leave out, >= 0 and < 1; met to the weight, ties by position.

    Raises:
        ValueError: for another sparsity.

    >>> masks_by_magnitude({"w": np.array([[3.0, -1.0], [0.5, 2.0]])}, 0.5)["w"].tolist()
    [[True, False], [False, True]]
    """
    if not 0.0 <= sparsity < 1.0:
        raise ValueError(f"sparsity {sparsity} -> expected a number >= 0 and < 1")
    leaves, shape = jax.tree.flatten(params)
    weights = [np.abs(np.asarray(leaf)).ravel() for leaf in leaves if leaf.ndim > 1]
    sizes = [len(each) for each in weights]
    every = np.concatenate(weights) if weights else np.zeros(0)
    stays = np.ones(len(every), bool)
    stays[np.argsort(every, kind="stable")[: round(sparsity * len(every))]] = False
    parts = iter(np.split(stays, np.cumsum(sizes)[:-1]) if sizes else ())
    masks = [
        next(parts).reshape(leaf.shape) if leaf.ndim > 1 else np.ones(leaf.shape, bool) for leaf in leaves
    ]
    return jax.tree.unflatten(shape, masks)


def pruned(params: Any, masks: Any) -> Any:  # noqa: ANN401 - pytrees
    """Return the parameters with 0 where the masks are false."""
    return jax.tree.map(lambda leaf, mask: np.where(mask, leaf, np.zeros((), leaf.dtype)), params, masks)


def with_masks(task: Task, masks: Any) -> Task:  # noqa: ANN401 - a pytree
    """Return the task with an optimizer that leaves what the masks took out at 0."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:  # noqa: ANN401 - pytrees
        return jax.tree.map(lambda change, mask: change * mask, updates, masks), state

    masking = optax.GradientTransformation(lambda _: optax.EmptyState(), update)
    return dataclasses.replace(task, optimizer=optax.chain(task.optimizer, masking))


def sparsity_of(params: Any) -> float:  # noqa: ANN401 - a pytree
    """Return the share of weights, in arrays of two axes or more, that are exactly 0."""
    weights = [np.asarray(leaf) for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
    total = sum(leaf.size for leaf in weights)
    return sum(int((leaf == 0).sum()) for leaf in weights) / total if total else 0.0


def sparse_bytes(params: Any) -> int:  # noqa: ANN401 - a pytree
    """Return the bytes of the parameters stored as a bit for each weight and the weights that are not 0.

    >>> sparse_bytes({"w": np.eye(4, dtype=np.float32), "b": np.zeros(4, np.float32)})
    34
    """
    total = 0
    for leaf in jax.tree.leaves(params):
        array = np.asarray(leaf)
        if array.ndim > 1:
            total += -(-array.size // 8) + int((array != 0).sum()) * array.itemsize
        else:
            total += array.nbytes
    return total
