"""What every way of sharing a step hands out: the step, and how its arguments come onto the devices and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax

from dcsim.workload.profile import Mode
from trainers.data import Array
from trainers.registry import State

__all__ = ["Parallel"]


def _nothing_kept_whole(_: State) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Parallel:
    """A compiled-on-first-use step and how to bring its arguments onto the devices."""

    mode: Mode
    devices: int
    step: Any
    """(state, x, y) -> (state, loss); the state handed in is consumed."""
    place_state: Callable[[State], State]
    """From host arrays to what each device holds of them."""
    place_batch: Callable[[tuple[Array, Array]], tuple[jax.Array, jax.Array]]
    """From host arrays of all samples of a step to each device's share."""
    fetch_state: Callable[[State], State]
    """Back to host arrays, one copy, in the form they were handed in."""
    abstract: Callable[[State, tuple[Any, Any]], tuple[State, Any, Any]]
    """(state, batch) -> shapes and placements of the step's arguments, for `step.lower` without any data."""
    kept_whole: Callable[[State], Mapping[str, str]] = field(default=_nothing_kept_whole)
    """Parameters that this mode would divide but cannot, and why: path -> reason."""
