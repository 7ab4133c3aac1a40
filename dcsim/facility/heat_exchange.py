"""Heat exchangers by effectiveness and number of transfer units (pure functions)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["cooler_air_flow", "cooler_effectiveness", "counterflow_effectiveness", "counterflow_ntu"]

Floats = npt.NDArray[np.float64]

AIR_FLOW_EXPONENT = 0.6
"""Conductance of a finned coil, or of a tower's fill, by the flow of air over its full flow (Incropera et al.)."""

_BALANCED = 1e-6
"""Capacity rates as near as this count as equal: the general formula is 0 / 0 there."""


def counterflow_effectiveness(ntu: npt.ArrayLike, rate_ratio: float) -> Floats:
    """Return the part of the largest possible heat that a counter-flow exchanger passes, 0..1.

    (1 - x) / (1 - Cr x), x = exp(-NTU (1 - Cr)); NTU / (1 + NTU) where Cr = 1: Kays and London, "Compact Heat
    Exchangers" (1984); Incropera et al., "Fundamentals of Heat and Mass Transfer" (2007), table 11.3.

    Args:
        ntu: UA over the smaller capacity rate, >= 0.
        rate_ratio: Cr, the smaller capacity rate over the larger, 0..1.

    >>> counterflow_effectiveness([0.0, 1.0, 3.0], 1.0).tolist()
    [0.0, 0.5, 0.75]
    """
    units = np.asarray(ntu, dtype=np.float64)
    if abs(1.0 - rate_ratio) < _BALANCED:
        return np.asarray(units / (1.0 + units), dtype=np.float64)
    decay = np.exp(-units * (1.0 - rate_ratio))
    return np.asarray((1.0 - decay) / (1.0 - rate_ratio * decay), dtype=np.float64)


def counterflow_ntu(effectiveness: npt.ArrayLike, rate_ratio: float) -> Floats:
    """Return the NTU of a counter-flow exchanger of an effectiveness in [0, 1): the inverse of the above.

    >>> counterflow_ntu([0.5, 0.75], 1.0).tolist()
    [1.0, 3.0]
    """
    passed = np.asarray(effectiveness, dtype=np.float64)
    if abs(1.0 - rate_ratio) < _BALANCED:
        return np.asarray(passed / (1.0 - passed), dtype=np.float64)
    ratio = (passed - 1.0) / (passed * rate_ratio - 1.0)
    return np.asarray(np.log(ratio) / (rate_ratio - 1.0), dtype=np.float64)


def cooler_effectiveness(full_ntu: float, water_flow: npt.ArrayLike, air_flow: npt.ArrayLike = 1.0) -> Floats:
    """Return by how much of its distance from the outdoor temperature a cooler brings its water, 0..1.

    1 - exp(-NTU): the water never gets colder than outdoors, however large the cooler. Conductance grows with
    air flow to the power 0.6; the outdoor temperature is the dry bulb (dry cooler) or the wet bulb (tower).

    Args:
        full_ntu: NTU at full flow of water and air, > 0.
        water_flow: Over full flow, > 0.
        air_flow: Over full flow, 0..1.

    >>> float(cooler_effectiveness(1.0, 1.0).round(4))
    0.6321
    """
    air = np.asarray(air_flow, dtype=np.float64)
    units = full_ntu * np.power(air, AIR_FLOW_EXPONENT) / np.asarray(water_flow, dtype=np.float64)
    return np.asarray(-np.expm1(-units), dtype=np.float64)


def cooler_air_flow(effectiveness: npt.ArrayLike, full_ntu: float, water_flow: npt.ArrayLike) -> Floats:
    """Return the air flow over full flow, 0..1, that gives an effectiveness; 1 where full flow does not.

    >>> float(cooler_air_flow(cooler_effectiveness(1.5, 0.8, 0.5), 1.5, 0.8).round(9))
    0.5
    """
    wanted = np.clip(np.asarray(effectiveness, dtype=np.float64), 0.0, 1.0 - 1e-12)
    needed = -np.log1p(-wanted) * np.asarray(water_flow, dtype=np.float64) / full_ntu
    return np.minimum(np.power(needed, 1.0 / AIR_FLOW_EXPONENT), 1.0)
