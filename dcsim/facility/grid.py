"""The grid at the meter: carbon intensities and prices over the run, from constants, days, files or a tariff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem
from dcsim.facility.grid_units import refuse_absurd, unit_doubts
from dcsim.facility.series import StepSeries
from dcsim.facility.series_file import (
    DAY_S,
    HOUR_S,
    HourlyTable,
    place_on_calendar,
    raise_problems,
    read_hourly_csv,
    refuse_short,
)
from dcsim.facility.tariff import Tariff
from dcsim.facility.tariff_rates import build_rates
from dcsim.spec.grid import (
    CarbonSpec,
    ConstantCarbonSpec,
    ConstantPriceSpec,
    DailyCarbonSpec,
    FileSeriesSpec,
    GridSpec,
    MarketSpec,
    PriceSpec,
)
from dcsim.units import Quantity, parse_quantity

__all__ = ["DEFAULT_START", "Grid", "build_grid", "start_of"]

Floats = npt.NDArray[np.float64]

DEFAULT_START = datetime(2023, 1, 1, tzinfo=UTC)
"""Calendar time of t = 0 where the scenario names none."""

_BEYOND_REASON = 1e6
"""kg/J or USD/J, as for figures in a scenario."""
_TARIFF_S = 3653 * DAY_S
"""How far a tariff is laid out for a run without a horizon: ten years."""
_AHEAD_S = 100 * DAY_S
"""And beyond the end of a run, for those who plan ahead: a tariff is known."""


@dataclass(frozen=True)
class Grid:
    """One meter's carbon intensities (kg/J) and energy prices (USD/J), t = 0 at the scenario's start."""

    carbon: StepSeries
    """Average of the grid: location-based carbon."""
    price: StepSeries
    """Of the energy bought; under a tariff with tiers, that of the last tier."""
    notes: tuple[str, ...] = ()
    """Gaps filled, starts outside a file, implausible values: for the result's warnings."""
    marginal_carbon: StepSeries | None = None
    lifecycle_carbon: StepSeries | None = None
    market_carbon: StepSeries | None = None
    """What contracts make of it: market-based carbon."""
    export_price: StepSeries | None = None
    """Of energy fed in; None: nothing is paid."""
    tariff: Tariff | None = None
    """What the bill follows; None: `price` and `export_price` alone."""
    steer_by: Literal["average", "marginal", "life_cycle"] = "average"

    @property
    def steering(self) -> StepSeries:
        """The intensity that policies see."""
        told = {"marginal": self.marginal_carbon, "life_cycle": self.lifecycle_carbon}
        return told.get(self.steer_by) or self.carbon

    def breakpoints(self, from_s: float, to_s: float) -> Floats:
        """Return the times in [from_s, to_s] at which any of the series changes, ascending, each once."""
        series = (
            self.carbon,
            self.price,
            self.marginal_carbon,
            self.lifecycle_carbon,
            self.market_carbon,
            self.export_price,
        )
        times = [one.breakpoints(from_s, to_s) for one in series if one is not None]
        return reduce(np.union1d, times)


def start_of(spec: GridSpec) -> datetime:
    """Return the calendar time of t = 0, aware."""
    return spec.start or DEFAULT_START


def build_grid(spec: GridSpec, base_dir: Path, horizon_s: float | None = None) -> Grid:
    """Return the grid of a scenario; relative paths start at `base_dir`.

    Raises `SeriesError` for files that cannot be used, and for series that end before the run of
    `horizon_s` does (None: nobody knows when; asking beyond the end is then an error).
    """
    maker = _Maker(start_of(spec), base_dir, horizon_s, [])
    series = {
        name: maker.series(given, Quantity.CARBON_INTENSITY, f"grid.{name}")
        for name, given in (
            ("carbon", spec.carbon),
            ("marginal_carbon", spec.marginal_carbon),
            ("lifecycle_carbon", spec.lifecycle_carbon),
        )
        if given is not None
    }
    if spec.market is not None:
        series["market_carbon"] = _market(spec.market, series["carbon"], maker)
    tariff = None
    if spec.tariff is not None:
        rates = build_rates(spec.tariff, base_dir)
        maker.notes.extend(rates.notes_for(maker.start))
        tariff = Tariff(rates, maker.start, (horizon_s or _TARIFF_S) + _AHEAD_S)
        series |= {"price": tariff.price, "export_price": tariff.export_price}
    else:
        series["price"] = maker.series(spec.price, Quantity.ENERGY_PRICE, "grid.price")
        if spec.export_price is not None:
            series["export_price"] = maker.series(
                spec.export_price, Quantity.ENERGY_PRICE, "grid.export_price"
            )
    return Grid(**series, notes=tuple(maker.notes), tariff=tariff, steer_by=spec.steer_by)


