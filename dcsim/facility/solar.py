"""Solar panels: AC power over the year by PVWatts, from a weather file's irradiance or a clear sky made hazy."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, SeriesError
from dcsim.facility.series import StepSeries
from dcsim.facility.series_file import (
    YEAR_S,
    HourlyTable,
    place_on_calendar,
    read_text,
    year_offset_s,
)
from dcsim.facility.sites import site_climate
from dcsim.spec.cooling import FileWeatherSpec, SiteWeatherSpec, WeatherSpec
from dcsim.spec.onsite import SolarSpec

__all__ = ["SOLAR_SITES", "SolarSite", "build_solar", "solar_power_w"]

Floats = npt.NDArray[np.float64]

_HOURS = 8760
_EPW_HEADER_LINES = 8
_WIND_M_PER_S = 1.0
"""At the panels, where the weather tells none."""
_FIRST_HOUR = datetime(2001, 1, 1, tzinfo=UTC)
"""Of a year that stands for any."""


@dataclass(frozen=True, slots=True)
class SolarSite:
    """Where a weather site lies, and how much sun it has."""

    latitude_deg: float
    longitude_deg: float
    yearly_kwh_per_m2: float
    """Global horizontal irradiation of a mean year, rounded to 50."""


SOLAR_SITES: Mapping[str, SolarSite] = MappingProxyType(
    {
        "ashburn": SolarSite(39.0, -77.5, 1_500.0),
        "chicago": SolarSite(42.0, -87.9, 1_400.0),
        "dallas": SolarSite(32.9, -97.0, 1_750.0),
        "dublin": SolarSite(53.4, -6.2, 950.0),
        "frankfurt": SolarSite(50.0, 8.6, 1_100.0),
        "lulea": SolarSite(65.5, 22.1, 900.0),
        "phoenix": SolarSite(33.4, -112.0, 2_100.0),
        "santa-clara": SolarSite(37.4, -121.9, 1_850.0),
        "singapore": SolarSite(1.4, 104.0, 1_600.0),
        "sydney": SolarSite(-33.9, 151.2, 1_650.0),
        "tokyo": SolarSite(35.7, 139.8, 1_350.0),
    }
)
"""Airports and stations of the built-in climates; irradiation after the Global Solar Atlas 2 (World Bank, Solargis)."""


@dataclass(frozen=True)
class _Sun:
    """Hourly irradiance at a place, with what the panels' temperature needs; arrays (H,)."""

    times: Any
    """pandas index of the middles of the hours, aware."""
    latitude_deg: float
    longitude_deg: float
    ghi_w_per_m2: Floats
    dni_w_per_m2: Floats
    dhi_w_per_m2: Floats
    dry_bulb_deg_c: Floats
    wind_m_per_s: Floats


def build_solar(
    spec: SolarSpec, weather: WeatherSpec, start: datetime, base_dir: Path
) -> tuple[StepSeries, tuple[str, ...]]:
    """Return the AC power, W, of the panels over the run, constant within an hour, and notes.

    t = 0 at `start` (aware). An EPW file gives irradiance, temperature and wind of its typical year. Else
    the sky is clear (Haurwitz) times `clearness` at every hour, split into beam and diffuse by Erbs: no
    two days of a season differ, so batteries look better than under passing clouds.
    Raises `SeriesError` for a file that cannot be read, or where the place or its clearness is not known.
    """
    if isinstance(weather, FileWeatherSpec) and weather.path.lower().endswith(".epw"):
        from dcsim.spec import resolve_data_path

        path = resolve_data_path(base_dir, weather.path)
        sun = _epw_sun(path)
        power_w = solar_power_w(spec, sun)
        first = round((sun.times[0].to_pydatetime() - _FIRST_HOUR).total_seconds() / 3600.0 - 0.5)
        table = HourlyTable(_FIRST_HOUR, {"power_w": np.roll(power_w, first)}, ())
        rows, notes = place_on_calendar(
            table, start.astimezone(UTC), beyond_end="repeat", name=f"solar ({path.name})", any_year=True
        )
        values = table.columns["power_w"][rows.value.astype(np.int64)]
        return StepSeries(rows.time_s, values, rows.repeat_s, rows.end_s, "solar"), notes
    sun, note = _hazy_sun(spec, weather)
    hours = np.arange(_HOURS, dtype=np.float64) * 3600.0
    series = StepSeries(hours, solar_power_w(spec, sun), YEAR_S, name="solar")
    return series.rolled(year_offset_s(start)), (note,)


