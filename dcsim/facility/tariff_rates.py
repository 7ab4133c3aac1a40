"""The rates of a tariff as tables: which price holds in which hour, and what demand costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.spec.tariff import EnergyRateSpec, OpenEITariffSpec, TariffSpec, WindowSpec, holds

__all__ = ["DemandCharge", "EnergyRate", "TariffRates", "Tiers", "build_rates", "window_table"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tiers:
    """Unit prices by amount: `prices[i]` holds above `bounds[i]`, up to the next bound.

    >>> Tiers((0.0, 10.0), (2.0, 3.0)).cost(np.array([4.0, 12.0])).tolist()
    [8.0, 26.0]
    """

    bounds: tuple[float, ...]
    """Ascending, the first 0."""
    prices: tuple[float, ...]

    def cost(self, amount: npt.ArrayLike) -> Floats:
        """Return what amounts (any shape, >= 0) cost: a sum over the tiers that they reach into."""
        amounts = np.asarray(amount, dtype=np.float64)
        if len(self.prices) == 1:
            return np.asarray(amounts * self.prices[0], dtype=np.float64)
        bounds = np.append(np.array(self.bounds), np.inf)
        parts = np.clip(amounts[..., None] - bounds[:-1], 0.0, np.diff(bounds))
        return np.asarray(parts @ np.array(self.prices), dtype=np.float64)

    def for_part(self, share: float) -> Tiers:
        """Return the tiers of a part of a month, [0, 1]: each begins at that part of its bound.

        >>> Tiers((0.0, 10.0), (2.0, 3.0)).for_part(0.5).bounds
        (0.0, 5.0)
        """
        return Tiers(tuple(bound * share for bound in self.bounds), self.prices)


@dataclass(frozen=True)
class EnergyRate:
    """What energy costs while a rate holds: USD/J by the J bought at that rate in a billing month."""

    name: str
    tiers: Tiers
    export_usd_per_j: float = 0.0


@dataclass(frozen=True)
class DemandCharge:
    """A charge on the highest mean power of a settlement interval, month by month: USD/W by W."""

    name: str
    hours: Bools
    """(2, 12, 24) whether it counts: on weekdays and weekends, by month, by hour."""
    tiers: Tiers
    ratchet_fraction: float = 0.0
    ratchet_months: int = 11


@dataclass(frozen=True)
class TariffRates:
    """A tariff, in SI, wherever it was written down."""

    name: str
    time_zone: str
    energy: tuple[EnergyRate, ...]
    energy_at: Ints
    """(2, 12, 24) index into `energy`: on weekdays and weekends, by month, by hour."""
    demand: tuple[DemandCharge, ...] = ()
    fixed_usd_per_month: float = 0.0
    holidays: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Days since 1970 that count as weekend days."""
    settlement_s: float = 900.0
    notes: tuple[str, ...] = ()
    """What of the tariff is left out."""
    valid_from: datetime | None = None
    valid_to: datetime | None = None

    def notes_for(self, start: datetime) -> tuple[str, ...]:
        """Return the notes of a run that starts at `start`: what is left out, and whether the tariff was in force."""
        found = list(self.notes)
        if self.valid_from is not None and start < self.valid_from:
            found.append(f"grid.tariff: {self.name} is in force only from {self.valid_from.date()}")
        if self.valid_to is not None and start > self.valid_to:
            found.append(f"grid.tariff: {self.name} was in force until {self.valid_to.date()}")
        return tuple(found)


def build_rates(spec: TariffSpec | OpenEITariffSpec, base_dir: Path) -> TariffRates:
    """Return the rates that a scenario tells or names; relative paths start at `base_dir`.

    Raises `SeriesError` for a file that cannot be used.
    """
    holidays = np.array([_days(date.fromisoformat(str(day))) for day in spec.holidays], dtype=np.int64)
    if isinstance(spec, OpenEITariffSpec):
        from dcsim.facility.tariff_file import read_openei
        from dcsim.spec import resolve_data_path

        path = resolve_data_path(base_dir, spec.path)
        return read_openei(path, spec.time_zone, label=spec.label, holidays=holidays)
    return TariffRates(
        name="grid.tariff",
        time_zone=spec.time_zone,
        energy=tuple(_energy(rate) for rate in spec.energy),
        energy_at=_first_that_holds(spec.energy),
        demand=tuple(
            DemandCharge(
                rate.name,
                window_table(rate),
                Tiers((0.0,), (rate.price_usd_per_w,)),
                rate.ratchet_fraction,
                rate.ratchet_months,
            )
            for rate in spec.demand
        ),
        fixed_usd_per_month=spec.fixed_usd_per_month,
        holidays=holidays,
        settlement_s=spec.settlement_s,
    )


def window_table(window: WindowSpec) -> Bools:
    """Return (2, 12, 24) whether a window holds: on weekdays and weekends, by month, by hour."""
    return np.array(
        [
            [[holds(window, month, hour, weekend=weekend) for hour in range(24)] for month in range(1, 13)]
            for weekend in (False, True)
        ]
    )


def _first_that_holds(rates: tuple[EnergyRateSpec, ...]) -> Ints:
    """Return (2, 12, 24) which rate holds; the spec made sure that one does."""
    tables = np.array([window_table(rate) for rate in rates])
    return np.asarray(np.argmax(tables, axis=0), dtype=np.int64)


def _energy(rate: EnergyRateSpec) -> EnergyRate:
    bounds = (0.0, *(tier.above_j for tier in rate.tiers))
    prices = (rate.price_usd_per_j, *(tier.price_usd_per_j for tier in rate.tiers))
    return EnergyRate(rate.name, Tiers(bounds, prices), rate.export_price_usd_per_j)


def _days(day: date) -> int:
    """Return days since 1970."""
    return (datetime(day.year, day.month, day.day, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
