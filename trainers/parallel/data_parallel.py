"""Copies of the state on every device: sharded `jit`, `shard_map`, and `pmap`.

Each device takes its share of the batch, and gradients are averaged by an all-reduce. `pmap` and `shard_map` write that
all-reduce down; under `jit` the compiler finds it from the placement of the arrays.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from trainers.data import Array
from trainers.parallel.contract import Parallel
from trainers.parallel.placement import DATA, fetch, make_mesh, parallel_on, place
from trainers.registry import State, Task
from trainers.step import loss_and_gradients, updated

__all__ = ["pmap_parallel", "shard_map_parallel", "sharded_jit"]

WHOLE = PartitionSpec()
SPLIT = PartitionSpec(DATA)


def _copies(state: State) -> State:
    specs: State = jax.tree.map(lambda _: WHOLE, state)
    return specs


def sharded_jit(task: Task, devices: int) -> Parallel:
    """Replicate the state over a one-axis mesh, split the batch along it, and leave the rest to the compiler.

    A random mask is drawn for the whole batch, so that even with dropout the result is that of one device.
    """
    mesh = make_mesh([(DATA, devices)])

    def step(state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        loss, gradients = loss_and_gradients(task, state, x, y, mesh=mesh)
        return updated(task, state, gradients), loss

    return parallel_on(mesh, "jit", step, _copies, SPLIT)


def shard_map_parallel(task: Task, devices: int) -> Parallel:
    """Write down what one device does with its share; each draws dropout masks of its own."""
    mesh = make_mesh([(DATA, devices)])

    def local(state: State, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Any]:
        loss, gradients = loss_and_gradients(task, state, x, y, replica=jax.lax.axis_index(DATA))
        averaged: tuple[jax.Array, Any] = jax.lax.pmean((loss, gradients), DATA)
        return averaged

    # Unchecked: with the check, differentiating inside would add an all-reduce of its own to ours.
    shared = jax.shard_map(
        local, mesh=mesh, in_specs=(WHOLE, SPLIT, SPLIT), out_specs=(WHOLE, WHOLE), check_vma=False
    )

    def step(state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        loss, gradients = shared(state, x, y)
        return updated(task, state, gradients), loss

    return parallel_on(mesh, "shard_map", step, _copies, SPLIT)


def pmap_parallel(task: Task, devices: int) -> Parallel:
    """Give every array a leading axis of devices and average over it by name.

    Raises:
        ValueError: in a program of several processes, where `pmap` would see the devices of one only.
    """
    if jax.process_count() > 1:
        raise ValueError(
            "mode 'pmap' in several processes -> expected jit, shard_map, fsdp, tensor or pipeline"
        )
    mesh = make_mesh([(DATA, devices)])
    split = NamedSharding(mesh, SPLIT)

    def step(state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        loss, gradients = loss_and_gradients(task, state, x, y, replica=jax.lax.axis_index(DATA))
        loss, gradients = jax.lax.pmean((loss, gradients), DATA)
        return updated(task, state, gradients), loss

    def place_state(state: State) -> State:
        copies = jax.tree.map(lambda leaf: np.stack([np.asarray(leaf)] * devices), state)
        placed: State = place(copies, jax.tree.map(lambda _: split, copies))
        return placed

    def place_batch(batch: tuple[Array, Array]) -> tuple[jax.Array, jax.Array]:
        if len(batch[0]) % devices:
            raise ValueError(f"{len(batch[0])} samples a step -> expected a multiple of {devices}")
        x, y = (part.reshape(devices, -1, *part.shape[1:]) for part in batch)
        placed: tuple[jax.Array, jax.Array] = place((x, y), (split, split))
        return placed

    def fetch_state(state: State) -> State:
        first: State = fetch(jax.tree.map(lambda leaf: jnp.asarray(leaf)[0], state))
        return first

    return Parallel(
        mode="pmap",
        devices=devices,
        step=jax.pmap(step, axis_name=DATA, devices=list(mesh.devices.flat), donate_argnums=0),
        place_state=place_state,
        place_batch=place_batch,
        fetch_state=fetch_state,
        abstract=lambda state, batch: _abstract_copies(mesh, state, batch),
    )


def _abstract_copies(mesh: Mesh, state: State, batch: tuple[Any, Any]) -> tuple[State, Any, Any]:
    """Shapes of the arguments of `pmap`: an axis of devices before all others."""
    split = NamedSharding(mesh, SPLIT)
    copies = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((mesh.size, *leaf.shape), leaf.dtype, sharding=split), state
    )
    x, y = (
        jax.ShapeDtypeStruct(
            (mesh.size, part.shape[0] // mesh.size, *part.shape[1:]), part.dtype, sharding=split
        )
        for part in batch
    )
    return copies, x, y