def _market(spec: MarketSpec, average: StepSeries, maker: _Maker) -> StepSeries:
    """Return the market-based intensity: contracts for their part, the residual mix for the rest."""
    rest = average
    if spec.residual_carbon is not None:
        rest = maker.series(spec.residual_carbon, Quantity.CARBON_INTENSITY, "grid.market.residual_carbon")
    elif spec.contracted_fraction < 1.0:
        maker.notes.append("grid.market: no residual mix is given; the grid's average stands for it")
    part = spec.contracted_fraction
    value = part * spec.contracted_intensity_kg_per_j + (1.0 - part) * rest.value
    return StepSeries(rest.time_s, value, rest.repeat_s, rest.end_s, "grid.market")


@dataclass(frozen=True)
class _Maker:
    """Makes the series of one scenario, and notes what was assumed."""

    start: datetime
    base_dir: Path
    horizon_s: float | None
    notes: list[str]

    def series(self, spec: CarbonSpec | PriceSpec, quantity: Quantity, name: str) -> StepSeries:
        """Return one series of the grid, in SI, on the run's clock."""
        if isinstance(spec, ConstantCarbonSpec):
            made = StepSeries.constant(spec.intensity_kg_per_j, name)
        elif isinstance(spec, ConstantPriceSpec):
            made = StepSeries.constant(spec.price_usd_per_j, name)
        elif isinstance(spec, FileSeriesSpec):
            made = self._from_file(spec, quantity, name)
        else:
            values = spec.intensity_kg_per_j if isinstance(spec, DailyCarbonSpec) else spec.price_usd_per_j
            day = StepSeries(HOUR_S * np.arange(24.0), np.array(values, dtype=np.float64), DAY_S, name=name)
            moment = self.start.astimezone(UTC)
            midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
            made = day.rolled((moment - midnight).total_seconds())
        self.notes.extend(unit_doubts(made.value, quantity, name))
        return made

    def _from_file(self, spec: FileSeriesSpec, quantity: Quantity, name: str) -> StepSeries:
        """Read one column of a CSV file."""
        factor = parse_quantity(f"1 {spec.unit}", quantity)
        from dcsim.spec import resolve_data_path

        path = resolve_data_path(self.base_dir, spec.path)
        table = read_hourly_csv(
            path,
            spec.time_column,
            [spec.value_column],
            gaps=spec.gaps,
            step_s=spec.interval_s,
            time_zone=spec.time_zone,
            resolve_clock=spec.clock_changes == "resolve",
        )
        rows, notes = place_on_calendar(
            table, self.start, beyond_end=spec.beyond_end, name=f"{name} ({path.name})"
        )
        values = table.columns[spec.value_column] * factor
        _refuse_impossible(values, table, spec, path, quantity)
        refuse_absurd(values, spec.unit, quantity, path, spec.value_column)
        refuse_short(rows, path, name, self.start, self.horizon_s)
        self.notes.extend((*table.notes, *notes))
        return StepSeries(
            rows.time_s, values[rows.value.astype(np.int64)], rows.repeat_s, rows.end_s, rows.name
        )


def _refuse_impossible(
    values: Floats, table: HourlyTable, spec: FileSeriesSpec, path: Path, quantity: Quantity
) -> None:
    """Refuse negative intensities, and figures so large that sums of them overflow."""
    carbon = quantity is Quantity.CARBON_INTENSITY
    wrong = np.flatnonzero((np.abs(values) > _BEYOND_REASON) | (carbon & (values < 0.0)))
    expected = f"an intensity >= 0 {spec.unit}" if carbon else f"a price in {spec.unit}"
    raise_problems(
        [
            Problem(
                str(path),
                None,
                f"{spec.value_column!r} at {(table.start + timedelta(seconds=step * table.step_s)).isoformat()}",
                f"{table.columns[spec.value_column][step]:g}",
                expected,
            )
            for step in wrong.tolist()
        ]
    )
