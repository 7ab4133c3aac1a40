"""Optax update rules, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import optax

__all__ = ["OPTIMIZERS"]

OPTIMIZERS: Mapping[str, Callable[[], optax.GradientTransformation]] = {
    "sgd": lambda: optax.sgd(0.05),
    "adam": lambda: optax.adam(1e-3),
    "adamw": lambda: optax.adamw(3e-3, weight_decay=0.01),
}
"""Plain gradient descent; Adam (Kingma and Ba 2015); AdamW (Loshchilov and Hutter 2019)."""
