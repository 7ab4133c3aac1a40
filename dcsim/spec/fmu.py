"""What a scenario says of a cooling plant that is a functional mock-up unit (FMI 2.0)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.names import nearest
from dcsim.spec.quantities import DurationS

__all__ = ["FMU_INPUTS", "FMU_OUTPUTS", "FmuSpec"]

FMU_INPUTS = (
    "heat_w", "it_fraction", "supply_deg_c", "flow_fraction",
    "dry_bulb_deg_c", "wet_bulb_deg_c", "humidity_ratio", "pressure_pa",
)  # fmt: skip
"""What a plant is told."""
FMU_OUTPUTS = (
    "compressor_w", "pump_w", "tower_fan_w", "other_w", "reused_w", "evaporated_l_per_s", "water_l_per_s",
    "free_fraction",
)  # fmt: skip
"""What a plant answers."""


class FmuSpec(SpecModel):
    """A plant in an FMU. It is native code: it runs only where the one who runs the scenario allows it."""

    path: str = Field(min_length=1, max_length=1_000)
    """Relative to the scenario file, inside its folder or below a --data folder."""
    interface: Literal["co_simulation", "model_exchange"] = "co_simulation"
    """Which of its two interfaces is used."""
    settle_s: DurationS = Field(default=3_600.0, gt=0)
    """Time it is given to settle under the conditions of one interval before its outputs are read."""
    inputs: dict[str, str] = Field(default={}, max_length=20)
    """Its variable for each of heat_w, it_fraction, supply_deg_c, flow_fraction, dry_bulb_deg_c, wet_bulb_deg_c,
    humidity_ratio, pressure_pa; those left out are not set, none at all: each under its own name."""
    outputs: dict[str, str] = Field(default={}, max_length=20)
    """Its variable for each of compressor_w, pump_w, tower_fan_w, other_w, evaporated_l_per_s, water_l_per_s,
    reused_w, free_fraction; those left out are 0, none at all: each under its own name."""

    @field_validator("inputs", "outputs")
    @classmethod
    def _known_names(cls, named: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        known = FMU_INPUTS if info.field_name == "inputs" else FMU_OUTPUTS
        issues = [
            FieldIssue(repr(name), f"one of {', '.join(known)}", nearest(name, known), (name,))
            for name in named
            if name not in known
        ]
        if issues:
            raise FieldError(*issues)
        return named
