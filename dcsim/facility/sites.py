"""Built-in climates: yearly and daily sinusoids through the published normals of named places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from dcsim.facility.weather_file import standard_pressure_pa

__all__ = ["SITES", "Climate", "Site", "site_climate"]

Floats = npt.NDArray[np.float64]

_HOURS = 8760
_WARMEST_HOUR = 15.0
"""Local standard time of the daily maximum."""


@dataclass(frozen=True, slots=True)
class Site:
    """One climate: T = mean + yearly cos(2 pi (d - warmest_day) / 365) + daily cos(2 pi (h - 15) / 24).

    The dew point has the same yearly cycle and no daily one, and never exceeds the dry bulb.
    """

    description: str
    mean_deg_c: float
    """Annual mean dry bulb."""
    yearly_k: float
    """Half the difference of the warmest and the coldest month."""
    daily_k: float
    """Half the difference of the mean daily maximum and minimum."""
    warmest_day: int
    """Day of the year, 1..365."""
    dew_point_mean_deg_c: float
    dew_point_yearly_k: float
    elevation_m: float
    utc_offset_h: float
    """Of local standard time."""
    source: str


@dataclass(frozen=True)
class Climate:
    """A site's typical year, hourly from 1 January 00:00 UTC; arrays (8760,)."""

    dry_bulb_deg_c: Floats
    relative_humidity: Floats
    """0..1."""
    pressure_pa: Floats


_NOAA = "NOAA NCEI U.S. climate normals 1991-2020"
_DEW = "; dew points from the same station's mean humidity, rounded"

SITES: Mapping[str, Site] = MappingProxyType(
    {
        "ashburn": Site(
            "Ashburn, Virginia (Washington Dulles airport)", 13.2, 12.0, 5.8, 201, 6.6, 11.8, 95.0, -5.0, _NOAA + _DEW
        ),
        "chicago": Site("Chicago (O'Hare airport)", 10.5, 14.0, 4.8, 201, 4.6, 13.0, 201.0, -6.0, _NOAA + _DEW),
        "dallas": Site("Dallas (Fort Worth airport)", 19.4, 10.8, 5.4, 205, 10.2, 9.6, 171.0, -6.0, _NOAA + _DEW),
        "dublin": Site(
            "Dublin (airport)", 9.9, 5.2, 3.4, 205, 7.0, 4.3, 74.0, 0.0, "Met Eireann averages 1991-2020" + _DEW
        ),
        "frankfurt": Site(
            "Frankfurt am Main (airport)", 11.0, 9.2, 4.8, 201, 5.9, 6.6, 100.0, 1.0,
            "Deutscher Wetterdienst, vieljaehrige Mittelwerte 1991-2020" + _DEW,
        ),
        "lulea": Site(
            "Lulea (Kallax airport)", 3.0, 12.3, 3.8, 204, -0.6, 10.9, 20.0, 1.0, "SMHI normalvaerden 1991-2020" + _DEW
        ),
        "phoenix": Site("Phoenix (Sky Harbor airport)", 24.2, 10.8, 6.3, 202, 4.5, 6.5, 337.0, -7.0, _NOAA + _DEW),
        "santa-clara": Site(
            "Santa Clara, California (San Jose airport)", 16.3, 5.6, 5.8, 210, 8.9, 2.8, 19.0, -8.0, _NOAA + _DEW
        ),
        "singapore": Site(
            "Singapore (Changi)", 27.8, 0.9, 3.3, 140, 24.2, 0.5, 16.0, 8.0,
            "Meteorological Service Singapore, climatological normals 1991-2020" + _DEW,
        ),
        "sydney": Site(
            "Sydney (airport)", 18.4, 5.5, 4.4, 20, 11.6, 5.6, 6.0, 10.0,
            "Bureau of Meteorology, climate statistics 1991-2020" + _DEW,
        ),
        "tokyo": Site(
            "Tokyo (Kitanomaru)", 15.8, 10.7, 4.1, 215, 8.7, 12.2, 25.0, 9.0, "JMA climatological normals 1991-2020" + _DEW
        ),
    }
)  # fmt: skip
"""Climates by name; yearly means of the sinusoids equal the normals, extremes are those of mean days."""


@lru_cache(maxsize=32)
def site_climate(name: str) -> Climate:
    """Return the typical year of one of `SITES`, each hour sampled at its middle; `KeyError` otherwise."""
    import psychrolib

    psychrolib.SetUnitSystem(psychrolib.SI)
    site = SITES[name]
    local_h = np.arange(_HOURS) + 0.5 + site.utc_offset_h
    year = np.cos(2.0 * np.pi * (local_h / 24.0 + 1.0 - site.warmest_day) / 365.0)
    day = np.cos(2.0 * np.pi * (local_h - _WARMEST_HOUR) / 24.0)
    dry_bulb = site.mean_deg_c + site.yearly_k * year + site.daily_k * day
    dew_point = np.minimum(site.dew_point_mean_deg_c + site.dew_point_yearly_k * year, dry_bulb)
    humidity = [
        psychrolib.GetRelHumFromTDewPoint(dry, dew)
        for dry, dew in zip(dry_bulb.tolist(), dew_point.tolist(), strict=True)
    ]
    pressure = np.full(_HOURS, standard_pressure_pa(site.elevation_m))
    climate = Climate(dry_bulb, np.minimum(np.array(humidity), 1.0), pressure)
    for values in (climate.dry_bulb_deg_c, climate.relative_humidity, climate.pressure_pa):
        values.flags.writeable = False
    return climate
