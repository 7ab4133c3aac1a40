"""Parameters and optimizer state divided over the devices: gathered for use, gradients reduced to their owners.

Fully sharded data parallelism (Zhao et al. 2023), ZeRO stage 3 (Rajbhandari et al. 2020).
"""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import PartitionSpec

from trainers.parallel.contract import Parallel
from trainers.parallel.placement import DATA, make_mesh, parallel_on
from trainers.parallel.rules import fsdp_placements, kept_whole, specs_by_path
from trainers.registry import State, Task
from trainers.step import loss_and_gradients, updated

__all__ = ["fsdp_parallel"]

SPLIT = PartitionSpec(DATA)
WHOLE = PartitionSpec()


def fsdp_parallel(task: Task, devices: int) -> Parallel:
    """Hold 1/n of every parameter and of what the optimizer keeps for it; each draws dropout masks of its own.

    All parameters are gathered at the beginning of a step: what a device holds between steps falls to 1/n, what it
    holds in the middle of one does not.
    """
    mesh = make_mesh([(DATA, devices)])

    def specs_of(state: State) -> State:
        return specs_by_path(state, fsdp_placements(state.params, devices))

    def step(state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        specs = specs_of(state).params

        def local(params: Any, number: jax.Array, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Any]:  # noqa: ANN401 - a pytree
            whole = State(jax.tree.map(_gathered, params, specs), None, number)
            loss, gradients = loss_and_gradients(task, whole, x, y, replica=jax.lax.axis_index(DATA))
            return jax.lax.pmean(loss, DATA), jax.tree.map(
                lambda each, spec: _owned(each, spec, devices), gradients, specs
            )

        shared = jax.shard_map(
            local, mesh=mesh, in_specs=(specs, WHOLE, SPLIT, SPLIT), out_specs=(WHOLE, specs), check_vma=False
        )
        loss, gradients = shared(state.params, state.step, x, y)
        # Outside: a rule that looks at all gradients at once, such as clipping, sees all of them here.
        return updated(task, state, gradients), loss

    return parallel_on(
        mesh, "fsdp", step, specs_of, SPLIT,
        kept_whole=lambda state: kept_whole(fsdp_placements(state.params, devices)),
    )  # fmt: skip


def _gathered(share: jax.Array, spec: PartitionSpec) -> jax.Array:
    if DATA not in spec:
        return share
    whole: jax.Array = jax.lax.all_gather(share, DATA, axis=spec.index(DATA), tiled=True)
    return whole


def _owned(gradient: jax.Array, spec: PartitionSpec, devices: int) -> jax.Array:
    """Mean over the devices, of the part that this one owns."""
    if DATA not in spec:
        mean: jax.Array = jax.lax.pmean(gradient, DATA)
        return mean
    share: jax.Array = jax.lax.psum_scatter(gradient, DATA, scatter_dimension=spec.index(DATA), tiled=True)
    return share / devices
