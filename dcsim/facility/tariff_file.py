"""Rates of the U.S. Utility Rate Database (OpenEI, JSON), read strictly: what is not understood is refused or noted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem
from dcsim.facility.series_file import raise_problems, read_text
from dcsim.facility.tariff_rates import DemandCharge, EnergyRate, TariffRates, Tiers

__all__ = ["read_openei"]

Ints = npt.NDArray[np.int64]
_J_PER_KWH = 3.6e6
_W_PER_KW = 1e3
_DAYS_A_MONTH = 365.25 / 12.0
_FIXED: Mapping[str, float] = MappingProxyType(
    {"$/month": 1.0, "$/day": _DAYS_A_MONTH, "$/year": 1.0 / 12.0, "": 1.0}
)
_MOST_FIXED_USD = 1e9
_PRICES: Mapping[float, tuple[float, float, float, float, str, str]] = MappingProxyType(
    {
        _J_PER_KWH: (5e-5, 1e-3, 2.0, 40.0, "USD/kWh", "are these cents, or USD/MWh?"),
        _W_PER_KW: (1e-3, 0.02, 200.0, 1e3, "USD/kW", "are these cents, or USD/MW?"),
    }
)
"""By unit: least at all, usual range, most at all; as for tariffs told in a scenario."""
_LEFT_OUT = (
    "mincharge",
    "minmonthlycharge",
    "annualmincharge",
    "coincidentratestructure",
    "demandreactivepowercharge",
    "fueladjustmentsmonthly",
    "energyattrs",
    "demandattrs",
    "fixedattrs",
    "fixedchargeeaaddl",
)
"""Fields that change a bill and are not followed; the notes name those that a rate has."""


def read_openei(path: Path, time_zone: str, *, label: str = "", holidays: Ints | None = None) -> TariffRates:
    """Return one rate of a file as OpenEI's interface returns it: one rate, a list, or {"items": [...]}.

    Raises `SeriesError` with every problem found: no or several rates (choose by `label`), schedules
    that are not 12 by 24 or name a period that is not there, units other than kWh and kW or kVA.
    """
    rate = _chosen(path, label)
    reader = _Reader(path, rate)
    energy_tables = [reader.schedule(f"energy{day}schedule") for day in ("weekday", "weekend")]
    energy = reader.energy()
    demand = [*reader.flat_demand(), *reader.timed_demand()]
    fixed = reader.fixed()
    settlement_s = 60.0 * (reader.number("demandwindow") or 15.0)
    if energy:
        reader.periods(energy_tables, len(energy), "energyratestructure")
    if 3600.0 % settlement_s:
        reader.refuse("demandwindow", f"{settlement_s / 60.0:g} min", "a part of an hour")
    raise_problems(reader.problems)
    left_out = [name for name in _LEFT_OUT if rate.get(name)]
    if left_out:
        reader.notes.append(f"grid.tariff: {path.name}: left out: {', '.join(left_out)}")
    return TariffRates(
        name=str(rate.get("name", path.name)),
        time_zone=time_zone,
        energy=tuple(energy),
        energy_at=np.array(energy_tables, dtype=np.int64),
        demand=tuple(demand),
        fixed_usd_per_month=fixed,
        holidays=np.empty(0, dtype=np.int64) if holidays is None else holidays,
        settlement_s=settlement_s,
        notes=tuple(reader.notes),
        valid_from=_moment(rate.get("startdate")),
        valid_to=_moment(rate.get("enddate")),
    )


def _chosen(path: Path, label: str) -> Mapping[str, Any]:
    """Return the rate of a file that has the label, or its only one."""
    try:
        document = json.loads(read_text(path, what="a rate of OpenEI"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise_problems([Problem(str(path), getattr(error, "lineno", None), "", str(error), "JSON")])
    items = document.get("items", [document]) if isinstance(document, dict) else document
    rates = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    wanted = [rate for rate in rates if label in {"", rate.get("label")}]
    if len(wanted) != 1:
        labels = ", ".join(str(rate.get("label")) for rate in rates[:20])
        got = f"{len(wanted)} rates" + (f" with label {label!r}" if label else "")
        hint = f"choose by label: {labels}" if rates else ""
        raise_problems([Problem(str(path), None, "items", got, "one rate", hint)])
    return wanted[0]


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _moment(seconds: object) -> datetime | None:
    """Return a date of the file, seconds since 1970."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not abs(seconds) < 1e10:
        return None
    return datetime.fromtimestamp(seconds, UTC)


