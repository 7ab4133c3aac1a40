"""What a scenario says of direct-to-chip liquid cooling, and of halls that mix plants."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import Fraction, Number, TemperatureDegC

__all__ = ["WATER_CLASSES_DEG_C", "HybridPartSpec", "LiquidSpec"]

WATER_CLASSES_DEG_C = {"W17": 17.0, "W27": 27.0, "W32": 32.0, "W40": 40.0, "W45": 45.0}
"""Warmest facility water of each class: ASHRAE TC 9.9, Water-cooled servers (2019); W+ is warmer than W45."""

LEAST_WATER_DEG_C = 2.0
"""Colder facility water may freeze."""


class LiquidSpec(SpecModel):
    """Cold plates on a liquid loop; a CDU hands its heat to facility water, and that to a dry cooler or a tower."""

    captured_fraction: Fraction = Field(default=0.75, gt=0)
    """Of the heat of IT, by the liquid; the rest, and all other heat, goes to `air`."""
    air: Literal["crac", "chilled_water", "air_side"] = "chilled_water"
    """What removes the heat that the liquid leaves in the hall's air."""
    water_class: Literal["W17", "W27", "W32", "W40", "W45"] = "W32"
    """ASHRAE's class of the facility water: the warmest that the CDU is given."""
    supply_deg_c: TemperatureDegC | None = Field(default=None, ge=5.0, le=65.0)
    """Liquid entering the servers; None: what the CDU makes at peak of facility water at its class's limit."""
    rise_k: Number = Field(default=10.0, ge=1.0, le=40.0)
    """Liquid leaving minus entering the servers, at peak."""
    cdu_effectiveness: Number = Field(default=0.7, ge=0.1, le=0.98)
    """Of the CDU's counter-flow heat exchanger at peak flows."""
    facility_flow_ratio: Number = Field(default=1.0, ge=0.5, le=4.0)
    """Heat capacity rate of facility water over that of the liquid."""
    least_flow: Fraction = Field(default=0.4, gt=0)
    """Of both loops, over full; flow follows the heat, pump power its cube. 1: constant flow."""
    pump_fraction: Fraction = 0.010
    """Power of the liquid's pumps at full flow, over the captured heat at peak."""
    facility_pump_fraction: Fraction = 0.020
    """Power of the facility water's pumps at full flow, over the captured heat at peak."""
    cooler: Literal["tower", "dry"] = "tower"
    """What cools the facility water: towards the wet bulb, evaporating; or towards the dry bulb, without water."""
    cooler_approach_k: Number = Field(default=4.0, ge=0.5, le=25.0)
    """Facility water over wet bulb (tower) or dry bulb (dry), at peak heat and full fans."""
    cooler_fan_fraction: Fraction = 0.015
    """Fans of the cooler at full speed, over the captured heat at peak; a dry cooler takes 0.02 to 0.04."""

    @property
    def cdu_approach_k(self) -> float:
        """Liquid entering the servers minus facility water entering the CDU, at peak, K.

        >>> round(LiquidSpec(rise_k=10.0, cdu_effectiveness=0.8).cdu_approach_k, 6)
        2.5
        """
        passed = self.cdu_effectiveness * min(1.0, self.facility_flow_ratio)
        return self.rise_k * (1.0 / passed - 1.0)

    @model_validator(mode="after")
    def _water_flows(self) -> Self:
        if self.supply_deg_c is not None:
            facility = self.supply_deg_c - self.cdu_approach_k
            if facility < LEAST_WATER_DEG_C:
                hint = "raise `supply_deg_c` or `cdu_effectiveness`, or lower `rise_k`"
                got = f"facility water of {facility:.3g} degC"
                raise FieldError(FieldIssue(got, f"at least {LEAST_WATER_DEG_C:g} degC", hint))
        return self


class HybridPartSpec(SpecModel):
    """A part of the hall's heat, and the plant that takes it."""

    plant: Literal["crac", "chilled_water", "air_side", "liquid"]
    """As `cooling` describes it."""
    heat_fraction: Fraction = Field(gt=0)
    """Of the hall's heat; those of all parts add up to 1."""
