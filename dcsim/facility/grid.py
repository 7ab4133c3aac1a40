"""The grid at the meter: carbon intensity and price over the run, from constants, days or files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem
from dcsim.facility.series import StepSeries
from dcsim.facility.series_file import (
    DAY_S,
    HOUR_S,
    HourlyTable,
    place_on_calendar,
    raise_problems,
    read_hourly_csv,
)
from dcsim.spec.grid import (
    CarbonSpec,
    ConstantCarbonSpec,
    ConstantPriceSpec,
    DailyCarbonSpec,
    FileSeriesSpec,
    GridSpec,
    PriceSpec,
)
from dcsim.units import Quantity, parse_quantity

__all__ = ["DEFAULT_START", "Grid", "build_grid", "start_of"]

Floats = npt.NDArray[np.float64]

DEFAULT_START = datetime(2023, 1, 1, tzinfo=UTC)
"""Calendar time of t = 0 where the scenario names none."""

_PLAUSIBLE_KG_PER_J = 1.5 / 3.6e6
"""1,500 g/kWh: above what any grid emits over an hour."""
_BEYOND_REASON = 1e6
"""kg/J or USD/J, as for figures in a scenario."""


@dataclass(frozen=True)
class Grid:
    """One meter's carbon intensity (kg/J) and energy price (USD/J), t = 0 at the scenario's start."""

    carbon: StepSeries
    price: StepSeries
    notes: tuple[str, ...] = ()
    """Gaps filled, starts outside a file, implausible values: for the result's warnings."""

    def breakpoints(self, from_s: float, to_s: float) -> Floats:
        """Return the times in [from_s, to_s] at which carbon or price changes, ascending, each once."""
        return np.union1d(self.carbon.breakpoints(from_s, to_s), self.price.breakpoints(from_s, to_s))


def start_of(spec: GridSpec) -> datetime:
    """Return the calendar time of t = 0, aware."""
    return spec.start or DEFAULT_START


def build_grid(spec: GridSpec, base_dir: Path) -> Grid:
    """Return the grid of a scenario; relative paths start at `base_dir`. Raises `SeriesError` for bad files."""
    start = start_of(spec)
    carbon, carbon_notes = _series(spec.carbon, start, base_dir, Quantity.CARBON_INTENSITY, "grid.carbon")
    price, price_notes = _series(spec.price, start, base_dir, Quantity.ENERGY_PRICE, "grid.price")
    notes = [*carbon_notes, *price_notes]
    highest = float(carbon.value.max())
    if highest > _PLAUSIBLE_KG_PER_J:
        notes.append(
            f"grid.carbon: {highest * 3.6e9:.0f} g/kWh is above any real grid; is the unit kg/MWh or lb/MWh?"
        )
    return Grid(carbon, price, tuple(notes))


def _series(
    spec: CarbonSpec | PriceSpec, start: datetime, base_dir: Path, quantity: Quantity, name: str
) -> tuple[StepSeries, tuple[str, ...]]:
    """Return one series of the grid, in SI, on the run's clock."""
    if isinstance(spec, ConstantCarbonSpec):
        return StepSeries.constant(spec.intensity_kg_per_j, name), ()
    if isinstance(spec, ConstantPriceSpec):
        return StepSeries.constant(spec.price_usd_per_j, name), ()
    if isinstance(spec, FileSeriesSpec):
        return _from_file(spec, start, base_dir, quantity, name)
    values = spec.intensity_kg_per_j if isinstance(spec, DailyCarbonSpec) else spec.price_usd_per_j
    day = StepSeries(HOUR_S * np.arange(24.0), np.array(values, dtype=np.float64), DAY_S, name=name)
    moment = start.astimezone(UTC)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return day.rolled((moment - midnight).total_seconds()), ()


def _from_file(
    spec: FileSeriesSpec, start: datetime, base_dir: Path, quantity: Quantity, name: str
) -> tuple[StepSeries, tuple[str, ...]]:
    """Read one column of a CSV file."""
    factor = parse_quantity(f"1 {spec.unit}", quantity)
    from dcsim.spec import resolve_data_path

    path = resolve_data_path(base_dir, spec.path)
    table = read_hourly_csv(path, spec.time_column, [spec.value_column], gaps=spec.gaps)
    rows, notes = place_on_calendar(table, start, beyond_end=spec.beyond_end, name=f"{name} ({path.name})")
    values = table.columns[spec.value_column] * factor
    _refuse_impossible(values, table, spec, path, quantity)
    placed = StepSeries(
        rows.time_s, values[rows.value.astype(np.int64)], rows.repeat_s, rows.end_s, rows.name
    )
    return placed, (*table.notes, *notes)


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
                f"{spec.value_column!r} at {(table.start + timedelta(hours=hour)).isoformat()}",
                f"{table.columns[spec.value_column][hour]:g}",
                expected,
            )
            for hour in wrong.tolist()
        ]
    )
