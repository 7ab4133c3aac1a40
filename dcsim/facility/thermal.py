"""Temperatures of devices between events: one thermal mass each, exactly (pure functions, elementwise).

C dT/dt = P + k (T - T_ref) - (T - Tin) / R, with P at the reference temperature and leakage linear in temperature
(`facility.server_power`): between changes of P and Tin the temperature is an exponential with gain
g = 1 / (1 - R k), towards T_ref + g (Tin + R P - T_ref), with time constant g R C.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "cooling_s",
    "leakage_gain",
    "relaxed_deg_c",
    "steady_deg_c",
    "warming_s",
]

Floats = npt.NDArray[np.float64]


def leakage_gain(resistance_k_per_w: npt.ArrayLike, leakage_w_per_k: npt.ArrayLike) -> Floats:
    """Return g = 1 / (1 - R k): how much more a device warms up because it leaks, >= 1; infinity: it runs away.

    Args:
        resistance_k_per_w: R, device over inlet for each watt, > 0.
        leakage_w_per_k: k, more draw for each kelvin, >= 0.

    >>> leakage_gain(0.1, [0.0, 2.0, 10.0]).tolist()
    [1.0, 1.25, inf]
    """
    left = 1.0 - np.asarray(resistance_k_per_w, dtype=np.float64) * np.asarray(leakage_w_per_k, np.float64)
    stable = left > 0.0
    return np.asarray(np.where(stable, 1.0 / np.where(stable, left, 1.0), np.inf), dtype=np.float64)


def steady_deg_c(
    inlet_deg_c: npt.ArrayLike,
    power_w: npt.ArrayLike,
    *,
    resistance_k_per_w: npt.ArrayLike,
    gain: npt.ArrayLike = 1.0,
    reference_deg_c: npt.ArrayLike = 0.0,
) -> Floats:
    """Return the temperature that a device tends to: T_ref + g (Tin + R P - T_ref).

    Args:
        inlet_deg_c: of the air at its server.
        power_w: P, its draw at the reference temperature.
        resistance_k_per_w: R.
        gain: g, of `leakage_gain`; 1: it does not leak.
        reference_deg_c: T_ref, at which `power_w` holds; of no effect where the gain is 1.

    >>> float(steady_deg_c(25.0, 400.0, resistance_k_per_w=0.1))
    65.0
    >>> float(steady_deg_c(25.0, 400.0, resistance_k_per_w=0.1, gain=1.25, reference_deg_c=60.0))
    66.25
    """
    reference = np.asarray(reference_deg_c, dtype=np.float64)
    alone = np.asarray(inlet_deg_c, np.float64) + np.asarray(resistance_k_per_w, np.float64) * np.asarray(
        power_w, np.float64
    )
    amount = np.asarray(gain, dtype=np.float64)
    # As a correction: without leakage it is Tin + R P to the last bit.
    return np.asarray(alone + (amount - 1.0) * (alone - reference), dtype=np.float64)


def relaxed_deg_c(
    start: npt.ArrayLike, steady: npt.ArrayLike, elapsed_s: npt.ArrayLike, time_constant_s: npt.ArrayLike
) -> Floats:
    """Return the temperature `elapsed_s` (>= 0) after it was `start`, on its way to `steady`.

    >>> round(float(relaxed_deg_c(25.0, 65.0, 30.0, 30.0)), 6)
    50.284822
    """
    begin, limit = np.asarray(start, dtype=np.float64), np.asarray(steady, dtype=np.float64)
    way = np.expm1(np.negative(np.asarray(elapsed_s, np.float64)) / np.asarray(time_constant_s, np.float64))
    # From the start, so that it stays where it is when no time passes.
    return np.asarray(begin + (begin - limit) * way, dtype=np.float64)


def warming_s(
    start: npt.ArrayLike, steady: npt.ArrayLike, time_constant_s: npt.ArrayLike, level: npt.ArrayLike
) -> Floats:
    """Return how long it takes to be as warm as `level`: 0 where it is, infinity where it only tends there or not at all.

    tau ln((steady - start) / (steady - level)).

    >>> warming_s([25.0, 90.0, 25.0], [65.0, 65.0, 50.0], 30.0, 50.284822).round(5).tolist()
    [30.0, 0.0, inf]
    """
    begin, limit, tau, goal = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (start, steady, time_constant_s, level))
    )
    reaches = (begin < goal) & (limit > goal)
    # log1p, for the last stretch of the way: (steady - start) / (steady - level) is near 1 there.
    ahead = np.where(reaches, (goal - begin) / np.where(reaches, limit - goal, 1.0), 0.0)
    return np.asarray(np.where(begin >= goal, 0.0, np.where(reaches, tau * np.log1p(ahead), np.inf)))


def cooling_s(
    start: npt.ArrayLike, steady: npt.ArrayLike, time_constant_s: npt.ArrayLike, level: npt.ArrayLike
) -> Floats:
    """Return how long it takes to be as cool as `level`: the mirror image of `warming_s`.

    >>> cooling_s([90.0, 40.0, 90.0], [40.0, 40.0, 80.0], 30.0, 65.0).round(5).tolist()
    [20.79442, 0.0, inf]
    """
    return warming_s(np.negative(start), np.negative(steady), time_constant_s, np.negative(level))