@dataclass
class _Reader:
    """Reads the fields of one rate, and notes what is wrong with them."""

    path: Path
    rate: Mapping[str, Any]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self, name: str, got: str, expected: str, hint: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(str(self.path), None, name, got[:200], expected, hint))

    def number(self, name: str) -> float:
        """Return a field that is a number >= 0; 0 where it is absent."""
        value = self.rate.get(name)
        if value in {None, ""} if not isinstance(value, list | dict) else False:
            return 0.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < math.inf:
            self.refuse(name, repr(value), "a number >= 0")
            return 0.0
        return float(value)

    def schedule(self, name: str) -> list[list[int]]:
        """Return (12, 24) periods by month and hour."""
        table: Any = self.rate.get(name)
        if not _is_schedule(table):
            self.refuse(name, _shape(table), "12 months of 24 hours, each the number of a period")
            return [[0] * 24] * 12
        return [list(month) for month in table]

    def periods(self, tables: Iterable[Sequence[Sequence[int]]], count: int, name: str) -> None:
        """Refuse schedules that name periods which a structure does not have."""
        highest = max(hour for table in tables for month in table for hour in month)
        if highest >= count:
            self.refuse(name, f"{count} periods", f"at least {highest + 1}, as the schedules say")

    def tiers(self, name: str, place: int, period: object, unit: float, usual: set[str]) -> Tiers:
        """Return the tiers of one period, each {"rate", "adj", "max", "unit"}, in SI."""
        bounds, prices = [0.0], []
        listed = period if isinstance(period, list) else []
        if not listed:
            self.refuse(f"{name}.{place}", _shape(period), "a list of at least one tier")
        for i, tier in enumerate(listed):
            at = f"{name}.{place}.{i}"
            if not isinstance(tier, dict):
                self.refuse(at, repr(tier), "a tier: an object with a rate")
                continue
            if tier.get("rate", 0.0) is None:
                self.refuse(f"{at}.rate", "null", "a number", "0 if it is free")
            price = self._part(at, tier, "rate") + self._part(at, tier, "adj")
            self._look_at(at, price, unit)
            prices.append(price / unit)
            if str(tier.get("unit", "")).lower() not in usual:
                expected = f"one of {', '.join(sorted(word for word in usual if word))}"
                self.refuse(f"{at}.unit", repr(tier.get("unit")), expected, "such rates cannot be used")
            most = tier.get("max")
            if i < len(listed) - 1:
                if (
                    not isinstance(most, int | float)
                    or isinstance(most, bool)
                    or not most * unit > bounds[-1]
                ):
                    self.refuse(f"{at}.max", repr(most), "a number above that of the tier before")
                    most = bounds[-1] / unit + 1.0
                bounds.append(float(most) * unit)
        return Tiers(tuple(bounds[: len(prices)]) or (0.0,), tuple(prices) or (0.0,))

    def _part(self, at: str, tier: Mapping[str, Any], name: str) -> float:
        value = tier.get(name, 0.0)
        value = 0.0 if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.refuse(f"{at}.{name}", repr(value), "a number")
            return 0.0
        return float(value)

    def _look_at(self, at: str, price: float, unit: float) -> None:
        """Refuse a price a kWh or kW that nobody asks, and note one that is unlikely."""
        least, low, high, most, shown, hint = _PRICES[unit]
        size = abs(price)
        if size > most or 0.0 < size < least:
            self.refuse(at, f"{price:g} {shown}", f"{low:g} to {high:g} {shown}", hint)
        elif size > high or 0.0 < size < low:
            unusual = f"{price:g} {shown} is unusual (usually {low:g} to {high:g}); {hint}"
            self.notes.append(f"grid.tariff: {self.path.name}: {at}: {unusual}")

    def energy(self) -> list[EnergyRate]:
        """Return what energy costs in each period."""
        name = "energyratestructure"
        found = []
        for place, period in enumerate(self._periods_of(name, needed=True)):
            tiers = self.tiers(name, place, period, _J_PER_KWH, {"", "kwh"})
            first = period[0] if isinstance(period, list) and period and isinstance(period[0], dict) else {}
            sell = self._part(f"{name}.{place}.0", first, "sell")
            self._look_at(f"{name}.{place}.0.sell", sell, _J_PER_KWH)
            found.append(EnergyRate(f"period {place}", tiers, sell / _J_PER_KWH))
        return found

    def flat_demand(self) -> list[DemandCharge]:
        """Return the charges on the highest demand at any time, one a period of months."""
        name = "flatdemandstructure"
        periods = self._periods_of(name)
        if not periods:
            return []
        self._demand_unit("flatdemandunit")
        months = self.rate.get("flatdemandmonths")
        if not (isinstance(months, list) and len(months) == 12 and all(_is_period(m) for m in months)):
            self.refuse("flatdemandmonths", _shape(months), "12 months, each the number of a period")
            return []
        self.periods([[months]], len(periods), name)
        of_month = np.repeat(np.array(months)[:, None], 24, axis=1)
        return self._charges(name, "demand", periods, np.array([of_month, of_month]))

    def timed_demand(self) -> list[DemandCharge]:
        """Return the charges on the highest demand in hours of the day, one a period of the schedules."""
        name = "demandratestructure"
        periods = self._periods_of(name)
        if not periods:
            return []
        self._demand_unit("demandrateunit")
        tables = [self.schedule(f"demand{day}schedule") for day in ("weekday", "weekend")]
        self.periods(tables, len(periods), name)
        return self._charges(name, "demand of period", periods, np.array(tables))

    def _charges(self, name: str, called: str, periods: Sequence[object], table: Ints) -> list[DemandCharge]:
        """Return a charge for each period that costs something and comes in the table (2, 12, 24)."""
        fraction, months = self._ratchet()
        found = []
        for place, period in enumerate(periods):
            tiers = self.tiers(name, place, period, _W_PER_KW, {"", "kw", "kva"})
            if any(tiers.prices) and np.any(table == place):
                found.append(DemandCharge(f"{called} {place}", table == place, tiers, fraction, months))
        return found

    def _ratchet(self) -> tuple[float, int]:
        """Return the part of the highest demand of how many months before that is billed at least."""
        fraction = self.number("lookbackPercent")
        fraction = fraction / 100.0 if fraction > 1.0 else fraction
        if fraction > 1.0:
            self.refuse("lookbackPercent", f"{self.rate['lookbackPercent']}", "at most 100 %")
        return fraction, int(self.number("lookbackRange")) or 11

    def _demand_unit(self, name: str) -> None:
        """Refuse demand that is not billed by kW and month; note kVA."""
        unit = str(self.rate.get(name) or "kW")
        if unit.lower() not in {"kw", "kva"}:
            self.refuse(name, repr(unit), "kW or kVA, a month", "such charges cannot be used")
        elif unit.lower() == "kva":
            self.notes.append(f"grid.tariff: {self.path.name}: kVA are read as kW: a power factor of 1")

    def _periods_of(self, name: str, *, needed: bool = False) -> list[object]:
        """Return the periods of a structure."""
        periods = self.rate.get(name) or []
        if not isinstance(periods, list) or (needed and not periods):
            self.refuse(name, _shape(periods), "a list of periods, each a list of tiers")
            return []
        return periods

    def fixed(self) -> float:
        """Return the fixed charge, USD a month."""
        unit = str(self.rate.get("fixedchargeunits") or "")
        if unit not in _FIXED:
            self.refuse("fixedchargeunits", repr(unit), f"one of {', '.join(filter(None, _FIXED))}")
        old = self.number("fixedmonthlycharge")  # as the field was called in older versions
        charge = self.number("fixedchargefirstmeter") * _FIXED.get(unit, 1.0) + old
        if charge > _MOST_FIXED_USD:
            expected = f"at most {_MOST_FIXED_USD:g} USD a month"
            self.refuse("fixedchargefirstmeter", f"{charge:g} USD a month", expected)
        return charge


def _is_period(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_schedule(table: object) -> bool:
    return (
        isinstance(table, list)
        and len(table) == 12
        and all(
            isinstance(month, list) and len(month) == 24 and all(map(_is_period, month)) for month in table
        )
    )


def _shape(value: object) -> str:
    """Return in words what there is instead of a table."""
    if value is None:
        return "nothing"
    if isinstance(value, list):
        inner = {len(row) for row in value if isinstance(row, list)}
        return f"a list of {len(value)}" + (f", each of {sorted(inner)}" if inner else "")
    return repr(value)
