"""What a scenario says of a utility's tariff: time-of-use prices, demand charges, fixed charges."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import DurationS, EnergyJ, Fraction, Name, Number, PriceUsdPerJ
from dcsim.spec.time_zone import TimeZone

__all__ = [
    "DemandRateSpec",
    "EnergyRateSpec",
    "EnergyTierSpec",
    "OpenEITariffSpec",
    "TariffSpec",
    "WindowSpec",
    "holds",
]

_MOST_USD_PER_W = 1.0
_PER_W = {"W": 1.0, "kW": 1e-3, "MW": 1e-6}
_DEMAND_PRICE = re.compile(r"\s*([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(?:USD|\$)/(W|kW|MW)\s*")


def _demand_price(value: object) -> float:
    """Return a price of demand in USD/W, from a number or text such as "18.5 USD/kW"."""
    expected = "a price of demand (USD/kW), or a number in USD/W, >= 0"
    number: float | None = None
    if isinstance(value, str):
        match = _DEMAND_PRICE.fullmatch(value)
        if match is not None and match.group(1).count(".") <= 1 and match.group(1) != ".":
            number = float(match.group(1)) * _PER_W[match.group(2)]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    if number is None or not 0.0 <= number < float("inf"):
        raise FieldError(FieldIssue(repr(value)[:100], expected))
    if number > _MOST_USD_PER_W:
        hint = "USD/kW meant? A plain number is in USD/W"
        raise FieldError(FieldIssue(repr(value)[:100], "at most 1,000 USD/kW", hint))
    return number


DemandPriceUsdPerW = Annotated[
    float,
    BeforeValidator(_demand_price),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "description": "price of demand in USD/W and billing month"},
                {
                    "type": "string",
                    "description": "a number with USD/W, USD/kW or USD/MW",
                    "examples": ["18.5 USD/kW"],
                },
            ]
        }
    ),
]


def _day(value: object) -> str:
    """Return a date as ISO 8601 text."""
    try:
        return (value if isinstance(value, date) else date.fromisoformat(str(value))).isoformat()
    except ValueError:
        raise FieldError(FieldIssue(repr(value)[:100], "a date such as 2023-07-04")) from None


Month = Annotated[int, Field(ge=1, le=12, strict=True)]
Hour = Annotated[int, Field(ge=0, le=24, strict=True)]


def _distinct(months: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(months)) < len(months):
        raise FieldError(FieldIssue(", ".join(map(str, months)), "each month once"))
    return months


class WindowSpec(SpecModel):
    """Hours of the local clock to which a rate applies."""

    months: Annotated[tuple[Month, ...], AfterValidator(_distinct)] = Field(default=(), max_length=12)
    """1 to 12; empty: all."""
    days: Literal["all", "weekdays", "weekends"] = "all"
    """Monday to Friday are weekdays, but for holidays, which count as weekends."""
    from_hour: Hour = 0
    """Of the local clock."""
    to_hour: Hour = 24
    """Not included; before `from_hour` the window goes over midnight: 22 to 6."""

    @field_validator("to_hour")
    @classmethod
    def _some_hours(cls, to_hour: int, info: object) -> int:
        if to_hour == getattr(info, "data", {}).get("from_hour"):
            raise FieldError(FieldIssue(f"{to_hour}, as from_hour", "another hour: the window is empty"))
        return to_hour


class EnergyTierSpec(SpecModel):
    """A price that begins once enough was used in a billing month."""

    above_j: EnergyJ = Field(gt=0)
    """Energy bought at this rate in a whole month before the tier begins; a part of a month has that part of it."""
    price_usd_per_j: PriceUsdPerJ
    """Of the energy above."""


class EnergyRateSpec(WindowSpec):
    """A price of energy and when it holds."""

    name: Name
    """For messages and the bill."""
    price_usd_per_j: PriceUsdPerJ
    """Of the energy bought, of its first tier where there are more."""
    tiers: tuple[EnergyTierSpec, ...] = Field(default=(), max_length=20)
    """Later tiers, ascending."""
    export_price_usd_per_j: PriceUsdPerJ = 0.0
    """Credit for energy fed into the grid."""

    @field_validator("tiers")
    @classmethod
    def _ascending(cls, tiers: tuple[EnergyTierSpec, ...]) -> tuple[EnergyTierSpec, ...]:
        for place in range(1, len(tiers)):
            if tiers[place].above_j <= tiers[place - 1].above_j:
                raise FieldError(
                    FieldIssue(
                        f"{tiers[place].above_j:g} J", "more than the tier before", at=(place, "above_j")
                    )
                )
        return tiers


class DemandRateSpec(WindowSpec):
    """A charge for the highest mean power of a settlement interval in each billing month."""

    name: Name
    """For messages and the bill."""
    price_usd_per_w: DemandPriceUsdPerW
    """A month; a plain number is in USD/W: write "18.5 USD/kW"."""
    ratchet_fraction: Fraction = 0.0
    """A month is billed for at least this part of the highest demand of the months before."""
    ratchet_months: int = Field(default=11, ge=1, le=60, strict=True)
    """How many months before."""


class TariffSpec(SpecModel):
    """A tariff told in the scenario; at each time the first energy rate that fits holds, and every demand rate."""

    kind: Literal["time_of_use"] = "time_of_use"
    time_zone: TimeZone
    """Whose clock the hours and billing months follow."""
    energy: tuple[EnergyRateSpec, ...] = Field(min_length=1, max_length=100)
    """The last must hold at all times, or the others together."""
    demand: tuple[DemandRateSpec, ...] = Field(default=(), max_length=30)
    """Each applies by itself: one for any time and one for the peak hours add up."""
    fixed_usd_per_month: Number = Field(default=0.0, ge=0, le=1e9)
    """Whatever is used."""
    holidays: tuple[Annotated[str, BeforeValidator(_day)], ...] = Field(default=(), max_length=1_000)
    """Dates that count as weekend days."""
    settlement_s: DurationS = Field(default=900.0, ge=60.0, le=3_600.0)
    """Interval over which demand is a mean; an hour of the local clock is a whole number of them."""

    @field_validator("energy")
    @classmethod
    def _covers(cls, energy: tuple[EnergyRateSpec, ...]) -> tuple[EnergyRateSpec, ...]:
        for weekend in (False, True):
            for month in range(1, 13):
                for hour in range(24):
                    if not any(holds(rate, month, hour, weekend=weekend) for rate in energy):
                        day = "weekends" if weekend else "weekdays"
                        got = f"no rate at {hour}:00 on {day} of month {month}"
                        hint = "end with a rate without months, days and hours"
                        raise FieldError(FieldIssue(got, "a rate for every hour", hint))
        return energy

    @field_validator("settlement_s")
    @classmethod
    def _part_of_an_hour(cls, settlement_s: float) -> float:
        if 3_600.0 % settlement_s:
            raise FieldError(FieldIssue(f"{settlement_s:g} s", "a length of which an hour is a whole number"))
        return settlement_s


class OpenEITariffSpec(SpecModel):
    """A rate of the U.S. Utility Rate Database, as OpenEI's interface returns it (JSON)."""

    kind: Literal["openei"] = "openei"
    path: str = Field(min_length=1, max_length=1_000)
    """Relative to the scenario file, inside its folder or below a --data folder."""
    time_zone: TimeZone
    """Of the utility: the file does not say."""
    label: str = Field(default="", max_length=100)
    """Of the rate, where the file holds more than one."""
    holidays: tuple[Annotated[str, BeforeValidator(_day)], ...] = Field(default=(), max_length=1_000)
    """Dates that count as weekend days; the file has none."""


def holds(window: WindowSpec, month: int, hour: int, *, weekend: bool) -> bool:
    """Return whether a window holds in the hour `hour` (0..23) of a day of `month` (1..12).

    >>> holds(WindowSpec(from_hour=22, to_hour=6), 1, 5, weekend=False)
    True
    """
    if window.months and month not in window.months:
        return False
    if window.days != "all" and (window.days == "weekends") != weekend:
        return False
    begin, end = window.from_hour, window.to_hour
    return begin <= hour < end if begin < end else hour >= begin or hour < end
