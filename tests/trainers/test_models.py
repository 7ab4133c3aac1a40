"""Networks have the shapes, sizes and types that they are told to have, and see what they may see."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra train")

import jax
import jax.numpy as jnp

from trainers.models.digits import DigitClassifier
from trainers.models.linear import hand_gradient
from trainers.models.transformer import Attention, Transformer
from trainers.registry import CARDS, card, load_task

pytestmark = pytest.mark.usefixtures("eight_devices")

SHAPES = {
    "linear": ((3, 10), np.float32, (3,)),
    "rings": ((3, 2), np.float32, (3, 2)),
    "digits_mlp_64": ((3, 784), np.uint8, (3, 10)),
    "digits_mlp": ((3, 784), np.uint8, (3, 10)),
    "digits_conv": ((3, 784), np.uint8, (3, 10)),
    "textures": ((3, 150, 150, 3), np.uint8, (3,)),
    "tiny_transformer": ((3, 64), np.uint8, (3, 64, 256)),
    "transformer_lm": ((3, 64), np.uint16, (3, 64, 10_000)),
    "transformer_encoder": ((3, 64), np.uint16, (3, 64, 10_000)),
}
WORDS = 10_000 * 128 + 64 * 128 + 6 * (12 * 128 * 128 + 2 * 128) + 2 * 128
PARAMETERS = {
    "linear": 10 + 1,
    "rings": (2 * 5 + 5) + (5 * 2 + 2),
    "digits_mlp_64": (784 * 64 + 64) + (64 * 10 + 10),
    "digits_mlp": (784 * 128 + 128) + (128 * 10 + 10),
    "digits_conv": (9 * 32 + 32) + (13 * 13 * 32 * 64 + 64) + (64 * 10 + 10),
    # As Keras counts them for the same layers (Chollet, Deep Learning with Python, 2018, listing 5.5).
    "textures": 3_453_121,
    "tiny_transformer": 2 * 256 * 64 + 64 * 64 + 2 * (12 * 64 * 64 + 2 * 64) + 2 * 64,
    "transformer_lm": WORDS,
    "transformer_encoder": WORDS + 6 * 8 * 127,
}
"""Counted by hand."""


def network_of(name: str, **changes: Any) -> Any:
    found = card(name)
    return found.network(replace(found.recipe, **changes))


def traced(name: str, **changes: Any) -> tuple[Any, Any, Any]:
    """Return the shapes of parameters and outputs, and what is computed, of the real size; computes nothing."""
    network = network_of(name, **changes)
    shape, dtype, _ = SHAPES[name]
    x = jax.ShapeDtypeStruct(shape, dtype)
    params = jax.eval_shape(network.init, jax.random.key(0), x)["params"]
    jaxpr, outputs = jax.make_jaxpr(lambda p, x: network.apply({"params": p}, x), return_shape=True)(
        params, x
    )
    return params, outputs, str(jaxpr)


def test_every_card_is_tested() -> None:
    assert set(SHAPES) == set(PARAMETERS) == set(CARDS)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", SHAPES)
def test_shapes_sizes_and_types(name: str, precision: str) -> None:
    params, outputs, computed = traced(name, precision=precision)
    leaves = jax.tree.leaves(params)
    assert sum(leaf.size for leaf in leaves) == PARAMETERS[name]
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(np.float32)}
    assert (outputs.shape, outputs.dtype) == (SHAPES[name][2], np.float32)
    products = [line for line in computed.splitlines() if "= dot_general" in line or "= conv_general" in line]
    assert products
    assert all((":bf16[" in line.split("=")[0]) == (precision == "bf16") for line in products)


@pytest.mark.parametrize("name", SHAPES)
def test_dropout_is_the_recipes_where_there_is_a_place_for_it(name: str) -> None:
    assert getattr(network_of(name, dropout=0.25), "dropout", None) == (None if name == "linear" else 0.25)


def drawn(network: Any, x: np.ndarray) -> Any:
    """Return parameters above 0 for the most part, so that units are alive; compiles nothing."""
    draws = np.random.default_rng(0)
    shapes = jax.eval_shape(network.init, jax.random.key(0), x)
    return jax.tree.map(lambda leaf: draws.normal(0.2, 0.4, leaf.shape).astype(np.float32), shapes)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "linear"])
def test_random_numbers_are_drawn_in_training_with_dropout_only(name: str) -> None:
    for dropout, train in ((0.5, True), (0.5, False), (0.0, True)):
        network = network_of(name, dropout=dropout)
        shape, dtype, _ = SHAPES[name]
        x = jax.ShapeDtypeStruct(shape, dtype)
        params = jax.eval_shape(network.init, jax.random.key(0), x)
        run = partial(network.apply, train=train)
        computed = jax.make_jaxpr(lambda p, x, key, run=run: run(p, x, rngs={"dropout": key}))(
            params, x, jax.random.key(1)
        )
        assert ("random_bits" in str(computed)) == (train and dropout > 0)


def test_units_are_dropped_by_key_and_by_sample() -> None:
    network, x = DigitClassifier(hidden=8, dropout=0.5), np.full((4, 784), 128, np.uint8)
    params = drawn(network, x)
    run = jax.jit(lambda key: network.apply(params, x, train=True, rngs={"dropout": key}))
    first, again, other = (np.asarray(run(jax.random.key(seed))) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not (first == first[0]).all()  # all samples are alike; their masks are not


def test_a_later_token_changes_earlier_logits_only_where_both_ways_are_seen() -> None:
    networks = [Transformer(8, 2, 2, 12, causal=causal, tied=True, relative=True) for causal in (True, False)]
    x = np.arange(12, dtype=np.uint16).reshape(2, 6)
    changed = x.copy()
    changed[:, 4] = 11
    params = drawn(networks[0], x)
    run = jax.jit(lambda x: [network.apply(params, x) for network in networks])
    for before, after, same in zip(
        run(x), run(changed), ([True] * 4 + [False] * 2, [False] * 6), strict=True
    ):
        assert (np.asarray(before) == np.asarray(after)).all(axis=(0, 2)).tolist() == same


@pytest.mark.parametrize(("causal", "seeing"), [(True, [3, 4]), (False, [2, 4])])
def test_heads_look_first_at_the_nearest_positions(*, causal: bool, seeing: list[int]) -> None:
    attention = Attention(heads=2, causal=causal, relative=True)
    x = np.random.default_rng(0).normal(size=(1, 6, 4)).astype(np.float32)
    params = attention.init(jax.random.key(0), x)["params"]
    hard = {**params, "relative_bias": 50 * params["relative_bias"]}  # drowns what depends on the words
    changed = x.copy()
    changed[:, 3] += 1
    before, after = (np.asarray(attention.apply({"params": hard}, each)) for each in (x, changed))
    assert np.flatnonzero(np.abs(before - after).max(axis=(0, 2)) > 1e-3).tolist() == seeing


def test_the_gradient_by_hand_is_that_of_the_machine() -> None:
    task = load_task("linear")
    draws = np.random.default_rng(0)
    x_BxI, y_B = draws.normal(size=(7, 10)).astype(np.float32), draws.normal(size=7).astype(np.float32)
    weights_I, intercept = draws.normal(size=10).astype(np.float32), np.full(1, 0.3, np.float32)
    params = {"Dense_0": {"kernel": weights_I[:, None], "bias": intercept}}
    found = jax.grad(task.loss_of)(params, x_BxI, y_B)["Dense_0"]
    by_weights_I, by_intercept = hand_gradient(weights_I, intercept, x_BxI, y_B)
    np.testing.assert_allclose(found["kernel"][:, 0], by_weights_I, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["bias"][0], by_intercept, rtol=1e-5)


def test_a_step_against_the_hand_gradient_goes_downhill_to_the_least_squares_solution() -> None:
    draws = np.random.default_rng(1)
    x_BxI, y_B = draws.normal(size=(50, 3)), draws.normal(size=50)
    weights_I, intercept = np.zeros(3), np.float64(0.0)
    for _ in range(500):
        by_weights_I, by_intercept = hand_gradient(weights_I, intercept, x_BxI, y_B)
        weights_I, intercept = weights_I - 0.1 * by_weights_I, intercept - 0.1 * by_intercept
    exact, *_ = np.linalg.lstsq(np.column_stack([x_BxI, np.ones(50)]), y_B, rcond=None)
    np.testing.assert_allclose([*weights_I, intercept], exact, atol=1e-9)
