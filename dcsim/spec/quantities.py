"""Annotated types of the scenario: one for each physical quantity, stored in SI, and strict numbers.

A quantity accepts a plain number (already SI) or text with a unit ("6.5 kW", "400 Gbit/s").
A `Number` or `Count` accepts numbers only: neither text nor booleans.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from dcsim.units import Quantity, QuantityError, format_quantity, parse_quantity, unit_symbols

__all__ = [
    "NAME_PATTERN",
    "BandwidthBytesPerS",
    "CarbonKgPerJ",
    "Count",
    "DurationS",
    "EnergyJ",
    "FlopPerS",
    "Fraction",
    "Name",
    "Number",
    "PowerW",
    "PriceUsdPerJ",
    "SizeBytes",
    "TemperatureDegC",
]


_LARGEST = {
    Quantity.POWER: 1e12,
    Quantity.ENERGY: 1e21,
    Quantity.DURATION: 100 * 366 * 86_400.0,
    Quantity.SIZE: 1e24,
    Quantity.BANDWIDTH: 1e21,
    Quantity.FLOP_RATE: 1e24,
    Quantity.CARBON_INTENSITY: 1e6,
    Quantity.ENERGY_PRICE: 1e6,
}
"""Beyond these a number is a slip: products of it overflow, or a run of it never ends."""


def _parsed(value: object, quantity: Quantity) -> float:
    """Return an SI value no larger than anything of its kind; raises `QuantityError` for others."""
    number = parse_quantity(value, quantity)
    largest = _LARGEST.get(quantity, math.inf)
    if abs(number) > largest:
        most = format_quantity(largest, quantity)
        shown = repr(value) if isinstance(value, str) else f"{number:g}"
        hint = f"more than {most} is a slip: look at the exponent and the unit"
        raise QuantityError(shown, f"at most {most}", hint)
    return number


def _quantity(quantity: Quantity, si: str, example: str) -> tuple[Quantity, BeforeValidator, WithJsonSchema]:
    """Metadata of a field that parses text of one quantity into an SI float, and names the quantity."""
    units = ", ".join(unit_symbols(quantity)[:16])
    schema = {
        "anyOf": [
            {"type": "number", "description": f"{quantity.value} in {si}"},
            {"type": "string", "description": f"a number with a unit: {units}", "examples": [example]},
        ],
    }
    return quantity, BeforeValidator(lambda value: _parsed(value, quantity)), WithJsonSchema(schema)


PowerW = Annotated[float, *_quantity(Quantity.POWER, "W", "6.5 kW")]
EnergyJ = Annotated[float, *_quantity(Quantity.ENERGY, "J", "10 kWh")]
DurationS = Annotated[float, *_quantity(Quantity.DURATION, "s", "2 h")]
SizeBytes = Annotated[float, *_quantity(Quantity.SIZE, "B", "80 GiB")]
BandwidthBytesPerS = Annotated[float, *_quantity(Quantity.BANDWIDTH, "B/s", "400 Gbit/s")]
FlopPerS = Annotated[float, *_quantity(Quantity.FLOP_RATE, "FLOP/s", "312 TFLOP/s")]
CarbonKgPerJ = Annotated[float, *_quantity(Quantity.CARBON_INTENSITY, "kg/J", "400 g/kWh")]
PriceUsdPerJ = Annotated[float, *_quantity(Quantity.ENERGY_PRICE, "USD/J", "0.12 USD/kWh")]
TemperatureDegC = Annotated[float, *_quantity(Quantity.TEMPERATURE, "degC", "24 degC")]
Fraction = Annotated[float, *_quantity(Quantity.FRACTION, "ratio, 0 to 1", "70 %"), Field(ge=0.0, le=1.0)]
Number = Annotated[float, Field(strict=True)]
Count = Annotated[int, Field(ge=1, le=10_000_000, strict=True)]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$"
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=NAME_PATTERN)]
