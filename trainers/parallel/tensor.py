"""Layers divided over devices by sharded `jit`, alone or beside data parallelism on a mesh of two axes."""

from __future__ import annotations

import jax
from jax.sharding import PartitionSpec

from trainers.parallel.contract import Parallel
from trainers.parallel.placement import DATA, TENSOR, make_mesh, parallel_on
from trainers.parallel.rules import kept_whole, specs_by_path, tensor_placements
from trainers.registry import State, Task
from trainers.step import loss_and_gradients, updated

__all__ = ["tensor_parallel"]


def tensor_parallel(task: Task, devices: int, shards: int) -> Parallel:
    """Divide layers over `shards` devices, and the batch over the `devices / shards` groups of them.

    The collectives are the compiler's choice (GSPMD, Xu et al. 2021), from where the parameters lie. Masks of dropout
    are those of one device.

    Args:
        task: what is trained.
        devices: altogether, a multiple of `shards`.
        shards: devices that share one copy of the layers.
    """
    copies = devices // shards
    mesh = make_mesh([(DATA, copies), (TENSOR, shards)])

    def specs_of(state: State) -> State:
        return specs_by_path(state, tensor_placements(state.params, shards))

    def step(state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        loss, gradients = loss_and_gradients(task, state, x, y, mesh=mesh)
        return updated(task, state, gradients), loss

    return parallel_on(
        mesh, "tensor", step, specs_of, PartitionSpec(DATA),
        kept_whole=lambda state: kept_whole(tensor_placements(state.params, shards)),
    )  # fmt: skip
