"""What can be said of a task without JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from trainers.data import Augment, Dataset
from trainers.recipe import Recipe

__all__ = ["Card", "Kind"]

Kind = Literal["regression", "binary", "classes", "tokens"]
"""What a network puts out: a number, one logit, a logit a class, or logits at every position."""


@dataclass(frozen=True)
class Card:
    """What can be said of a task without JAX."""

    name: str
    summary: str
    dataset: Callable[[int], Dataset]
    """Takes a seed."""
    recipe: Recipe
    """How it is trained unless told otherwise."""
    batches: tuple[int, ...]
    """Samples per device between whose smallest and largest `calibrate` measures unless told otherwise."""
    quick_batches: tuple[int, ...]
    kind: Kind
    network: Callable[[Recipe], Any]
    """Makes the flax.linen.Module; imports it only then."""
    train_steps: int
    """Updates after which it has learnt what can be expected of it."""
    train_batch: int
    """Samples of such an update, on one device."""
    augment: Augment | None = None
    """Changes training samples anew each time they are drawn; on the host."""

    @property
    def optimizer(self) -> str:
        """Name of the update rule."""
        return self.recipe.optimizer

    @property
    def classifies(self) -> bool:
        """Whether accuracy means something."""
        return self.kind != "regression"
