"""Whether the values of a grid series are possible in the unit they are said to be in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem
from dcsim.facility.series_file import raise_problems
from dcsim.units import Quantity, format_quantity, parse_quantity

__all__ = ["refuse_absurd", "unit_doubts"]

Floats = npt.NDArray[np.float64]
_PER_KWH = 1.0 / 3.6e6

_CANDIDATES: Mapping[Quantity, tuple[str, ...]] = MappingProxyType(
    {
        Quantity.CARBON_INTENSITY: ("g/kWh", "kg/MWh", "lb/MWh", "kg/kWh", "t/MWh"),
        Quantity.ENERGY_PRICE: ("USD/MWh", "USD/kWh"),
    }
)
_BANDS: Mapping[Quantity, tuple[float, float, float, float]] = MappingProxyType(
    {
        # Lignite alone emits 1,200 g/kWh at the plant; hydro-electric islands average a few grams.
        Quantity.CARBON_INTENSITY: (1e-3 * _PER_KWH, 2.0 * _PER_KWH, 1.5 * _PER_KWH, 10.0 * _PER_KWH),
        # Wholesale prices are capped at a few dollars a kilowatt-hour, and reach that for hours only.
        Quantity.ENERGY_PRICE: (1e-3 * _PER_KWH, 2.0 * _PER_KWH, 20.0 * _PER_KWH, 1e3 * _PER_KWH),
    }
)
"""SI: least and largest mean size that a whole file may have, largest value without a word, largest at all."""


def refuse_absurd(values: Floats, unit: str, quantity: Quantity, path: Path, column: str) -> None:
    """Raise `SeriesError` for values (N,), SI, that no grid has, with the units in which they would be likely."""
    _, most, _, largest = _BANDS[quantity]
    mean, peak = float(np.mean(np.abs(values))), float(np.max(np.abs(values)))
    if mean <= most and peak <= largest:
        return
    raw = mean / parse_quantity(f"1 {unit}", quantity)
    fitting = [
        other
        for other in _CANDIDATES[quantity]
        if _likely(raw * parse_quantity(f"1 {other}", quantity), quantity)
    ]
    hint = f"is the unit {' or '.join(fitting)}?" if fitting else "look at the unit and the column"
    got = f"{format_quantity(mean, quantity)} in the mean, up to {format_quantity(peak, quantity)}"
    expected = f"at most {format_quantity(most, quantity)} in the mean"
    raise_problems([Problem(str(path), None, f"{column!r} in {unit}", got, expected, hint)])


def _likely(mean: float, quantity: Quantity) -> bool:
    least, most, _, _ = _BANDS[quantity]
    return 5.0 * least <= mean <= 0.75 * most


def unit_doubts(values: Floats, quantity: Quantity, name: str) -> Iterator[str]:
    """Yield what is unlikely, though possible, about a series' values (N,), SI."""
    least, _, usual, _ = _BANDS[quantity]
    highest = float(np.max(np.abs(values)))
    if highest > usual:
        hint = (
            "is the unit kg/MWh or lb/MWh?"
            if quantity is Quantity.CARBON_INTENSITY
            else "is the unit USD/MWh?"
        )
        yield f"{name}: {format_quantity(highest, quantity)} is above any real grid; {hint}"
    elif 0.0 < highest < least:
        hint = "is the unit kg/kWh?" if quantity is Quantity.CARBON_INTENSITY else "is the unit USD/kWh?"
        yield f"{name}: never above {format_quantity(highest, quantity)}, far below any real grid; {hint}"
