"""Weather outside: constant, a named site's climate, or a file; dry bulb, humidity, pressure, wet bulb."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, SeriesError
from dcsim.facility.cooling_plant import Outdoors
from dcsim.facility.psychrometrics import humidity_ratio_of_vapour, saturation_pressure_pa
from dcsim.facility.series import StepSeries
from dcsim.facility.series_file import YEAR_S, HourlyTable, place_on_calendar, refuse_short, year_offset_s
from dcsim.facility.sites import SITES, Site, site_climate
from dcsim.facility.weather_file import read_weather_file
from dcsim.spec.cooling import ConstantWeatherSpec, FileWeatherSpec, SiteWeatherSpec, WeatherSpec
from dcsim.units import format_duration

__all__ = ["SITES", "Site", "WeatherSample", "WeatherSeries", "build_weather", "wet_bulb_deg_c"]

Floats = npt.NDArray[np.float64]

_RANGES = (
    # Extremes of air temperature recorded by the WMO: -89.2 and 56.7 degC.
    ("dry_bulb_deg_c", (-90.0, 60.0), " degC", "is it in degF or K?"),
    ("relative_humidity", (0.0, 1.0), "", "is it in percent?"),
    ("pressure_pa", (3e4, 1.1e5), " Pa", "is it in hPa?"),
)


@lru_cache(maxsize=1 << 16)
def _wet_bulb(dry_bulb_deg_c: float, relative_humidity: float, pressure_pa: float) -> float:
    import psychrolib

    psychrolib.SetUnitSystem(psychrolib.SI)
    return float(psychrolib.GetTWetBulbFromRelHum(dry_bulb_deg_c, relative_humidity, pressure_pa))


def wet_bulb_deg_c(
    dry_bulb_deg_c: npt.ArrayLike, relative_humidity: npt.ArrayLike, pressure_pa: npt.ArrayLike
) -> Floats:
    """Return thermodynamic wet-bulb temperature, degC, elementwise, to 0.001 K; at most the dry bulb.

    Dry bulb -100..200 degC, relative humidity 0..1, pressure in Pa; PsychroLib, which solves
    equations 33 and 35 of ASHRAE Handbook, Fundamentals 2017, chapter 1, by bisection.

    >>> round(float(wet_bulb_deg_c(35.0, 0.4, 101_325.0)), 2)
    23.93
    """
    arrays = np.broadcast_arrays(
        np.asarray(dry_bulb_deg_c, np.float64),
        np.asarray(relative_humidity, np.float64),
        np.asarray(pressure_pa, np.float64),
    )
    rows = zip(*(array.ravel().tolist() for array in arrays), strict=True)
    values = np.array([_wet_bulb(*row) for row in rows], dtype=np.float64).reshape(arrays[0].shape)
    return np.asarray(np.minimum(values, arrays[0]), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class WeatherSample:
    """Weather at some times; arrays of their shape."""

    dry_bulb_deg_c: Floats
    wet_bulb_deg_c: Floats
    relative_humidity: Floats


@dataclass(frozen=True)
class WeatherSeries:
    """Weather over [0, inf), constant within an hour; wet bulbs are computed when first asked for."""

    rows: StepSeries
    """Row of the arrays below that holds at each time."""
    row_dry_bulb_deg_c: Floats
    """(H,)."""
    row_relative_humidity: Floats
    """(H,), 0..1."""
    row_pressure_pa: Floats
    """(H,)."""
    notes: tuple[str, ...] = ()

    @cached_property
    def _wet_bulbs(self) -> Floats:
        """(H,) memo, NaN until computed."""
        return np.full(len(self.row_dry_bulb_deg_c), np.nan)

    def at(self, times_s: npt.ArrayLike) -> WeatherSample:
        """Return the weather at each time, s >= 0."""
        rows = self.rows.at(times_s).astype(np.int64)
        wanted = np.unique(rows)
        fresh = wanted[np.isnan(self._wet_bulbs[wanted])]
        self._wet_bulbs[fresh] = wet_bulb_deg_c(
            self.row_dry_bulb_deg_c[fresh], self.row_relative_humidity[fresh], self.row_pressure_pa[fresh]
        )
        return WeatherSample(
            self.row_dry_bulb_deg_c[rows], self._wet_bulbs[rows], self.row_relative_humidity[rows]
        )

    def outdoors(self, times_s: npt.ArrayLike) -> Outdoors:
        """Return the weather at each time, s >= 0, as cooling plants see it."""
        rows = self.rows.at(times_s).astype(np.int64)
        sample = self.at(times_s)
        return Outdoors(
            sample.dry_bulb_deg_c,
            sample.wet_bulb_deg_c,
            self._humidity_ratios[rows],
            self.row_pressure_pa[rows],
        )

    @cached_property
    def _humidity_ratios(self) -> Floats:
        """(H,) kg/kg."""
        vapour_pa = self.row_relative_humidity * saturation_pressure_pa(self.row_dry_bulb_deg_c)
        return humidity_ratio_of_vapour(vapour_pa, self.row_pressure_pa)

    def breakpoints(self, from_s: float, to_s: float) -> Floats:
        """Return the times in [from_s, to_s] at which the weather changes, ascending."""
        return self.rows.breakpoints(from_s, to_s)

    @property
    def time_s(self) -> Floats:
        """(K,) times at which a new hour begins, first 0, over one period."""
        return self.rows.time_s

    @property
    def dry_bulb_deg_c(self) -> Floats:
        """(K,) outdoor air temperature from each of `time_s` on."""
        return self.at(self.time_s).dry_bulb_deg_c

    @property
    def wet_bulb_deg_c(self) -> Floats:
        """(K,) wet bulb; computes all that are still missing (about 40 us each)."""
        return self.at(self.time_s).wet_bulb_deg_c

    @property
    def relative_humidity(self) -> Floats:
        """(K,), 0..1."""
        return self.at(self.time_s).relative_humidity

    @property
    def pressure_pa(self) -> Floats:
        """(K,)."""
        return np.asarray(self.row_pressure_pa[self.rows.at(self.time_s).astype(np.int64)], dtype=np.float64)


def build_weather(
    spec: WeatherSpec, start: datetime, base_dir: Path, horizon_s: float | None = None
) -> WeatherSeries:
    """Return the weather of a scenario with t = 0 at `start` (aware).

    Raises `SeriesError` for a file that cannot be used, and for one that ends before the run of `horizon_s` does and
    does not repeat (None: nobody knows when; asking beyond the end is then an error).
    """
    if isinstance(spec, ConstantWeatherSpec):
        one = StepSeries.constant(0.0, "weather")
        return WeatherSeries(
            one,
            np.array([spec.dry_bulb_deg_c]),
            np.array([spec.relative_humidity]),
            np.array([spec.pressure_pa]),
        )
    if isinstance(spec, SiteWeatherSpec):
        return _site_weather(spec, start)
    return _file_weather(spec, start, base_dir, horizon_s)


def _site_weather(spec: SiteWeatherSpec, start: datetime) -> WeatherSeries:
    if spec.site not in SITES:
        got, expected = repr(spec.site), f"one of {', '.join(sorted(SITES))}"
        raise SeriesError([Problem("scenario", None, "weather.site", got, expected)])
    climate = site_climate(spec.site)
    hours = np.arange(len(climate.dry_bulb_deg_c), dtype=np.float64)
    rows = StepSeries(hours * 3600.0, hours, YEAR_S, name=f"weather ({spec.site})").rolled(
        year_offset_s(start)
    )
    return WeatherSeries(rows, climate.dry_bulb_deg_c, climate.relative_humidity, climate.pressure_pa)


def _file_weather(
    spec: FileWeatherSpec, start: datetime, base_dir: Path, horizon_s: float | None
) -> WeatherSeries:
    from dcsim.spec import resolve_data_path

    path = resolve_data_path(base_dir, spec.path)
    table, any_year = read_weather_file(path, gaps=spec.gaps)
    name = f"weather ({path.name})"
    rows, notes = place_on_calendar(
        table, start.astimezone(UTC), beyond_end=spec.beyond_end, name=name, any_year=any_year
    )
    _refuse_implausible(path, table)
    refuse_short(rows, path, "weather", start, horizon_s)
    notes = (*notes, *_seasons_missing(rows.repeat_s, name, horizon_s))
    columns = table.columns
    return WeatherSeries(
        rows,
        columns["dry_bulb_deg_c"],
        columns["relative_humidity"],
        columns["pressure_pa"],
        (*table.notes, *notes),
    )


def _seasons_missing(repeat_s: float | None, name: str, horizon_s: float | None) -> Iterator[str]:
    """Yield a note where less than a year of weather is read more than once; without a horizon it may be."""
    if repeat_s is not None and repeat_s < YEAR_S and (horizon_s is None or horizon_s > repeat_s):
        yield f"{name}: the file's {format_duration(repeat_s)} repeat, without the seasons of a year"


def _refuse_implausible(path: Path, table: HourlyTable) -> None:
    """Raise `SeriesError` with the first hours of each column that no weather on Earth has."""
    problems = []
    for column, (least, most), unit, hint in _RANGES:
        values = table.columns[column]
        for hour in np.flatnonzero(~((values >= least) & (values <= most)))[:5].tolist():
            where, expected = f"{column} at hour {hour} of the file", f"{least:g}..{most:g}{unit}"
            problems.append(Problem(str(path), None, where, f"{values[hour]:g}", expected, hint))
    if problems:
        raise SeriesError(problems)