def solar_power_w(spec: SolarSpec, sun: _Sun) -> Floats:
    """Return (H,) AC power, W: Hay-Davies transposition, cover reflection, SAPM cell temperature, PVWatts.

    PVWatts: Dobos, "PVWatts version 5 manual", NREL/TP-6A20-62641, 2014; all by pvlib (Anderson et al.,
    "pvlib python: 2023 project update", JOSS 8(92), 2023).
    """
    from pvlib import iam, inverter, irradiance, pvsystem, solarposition, temperature

    azimuth_deg = spec.azimuth_deg
    if azimuth_deg is None:
        azimuth_deg = 180.0 if sun.latitude_deg >= 0.0 else 0.0
    place = solarposition.get_solarposition(sun.times, sun.latitude_deg, sun.longitude_deg)
    zenith, azimuth = place["apparent_zenith"].to_numpy(), place["azimuth"].to_numpy()
    extra = np.asarray(irradiance.get_extra_radiation(sun.times.day_of_year.to_numpy()), dtype=np.float64)
    incidence = irradiance.aoi(spec.tilt_deg, azimuth_deg, zenith, azimuth)
    plane = irradiance.get_total_irradiance(
        spec.tilt_deg, azimuth_deg, zenith, azimuth, sun.dni_w_per_m2, sun.ghi_w_per_m2, sun.dhi_w_per_m2,
        dni_extra=extra, model="haydavies",
    )  # fmt: skip
    through = plane["poa_direct"] * iam.physical(incidence) + plane["poa_diffuse"]
    mount = temperature.TEMPERATURE_MODEL_PARAMETERS["sapm"]["open_rack_glass_polymer"]
    cell = temperature.sapm_cell(
        np.nan_to_num(plane["poa_global"]), sun.dry_bulb_deg_c, sun.wind_m_per_s, **mount
    )
    through = np.maximum(np.nan_to_num(through), 0.0)
    dc_w = pvsystem.pvwatts_dc(through, cell, spec.rated_power_w, spec.temperature_coefficient_per_k)
    dc_w = np.asarray(dc_w, dtype=np.float64) * (1.0 - spec.losses)
    dc_w = np.where(dc_w > 1e-6 * spec.rated_power_w, dc_w, 0.0)  # no inverter starts on less
    inverter_w = spec.inverter_power_w or spec.rated_power_w / 1.2
    ac_w = inverter.pvwatts(dc_w, inverter_w / spec.inverter_efficiency, spec.inverter_efficiency)
    return np.maximum(np.nan_to_num(np.asarray(ac_w, dtype=np.float64)), 0.0)


def _epw_sun(path: Path) -> _Sun:
    """Return the irradiance of an EPW file; its hours are those before the times written."""
    import pandas as pd
    from pvlib.iotools import read_epw

    text = read_text(path)
    hours = len(text.splitlines()) - _EPW_HEADER_LINES
    if hours != _HOURS:
        raise SeriesError(
            [
                Problem(
                    str(path),
                    None,
                    "",
                    f"{hours} hours",
                    f"{_EPW_HEADER_LINES} header lines and {_HOURS} hours",
                )
            ]
        )
    try:
        data, meta = read_epw(io.StringIO(text), coerce_year=2001)
        names = ("ghi", "dni", "dhi", "temp_air", "wind_speed")
        ghi, dni, dhi, dry_bulb, wind = (data[name].to_numpy(dtype=np.float64) for name in names)
        latitude_deg, longitude_deg = float(meta["latitude"]), float(meta["longitude"])
        times = data.index + pd.Timedelta(minutes=30)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise SeriesError([Problem(str(path), None, "", str(error), "an EPW file")]) from error
    missing = (ghi >= 9999.0) | (dni >= 9999.0) | (dhi >= 9999.0)
    if missing.any():
        got = f"{int(missing.sum())} hours without irradiance"
        hint = "choose another file, or weather of a site"
        raise SeriesError([Problem(str(path), None, "", got, "global, direct and diffuse irradiance", hint)])
    # EPW writes 99.9 and 999 for missing values.
    dry_bulb = np.where(dry_bulb >= 99.9, 20.0, dry_bulb)
    wind = np.where(wind >= 999.0, _WIND_M_PER_S, wind)
    return _Sun(times, latitude_deg, longitude_deg, ghi, dni, dhi, dry_bulb, wind)


def _hazy_sun(spec: SolarSpec, weather: WeatherSpec) -> tuple[_Sun, str]:
    """Return a clear sky's irradiance times the clearness, and a note that says so."""
    import pandas as pd
    from pvlib import clearsky, irradiance, solarposition

    site = SOLAR_SITES.get(weather.site) if isinstance(weather, SiteWeatherSpec) else None
    if spec.latitude_deg is not None and spec.longitude_deg is not None:
        latitude_deg, longitude_deg = spec.latitude_deg, spec.longitude_deg
    elif site is not None:
        latitude_deg, longitude_deg = site.latitude_deg, site.longitude_deg
    else:
        raise _unknown("latitude_deg", "latitude_deg and longitude_deg")
    times = pd.date_range(_FIRST_HOUR, periods=_HOURS, freq="h") + pd.Timedelta(minutes=30)
    zenith = solarposition.get_solarposition(times, latitude_deg, longitude_deg)["zenith"].to_numpy()
    clear = clearsky.haurwitz(pd.Series(zenith, index=times))["ghi"].to_numpy(dtype=np.float64)
    clearness = spec.clearness
    if clearness is None and site is not None:
        clearness = min(site.yearly_kwh_per_m2 * 1_000.0 / float(clear.sum()), 1.0)
    if clearness is None:
        raise _unknown("clearness", "the clearness of the sky, 0.5 (cloudy) to 0.8 (desert)")
    ghi = clearness * clear
    parts = irradiance.erbs(ghi, zenith, times.day_of_year.to_numpy())
    dry_bulb = site_climate(weather.site).dry_bulb_deg_c if isinstance(weather, SiteWeatherSpec) else None
    if dry_bulb is None:
        dry_bulb = np.full(_HOURS, getattr(weather, "dry_bulb_deg_c", 20.0))
    dni, dhi = (np.nan_to_num(np.asarray(parts[name], dtype=np.float64)) for name in ("dni", "dhi"))
    sun = _Sun(times, latitude_deg, longitude_deg, ghi, dni, dhi, dry_bulb, np.full(_HOURS, _WIND_M_PER_S))
    note = f"onsite.solar: a clear sky times {clearness:.2f} at every hour; passing clouds are left out"
    return sun, note


def _unknown(field: str, expected: str) -> SeriesError:
    hint = "or choose weather of a built-in site or an EPW file"
    return SeriesError([Problem("scenario", None, f"onsite.solar.{field}", "nothing", expected, hint)])
