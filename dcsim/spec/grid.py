"""What a scenario says of the grid: carbon intensity, prices, forecasts, and the calendar that places t = 0."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BeforeValidator, Field, field_validator, model_validator

from dcsim.spec.demand_response import DemandResponseSpec
from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import CarbonKgPerJ, DurationS, Fraction, PriceUsdPerJ
from dcsim.spec.tariff import OpenEITariffSpec, TariffSpec
from dcsim.spec.time_zone import TimeZone
from dcsim.units import Quantity, QuantityError, format_quantity, parse_quantity

__all__ = [
    "CarbonSpec",
    "ConstantCarbonSpec",
    "ConstantPriceSpec",
    "DailyCarbonSpec",
    "DailyPriceSpec",
    "FileSeriesSpec",
    "ForecastSpec",
    "GridSpec",
    "MarketSpec",
    "NoisyForecastSpec",
    "PerfectForecastSpec",
    "PersistenceForecastSpec",
    "PriceSpec",
    "export_price_issues",
]

_FIRST_YEAR, _LAST_YEAR = 1970, 2200
_DAY_S = 86_400.0


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
    """A series from a CSV file, in equal steps."""

    kind: Literal["file"] = "file"
    path: str = Field(min_length=1, max_length=1_000)
    """Relative to the scenario file, inside its folder or below a --data folder."""
    time_column: str = Field(min_length=1)
    """Header of the column with the start of each step."""
    value_column: str = Field(min_length=1)
    """Header of the column with the values."""
    unit: str = Field(min_length=1)
    """Of the column: gCO2e/kWh, kg/MWh, USD/MWh, USD/kWh, ..."""
    interval_s: DurationS = Field(default=3_600.0, ge=60.0, le=_DAY_S)
    """Length of a step; a day is a whole number of them."""
    time_zone: TimeZone | None = None
    """IANA name of the zone (America/Los_Angeles) whose clock the times show that carry no offset; None: UTC."""
    clock_changes: Literal["refuse", "resolve"] = "refuse"
    """What local times mean that the clock shows twice or never. "resolve": of two equal times the first is
    summer time and one alone stands for both; times in the hour left out are dropped. All are counted."""
    gaps: Literal["refuse", "hold", "interpolate"] = "refuse"
    """What a missing step means."""
    beyond_end: Literal["refuse", "repeat"] = "refuse"
    """What follows the last step of the file: nothing, so that a run must fit in it, or its beginning."""

    @field_validator("interval_s")
    @classmethod
    def _part_of_a_day(cls, interval_s: float) -> float:
        if _DAY_S % interval_s:
            raise FieldError(FieldIssue(f"{interval_s:g} s", "a step of which a day is a whole number"))
        return interval_s


CarbonSpec = Annotated[ConstantCarbonSpec | DailyCarbonSpec | FileSeriesSpec, Field(discriminator="kind")]
PriceSpec = Annotated[ConstantPriceSpec | DailyPriceSpec | FileSeriesSpec, Field(discriminator="kind")]


class MarketSpec(SpecModel):
    """What the energy emits by contract: market-based carbon (GHG Protocol, Scope 2 guidance, 2015)."""

    contracted_fraction: Fraction = 1.0
    """Part of the energy bought at any time that contracts (certificates, purchase agreements) cover."""
    contracted_intensity_kg_per_j: CarbonKgPerJ = Field(default=0.0, ge=0)
    """Of the contracted energy; 0 for renewable sources."""
    residual_carbon: CarbonSpec | None = None
    """Intensity of what nobody has claimed (the residual mix), for the rest; None: the average of the grid."""


class PerfectForecastSpec(SpecModel):
    """Policies see the future as it will be."""

    kind: Literal["perfect"] = "perfect"


class NoisyForecastSpec(SpecModel):
    """Policies see the future blurred by an autocorrelated error that grows with the lead time."""

    kind: Literal["noise"] = "noise"
    carbon_error_24h: Fraction = Field(default=0.05, lt=1.0)
    """Mean absolute error of carbon intensities 24 h ahead, over the actual value."""
    price_error_24h: Fraction = Field(default=0.10, lt=1.0)
    """Mean absolute error of prices 24 h ahead, over the mean size of prices."""
    correlation_s: DurationS = Field(default=_DAY_S, ge=3_600.0, le=365 * _DAY_S)
    """Time in which the autocorrelation of the error falls to 1/e."""
    issued_every_s: DurationS = Field(default=3_600.0, ge=60.0, le=30 * _DAY_S)
    """A new forecast is made at multiples of this, and used until the next."""
    reach_s: DurationS = Field(default=4 * _DAY_S, ge=_DAY_S, le=60 * _DAY_S)
    """How far it looks; later its last day returns."""


class PersistenceForecastSpec(SpecModel):
    """Policies expect tomorrow to be as the last 24 hours were."""

    kind: Literal["persistence"] = "persistence"
    issued_every_s: DurationS = Field(default=3_600.0, ge=60.0, le=30 * _DAY_S)
    """A new forecast is made at multiples of this, and used until the next."""


ForecastSpec = Annotated[
    PerfectForecastSpec | NoisyForecastSpec | PersistenceForecastSpec, Field(discriminator="kind")
]


class GridSpec(SpecModel):
    """One meter."""

    start: Instant | None = None
    """Calendar time of t = 0, with its offset; None: 2023-01-01T00:00:00Z."""
    carbon: CarbonSpec = ConstantCarbonSpec()
    """Average carbon intensity of the grid where the energy is used: location-based carbon."""
    marginal_carbon: CarbonSpec | None = None
    """Intensity of the plants that would answer to a little more load; never part of a footprint."""
    lifecycle_carbon: CarbonSpec | None = None
    """Average intensity with construction, fuel supply and waste of the plants."""
    market: MarketSpec | None = None
    """What contracts make of it: market-based carbon; None: not reported."""
    steer_by: Literal["average", "marginal", "life_cycle"] = "average"
    """The intensity that policies see and shift by; accounts always use the average."""
    price: PriceSpec = ConstantPriceSpec()
    """Price of the energy bought."""
    demand_response: tuple[DemandResponseSpec, ...] = Field(default=(), max_length=10_000)
    """Windows in which less may be drawn."""
    export_price: PriceSpec | None = None
    """Price of energy fed into the grid; None: nothing is paid for it."""
    tariff: Annotated[TariffSpec | OpenEITariffSpec, Field(discriminator="kind")] | None = None
    """A utility's tariff, with demand and fixed charges, in place of `price` and `export_price`."""
    forecast: ForecastSpec = PerfectForecastSpec()
    """What policies know of carbon intensities and prices to come."""

    def file_paths(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield (path of the field below the grid, text) for each data file that it names, in a fixed order."""
        for name in ("carbon", "price", "marginal_carbon", "lifecycle_carbon", "export_price"):
            series = getattr(self, name)
            if isinstance(series, FileSeriesSpec):
                yield (name, "path"), series.path
        if self.market is not None and isinstance(self.market.residual_carbon, FileSeriesSpec):
            yield ("market", "residual_carbon", "path"), self.market.residual_carbon.path
        if isinstance(self.tariff, OpenEITariffSpec):
            yield ("tariff", "path"), self.tariff.path

    @field_validator("carbon", "marginal_carbon", "lifecycle_carbon")
    @classmethod
    def _carbon_unit(cls, carbon: CarbonSpec | None) -> CarbonSpec | None:
        _refuse_unit(carbon, Quantity.CARBON_INTENSITY)
        return carbon

    @field_validator("price", "export_price")
    @classmethod
    def _price_unit(cls, price: PriceSpec | None) -> PriceSpec | None:
        _refuse_unit(price, Quantity.ENERGY_PRICE)
        return price

    @field_validator("market")
    @classmethod
    def _residual_unit(cls, market: MarketSpec | None) -> MarketSpec | None:
        if market is not None:
            _refuse_unit(market.residual_carbon, Quantity.CARBON_INTENSITY, ("residual_carbon",))
        return market

    @model_validator(mode="after")
    def _consistent(self) -> GridSpec:
        issues = []
        if self.tariff is not None:
            for name, given in (
                ("price", self.price != ConstantPriceSpec()),
                ("export_price", self.export_price),
            ):
                if given:
                    hint = f"leave out `{name}`, or the tariff"
                    issues.append(
                        FieldIssue(f"a tariff beside a {name}", "one of them", hint, at=("tariff",))
                    )
        told = {"marginal": self.marginal_carbon, "life_cycle": self.lifecycle_carbon}
        if self.steer_by in told and told[self.steer_by] is None:
            field = f"{self.steer_by.replace('_', '')}_carbon"
            issues.append(FieldIssue(repr(self.steer_by), f"a series `{field}`", at=("steer_by",)))
        if issues:
            raise FieldError(*issues)
        return self


def export_price_issues(grid: GridSpec, onsite_price_usd_per_j: float) -> Iterator[FieldIssue]:
    """Yield the second of two prices for what is exported: `onsite.export_price_usd_per_j` beside one of the grid.

    A tariff sets it, too, if only to nothing.
    """
    for name, given in (("export_price", grid.export_price), ("tariff", grid.tariff)):
        if given is not None and onsite_price_usd_per_j:
            shown = format_quantity(onsite_price_usd_per_j, Quantity.ENERGY_PRICE)
            hint = f"leave out `onsite.export_price_usd_per_j`, or `grid.{name}`"
            at = ("onsite", "export_price_usd_per_j")
            yield FieldIssue(f"{shown} beside grid.{name}", "one price of what is exported", hint, at)


def _refuse_unit(
    series: CarbonSpec | PriceSpec | None, quantity: Quantity, at: tuple[str | int, ...] = ()
) -> None:
    """Raise `FieldError` where a file's unit is none of `quantity`."""
    if isinstance(series, FileSeriesSpec):
        try:
            parse_quantity(f"1 {series.unit}", quantity)
        except QuantityError as error:
            raise FieldError(
                FieldIssue(repr(series.unit), error.expected, error.hint, at=(*at, "unit"))
            ) from None
