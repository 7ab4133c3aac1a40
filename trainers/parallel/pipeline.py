"""Blocks divided into stages, micro-batches passed from stage to stage: GPipe (Huang et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from trainers.parallel.blocks import BLOCKS, REST, Apart, block_names, stacked, taken_apart, unstacked
from trainers.parallel.contract import Parallel
from trainers.parallel.placement import DATA, STAGE, make_mesh, parallel_on
from trainers.registry import State, Task
from trainers.step import loss_and_gradients, updated

__all__ = ["pipeline_parallel"]

WHOLE = PartitionSpec()
ON_STAGES = PartitionSpec(STAGE)
EVERYWHERE = PartitionSpec((DATA, STAGE))
"""Samples divided over all devices."""


@dataclass(frozen=True)
class _Staged(Task):
    """A task whose loss is computed by a pipeline; its parameters are held as `blocks.stacked` gives them."""

    mesh: Mesh | None = None
    micro_batches: int = 1
    names: tuple[str, ...] = ()

    def loss_of(self, params: Any, x: Any, y: Any, key: Any = None) -> jax.Array:  # noqa: ANN401 - pytrees of arrays
        """Return the mean loss of a batch, penalties included."""
        apart = taken_apart(self.network, self.names)

        def local(blocks: Any, rest: Any, x: jax.Array, y: jax.Array) -> jax.Array:  # noqa: ANN401 - pytrees
            keys = _Keys(key)
            # Each column's own from here on: else every tick would add up its gradients over the columns.
            blocks = jax.lax.pcast(blocks, DATA, to="varying")
            hidden = apart.before(rest, x, keys.outside())
            hidden = _through_stages(apart, blocks, hidden, self.micro_batches, keys)
            loss = self.loss(apart.behind(rest, hidden, x, keys.outside()), y)
            mean: jax.Array = jax.lax.pmean(loss, (DATA, STAGE))
            return mean

        loss: jax.Array = jax.shard_map(
            local, mesh=self.mesh, in_specs=(ON_STAGES, WHOLE, EVERYWHERE, EVERYWHERE), out_specs=WHOLE
        )(params[BLOCKS], params[REST], x, y)
        if self.recipe.l1 or self.recipe.l2:
            from trainers.loss import penalty

            def of(part: Any) -> jax.Array:  # noqa: ANN401 - a pytree
                return penalty(part, self.recipe.l1, self.recipe.l2)

            # One block at a time: a stack of biases must not pass for a matrix.
            loss += of(params[REST]) + jnp.sum(jax.vmap(of)(params[BLOCKS]))
        return loss


@dataclass(frozen=True)
class _Keys:
    """Keys of dropout: of each device for what is outside the blocks, of each micro-batch and block inside."""

    key: Any

    def outside(self) -> Any:  # noqa: ANN401 - a random key or None
        if self.key is None:
            return None
        return jax.random.fold_in(
            jax.random.fold_in(self.key, jax.lax.axis_index(DATA)), jax.lax.axis_index(STAGE)
        )

    def inside(self, tick: Any, place: Any) -> Any:  # noqa: ANN401 - traced integers, a random key or None
        own = self.outside()
        return None if own is None else jax.random.fold_in(jax.random.fold_in(own, 1 + tick), place)


def _through_stages(apart: Apart, blocks: Any, hidden: jax.Array, count: int, keys: _Keys) -> jax.Array:  # noqa: ANN401 - a pytree
    """Return the output of the last block for the samples that this device was given.

    Every device knows its share of the samples; the first stage gathers those of its column of stages, each stage works
    on one micro-batch a tick and hands it on, and at last the results are scattered to where the samples came from.
    count + stages - 1 ticks: in stages - 1 of them a stage works on nothing, the bubble.
    """
    stage, stages = jax.lax.axis_index(STAGE), jax.lax.axis_size(STAGE)
    column = jax.lax.all_gather(hidden, STAGE, tiled=True)
    parts = column.reshape(count, -1, *column.shape[1:])
    onward = [(at, at + 1) for at in range(stages - 1)]

    def tick(arriving: jax.Array, number: jax.Array) -> tuple[jax.Array, jax.Array]:
        mine = jnp.where(stage == 0, parts[jnp.minimum(number, count - 1)], arriving)

        def one(value: jax.Array, given: Any) -> tuple[jax.Array, None]:  # noqa: ANN401 - a pytree
            own, place = given
            return apart.block(own, value, keys.inside(number, place)), None

        held = jax.tree.leaves(blocks)[0].shape[0]
        leaving, _ = jax.lax.scan(one, mine, (blocks, jnp.arange(held)))
        return jax.lax.ppermute(leaving, STAGE, onward), leaving

    nothing = jnp.zeros_like(parts[0])
    _, leaving = jax.lax.scan(tick, nothing, jnp.arange(count + stages - 1))
    done = leaving[stages - 1 :].reshape(column.shape)
    at_the_end = jnp.where(stage == stages - 1, done, jnp.zeros_like(done))
    own: jax.Array = jax.lax.psum_scatter(at_the_end, STAGE, scatter_dimension=0, tiled=True)
    return own


def pipeline_parallel(task: Task, devices: int, stages: int, micro_batches: int) -> Parallel:
    """Cut a network's row of blocks into stages, beside data parallelism of `devices / stages` columns.

    What stands before and behind the blocks (embedding, head) is copied to every device, each of which does it for its
    own samples: no stage waits for the head, and its gradients are averaged over all devices.

    Args:
        task: what is trained; its network has a row of equal blocks.
        devices: altogether, a multiple of `stages`.
        stages: divide the number of blocks.
        micro_batches: divide the samples of a column.
    """
    columns = devices // stages
    mesh = make_mesh([(DATA, columns), (STAGE, stages)])

    def specs_of(state: State) -> State:
        def spec(path: tuple[Any, ...], _: Any) -> PartitionSpec:  # noqa: ANN401 - keys and an array
            return ON_STAGES if any(getattr(key, "key", None) == BLOCKS for key in path) else WHOLE

        specs: State = jax.tree_util.tree_map_with_path(spec, state)
        return specs

    names_of: dict[str, tuple[str, ...]] = {}

    def held(state: State) -> State:
        names = block_names(state.params)
        if len(names) % stages:
            raise ValueError(f"{stages} stages -> expected a divisor of {len(names)}, the number of blocks")
        names_of["names"] = names
        ready: State = stacked(state, names)
        return ready

    def step(state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        staged = _Staged(
            task.card, task.recipe, task.network, task.loss, task.optimizer,
            mesh=mesh, micro_batches=micro_batches, names=names_of["names"],
        )  # fmt: skip
        loss, gradients = loss_and_gradients(staged, state, x, y)
        return updated(staged, state, gradients), loss

    return parallel_on(
        mesh, "pipeline", step, specs_of, EVERYWHERE,
        samples_divide_by=math.lcm(devices, columns * micro_batches) * task.recipe.accumulation,
        held=held, handed_in=lambda state: unstacked(state, names_of["names"]),
    )  # fmt: skip
