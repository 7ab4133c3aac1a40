"""One data-parallel training step over several devices: `pmap`, or `jit` over a mesh.

Both keep a copy of the state on every device, give each device its share of the batch, and
average the gradients with an all-reduce. `pmap` writes that all-reduce down; under `jit` the
compiler finds it from the placement of the arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from trainers.data import Array
from trainers.registry import State, Task
from trainers.step import loss_and_gradients, updated

__all__ = ["MODES", "Mode", "Parallel", "parallelise"]

Mode = Literal["pmap", "jit"]
MODES: tuple[Mode, ...] = ("pmap", "jit")

AXIS = "data"


@dataclass(frozen=True)
class Parallel:
    """A compiled-on-first-use step and how to bring its arguments onto the devices."""

    mode: Mode
    devices: int
    step: Any
    """(state, x, y) -> (state, loss); the state handed in is consumed."""
    place_state: Callable[[State], State]
    """From host arrays to one copy on each device."""
    place_batch: Callable[[tuple[Array, Array]], tuple[jax.Array, jax.Array]]
    """From host arrays of devices x B samples to each device's share."""
    fetch_state: Callable[[State], State]
    """Back to host arrays, one copy."""


def parallelise(task: Task, mode: Mode, devices: int) -> Parallel:
    """Return the training step of `task` over the first `devices` devices.

    Raises:
        ValueError: if JAX has fewer devices, or for an unknown mode.
    """
    if devices < 1 or devices > jax.device_count():
        raise ValueError(
            f"{devices} devices -> expected 1 to {jax.device_count()}, which is what JAX has here"
        )
    if mode == "jit":
        return _sharded_jit(task, devices)
    if mode == "pmap":
        return _pmap(task, devices)
    raise ValueError(f"mode {mode!r} -> expected one of {', '.join(MODES)}")


def _sharded_jit(task: Task, devices: int) -> Parallel:
    """Replicate the state over a one-axis mesh and split the batch along it."""
    mesh = Mesh(np.array(jax.devices()[:devices]), (AXIS,))
    replicated = NamedSharding(mesh, PartitionSpec())
    split = NamedSharding(mesh, PartitionSpec(AXIS))

    def step(state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        loss, gradients = loss_and_gradients(task, state, x, y)
        return updated(task, state, gradients), loss

    return Parallel(
        mode="jit",
        devices=devices,
        step=jax.jit(
            step,
            in_shardings=(replicated, split, split),
            out_shardings=(replicated, replicated),
            donate_argnums=0,
        ),
        place_state=lambda state: jax.device_put(state, replicated),
        place_batch=lambda batch: jax.device_put(batch, split),
        fetch_state=jax.device_get,
    )


def _pmap(task: Task, devices: int) -> Parallel:
    """Give every array a leading axis of devices and average over it by name."""
    mesh = Mesh(np.array(jax.devices()[:devices]), (AXIS,))
    split = NamedSharding(mesh, PartitionSpec(AXIS))

    def step(state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        loss, gradients = loss_and_gradients(task, state, x, y, replica=jax.lax.axis_index(AXIS))
        loss, gradients = jax.lax.pmean((loss, gradients), AXIS)
        return updated(task, state, gradients), loss

    def place_state(state: State) -> State:
        copies = jax.tree.map(lambda leaf: np.stack([np.asarray(leaf)] * devices), state)
        placed: State = jax.device_put(copies, split)
        return placed

    def place_batch(batch: tuple[Array, Array]) -> tuple[jax.Array, jax.Array]:
        x, y = (part.reshape(devices, -1, *part.shape[1:]) for part in batch)
        placed: tuple[jax.Array, jax.Array] = jax.device_put((x, y), split)
        return placed

    def fetch_state(state: State) -> State:
        first: State = jax.device_get(jax.tree.map(lambda leaf: jnp.asarray(leaf)[0], state))
        return first

    return Parallel(
        mode="pmap",
        devices=devices,
        step=jax.pmap(step, axis_name=AXIS, devices=jax.devices()[:devices], donate_argnums=0),
        place_state=place_state,
        place_batch=place_batch,
        fetch_state=fetch_state,
    )
