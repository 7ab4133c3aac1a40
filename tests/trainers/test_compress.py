"""Pruning, int8 and distillation do what their definitions say, and the networks survive it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra train")

import jax
import jax.numpy as jnp

from trainers.distil import distillation, soft_loss
from trainers.prune import masks_by_magnitude, pruned, sparse_bytes, sparsity_of, with_masks
from trainers.quantise import Int8, dequantised, int8_product, outputs_in_int8, quantised, stored_bytes
from trainers.recipe import Recipe
from trainers.registry import initial_state, load_task
from trainers.train import train

pytestmark = pytest.mark.usefixtures("eight_devices")

DRAWS = np.random.default_rng(7)
PARAMS = {
    "kernel": DRAWS.normal(size=(30, 8)).astype(np.float32) * np.logspace(-3, 2, 8, dtype=np.float32),
    "filters": DRAWS.normal(size=(3, 3, 4, 6)).astype(np.float32),
    "bias": np.linspace(-1, 1, 8, dtype=np.float32),
}
WEIGHTS = 30 * 8 + 3 * 3 * 4 * 6


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9])
def test_the_smallest_weights_of_the_whole_network_go(sparsity: float) -> None:
    masks = masks_by_magnitude(PARAMS, sparsity)
    small = pruned(PARAMS, masks)
    gone = round(sparsity * WEIGHTS)
    assert sparsity_of(small) == gone / WEIGHTS
    assert (small["bias"] == PARAMS["bias"]).all()
    every = np.sort(np.abs(np.concatenate([PARAMS["kernel"].ravel(), PARAMS["filters"].ravel()])))
    left = np.abs(np.concatenate([small[name][masks[name]] for name in ("kernel", "filters")]))
    np.testing.assert_array_equal(np.sort(left), every[gone:])
    assert sparse_bytes(small) == 30 + 27 + 4 * (WEIGHTS - gone) + 4 * 8


def test_equal_weights_go_to_the_number_wanted() -> None:
    assert masks_by_magnitude({"w": np.ones((5, 5))}, 0.4)["w"].sum() == 15
    with pytest.raises(ValueError, match=r"sparsity 1\.0 -> expected"):
        masks_by_magnitude(PARAMS, 1.0)


def test_what_is_pruned_stays_0_while_the_rest_is_trained() -> None:
    task = load_task("linear", Recipe("adamw", 0.1, weight_decay=0.1, l1=0.01, clip_norm=1.0))
    dataset = task.card.dataset(0)
    params = initial_state(task, dataset, 0).params
    masks = masks_by_magnitude(params, 0.5)
    start = pruned(params, masks)
    after = train(with_masks(task, masks), dataset, steps=20, batch=50, start=start).state.params
    kernel, mask = after["Dense_0"]["kernel"], masks["Dense_0"]["kernel"]
    assert (kernel[~mask] == 0).all()
    assert (kernel[mask] != start["Dense_0"]["kernel"][mask]).all()


def test_int8_is_off_by_half_a_scale_at_most_and_takes_a_byte_a_weight() -> None:
    small = quantised(PARAMS)
    back = dequantised(small)
    for name in ("kernel", "filters"):
        assert small[name].values.dtype == np.int8
        largest = np.abs(PARAMS[name]).reshape(-1, PARAMS[name].shape[-1]).max(axis=0)
        np.testing.assert_allclose(small[name].scale, largest / 127, rtol=1e-6)
        assert (np.abs(back[name] - PARAMS[name]) <= small[name].scale * 0.5 * (1 + 1e-5)).all()
    assert stored_bytes(small) == WEIGHTS + 4 * (8 + 6) + 4 * 8


def test_int8_of_what_int8_can_hold_is_exact() -> None:
    whole = np.array([[127.0, 0.0, 0.0], [-3.0, -127.0, 0.0], [64.0, 5.0, 0.0]], np.float32)
    small = quantised({"w": whole})
    np.testing.assert_array_equal(small["w"].values, whole)
    np.testing.assert_array_equal(dequantised(small)["w"], whole)


def test_int8_products_are_integer_products() -> None:
    values = DRAWS.integers(-127, 128, size=(40, 5)).astype(np.int8)
    x = DRAWS.integers(-126, 127, size=(3, 40)).astype(np.float32)
    x[:, 0] = 127.0
    scale = np.full(5, 0.25, np.float32)
    product = jax.jit(int8_product)
    got = product(x, Int8(values, scale))
    np.testing.assert_array_equal(got, x.astype(np.int64) @ values.astype(np.int64) * 0.25)
    np.testing.assert_array_equal(
        product(np.zeros((3, 40), np.float32), Int8(values, scale)), np.zeros((3, 5))
    )


def test_dense_layers_multiply_in_int8_and_guess_alike() -> None:
    task = load_task("rings", Recipe("sgd", 0.1))
    dataset = task.card.dataset(0)
    params = initial_state(task, dataset, 0).params
    small, x = quantised(params), dataset.test_x
    compiled = jax.jit(lambda held, x: outputs_in_int8(task.network, held, x)).lower(small, x)
    products = [line for line in compiled.as_text().splitlines() if "dot_general" in line]
    assert len(products) == 2
    assert all("i8" in line and "i32" in line for line in products)
    expected = np.asarray(jax.jit(task.network.apply)({"params": params}, x))
    got = np.asarray(compiled.compile()(small, x))
    # Two layers, each with weights and inputs off by half of 1/127: a few percent of the range of the logits.
    assert np.abs(got - expected).max() < 0.03 * np.abs(expected).max()


def test_the_soft_loss_is_the_divergence_of_softened_guesses() -> None:
    teacher, student = np.array([[2.0, 0.0, -1.0]]), np.array([[0.5, 1.0, 0.0]])
    temperature = 3.0

    def softened(logits: Any) -> Any:
        shares = np.exp(logits / temperature)
        return shares / shares.sum()

    p, q = softened(teacher), softened(student)
    expected = temperature**2 * float((p * np.log(p / q)).sum())
    assert float(soft_loss(jnp.asarray(student), jnp.asarray(teacher), temperature)) == pytest.approx(
        expected, rel=1e-5
    )
    assert float(soft_loss(jnp.asarray(teacher), jnp.asarray(teacher), temperature)) == pytest.approx(
        0.0, abs=1e-6
    )


def test_when_hot_the_soft_loss_matches_logits() -> None:
    """Hinton et al. 2015, section 2.1: its gradient tends to (z - v) / C for logits of mean 0."""
    teacher, student = np.array([[2.0, 0.0, -2.0]]), np.array([[0.5, 0.5, -1.0]])
    gradient = jax.jit(jax.grad(soft_loss), static_argnums=2)(student, teacher, 300.0)
    np.testing.assert_allclose(gradient, (student - teacher) / 3, atol=5e-3)


def test_a_taught_task_mixes_both_losses() -> None:
    student = load_task("rings")
    dataset = student.card.dataset(0)
    params = initial_state(student, dataset, 0).params
    others = jax.tree.map(lambda leaf: 0.5 * leaf + 0.1, params)
    task = distillation(student, load_task("rings"), others, temperature=2.0, weight=0.25)

    @jax.jit
    def both(x: Any, y: Any) -> Any:
        logits = [student.network.apply({"params": each}, x) for each in (params, others)]
        mixed = 0.25 * soft_loss(logits[0], logits[1], 2.0) + 0.75 * student.loss_of(params, x, y)
        return task.loss_of(params, x, y), mixed

    got, expected = both(dataset.train_x, dataset.train_y)
    assert float(got) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize(
    ("model", "settings"), [("linear", {}), ("rings", {"temperature": 0.0}), ("rings", {"weight": 1.5})]
)
def test_what_cannot_teach_is_refused(model: str, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        distillation(load_task("rings"), load_task(model), {}, **settings)


@pytest.mark.slow
def test_digits_survive_compression() -> None:
    from trainers.compress import Study

    task = load_task("digits_mlp")
    dataset = task.card.dataset(0)
    trained = train(task, dataset, steps=800, batch=64)
    study = Study(task, dataset, trained.state.params, train_batch=64, batch=32, calls=20, seed=0)
    original = study.original()
    before = original.metrics.accuracy or math.nan
    assert before > 0.9
    int8 = study.int8(products=True)
    assert abs((int8.metrics.accuracy or math.nan) - before) <= 0.01
    assert int8.size_bytes < original.size_bytes / 3.9
    bare, tuned = study.pruned(0.95, 0), study.pruned(0.95, 200)
    assert (bare.metrics.accuracy or math.nan) < (tuned.metrics.accuracy or math.nan)
    assert (tuned.metrics.accuracy or math.nan) > before - 0.04
    assert tuned.sparsity == pytest.approx(0.95, abs=1e-4)
    student = study.student(load_task("digits_mlp_64"), 400, taught=True)
    assert (student.metrics.accuracy or math.nan) > 0.85
    assert student.parameters == 785 * 64 + 65 * 10
