"""Loss and metrics on data that training has not seen, in batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from trainers.data import Array, Dataset
from trainers.metrics import Metrics, metrics_of, ratio
from trainers.registry import State, Task

__all__ = ["Evaluator", "Part", "evaluate"]

Part = Literal["train", "test"]

LARGEST_EXPONENT = 709.0
"""exp of more is no float; a loss so large says that training went astray."""


class Evaluator:
    """Evaluates one task again and again, compiled once."""

    def __init__(self, task: Task, outputs_of: Callable[[Any, jax.Array], jax.Array] | None = None) -> None:
        """Take a task, and how its network is called where that is another way than its own.

        Args:
            task: what is evaluated.
            outputs_of: (params, x) -> outputs; None: the network as it is.
        """
        self._task = task

        def measures(params: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, ...]:  # noqa: ANN401 - a pytree
            outputs = outputs_of(params, x) if outputs_of else task.network.apply({"params": params}, x)
            losses_B = jax.vmap(lambda output, target: task.loss(output[None], target[None]))(outputs, y)
            return losses_B, _guesses(task, outputs), jnp.int32(outputs.shape[-1])

        self._measures = jax.jit(measures)

    def __call__(
        self,
        state: State,
        dataset: Dataset,
        *,
        part: Part = "test",
        batch: int | None = None,
        limit: int | None = None,
    ) -> Metrics:
        """Return the metrics over samples of a data set, on one device.

        Every sample weighs the same, whatever the size of the last batch; sums are made in fp64.

        Args:
            state: on the host.
            dataset: where the samples come from.
            part: which of them.
            batch: samples at once; None: the largest of the card.
            limit: at most so many samples, the first ones.
        """
        x, y = (dataset.train_x, dataset.train_y) if part == "train" else (dataset.test_x, dataset.test_y)
        x, y = x[:limit], y[:limit]
        params = jax.device_put(state.params)
        losses, guesses, classes = [], [], 0
        for x_part, y_part, kept in _padded(x, y, batch or max(self._task.card.batches)):
            found = jax.device_get(self._measures(params, x_part, y_part))
            losses.append(found[0][:kept].astype(np.float64))
            guesses.append(found[1][:kept])
            classes = int(found[2])
        return _summary(self._task, np.concatenate(losses), y, np.concatenate(guesses), classes)


def evaluate(
    task: Task,
    state: State,
    dataset: Dataset,
    *,
    part: Part = "test",
    batch: int | None = None,
    limit: int | None = None,
) -> Metrics:
    """Return the metrics of a trained state; see `Evaluator`, which compiles once for many."""
    return Evaluator(task)(state, dataset, part=part, batch=batch, limit=limit)


def _padded(x: Array, y: Array, batch: int) -> Iterator[tuple[Array, Array, int]]:
    """Yield batches of one shape, the last one filled up with its own samples, and how many of each count."""
    batch = min(batch, len(x))
    for start in range(0, len(x), batch):
        kept = min(batch, len(x) - start)
        places_B = start + np.arange(batch) % kept
        yield x[places_B], y[places_B], kept


def _guesses(task: Task, outputs: jax.Array) -> jax.Array:
    """Return the likeliest class or token, or the number itself."""
    if task.card.kind == "regression":
        return outputs
    if task.card.kind == "binary":
        return (outputs > 0).astype(jnp.int32)
    return jnp.argmax(outputs, axis=-1)


def _summary(task: Task, losses_N: Array, truth: Array, guesses: Array, classes: int) -> Metrics:
    """Return the metrics from each sample's loss and guess."""
    mean = math.fsum(losses_N) / len(losses_N)
    if task.card.kind == "regression":
        return Metrics(mean, len(losses_N))
    if task.card.kind == "tokens":
        return _of_tokens(losses_N, truth, guesses)
    return metrics_of(mean, truth, guesses, 2 if task.card.kind == "binary" else classes)


def _of_tokens(losses_N: Array, truth_NxL: Array, guesses_NxL: Array) -> Metrics:
    """Return the metrics of a language model; a sample's loss is the mean over its tokens that count."""
    counted_NxL = truth_NxL >= 0
    tokens_N = counted_NxL.sum(axis=1)
    tokens = int(tokens_N.sum())
    loss = ratio(math.fsum(losses_N * tokens_N), tokens)
    accuracy = ratio(int(((guesses_NxL == truth_NxL) & counted_NxL).sum()), tokens)
    perplexity = math.exp(loss) if loss < LARGEST_EXPONENT else math.inf
    return Metrics(loss, len(losses_N), accuracy=accuracy, perplexity=perplexity)
