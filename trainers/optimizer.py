"""Optax update rules with their schedules, from a recipe."""

from __future__ import annotations

import optax

from trainers.recipe import Recipe

__all__ = ["transformation"]


def transformation(recipe: Recipe, steps: int = 0) -> optax.GradientTransformation:
    """Return the update rule of a recipe.

    Plain gradient descent; with momentum (Polyak 1964); Adam (Kingma and Ba 2015); AdamW (Loshchilov and Hutter 2019).

    Args:
        recipe: rule, rate, schedule, decay, clipping.
        steps: updates that the schedule is stretched over; 0: the rate stays constant after the warm-up.
    """
    rate = recipe.learning_rate
    rules = {
        "sgd": lambda: optax.sgd(rate),
        "momentum": lambda: optax.sgd(rate, momentum=recipe.momentum),
        "adam": lambda: optax.adam(rate),
        "adamw": lambda: optax.adamw(rate, weight_decay=recipe.weight_decay),
    }
    return rules[recipe.optimizer]()
