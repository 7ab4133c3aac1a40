"""Update rules and schedules follow their published equations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra train")

import jax
import jax.numpy as jnp

from trainers.optimizer import schedule, transformation
from trainers.recipe import Recipe, recipe_problems

GRADIENTS = [np.array([0.3, -2.0, 1e-3]), np.array([0.1, 4.0, -0.5]), np.array([-1.0, 0.2, 0.7])]
START = np.array([1.0, -0.5, 2.0])


def followed(recipe: Recipe, steps: int = 0) -> list[Any]:
    """Return the parameters after each of three updates by the rule under test."""
    rule = transformation(recipe, steps)

    @jax.jit
    def path(weights: jax.Array, gradients: jax.Array) -> list[jax.Array]:
        state, found = rule.init(weights), []
        for gradient in gradients:
            change, state = rule.update(gradient, state, weights)
            weights = weights + change
            found.append(weights)
        return found

    return [np.asarray(each) for each in path(jnp.float32(START), jnp.float32(GRADIENTS))]


def plain(rates: list[float]) -> Iterator[Any]:
    w = START
    for rate, g in zip(rates, GRADIENTS, strict=True):
        w = w - rate * g
        yield w


def with_momentum(rates: list[float], mass: float) -> Iterator[Any]:
    """Polyak 1964: v <- m v + g, w <- w - rate v."""
    w, v = START, np.zeros(3)
    for rate, g in zip(rates, GRADIENTS, strict=True):
        v = mass * v + g
        w = w - rate * v
        yield w


def adam(rates: list[float], decay: float = 0.0) -> Iterator[Any]:
    """Kingma and Ba 2015, algorithm 1; with decay Loshchilov and Hutter 2019, algorithm 2."""
    w, m, v = START, np.zeros(3), np.zeros(3)
    for t, (rate, g) in enumerate(zip(rates, GRADIENTS, strict=True), start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        w = w - rate * (m_hat / (np.sqrt(v_hat) + 1e-8) + decay * w)
        yield w


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (Recipe("sgd", 0.1), plain([0.1] * 3)),
        (Recipe("momentum", 0.1, momentum=0.8), with_momentum([0.1] * 3, 0.8)),
        (Recipe("adam", 0.1), adam([0.1] * 3)),
        (Recipe("adamw", 0.1, weight_decay=0.05), adam([0.1] * 3, 0.05)),
        (Recipe("momentum", 0.4, warmup_steps=2), with_momentum([0.0, 0.2, 0.4], 0.9)),
        (Recipe("adamw", 0.1, "linear", weight_decay=0.05), adam([0.1, 0.1 * 2 / 3, 0.1 / 3], 0.05)),
    ],
    ids=lambda value: value.optimizer + value.schedule if isinstance(value, Recipe) else "",
)
def test_each_rule_follows_its_equations(recipe: Recipe, expected: Iterator[Any]) -> None:
    for got, wanted in zip(followed(recipe, steps=3), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-6)


def test_clipping_shortens_long_gradients_and_leaves_short_ones() -> None:
    path = [START, *followed(Recipe("sgd", 1.0, clip_norm=1.5))]
    for before, after, gradient in zip(path, path[1:], GRADIENTS, strict=False):
        length = float(np.linalg.norm(gradient))
        np.testing.assert_allclose(before - after, gradient * min(1.0, 1.5 / length), rtol=1e-5, atol=1e-6)


def test_adams_first_step_is_the_rate_whatever_the_gradient() -> None:
    moved = START - followed(Recipe("adam", 0.01))[0]
    np.testing.assert_allclose(moved, 0.01 * np.sign(GRADIENTS[0]), rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("constant", lambda share: 1.0),
        ("linear", lambda share: 1.0 - share),
        ("cosine", lambda share: 0.5 * (1.0 + math.cos(math.pi * share))),
        ("step", lambda share: 1.0 if share < 0.5 else 0.1 if share < 0.75 else 0.01),
    ],
)
def test_schedules_have_their_closed_forms(name: Any, shape: Callable[[float], float]) -> None:
    warm, steps, peak = 4, 24, 0.3
    rate = schedule(Recipe("sgd", peak, name, warm), steps)
    got = jax.jit(jax.vmap(rate))(jnp.arange(steps + 1))
    rise = [peak * step / warm for step in range(warm)]
    fall = [peak * shape((step - warm) / (steps - warm)) for step in range(warm, steps + 1)]
    np.testing.assert_allclose(got, rise + fall, rtol=1e-5, atol=1e-7)


def test_without_known_steps_the_rate_stays_after_the_warm_up() -> None:
    rate = jax.jit(schedule(Recipe("sgd", 0.5, "cosine", 2)))
    assert [float(rate(step)) for step in (0, 1, 2, 1000)] == [0.0, 0.25, 0.5, 0.5]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"optimizer": "lion"}, "optimizer"),
        ({"schedule": "cosin"}, "schedule"),
        ({"precision": "fp8"}, "precision"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"momentum": 1.0}, "momentum"),
        ({"l1": -1.0}, "l1"),
        ({"l2": float("inf")}, "l2"),
        ({"dropout": 1.0}, "dropout"),
        ({"accumulation": 0}, "accumulation"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"weight_decay": 0.1}, "weight_decay"),
    ],
)
def test_what_cannot_be_followed_is_named(wrong: dict[str, Any], field: str) -> None:
    recipe = Recipe(**{"optimizer": "sgd", "learning_rate": 0.1, **wrong})
    assert [problem.path for problem in recipe_problems(recipe)] == [field]
