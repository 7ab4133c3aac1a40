"""Loss and gradients of one batch: in one pass, or accumulated over micro-batches."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec

from trainers.registry import State, Task

__all__ = ["DROPOUT_SEED", "loss_and_gradients", "updated"]

DROPOUT_SEED = 0
"""Masks depend on this and on the number of the step only, so that a resumed run draws the same."""


def loss_and_gradients(
    task: Task,
    state: State,
    x: jax.Array,
    y: jax.Array,
    *,
    replica: Any = 0,  # noqa: ANN401 - int or traced
    mesh: Mesh | None = None,
) -> tuple[jax.Array, Any]:
    """Return the mean loss of a batch and its gradients, averaged over the recipe's micro-batches.

    Args:
        task: what is trained.
        state: parameters and number of the step.
        x: B samples, B divisible by the recipe's accumulation.
        y: their targets.
        replica: number of the device, where each draws dropout masks of its own.
        mesh: where x and y are split over its first axis by the compiler: micro-batches are then cut from each
            device's own share, and the gradients cross between devices once, after the last of them. Left to
            itself the compiler would give every device all samples, as the cut runs across the shares. So it is done
            for networks with `tied` embeddings too, without a cut.
    """
    # The compiler would reduce the gradient of a matrix that is used twice once for each use, before it adds them up.
    several = task.recipe.accumulation > 1 or getattr(task.network, "tied", False)
    if mesh is not None and several and mesh.shape[mesh.axis_names[0]] > 1:
        return _accumulated_by_device(task, state, x, y, mesh)
    key = None
    if task.recipe.dropout > 0.0:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(DROPOUT_SEED), state.step), replica)
    parts = task.recipe.accumulation
    if parts == 1:
        return jax.value_and_grad(task.loss_of)(state.params, x, y, key)
    x_parts, y_parts = (part.reshape(parts, -1, *part.shape[1:]) for part in (x, y))

    def add(total: Any, part: Any) -> tuple[Any, None]:  # noqa: ANN401 - pytrees
        index, x_part, y_part = part
        own = None if key is None else jax.random.fold_in(key, index)
        found = jax.value_and_grad(task.loss_of)(state.params, x_part, y_part, own)
        return jax.tree.map(jnp.add, total, found), None

    zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, state.params))
    total, _ = jax.lax.scan(add, zero, (jnp.arange(parts), x_parts, y_parts))
    loss, gradients = jax.tree.map(lambda leaf: leaf / parts, total)
    return loss, gradients


def _accumulated_by_device(
    task: Task, state: State, x: jax.Array, y: jax.Array, mesh: Mesh
) -> tuple[jax.Array, Any]:
    """Return loss and gradients, accumulated by each device over its share and averaged over the devices."""
    axis = mesh.axis_names[0]

    def own(state: State, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Any]:
        found = loss_and_gradients(task, state, x, y, replica=jax.lax.axis_index(axis))
        averaged: tuple[jax.Array, Any] = jax.lax.pmean(found, axis)
        return averaged

    whole, share = PartitionSpec(), PartitionSpec(axis)
    # With its check on, shard_map would itself sum the gradients of every micro-batch over the devices.
    over = jax.shard_map(
        own,
        mesh=mesh,
        in_specs=(whole, share, share),
        out_specs=whole,
        axis_names={axis},
        check_vma=False,
    )
    found: tuple[jax.Array, Any] = over(state, x, y)
    return found


def updated(task: Task, state: State, gradients: Any) -> State:  # noqa: ANN401 - a pytree
    """Return the state after one update with these gradients."""
    updates, opt_state = task.optimizer.update(gradients, state.opt_state, state.params)
    return State(optax.apply_updates(state.params, updates), opt_state, state.step + 1)
