"""What a scenario says of the grid: carbon intensity, price, and the calendar that places t = 0."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BeforeValidator, Field, field_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import CarbonKgPerJ, PriceUsdPerJ
from dcsim.units import Quantity, QuantityError, parse_quantity

__all__ = [
    "CarbonSpec",
    "ConstantCarbonSpec",
    "ConstantPriceSpec",
    "DailyCarbonSpec",
    "DailyPriceSpec",
    "FileSeriesSpec",
    "GridSpec",
    "PriceSpec",
]

_FIRST_YEAR, _LAST_YEAR = 1970, 2200


def _instant(value: object) -> datetime:
    """Return a calendar time with its offset, as UTC; text in ISO 8601, never a number."""
    expected = "a date and time with its UTC offset, such as 2023-01-01T00:00:00Z"
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise FieldError(FieldIssue(repr(value[:100]), expected, _date_hint(value, str(error)))) from None
    if not isinstance(moment, datetime):
        raise FieldError(FieldIssue(repr(value)[:100], expected))
    if moment.tzinfo is None or moment.utcoffset() is None:
        hint = f"add the offset: {moment.isoformat()}Z if it is UTC"
        raise FieldError(FieldIssue(repr(str(value)), expected, hint))
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise FieldError(FieldIssue(repr(str(value)), f"a year from {_FIRST_YEAR} to {_LAST_YEAR}"))
    return moment.astimezone(UTC)


def _date_hint(text: str, reason: str) -> str:
    """Return why a text is not a date and time."""
    if ":60" in text:
        return "leap seconds have no place in the calendar used: write :59"
    return "" if reason.startswith("Invalid isoformat") else reason


Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]


class ConstantCarbonSpec(SpecModel):
    """The same intensity at all times."""

    kind: Literal["constant"] = "constant"
    intensity_kg_per_j: CarbonKgPerJ = Field(default=0.4 / 3.6e6, ge=0)
    """CO2-equivalent a unit of energy at the meter."""


class ConstantPriceSpec(SpecModel):
    """The same price at all times."""

    kind: Literal["constant"] = "constant"
    price_usd_per_j: PriceUsdPerJ = 0.10 / 3.6e6
    """May be negative."""


class DailyCarbonSpec(SpecModel):
    """24 hourly intensities (UTC hour 0 to 23), the same every day."""

    kind: Literal["daily"] = "daily"
    intensity_kg_per_j: tuple[Annotated[CarbonKgPerJ, Field(ge=0)], ...] = Field(min_length=24, max_length=24)
    """One value an hour, from 00:00 UTC."""


class DailyPriceSpec(SpecModel):
    """24 hourly prices (UTC hour 0 to 23), the same every day."""

    kind: Literal["daily"] = "daily"
    price_usd_per_j: tuple[PriceUsdPerJ, ...] = Field(min_length=24, max_length=24)
    """One value an hour, from 00:00 UTC; may be negative."""


class FileSeriesSpec(SpecModel):
    """Hourly series from a CSV file."""

    kind: Literal["file"] = "file"
    path: str = Field(min_length=1, max_length=1_000)
    """Relative to the scenario file, inside its folder or below a --data folder."""
    time_column: str = Field(min_length=1)
    """Header of the column with the start of each hour."""
    value_column: str = Field(min_length=1)
    """Header of the column with the values."""
    unit: str = Field(min_length=1)
    """Of the column: gCO2e/kWh, kg/MWh, USD/MWh, USD/kWh, ..."""
    gaps: Literal["refuse", "hold", "interpolate"] = "refuse"
    """What a missing hour means."""
    beyond_end: Literal["refuse", "repeat"] = "repeat"
    """What follows the last hour of the file."""


CarbonSpec = Annotated[ConstantCarbonSpec | DailyCarbonSpec | FileSeriesSpec, Field(discriminator="kind")]
PriceSpec = Annotated[ConstantPriceSpec | DailyPriceSpec | FileSeriesSpec, Field(discriminator="kind")]


class GridSpec(SpecModel):
    """One meter."""

    start: Instant | None = None
    """Calendar time of t = 0, with its offset; None: 2023-01-01T00:00:00Z."""
    carbon: CarbonSpec = ConstantCarbonSpec()
    """Carbon intensity of the energy bought."""
    price: PriceSpec = ConstantPriceSpec()
    """Price of the energy bought."""

    @field_validator("carbon")
    @classmethod
    def _carbon_unit(cls, carbon: CarbonSpec) -> CarbonSpec:
        _refuse_unit(carbon, Quantity.CARBON_INTENSITY)
        return carbon

    @field_validator("price")
    @classmethod
    def _price_unit(cls, price: PriceSpec) -> PriceSpec:
        _refuse_unit(price, Quantity.ENERGY_PRICE)
        return price


def _refuse_unit(series: CarbonSpec | PriceSpec, quantity: Quantity) -> None:
    """Raise `FieldError` where a file's unit is none of `quantity`."""
    if isinstance(series, FileSeriesSpec):
        try:
            parse_quantity(f"1 {series.unit}", quantity)
        except QuantityError as error:
            raise FieldError(
                FieldIssue(repr(series.unit), error.expected, error.hint, at=("unit",))
            ) from None
