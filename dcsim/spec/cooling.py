"""What a scenario says of cooling and of the weather outside."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.spec.air_side import AirSideSpec
from dcsim.spec.chilled_water import ApproachTowerSpec, CarnotChillerSpec, ChillerSpec, TowerSpec
from dcsim.spec.fmu import FmuSpec
from dcsim.spec.liquid import HybridPartSpec, LiquidSpec
from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import DurationS, Fraction, Name, Number, PowerW, TemperatureDegC

__all__ = [
    "ENVELOPES",
    "ConstantWeatherSpec",
    "CoolingSpec",
    "Envelope",
    "FileWeatherSpec",
    "HeatReuseSpec",
    "SiteWeatherSpec",
    "WeatherSpec",
]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Air that IT equipment may breathe."""

    low_deg_c: float
    high_deg_c: float
    dew_point_deg_c: float
    """Highest."""
    relative_humidity: float
    """Highest, 0..1."""


ENVELOPES = MappingProxyType(
    {
        "recommended": Envelope(18.0, 27.0, 15.0, 0.6),
        "A1": Envelope(15.0, 32.0, 17.0, 0.8),
        "A2": Envelope(10.0, 35.0, 21.0, 0.8),
        "A3": Envelope(5.0, 40.0, 24.0, 0.85),
        "A4": Envelope(5.0, 45.0, 24.0, 0.9),
    }
)
"""ASHRAE TC 9.9, Thermal Guidelines for Data Processing Environments, 5th edition (2021), at sea level."""


class HeatReuseSpec(SpecModel):
    """Somebody near by who has use for the heat (ISO/IEC 30134-6)."""

    fraction: Fraction
    """Of what the plant gives off while it is warm enough."""
    temperature_deg_c: TemperatureDegC | None = Field(default=None, ge=-20.0, le=120.0)
    """The coldest that the user takes; colder heat is not lifted by a heat pump, it is not reused. None: any."""


class CoolingSpec(SpecModel):
    """A hall and its cooling plant; each block describes one plant, `plant` says which is there."""

    plant: Literal["crac", "chilled_water", "air_side", "liquid", "hybrid", "fmu"] = "chilled_water"
    """crac: direct expansion, COP by supply temperature; chilled_water: chiller, economiser and tower; air_side:
    outdoor air; liquid: direct to chip; hybrid: several of these; fmu: a model of yours."""
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
    water_side_economiser: bool = Field(default=True, strict=True)
    """Tower water cools the return before the chiller does."""
    chiller: ChillerSpec = CarnotChillerSpec()
    """How the chiller's power follows from its temperatures and load."""
    tower: TowerSpec = ApproachTowerSpec()
    """How cold the tower makes its water."""
    air_side: AirSideSpec = AirSideSpec()
    """Of a plant `air_side`, and where another names it."""
    liquid: LiquidSpec = LiquidSpec()
    """Of a plant `liquid`, and of a hybrid's part of that name."""
    hybrid: tuple[HybridPartSpec, ...] = Field(default=(), max_length=10)
    """The parts of a plant `hybrid`."""
    fmu: FmuSpec | None = None
    """Of a plant `fmu`."""
    heat_reuse: HeatReuseSpec | None = None
    """None: all heat goes to the surroundings."""
    envelope: Literal["recommended", "A1", "A2", "A3", "A4"] = "recommended"
    """ASHRAE's range of inlet air that the IT equipment is kept in."""
    lowest_supply_deg_c: TemperatureDegC | None = Field(default=None, ge=10.0, le=45.0)
    """That a policy may ask for; None: the envelope's, or the set point if that is lower."""
    highest_supply_deg_c: TemperatureDegC | None = Field(default=None, ge=10.0, le=45.0)
    """That a policy may ask for; None: the envelope's, or the set point if that is higher."""
    supply_ramp_k_per_s: Number = Field(default=20.0 / 3_600.0, gt=0.0, le=10.0)
    """How fast the supply temperature may move: ASHRAE allows 20 K an hour."""
    least_flow: Fraction = Field(default=0.4, gt=0)
    """Least flow of the air handlers, over full flow."""

    @property
    def supply_bounds_deg_c(self) -> tuple[float, float]:
        """Lowest and highest supply temperature that a policy may ask for, degC.

        >>> CoolingSpec().supply_bounds_deg_c, CoolingSpec(supply_temperature_deg_c=30).supply_bounds_deg_c
        ((18.0, 27.0), (18.0, 30.0))
        """
        air, set_point = ENVELOPES[self.envelope], self.supply_temperature_deg_c
        low, high = self.lowest_supply_deg_c, self.highest_supply_deg_c
        return (
            max(min(air.low_deg_c, set_point), 10.0) if low is None else low,
            max(air.high_deg_c, set_point) if high is None else high,
        )

    @property
    def highest_inlet_deg_c(self) -> float:
        """Warmest air that servers may breathe, degC."""
        return ENVELOPES[self.envelope].high_deg_c

    @model_validator(mode="after")
    def _fits(self) -> Self:
        issues = (*self._hybrid_issues(), *self._bound_issues())
        if issues:
            raise FieldError(*issues)
        return self

    def _hybrid_issues(self) -> Iterator[FieldIssue]:
        """Yield parts that are missing, or do not add up to the hall's heat."""
        if self.plant == "fmu" and self.fmu is None:
            yield FieldIssue("missing", "a mapping with the `path` of the FMU", at=("fmu",))
        if self.plant == "hybrid" and not self.hybrid:
            hint = "a list of `plant` and `heat_fraction`"
            yield FieldIssue("missing", "the parts of the plant", hint, at=("hybrid",))
        total = math.fsum(part.heat_fraction for part in self.hybrid)
        if self.hybrid and abs(total - 1.0) > 1e-9:
            yield FieldIssue(f"parts of {total:g} in all", "heat fractions that add up to 1", at=("hybrid",))

    def _bound_issues(self) -> Iterator[FieldIssue]:
        """Yield bounds of the supply that leave out its set point."""
        set_point = self.supply_temperature_deg_c
        low, high = self.supply_bounds_deg_c
        if low > set_point:
            yield FieldIssue(
                f"{low:g} degC", f"at most the set point, {set_point:g} degC", at=("lowest_supply_deg_c",)
            )
        if high < set_point:
            yield FieldIssue(
                f"{high:g} degC", f"at least the set point, {set_point:g} degC", at=("highest_supply_deg_c",)
            )


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
