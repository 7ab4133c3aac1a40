"""What a scenario says of an air-side plant: outdoor air, evaporative coolers and the chilled water behind them."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import Fraction, Number, PowerW, TemperatureDegC

__all__ = ["AirSideSpec", "DirectCoolerSpec", "IndirectCoolerSpec"]


class DirectCoolerSpec(SpecModel):
    """Wet media in the supply air."""

    effectiveness: Fraction = Field(default=0.85, gt=0)
    """Of the way from dry bulb to wet bulb."""
    pump_w: PowerW = Field(default=0.0, ge=0)
    """Of its water, at full duty."""
    least_entering_deg_c: TemperatureDegC = Field(default=16.0, ge=0.0, le=40.0)
    """Off where colder air enters."""
    highest_wet_bulb_deg_c: TemperatureDegC = Field(default=24.0, ge=0.0, le=40.0)
    """Off where the wet bulb of the entering air is higher."""
    cycles_of_concentration: Number = Field(default=3.0, gt=1.0, le=20.0)
    """Blow-down = evaporation / (cycles - 1)."""


class IndirectCoolerSpec(SpecModel):
    """A plate exchanger between supply air and outdoor air, wetted when it is warm outdoors."""

    dry_effectiveness: Fraction = Field(default=0.72, gt=0)
    """Of the way to the outdoor dry bulb, without water."""
    wet_effectiveness: Fraction = Field(default=0.7, gt=0)
    """Of the way to the outdoor wet bulb, with water."""
    secondary_flow_ratio: Number = Field(default=1.4, gt=0.0, le=5.0)
    """Outdoor air over supply air."""
    fan_w_per_m3_per_s: Number = Field(default=200.0, ge=0.0, le=5_000.0)
    """Of the outdoor air, at full speed."""
    pump_w_per_m3_per_s: Number = Field(default=150.0, ge=0.0, le=5_000.0)
    """Of the outdoor air, while it is wet."""
    wet_from_deg_c: TemperatureDegC = Field(default=20.0, ge=0.0, le=50.0)
    """Outdoor dry bulb from which water runs."""
    highest_wet_bulb_deg_c: TemperatureDegC = Field(default=24.0, ge=0.0, le=40.0)
    """No water above this outdoor wet bulb."""


class AirSideSpec(SpecModel):
    """Outdoor air as far as it serves, then a direct and an indirect evaporative cooler, then chilled water.

    Fans follow `fan_fraction` and `least_flow` of the cooling, chilled water its `approach_k` below the supply,
    the chiller its `chiller`, the tower its `tower`.
    """

    lowest_dry_bulb_deg_c: TemperatureDegC = Field(default=-20.0, ge=-60.0, le=40.0)
    """No outdoor air below this: it could not be mixed warm enough to keep coils from freezing."""
    highest_dry_bulb_deg_c: TemperatureDegC = Field(default=27.0, ge=-20.0, le=45.0)
    """No outdoor air above this; nor where it is warmer than the return."""
    highest_dew_point_deg_c: TemperatureDegC = Field(default=15.0, ge=-20.0, le=30.0)
    """No outdoor air above this: ASHRAE's recommended envelope."""
    air_rise_k: Number = Field(default=12.0, ge=2.0, le=40.0)
    """Of the air through the servers at peak: with the peak heat it sizes the fans' flow."""
    direct: DirectCoolerSpec | None = DirectCoolerSpec()
    """None: there is none."""
    indirect: IndirectCoolerSpec | None = None
    """None: there is none."""
    chilled_water_deg_c: TemperatureDegC | None = Field(default=None, ge=2.0, le=30.0)
    """Chilled water leaving, whatever the supply's set point; None: `approach_k` below the supply."""
    chilled_water_range_k: Number = Field(default=5.56, ge=1.0, le=20.0)
    """Chilled water returning minus leaving."""
    chilled_pump_head_pa: Number = Field(default=160e3, ge=0.0, le=2e6)
    """Pressure that the chilled-water pump gives at full flow; its flow follows the load."""
    condenser_pump_head_pa: Number = Field(default=140e3, ge=0.0, le=2e6)
    """Of the condenser pump, which runs at full flow whenever the chiller does."""
    motor_efficiency: Fraction = Field(default=0.9, gt=0)
    """Of the pumps' motors."""
    idle_pump_fraction: Fraction = 0.0
    """Part of the time in which the condenser pump runs although there is nothing for the chiller to do."""
    basin_heater_w_per_k: Number = Field(default=0.0, ge=0.0, le=1e6)
    """Of the tower at rest, below 4.5 degC outdoors."""

    @model_validator(mode="after")
    def _limits_leave_room(self) -> Self:
        if self.lowest_dry_bulb_deg_c >= self.highest_dry_bulb_deg_c:
            raise FieldError(
                FieldIssue(
                    f"{self.lowest_dry_bulb_deg_c:g} degC",
                    f"less than `highest_dry_bulb_deg_c`, {self.highest_dry_bulb_deg_c:g} degC",
                    "a plant that never lets outdoor air in is `chilled_water`",
                    at=("lowest_dry_bulb_deg_c",),
                )
            )
        return self
