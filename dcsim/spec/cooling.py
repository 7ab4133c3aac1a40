"""What a scenario says of cooling and of the weather outside."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dcsim.spec.model import SpecModel
from dcsim.spec.quantities import DurationS, Fraction, Name, Number, PowerW, TemperatureDegC

__all__ = ["ConstantWeatherSpec", "CoolingSpec", "FileWeatherSpec", "SiteWeatherSpec", "WeatherSpec"]


class CoolingSpec(SpecModel):
    """A hall with air handlers on a CRAC (Moore 2005) or a chilled-water plant with economiser and tower."""

    plant: Literal["crac", "chilled_water"] = "chilled_water"
    """crac: direct expansion, COP by supply temperature; chilled_water: chiller, economiser and tower."""
    supply_temperature_deg_c: TemperatureDegC = Field(default=24.0, ge=10.0, le=45.0)
    """Cold-aisle air."""
    capacity_w: PowerW | None = Field(default=None, gt=0)
    """Heat the plant can remove; None: 1.25 times the peak heat. Must exceed the idle heat."""
    hall_time_constant_s: DurationS = Field(default=900.0, gt=0)
    """R C of the hall's air and metal."""
    hall_resistance_k_per_w: Number | None = Field(default=None, gt=0, le=1e3)
    """R; None: the hall is 12 K above supply at peak heat."""
    fan_fraction: Fraction = 0.04
    """Air-handler fan power over IT power at peak; falls with the cube of flow, flow with the load (floor 40 %)."""
    approach_k: Number = Field(default=12.0, ge=1.0, le=40.0)
    """Chilled-water leaving temperature = supply air - this (coil approach plus air mixing)."""
    tower_approach_k: Number = Field(default=4.0, ge=0.5, le=20.0)
    """Condenser water over outdoor wet bulb."""
    condenser_lift_k: Number = Field(default=5.0, ge=0.0, le=20.0)
    """Condensing temperature over condenser water."""
    carnot_fraction: Fraction = Field(default=0.5, gt=0)
    """Chiller COP over Carnot's."""
    cop_max: Number = Field(default=12.0, gt=1.0, le=30.0)
    """No chiller does better, however cold it is outdoors."""
    pump_fraction: Fraction = 0.02
    """Pumps and tower fans, over heat removed."""
    cycles_of_concentration: Number = Field(default=5.0, gt=1.0, le=20.0)
    """Tower water: blow-down = evaporation / (cycles - 1)."""


class ConstantWeatherSpec(SpecModel):
    """The same weather all year."""

    kind: Literal["constant"] = "constant"
    dry_bulb_deg_c: TemperatureDegC = Field(default=20.0, ge=-60, le=60)
    """Outdoor air."""
    relative_humidity: Fraction = 0.5
    """Outdoor air, 0 to 1."""
    pressure_pa: Number = Field(default=101_325.0, ge=50_000, le=110_000)
    """Outdoor air, absolute."""


class SiteWeatherSpec(SpecModel):
    """A parametric climate: yearly and daily sinusoids from the published normals of a named site."""

    kind: Literal["site"] = "site"
    site: Name
    """One of the built-in sites (dcsim.facility.weather.SITES)."""


class FileWeatherSpec(SpecModel):
    """Hourly weather from an EPW, CSV or Open-Meteo JSON file."""

    kind: Literal["file"] = "file"
    path: str = Field(min_length=1, max_length=1_000)
    """Relative to the scenario file, inside its folder or below a --data folder."""
    gaps: Literal["refuse", "hold", "interpolate"] = "refuse"
    """What a missing hour means."""
    beyond_end: Literal["refuse", "repeat"] = "repeat"
    """What follows the last hour of the file."""


WeatherSpec = Annotated[ConstantWeatherSpec | SiteWeatherSpec | FileWeatherSpec, Field(discriminator="kind")]
