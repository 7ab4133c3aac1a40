"""Micro-batches add up to the batch, cross between devices once, and bf16 stays in the networks."""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra train")

import jax

from trainers.data import batches
from trainers.parallel import parallelise
from trainers.recipe import Recipe
from trainers.registry import card, initial_state, load_task
from trainers.train import train

pytestmark = pytest.mark.usefixtures("eight_devices")

BATCH = 32


@cache
def stepped(mode: Any, devices: int, accumulation: int) -> tuple[float, Any, str]:
    """Return the loss of a step, the parameters after it, and the compiled program."""
    task = load_task("linear", Recipe("sgd", 0.1, l2=0.01, accumulation=accumulation))
    dataset = task.card.dataset(0)
    parallel = parallelise(task, mode, devices)
    state = parallel.place_state(initial_state(task, dataset, 0))
    batch = parallel.place_batch(next(batches(dataset, BATCH, 0)))
    compiled = parallel.step.lower(state, *batch).compile()
    after, loss = compiled(state, *batch)
    return float(np.asarray(loss).reshape(-1)[0]), parallel.fetch_state(after).params, compiled.as_text()


@pytest.mark.parametrize(("mode", "devices"), [("jit", 4), ("pmap", 4)])
def test_micro_batches_add_up_to_the_batch(mode: Any, devices: int) -> None:
    loss, params, _ = stepped("jit", 1, 1)
    got_loss, got_params, _ = stepped(mode, devices, 4)
    assert got_loss == pytest.approx(loss, rel=1e-6)
    for got, wanted in zip(jax.tree.leaves(got_params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_gradients_cross_between_devices_once_after_the_last_micro_batch(mode: Any) -> None:
    _, params, program = stepped(mode, 4, 4)
    computations = re.split(r"\n(?=%|ENTRY)", program)
    sending = [part for part in computations if re.search(r" all-(reduce|gather|to-all)\(", part)]
    assert [part.split()[0] for part in sending] == ["ENTRY"]
    (sent,) = re.findall(r"= \((.*)\) all-reduce\(", sending[0])
    count = sum(
        int(np.prod([int(n) for n in each.split(",") if n])) for each in re.findall(r"f32\[([\d,]*)\]", sent)
    )
    assert count == sum(leaf.size for leaf in jax.tree.leaves(params)) + 1


def test_in_bf16_all_products_are_of_halves() -> None:
    task = load_task("rings", Recipe("adam", 1e-2, precision="bf16"))
    dataset = task.card.dataset(0)
    state = initial_state(task, dataset, 0)
    program = (
        jax.jit(jax.value_and_grad(task.loss_of))
        .lower(state.params, *next(batches(dataset, 10, 0)))
        .as_text()
    )
    products = [line for line in program.splitlines() if "dot_general" in line]
    assert products
    assert all("bf16" in line and "f32" not in line for line in products)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["rings", "digits_mlp"])
def test_training_in_bf16_converges_and_keeps_its_state_in_fp32(model: str) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        task = load_task(model, dataclasses.replace(card(model).recipe, precision=precision))
        trained = train(task, task.card.dataset(0), steps=300, batch=task.card.train_batch)
        floats = [leaf.dtype for leaf in jax.tree.leaves(trained.state) if leaf.dtype != np.int32]
        assert set(floats) == {np.dtype(np.float32)}
        losses[precision] = np.mean(trained.losses[-50:])
        assert losses[precision] < np.mean(trained.losses[:20]) - 0.05
    assert losses["bf16"] == pytest.approx(losses["fp32"], abs=0.05)
