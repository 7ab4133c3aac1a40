"""Small tasks that the tests of the parallel modes share, trained once on one device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

pytest.importorskip("jax", reason="needs the extra train")

import jax
import numpy as np

from trainers.hlo import step_cost
from trainers.models.digits import DigitClassifier
from trainers.models.transformer import Transformer
from trainers.parallel import Parallel, parallelise
from trainers.recipe import Recipe
from trainers.registry import State, Task, card, load_task

STEPS = 3
SAMPLES = 16
"""Of a step, over all devices."""
LENGTH = 8
BLOCKS = 2
VOCABULARY = 32

QUICKLY = {"xla_backend_optimization_level": 0}
"""The programs are the same; only LLVM takes less trouble over their loops."""

RECIPES = {
    "adam": Recipe("adam", 1e-2, l2=1e-3, clip_norm=1.0),
    "adamw": Recipe("adamw", 1e-2, weight_decay=0.01, l1=1e-5, l2=1e-3, clip_norm=1.0),
    "sgd": Recipe("sgd", 0.5),
    "sgd accumulating": Recipe("sgd", 0.5, accumulation=2),
    "momentum": Recipe("momentum", 0.1),
}


@dataclass(frozen=True)
class Trained:
    """What some steps left."""

    losses: tuple[float, ...]
    state: State
    compiled: Any
    parallel: Parallel

    @property
    def hlo_text(self) -> str:
        return str(self.compiled.as_text())

    @property
    def argument_bytes(self) -> float:
        return step_cost(self.compiled).argument_bytes


def tiny(network: str, recipe: str) -> Task:
    """Return a task with a network that compiles quickly."""
    networks = {
        "mlp": ("digits_mlp", lambda: DigitClassifier(hidden=8)),
        "transformer": (
            "tiny_transformer",
            lambda: Transformer(width=16, heads=4, blocks=BLOCKS, vocabulary=VOCABULARY),
        ),
    }
    name, make = networks[network]
    return replace(load_task(name, RECIPES[recipe]), network=make())


@cache
def task_of(network: str, recipe: str) -> Task:
    if network in {"mlp", "transformer"}:
        return tiny(network, recipe)
    return load_task(network, RECIPES[recipe])


@cache
def samples_of(network: str) -> list[tuple[Any, Any]]:
    """Return a batch for each step."""
    if network == "mlp":
        shapes: Any = ((784,), 256, np.uint8), ((), 10, np.uint8)
    elif network == "transformer":
        shapes = ((LENGTH,), VOCABULARY, np.uint8), ((LENGTH,), VOCABULARY, np.uint8)
    else:
        from trainers.data import batches

        source = batches(card(network).dataset(0), SAMPLES, 0)
        return [next(source) for _ in range(STEPS)]
    draws = np.random.default_rng(0)
    return [
        tuple(draws.integers(0, high, (SAMPLES, *shape)).astype(kind) for shape, high, kind in shapes)  # type: ignore[misc]
        for _ in range(STEPS)
    ]


@cache
def first_state(network: str, recipe: str) -> State:
    task = task_of(network, recipe)
    params = jax.jit(task.network.init)(jax.random.key(0), samples_of(network)[0][0][:1])["params"]
    state: State = jax.device_get(State(params, task.optimizer.init(params), np.int32(0)))
    return state


@cache
def trained(network: str, recipe: str, mode: Any, devices: int, **options: Any) -> Trained:
    """Return the result of a few steps; compiled without data, so that the placements must fit."""
    parallel = parallelise(task_of(network, recipe), mode, devices, **options)
    first, batches = first_state(network, recipe), samples_of(network)
    lowered = parallel.step.lower(*parallel.abstract(first, batches[0]))
    compiled = lowered.compile(compiler_options=QUICKLY)
    state, losses = parallel.place_state(first), []
    for batch in batches:
        state, loss = compiled(state, *parallel.place_batch(batch))
        losses.append(float(np.asarray(jax.device_get(loss)).reshape(-1)[0]))
    return Trained(tuple(losses), parallel.fetch_state(state), compiled, parallel)


def assert_same(got: Trained, wanted: Trained, *, tolerance: float = 1e-5, astray: float = 0.0) -> None:
    """Losses and every array of the state agree, in the scale of the array; that of the optimizer too.

    Args:
        got: by several devices.
        wanted: by one.
        tolerance: relative to the largest number of an array.
        astray: how far one number of 100,000 may be off. A rule that divides a gradient by its own size makes of one
            that is all but rounding a step of a size of its own; its moments are still held to the tolerance.
    """
    np.testing.assert_allclose(got.losses, wanted.losses, rtol=tolerance)
    shapes = [str(jax.tree.structure(each.state)) for each in (got, wanted)]
    assert shapes[0] == shapes[1]
    for found, right in zip(jax.tree.leaves(got.state), jax.tree.leaves(wanted.state), strict=True):
        off = np.abs(np.asarray(found, dtype=np.float64) - right)
        allowed = tolerance * float(np.abs(right).max(initial=0.0)) + 1e-9
        assert off.max(initial=0.0) <= max(allowed, astray)
        assert (off > allowed).sum() <= off.size // 100_000
