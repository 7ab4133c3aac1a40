"""How a task is trained, in plain values: rule, rate, schedule, regularisation, precision, accumulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["OptimizerName", "Precision", "Recipe", "Schedule"]

OptimizerName = Literal["sgd", "momentum", "adam", "adamw"]
Schedule = Literal["constant", "linear", "cosine", "step"]
Precision = Literal["fp32", "bf16"]


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
