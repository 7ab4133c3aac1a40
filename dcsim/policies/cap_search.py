"""Caps found on the curves of a `PowerView`: the least that keeps a speed, the greatest that keeps a power.

Caps are whole thousandths of peak power, as the hall sets them: what is found is kept when it is set.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["CAP_STEPS", "greatest_caps", "least_caps", "least_energy_caps", "level_caps"]

Floats = npt.NDArray[np.float64]
Curve = Callable[[Floats], Floats]

CAP_STEPS = 1000
"""Caps are set in so many parts of peak power."""
_ROUNDING = 1e-9


def _search(enough: Callable[[Floats], npt.NDArray[np.bool_]], floor: Floats) -> Floats:
    """Return (K,) the least caps from `floor` to 1 from which on `enough` holds; 1 where it never does."""
    low = np.ceil(np.asarray(floor, dtype=np.float64) * CAP_STEPS - _ROUNDING)
    high = np.full(low.shape, float(CAP_STEPS))
    while (low < high).any():
        middle = np.floor((low + high) / 2.0)
        holds = enough(middle / CAP_STEPS)
        high = np.where(holds, middle, high)
        low = np.where(holds, low, np.minimum(middle + 1.0, high))
    return high / CAP_STEPS


def least_caps(speed_at: Curve, floor: Floats, speed: Floats) -> Floats:
    """Return (K,) the least caps at which each job has a speed, by bisection on curves that do not fall.

    Args:
        speed_at: (K,) caps -> (K,) speeds over those without a cap.
        floor: (K,) least caps, (0, 1].
        speed: (K,) wanted, 0..1.

    >>> least_caps(lambda cap: cap, np.array([0.3, 0.3]), np.array([0.5, 0.1])).tolist()
    [0.5, 0.3]
    """
    wanted = np.asarray(speed) * (1.0 - _ROUNDING)
    return _search(lambda caps: speed_at(caps) >= wanted, floor)


def greatest_caps(power_at: Curve, floor: Floats, power_w: Floats) -> Floats:
    """Return (K,) the greatest caps at which each job draws at most a power; `floor` where none does.

    Args:
        power_at: (K,) caps -> (K,) W; must not fall as caps rise.
        floor: (K,) least caps, (0, 1].
        power_w: (K,) allowed, W.

    >>> greatest_caps(lambda cap: 400.0 * cap, np.array([0.3, 0.3]), np.array([200.0, 1.0])).tolist()
    [0.5, 0.3]
    """
    floor = np.ceil(np.asarray(floor, dtype=np.float64) * CAP_STEPS - _ROUNDING) / CAP_STEPS
    fits = power_at(np.ones(floor.shape)) <= power_w
    over = _search(lambda caps: power_at(caps) > power_w, floor)
    below = np.rint(over * CAP_STEPS - 1.0) / CAP_STEPS
    return np.where(fits, 1.0, np.maximum(below, floor))


def level_caps(floor: Floats, levels: int) -> Floats:
    """Return (K, L) caps from each job's floor to 1, closer together near the floor, where curves are steep.

    >>> level_caps(np.array([0.5]), 3).tolist()
    [[0.5, 0.625, 1.0]]
    """
    part = np.linspace(0.0, 1.0, levels) ** 2
    low = np.asarray(floor, dtype=np.float64)[:, None]
    caps = np.ceil((low + (1.0 - low) * part) * CAP_STEPS - _ROUNDING) / CAP_STEPS
    return np.asarray(np.minimum(caps, 1.0))


def least_energy_caps(
    speed_at: Curve, power_at: Curve, least: Floats, *, overhead_w: Floats, levels: int = 33
) -> Floats:
    """Return (K,) caps from `least` to 1 at which each job's work takes the least energy, of equals the greatest.

    Energy a unit of work is (power + overhead) / speed: You, Chung and Chowdhury, Zeus, NSDI (2023), section 3,
    with the whole weight on energy.

    Args:
        speed_at: (K,) caps -> (K,) relative speeds.
        power_at: (K,) caps -> (K,) W.
        least: (K,) caps not to go below.
        overhead_w: (K,) W drawn for as long as the job runs, besides its own.
        levels: tried.

    >>> half = least_energy_caps(lambda c: np.sqrt(c), lambda c: 100.0 * c, np.array([0.2]), overhead_w=np.zeros(1))
    >>> half.tolist()
    [0.2]
    """
    caps = level_caps(least, levels)
    cost = np.empty(caps.shape)
    for level in range(levels):
        column = caps[:, level]
        cost[:, level] = (power_at(column) + overhead_w) / speed_at(column)
    best = cost.min(axis=1, keepdims=True, initial=np.inf)
    cheap = cost <= best * (1.0 + _ROUNDING)
    last = levels - 1 - np.argmax(cheap[:, ::-1], axis=1)
    return np.asarray(caps[np.arange(len(caps)), last])
