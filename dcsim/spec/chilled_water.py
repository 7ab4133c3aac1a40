"""What a scenario says of the machines of a chilled-water plant: its chiller and its cooling tower."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dcsim.spec.model import SpecModel
from dcsim.spec.quantities import Fraction, Number, TemperatureDegC

__all__ = [
    "ApproachTowerSpec",
    "CarnotChillerSpec",
    "ChillerSpec",
    "CurveChillerSpec",
    "TowerSpec",
    "YorkTowerSpec",
]


class CarnotChillerSpec(SpecModel):
    """A fixed fraction of Carnot's COP: `carnot_fraction`, `condenser_lift_k` and `cop_max` of the cooling."""

    kind: Literal["carnot"] = "carnot"


class CurveChillerSpec(SpecModel):
    """A chiller by its curves: capacity and power over both water temperatures and part load (EnergyPlus' EIR form)."""

    kind: Literal["curves"] = "curves"
    machine: Literal["centrifugal", "rise"] = "centrifugal"
    """centrifugal: DOE-2.1E's hermetic centrifugal machine, biquadratic in both water temperatures; rise:
    EnergyPlus' Chiller:Electric, by one temperature difference (BLAST)."""
    rated_cop: Number | None = Field(default=None, gt=1.0, le=15.0)
    """At full load and the rated temperatures; None: the machine's own."""
    oversize: Number = Field(default=1.15, gt=0.0, le=5.0)
    """Rated capacity over the peak heat of the plant."""
    least_part_load: Fraction = Field(default=0.15, gt=0)
    """Below this the chiller cycles."""


class ApproachTowerSpec(SpecModel):
    """Water leaves at a fixed approach over the wet bulb: `tower_approach_k`; its fans are in `pump_fraction`."""

    kind: Literal["approach"] = "approach"


class YorkTowerSpec(SpecModel):
    """A tower by York's correlation of its approach, with a variable-speed fan and water by its air (EnergyPlus)."""

    kind: Literal["york"] = "york"
    follows_wet_bulb_k: Number = Field(default=3.0, ge=0.0, le=20.0)
    """Set point of the water over the wet bulb: the fan slows down rather than make it colder. 3 K is
    reached at part load in warm weather. 0 K no tower reaches: its fan then runs at full speed wherever water is
    above `least_water_deg_c`. 4 to 6 K often take least power in all."""
    least_water_deg_c: TemperatureDegC = Field(default=10.0, ge=2.0, le=35.0)
    """And never below this."""
    range_k: Number = Field(default=5.6, ge=2.0, le=20.0)
    """Water entering minus leaving, at peak."""
    fan_fraction: Fraction = Field(default=0.0105, gt=0)
    """Fan power at full speed over the heat rejected at peak; `pump_fraction` is then that of the pumps alone."""
    drift_fraction: Fraction = Field(default=0.0005, le=0.01)
    """Of the water flow, carried away as droplets."""


ChillerSpec = Annotated[CarnotChillerSpec | CurveChillerSpec, Field(discriminator="kind")]
TowerSpec = Annotated[ApproachTowerSpec | YorkTowerSpec, Field(discriminator="kind")]
