"""Arrays onto a mesh of devices and back, whether the devices belong to one process or to many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dcsim.workload.profile import Mode
from trainers.data import Array
from trainers.parallel.contract import Parallel
from trainers.registry import State

__all__ = [
    "DATA",
    "STAGE",
    "TENSOR",
    "SpecsOf",
    "fetch",
    "make_mesh",
    "mesh_devices",
    "on_devices",
    "parallel_on",
    "place",
]

DATA = "data"
TENSOR = "tensor"
STAGE = "stage"

SpecsOf = Callable[[State], State]
"""Gives the PartitionSpec of each array of a state, from its path and shape only."""


_CHOSEN: ContextVar[Sequence[jax.Device] | None] = ContextVar("mesh_devices", default=None)


def mesh_devices() -> Sequence[jax.Device]:
    """Return what meshes are made of: the devices of this program, or those chosen by `on_devices`."""
    chosen = _CHOSEN.get()
    return jax.devices() if chosen is None else chosen


@contextmanager
def on_devices(devices: Sequence[jax.Device]) -> Iterator[None]:
    """Make meshes of other devices for a while, such as those of a topology that is only compiled for."""
    token = _CHOSEN.set(devices)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def make_mesh(axes: Sequence[tuple[str, int]]) -> Mesh:
    """Return a mesh of the first devices; along the last axis they are neighbours.

    Args:
        axes: name and size of each.
    """
    sizes = [size for _, size in axes]
    return Mesh(
        np.array(mesh_devices()[: int(np.prod(sizes))]).reshape(sizes), tuple(name for name, _ in axes)
    )


def place(tree: Any, shardings: Any) -> Any:  # noqa: ANN401 - pytrees of arrays and their shardings
    """Return host arrays placed on devices; of several processes each puts down what its own devices hold.

    Args:
        tree: the same values in every process.
        shardings: one for each array.
    """
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)

    def put(leaf: Any, sharding: NamedSharding) -> jax.Array:  # noqa: ANN401 - anything array-like
        whole = np.asarray(leaf)
        placed: jax.Array = jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])
        return placed

    return jax.tree.map(put, tree, shardings)


def fetch(tree: Any) -> Any:  # noqa: ANN401 - a pytree of arrays
    """Return placed arrays as host arrays, whole, in every process."""
    if jax.process_count() == 1:
        return jax.device_get(tree)

    def whole(leaf: jax.Array) -> jax.Array:
        replicated = NamedSharding(leaf.sharding.mesh, PartitionSpec())  # type: ignore[attr-defined]
        gathered: jax.Array = jax.jit(lambda array: array, out_shardings=replicated)(leaf)
        return gathered

    return jax.device_get(jax.tree.map(whole, tree))


def _split_evenly(batch: tuple[Array, Array], parts: int) -> None:
    if len(batch[0]) % parts:
        raise ValueError(f"{len(batch[0])} samples a step -> expected a multiple of {parts}")


def _as_jax_holds_it(state: State) -> State:
    held: State = jax.tree.map(jnp.asarray, state)
    return held


def _on(mesh: Mesh, specs: State) -> State:
    shardings: State = jax.tree.map(
        lambda spec: NamedSharding(mesh, spec), specs, is_leaf=lambda node: isinstance(node, PartitionSpec)
    )
    return shardings


def _shapes(state: State, shardings: State) -> State:
    shapes: State = jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        state,
        shardings,
    )
    return shapes


def _as_it_is(state: State) -> State:
    return state


def parallel_on(
    mesh: Mesh,
    mode: Mode,
    step: Callable[[State, jax.Array, jax.Array], tuple[State, jax.Array]],
    specs_of: SpecsOf,
    batch_spec: PartitionSpec,
    *,
    samples_divide_by: int | None = None,
    held: Callable[[State], State] = _as_it_is,
    handed_in: Callable[[State], State] = _as_it_is,
    **more: Any,  # noqa: ANN401 - further fields of Parallel
) -> Parallel:
    """Return a jitted step over a mesh, its state pinned to where it was before.

    Args:
        mesh: of devices.
        mode: to report.
        step: of global arrays.
        specs_of: where each array of the state, as held, lies.
        batch_spec: of the samples.
        samples_divide_by: equal parts of a step's samples; None: devices along the axes of `batch_spec`.
        held: from the state as everybody knows it to the form that lies on the devices.
        handed_in: the way back.
        more: further fields.
    """
    split = NamedSharding(mesh, batch_spec)
    parts = samples_divide_by or int(np.prod([mesh.shape[name] for name in _names(batch_spec)]))

    def shardings(state: State) -> State:
        return _on(mesh, specs_of(state))

    def pinned(state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        after, loss = step(state, x, y)
        return jax.lax.with_sharding_constraint(after, shardings(after)), loss

    def place_state(state: State) -> State:
        ready = held(state)
        placed: State = place(ready, shardings(ready))
        return placed

    def place_batch(batch: tuple[Array, Array]) -> tuple[jax.Array, jax.Array]:
        _split_evenly(batch, parts)
        placed: tuple[jax.Array, jax.Array] = place(batch, (split, split))
        return placed

    def abstract(state: State, batch: tuple[Any, Any]) -> tuple[State, Any, Any]:
        ready = jax.eval_shape(lambda it: _as_jax_holds_it(held(it)), state)
        x, y = (jax.ShapeDtypeStruct(part.shape, part.dtype, sharding=split) for part in batch)
        return _shapes(ready, shardings(ready)), x, y

    return Parallel(
        mode=mode,
        devices=mesh.size,
        step=jax.jit(pinned, out_shardings=(None, NamedSharding(mesh, PartitionSpec())), donate_argnums=0),
        place_state=place_state,
        place_batch=place_batch,
        fetch_state=lambda state: handed_in(fetch(state)),
        abstract=abstract,
        **more,
    )


def _names(spec: PartitionSpec) -> list[str]:
    """Axes that a specification names, alone or several for one dimension."""
    found: list[str] = []
    for entry in spec:
        found += [entry] if isinstance(entry, str) else list(entry or ())
    return found
