"""How a task is trained, in plain values: rule, rate, schedule, regularisation, precision, accumulation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from dcsim.errors import Problem

__all__ = ["STEPS_MAX", "OptimizerName", "Precision", "Recipe", "Schedule", "recipe_problems", "run_problems"]

OptimizerName = Literal["sgd", "momentum", "adam", "adamw"]
Schedule = Literal["constant", "linear", "cosine", "step"]
Precision = Literal["fp32", "bf16"]
STEPS_MAX = 2**31 - 1
"""What a counter of 32 bits, such as Optax keeps, can hold."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides an update but the data and the network.

    >>> Recipe("adam", 1e-3).precision
    'fp32'
    """

    optimizer: OptimizerName
    learning_rate: float
    """Of the first step after the warm-up."""
    schedule: Schedule = "constant"
    """What the rate does from there: stay, fall to 0 along a line or half a cosine (Loshchilov and Hutter 2017), or
    fall to a tenth at half of the steps and to a hundredth at three quarters (He et al. 2016)."""
    warmup_steps: int = 0
    """Updates over which the rate rises linearly from 0."""
    weight_decay: float = 0.0
    """Decoupled, of adamw only (Loshchilov and Hutter 2019)."""
    momentum: float = 0.9
    """Of the rule `momentum`."""
    l1: float = 0.0
    """Times the sum of |w| over all weight matrices and kernels, added to the loss; biases are left alone."""
    l2: float = 0.0
    """Times the sum of w^2, likewise."""
    dropout: float = 0.0
    """Share of hidden units left out in training, in networks that have a place for it."""
    precision: Precision = "fp32"
    """Of the arithmetic; parameters and optimizer state stay in fp32."""
    accumulation: int = 1
    """Micro-batches whose gradients are averaged into one update; divides the batch of a device."""
    clip_norm: float | None = None
    """Gradients longer than this are shortened to it."""


def recipe_problems(recipe: Recipe) -> tuple[Problem, ...]:
    """Return everything that is wrong with a recipe, by field; nothing where it can be followed.

    >>> for problem in recipe_problems(Recipe("adam", 1e-3, dropout=1.0, warmup_steps=-1)):
    ...     print(problem)
    recipe: warmup_steps: -1 -> expected an integer >= 0
    recipe: dropout: 1.0 -> expected a number >= 0 and < 1
    """
    named = [
        _named("optimizer", recipe.optimizer, get_args(OptimizerName)),
        _named("schedule", recipe.schedule, get_args(Schedule)),
        _named("precision", recipe.precision, get_args(Precision)),
    ]
    finite = math.isfinite
    checks = [
        ("learning_rate", finite(recipe.learning_rate) and recipe.learning_rate > 0, "a number > 0"),
        ("warmup_steps", recipe.warmup_steps >= 0, "an integer >= 0"),
        ("weight_decay", finite(recipe.weight_decay) and recipe.weight_decay >= 0, "a number >= 0"),
        ("momentum", 0 <= recipe.momentum < 1, "a number >= 0 and < 1"),
        ("l1", finite(recipe.l1) and recipe.l1 >= 0, "a number >= 0"),
        ("l2", finite(recipe.l2) and recipe.l2 >= 0, "a number >= 0"),
        ("dropout", 0 <= recipe.dropout < 1, "a number >= 0 and < 1"),
        ("accumulation", recipe.accumulation >= 1, "an integer >= 1"),
        ("clip_norm", recipe.clip_norm is None or recipe.clip_norm > 0, "a number > 0, or none"),
    ]
    wrong = [
        Problem("recipe", None, name, str(getattr(recipe, name)), expected)
        for name, holds, expected in checks
        if not holds
    ]
    if recipe.weight_decay > 0 and recipe.optimizer != "adamw":
        hint = f"{recipe.optimizer} has none; l2 adds a penalty to the loss instead"
        wrong.append(
            Problem("recipe", None, "weight_decay", str(recipe.weight_decay), "0 unless adamw", hint)
        )
    return tuple(problem for problem in named if problem) + tuple(wrong)


def run_problems(recipe: Recipe, *, steps: int, batch: int, schedule_steps: int) -> tuple[Problem, ...]:
    """Return everything that keeps a recipe from being followed for so many steps.

    Args:
        recipe: how to train.
        steps: updates.
        batch: samples per device.
        schedule_steps: updates that the schedule is stretched over; 0: it is not.

    >>> for problem in run_problems(Recipe("adam", 1e-3, accumulation=3), steps=0, batch=32, schedule_steps=0):
    ...     print(problem)
    run: steps: 0 -> expected an integer >= 1
    run: batch: 32 -> expected a multiple of the accumulation, 3
    """
    wrong = list(recipe_problems(recipe))
    if steps < 1:
        wrong.append(Problem("run", None, "steps", str(steps), "an integer >= 1"))
    elif steps > STEPS_MAX:
        wrong.append(Problem("run", None, "steps", str(steps), f"at most {STEPS_MAX}"))
    if batch < 1:
        wrong.append(Problem("run", None, "batch", str(batch), "an integer >= 1"))
    elif recipe.accumulation >= 1 and batch % recipe.accumulation:
        expected = f"a multiple of the accumulation, {recipe.accumulation}"
        wrong.append(Problem("run", None, "batch", str(batch), expected))
    if recipe.schedule != "constant" and schedule_steps not in {0, steps}:
        hint = "load the task with the steps it is trained for"
        wrong.append(Problem("run", None, "steps", str(steps), f"{schedule_steps}, as the schedule's", hint))
    if 0 < schedule_steps <= recipe.warmup_steps:
        expected = f"fewer than the {schedule_steps} steps"
        wrong.append(Problem("recipe", None, "warmup_steps", str(recipe.warmup_steps), expected))
    return tuple(wrong)


def _named(field: str, got: str, known: tuple[str, ...]) -> Problem | None:
    """Return what is wrong with a name, if it is not a known one."""
    return None if got in known else Problem("recipe", None, field, repr(got), f"one of {', '.join(known)}")
