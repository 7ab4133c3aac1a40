"""Optax update rules with their schedules, from a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optax

from trainers.recipe import Recipe

__all__ = ["schedule", "transformation"]

STEP_AT = (0.5, 0.75)
STEP_FACTOR = 0.1


def schedule(recipe: Recipe, steps: int = 0) -> Callable[[Any], Any]:
    """Return the learning rate as a function of the updates made so far.

    Args:
        recipe: rate, schedule, warm-up.
        steps: updates that the schedule is stretched over; 0: the rate stays constant after the warm-up.

    >>> rate = schedule(Recipe("sgd", 1.0, schedule="linear", warmup_steps=2), steps=6)
    >>> [round(float(rate(step)), 3) for step in range(7)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    peak = recipe.learning_rate
    left = max(1, steps - recipe.warmup_steps)
    shapes = {
        "constant": lambda: optax.constant_schedule(peak),
        "linear": lambda: optax.linear_schedule(peak, 0.0, left),
        "cosine": lambda: optax.cosine_decay_schedule(peak, left),
        "step": lambda: optax.piecewise_constant_schedule(
            peak, {int(share * left): STEP_FACTOR for share in STEP_AT}
        ),
    }
    after = shapes[recipe.schedule if steps else "constant"]()
    if not recipe.warmup_steps:
        return after  # type: ignore[no-any-return]
    rise = optax.linear_schedule(0.0, peak, recipe.warmup_steps)
    return optax.join_schedules([rise, after], [recipe.warmup_steps])  # type: ignore[no-any-return]


def transformation(recipe: Recipe, steps: int = 0) -> optax.GradientTransformation:
    """Return the update rule of a recipe.

    Plain gradient descent; with momentum (Polyak 1964); Adam (Kingma and Ba 2015); AdamW (Loshchilov and Hutter 2019).
    Clipping (Pascanu et al. 2013) shortens the gradients of the whole loss, penalties included, before the rule.

    Args:
        recipe: rule, rate, schedule, decay, clipping.
        steps: updates that the schedule is stretched over; 0: the rate stays constant after the warm-up.
    """
    varies = recipe.warmup_steps or (steps and recipe.schedule != "constant")
    rate = schedule(recipe, steps) if varies else recipe.learning_rate
    rules = {
        "sgd": lambda: optax.sgd(rate),
        "momentum": lambda: optax.sgd(rate, momentum=recipe.momentum),
        "adam": lambda: optax.adam(rate),
        "adamw": lambda: optax.adamw(rate, weight_decay=recipe.weight_decay),
    }
    rule = rules[recipe.optimizer]()
    if recipe.clip_norm is None:
        return rule
    return optax.chain(optax.clip_by_global_norm(recipe.clip_norm), rule)
