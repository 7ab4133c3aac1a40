"""What a fleet says of the network between its sites, and of the data that jobs move over it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import BandwidthBytesPerS, DurationS, Name, SizeBytes
from dcsim.units import Quantity, QuantityError, parse_quantity

__all__ = ["EnergyJPerByte", "FleetDataSpec", "PriceUsdPerByte", "WanPairSpec", "WanSpec"]

_MOST_J_PER_BYTE = 1.0
"""A hundred times the largest estimate ever published (136 kWh/GB would be 0.5 J/B)."""
_MOST_USD_PER_BYTE = 1e-6
"""1,000 USD/GB."""


def _energy_j_per_byte(value: object) -> float:
    """Return J/B from a number, or from text such as "0.004 kWh/GB"."""
    return _over_bytes(
        value, Quantity.ENERGY, _MOST_J_PER_BYTE, "an energy for each byte, such as 0.004 kWh/GB"
    )


def _price_usd_per_byte(value: object) -> float:
    """Return USD/B from a number, or from text such as "0.02 USD/GB"."""
    return _over_bytes(value, None, _MOST_USD_PER_BYTE, "a price for each byte, such as 0.02 USD/GB")


def _over_bytes(value: object, numerator: Quantity | None, most: float, expected: str) -> float:
    """Return an amount over bytes in SI; None as the numerator is money in USD."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str) and value.count("/") == 1:
        above, _, below = value.partition("/")
        try:
            amount = _usd(above) if numerator is None else parse_quantity(above.strip(), numerator)
            number = amount / parse_quantity(f"1 {below.strip()}", Quantity.SIZE)
        except (QuantityError, ValueError):
            raise FieldError(FieldIssue(repr(value[:100]), expected)) from None
    else:
        raise FieldError(FieldIssue(repr(value)[:100], expected))
    if not 0.0 <= number <= most:
        raise FieldError(
            FieldIssue(repr(value)[:100], f"{expected}, from 0 to {most:g} in SI", "look at the unit")
        )
    return number


def _usd(text: str) -> float:
    """Return the amount of "0.02 USD" or "0.02 $"; raises ValueError for anything else."""
    amount, _, unit = text.strip().rpartition(" ")
    if unit not in {"USD", "$"}:
        raise ValueError(text)
    return float(amount)


def _schema(si: str, example: str) -> dict[str, Any]:
    text = {"type": "string", "description": "a number with a unit", "examples": [example]}
    return {"anyOf": [{"type": "number", "description": f"in {si}"}, text]}


EnergyJPerByte = Annotated[
    float, BeforeValidator(_energy_j_per_byte), WithJsonSchema(_schema("J/B", "0.004 kWh/GB"))
]
PriceUsdPerByte = Annotated[
    float, BeforeValidator(_price_usd_per_byte), WithJsonSchema(_schema("USD/B", "0.02 USD/GB"))
]


class WanPairSpec(SpecModel):
    """The way between two sites, the same in both directions; what is left out is as `wan` says."""

    between: tuple[Name, Name]
    """The two sites."""
    bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """In each direction."""
    latency_s: DurationS | None = Field(default=None, ge=0)
    """Before the first byte arrives."""
    energy_j_per_byte: EnergyJPerByte | None = None
    """Drawn by the network, half on the grid of either site."""
    price_usd_per_byte: PriceUsdPerByte | None = None
    """Paid for what leaves a site; the network's energy is in it."""


class WanSpec(SpecModel):
    """The wide-area network: one way in each direction for each pair of sites."""

    bandwidth_bytes_per_s: BandwidthBytesPerS = Field(default=1.25e9, gt=0)
    """Of each direction of each pair; transfers at the same time share it fairly."""
    latency_s: DurationS = Field(default=0.05, ge=0)
    """Before the first byte arrives."""
    energy_j_per_byte: EnergyJPerByte = 0.0
    """Drawn by the network, half on the grid of either site; it is not on the sites' meters."""
    price_usd_per_byte: PriceUsdPerByte = 0.0
    """Paid for what leaves a site; the network's energy is in it."""
    pairs: tuple[WanPairSpec, ...] = Field(default=(), max_length=10_000)
    """Pairs of sites that differ."""


class FleetDataSpec(SpecModel):
    """What moves with a job that runs away from its home."""

    job_bytes: SizeBytes = Field(default=0.0, ge=0)
    """With every such job: code, container, input of its own."""
    checkpoints: bool = True
    """Whether the checkpoint it starts from moves too, as large as its cost profile says; without one: nothing."""
    dataset_bytes: SizeBytes = Field(default=0.0, ge=0)
    """Training data of a job that names no data set and whose profile has none either; each job has its own."""
    keep_datasets: bool = True
    """Whether a data set that was moved stays there, so that the next job that reads it does not move it again."""
