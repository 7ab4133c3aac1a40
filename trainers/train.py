"""The loop: batches in, a trained state and its losses out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax

from trainers.data import Dataset, batches
from trainers.parallel import Mode, parallelise
from trainers.registry import State, Task, initial_state

__all__ = ["Training", "train"]


@dataclass(frozen=True)
class Training:
    """What a training run leaves."""

    state: State
    """On the host, one copy."""
    losses: tuple[float, ...]
    """Mean loss of each step's batch, before its update."""


def train(
    task: Task,
    dataset: Dataset,
    *,
    steps: int,
    batch: int,
    devices: int = 1,
    mode: Mode = "jit",
    seed: int = 0,
    on_step: Callable[[int, float], None] | None = None,
) -> Training:
    """Train from scratch for a number of steps.

    Args:
        task: what to train.
        dataset: what to train on.
        steps: updates to make, at least 1.
        batch: samples per device and step.
        devices: how many devices share a step.
        mode: how they share it.
        seed: of the first parameters and of the order of samples.
        on_step: called with each step's number, from 0, and its loss.

    Raises:
        ValueError: if JAX has fewer devices, or for an unknown mode.
    """
    parallel = parallelise(task, mode, devices)
    state = parallel.place_state(initial_state(task, dataset, seed))
    source = batches(dataset, batch * devices, seed, augment=task.card.augment)
    losses: list[float] = []
    for number in range(steps):
        state, loss = parallel.step(state, *parallel.place_batch(next(source)))
        # Under pmap every device returns the same averaged loss.
        losses.append(float(jax.device_get(loss).reshape(-1)[0]))
        if on_step is not None:
            on_step(number, losses[-1])
    return Training(parallel.fetch_state(state), tuple(losses))
