"""What a scenario says of the parts of a server: memory, network interfaces, fans, and how its accelerators warm up."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import DurationS, Fraction, Number, PowerW, TemperatureDegC
from dcsim.units import Quantity, format_quantity

__all__ = ["FanSpec", "ServerPartsSpec", "ThermalSpec", "fans_within_server", "parts_within_server"]

ThermalResistanceKPerW = Annotated[float, Field(strict=True, gt=0.0, le=10.0)]


class ServerPartsSpec(SpecModel):
    """How much of a server's idle and peak power is not the CPU's; what is left is."""

    memory_idle_power_w: PowerW = Field(default=0.0, ge=0)
    """Part of the server's `idle_power_w` that its memory draws."""
    memory_busy_power_w: PowerW = Field(default=0.0, ge=0)
    """What memory draws more when jobs hold all of it; part of `peak_power_w` less `idle_power_w`."""
    nic_idle_power_w: PowerW = Field(default=0.0, ge=0)
    """Part of the server's `idle_power_w` that its network interfaces draw."""
    nic_busy_power_w: PowerW = Field(default=0.0, ge=0)
    """What they draw more when gangs that span servers hold all its accelerators; part of `peak_power_w` less
    `idle_power_w`."""


class FanSpec(SpecModel):
    """A server's fans: cube law between two inlet temperatures. Without `room` no inlet is followed, nor they."""

    power_w: PowerW = Field(ge=0)
    """At the reference inlet and below; part of the server's `idle_power_w`."""
    full_power_w: PowerW = Field(gt=0)
    """At `full_inlet_deg_c` and above; what is above `power_w` comes on top of the server's power."""
    reference_inlet_deg_c: TemperatureDegC = Field(default=25.0, ge=0.0, le=60.0)
    """Inlet up to which they turn at their least speed."""
    full_inlet_deg_c: TemperatureDegC = Field(default=40.0, ge=0.0, le=80.0)
    """Inlet from which they turn at full speed."""

    @field_validator("full_power_w")
    @classmethod
    def _rises(cls, full_power_w: float, info: ValidationInfo) -> float:
        power_w = info.data.get("power_w", 0.0)
        if full_power_w < power_w:
            raise FieldError(FieldIssue(f"{full_power_w:g} W", f"at least power_w, {power_w:g} W"))
        return full_power_w

    @field_validator("full_inlet_deg_c")
    @classmethod
    def _warmer(cls, full_inlet_deg_c: float, info: ValidationInfo) -> float:
        reference = info.data.get("reference_inlet_deg_c")
        if reference is not None and full_inlet_deg_c <= reference:
            got, expected = (
                f"{full_inlet_deg_c:g} degC",
                f"more than reference_inlet_deg_c, {reference:g} degC",
            )
            raise FieldError(FieldIssue(got, expected))
        return full_inlet_deg_c


class ThermalSpec(SpecModel):
    """How a server's accelerators warm up over its inlet air, leak and throttle. Has no effect without `room`."""

    resistance_k_per_w: ThermalResistanceKPerW
    """Steady temperature of a device over the inlet for each watt it draws."""
    time_constant_s: DurationS = Field(default=30.0, gt=0)
    """After which 63 % of a step in power or inlet has been followed."""
    leakage_fraction_per_k: Number = Field(default=0.0, ge=0, le=0.1)
    """Of the device's static power, for each kelvin over `leakage_reference_deg_c`; 0: no leakage is counted."""
    leakage_reference_deg_c: TemperatureDegC = Field(default=60.0, ge=0.0, le=100.0)
    """Temperature at which the device's powers hold."""
    throttle_deg_c: TemperatureDegC = Field(default=87.0, gt=0.0, le=150.0)
    """A device as hot as that is throttled."""
    hysteresis_k: Number = Field(default=5.0, gt=0, le=50.0)
    """It is let go again when it is that much cooler."""
    throttled_cap_fraction: Fraction = Field(default=0.5, gt=0)
    """Power cap of a throttled device, over its peak power; raised to the least it can hold."""


def parts_within_server(parts: ServerPartsSpec, info: ValidationInfo) -> ServerPartsSpec:
    """Return the parts of a server; refuse parts that draw more than the whole, given in the fields before them."""
    idle_w, peak_w = info.data.get("idle_power_w"), info.data.get("peak_power_w")
    issues = []
    asked_idle_w = parts.memory_idle_power_w + parts.nic_idle_power_w
    if idle_w is not None and asked_idle_w > idle_w:
        issues.append(
            _too_much(asked_idle_w, "of memory and network interfaces at idle", "idle_power_w", idle_w)
        )
    asked_w = parts.memory_busy_power_w + parts.nic_busy_power_w
    if idle_w is not None and peak_w is not None and asked_w > peak_w - idle_w:
        what = "of memory and network interfaces above idle"
        issues.append(_too_much(asked_w, what, "peak_power_w less idle_power_w", peak_w - idle_w))
    if issues:
        raise FieldError(*issues)
    return parts


def fans_within_server(fans: FanSpec | None, info: ValidationInfo) -> FanSpec | None:
    """Return the fans of a server; refuse fans that, with its other parts, draw more at idle than it does."""
    idle_w, parts = info.data.get("idle_power_w"), info.data.get("parts")
    if fans is None or idle_w is None or parts is None:
        return fans
    left_w = idle_w - parts.memory_idle_power_w - parts.nic_idle_power_w
    if fans.power_w > left_w:
        raise FieldError(_too_much(fans.power_w, "of fans", "what other parts leave of idle_power_w", left_w))
    return fans


def _too_much(asked_w: float, what: str, field: str, most_w: float) -> FieldIssue:
    shown = format_quantity(most_w, Quantity.POWER)
    got = f"{format_quantity(asked_w, Quantity.POWER)} {what}"
    return FieldIssue(got, f"at most {field} ({shown})", "parts are a share of the server's power, not extra")
