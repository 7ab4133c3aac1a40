"""Loss and accuracy on data that training has not seen."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from trainers.data import Dataset
from trainers.registry import State, Task

__all__ = ["Metrics", "evaluate"]


class Metrics(NamedTuple):
    """How good a trained state is."""

    loss: float
    accuracy: float | None
    """Share of classes, or of next bytes, that were guessed right; None for numbers."""


def evaluate(task: Task, state: State, dataset: Dataset) -> Metrics:
    """Return the metrics over all test samples, on one device."""

    def measures(params: object, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        outputs = task.network.apply({"params": params}, x)
        return task.loss(outputs, y), jnp.mean(jnp.argmax(outputs, axis=-1) == y)

    loss, accuracy = jax.jit(measures)(state.params, dataset.test_x, dataset.test_y)
    return Metrics(float(loss), float(accuracy) if task.card.classifies else None)
