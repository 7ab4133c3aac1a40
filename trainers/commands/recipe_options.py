"""The options that say how to train: one for each field of a recipe."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from dcsim.errors import Problem
from trainers.recipe import Recipe

__all__ = ["add_recipe_options", "as_options", "recipe_from"]

_OPTIONS = (
    ("optimizer", str, "sgd, momentum, adam or adamw"),
    ("learning_rate", float, "after the warm-up"),
    ("schedule", str, "constant, linear, cosine or step"),
    ("warmup_steps", int, "steps over which the rate rises"),
    ("weight_decay", float, "of adamw"),
    ("momentum", float, "of momentum"),
    ("l1", float, "times the sum of |w|"),
    ("l2", float, "times the sum of w^2"),
    ("dropout", float, "share of hidden units left out"),
    ("precision", str, "fp32 or bf16"),
    ("accumulation", int, "micro-batches an update"),
    ("clip_norm", float, "longest gradient; 0: any"),
)


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of a recipe; what is not given is as the model's card says."""
    group = parser.add_argument_group("recipe", "how to train, where it differs from the model's own recipe")
    for name, kind, text in _OPTIONS:
        group.add_argument(_option(name), type=kind, help=text)


def recipe_from(options: argparse.Namespace, own: Recipe, steps: int) -> Recipe:
    """Return the recipe that the options ask for.

    Args:
        options: parsed.
        own: recipe of the model.
        steps: updates; the model's own warm-up takes a quarter of them at most.
    """
    given: dict[str, Any] = {
        name: value for name, _, _ in _OPTIONS if (value := getattr(options, name)) is not None
    }
    if given.get("clip_norm") == 0.0:
        given["clip_norm"] = None
    # What the model's own recipe decays or warms up by must not make an otherwise good request wrong.
    if given.get("optimizer", own.optimizer) != "adamw":
        given.setdefault("weight_decay", 0.0)
    given.setdefault("warmup_steps", min(own.warmup_steps, max(0, steps) // 4))
    return replace(own, **given)


def as_options(problem: Problem) -> Problem:
    """Return a problem with a recipe or a run as one with the option that gave it."""
    return replace(problem, file="options", path=_option(problem.path))


def _option(field: str) -> str:
    return "--" + field.replace("_", "-")
