"""Penalties have the gradients of their closed forms; dropout keeps means and draws anew each step."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra train")

import flax.linen as nn
import jax
import jax.numpy as jnp

from trainers.loss import LOSSES, binary_cross_entropy, cross_entropy, mean_squared_error, penalty
from trainers.parallel import parallelise
from trainers.recipe import Recipe
from trainers.registry import State, Task, load_task
from trainers.step import loss_and_gradients

pytestmark = pytest.mark.usefixtures("eight_devices")

WEIGHTS = {"kernel": np.array([[0.5, -2.0], [0.0, 3.0]]), "bias": np.array([7.0, -7.0])}


def test_penalties_have_their_closed_forms_and_leave_biases_alone() -> None:
    value, gradients = jax.jit(jax.value_and_grad(penalty))(WEIGHTS, 0.1, 0.01)
    assert float(value) == pytest.approx(0.1 * 5.5 + 0.01 * (0.25 + 4.0 + 9.0))
    kernel = WEIGHTS["kernel"]
    np.testing.assert_allclose(gradients["kernel"], 0.1 * np.sign(kernel) + 0.02 * kernel, rtol=1e-6)
    assert not np.asarray(gradients["bias"]).any()


def test_a_recipes_penalties_reach_the_gradients_of_a_step() -> None:
    bare, penalised = (
        load_task("linear", Recipe("sgd", 1.0, l1=l1, l2=l2)) for l1, l2 in ((0.0, 0.0), (0.3, 0.2))
    )
    kernel = np.linspace(-1.0, 1.0, 10, dtype=np.float32).reshape(10, 1)
    params = {"Dense_0": {"kernel": kernel, "bias": np.zeros(1, np.float32)}}
    x, y = np.ones((4, 10), np.float32), np.ones(4, np.float32)
    found = [jax.jit(jax.grad(task.loss_of))(params, x, y)["Dense_0"]["kernel"] for task in (bare, penalised)]
    np.testing.assert_allclose(found[1] - found[0], 0.3 * np.sign(kernel) + 0.4 * kernel, atol=1e-5)


@pytest.mark.parametrize("loss", [mean_squared_error, binary_cross_entropy, cross_entropy])
def test_losses_are_summed_in_fp32(loss: Any) -> None:
    outputs = jax.ShapeDtypeStruct((1000, 4) if loss is cross_entropy else (1000,), jnp.bfloat16)
    targets = jax.ShapeDtypeStruct((1000,), jnp.int32)
    assert jax.eval_shape(loss, outputs, targets).dtype == jnp.float32


class Dropped(nn.Module):
    """Gives the share of a batch's units that dropout leaves, each doubled: about 1."""

    @nn.compact
    def __call__(self, x_BxI: jax.Array, *, train: bool = False) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, (x_BxI.shape[-1],))
        dropped_BxI: jax.Array = nn.Dropout(0.5, deterministic=not train)(x_BxI * scale)
        return dropped_BxI


def dropping(accumulation: int = 1) -> Task:
    """Return a task whose loss is the mean output, so that its gradients show the mask."""
    task = load_task("linear", Recipe("sgd", 1.0, dropout=0.5, accumulation=accumulation))
    return dataclasses.replace(task, network=Dropped(), loss=lambda outputs, y: jnp.mean(outputs))


@cache
def gradients_of(accumulation: int) -> Any:
    task = dropping(accumulation)
    return jax.jit(lambda state, x, y, replica: loss_and_gradients(task, state, x, y, replica=replica))


def masks(step: int, replica: int = 0, accumulation: int = 1) -> Any:
    state = State({"scale": np.ones(400, np.float32)}, None, np.int32(step))
    x, y = np.ones((accumulation, 400), np.float32), np.zeros(accumulation, np.float32)
    loss, gradients = gradients_of(accumulation)(state, x, y, np.int32(replica))
    return float(loss), np.asarray(gradients["scale"]) * 400


def test_dropout_keeps_the_mean_and_draws_anew_by_step_and_replica_only() -> None:
    loss, mask = masks(step=3)
    assert set(np.unique(mask.round(4))) == {0.0, 2.0}
    # 400 units, each 0 or 2: the mean of 1 has a standard deviation of 1/20.
    assert loss == pytest.approx(1.0, abs=0.2)
    assert (mask == masks(step=3)[1]).all()
    for step, replica in ((4, 0), (3, 1)):
        assert 0.3 < np.mean(mask != masks(step, replica)[1]) < 0.7


def test_micro_batches_draw_masks_of_their_own() -> None:
    _, mean_of_two = masks(step=0, accumulation=2)
    assert set(np.unique(mean_of_two.round(4))) == {0.0, 1.0, 2.0}


def test_devices_draw_masks_of_their_own() -> None:
    task = dropping()
    parallel = parallelise(task, "pmap", 2)
    params = {"scale": np.ones(400, np.float32)}
    state = parallel.place_state(State(params, task.optimizer.init(params), np.int32(0)))
    batch = parallel.place_batch((np.ones((2, 400), np.float32), np.zeros(2, np.float32)))
    after = parallel.fetch_state(cast(Any, parallel.step(state, *batch))[0])
    averaged = (1.0 - after.params["scale"]) * 400
    expected = (masks(0, 0)[1] + masks(0, 1)[1]) / 2
    np.testing.assert_allclose(averaged, expected, atol=1e-3)


def test_evaluation_drops_nothing() -> None:
    outputs = Dropped().apply({"params": {"scale": np.ones(4)}}, np.ones((2, 4)))
    np.testing.assert_array_equal(outputs, np.ones((2, 4)))


def test_every_kind_has_a_loss() -> None:
    assert set(LOSSES) == {"regression", "binary", "classes", "tokens"}
