"""What a scenario says of batteries and solar panels behind the site's meter."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import (
    DurationS,
    EnergyJ,
    Fraction,
    Number,
    PowerW,
    PriceUsdPerJ,
    TemperatureDegC,
)
from dcsim.units import Quantity, format_quantity

__all__ = ["BatterySpec", "OnsiteSpec", "SolarSpec", "onsite_issues"]


class BatterySpec(SpecModel):
    """A stationary battery with its converter; powers are those at its terminals."""

    capacity_j: EnergyJ = Field(gt=0)
    """Energy between empty and full."""
    c_rate: Number = Field(default=0.5, gt=0, le=20.0)
    """Largest charge and discharge over capacity, 1/h, where no power is given: 0.5 fills it in 2 h."""
    charge_power_w: PowerW | None = Field(default=None, gt=0)
    """Largest charge; None: by `c_rate`."""
    discharge_power_w: PowerW | None = Field(default=None, gt=0)
    """Largest discharge; None: by `c_rate`."""
    charge_efficiency: Fraction = Field(default=0.922, ge=0.3)
    """Stored over taken; with `discharge_efficiency` a round trip of 85 % (NREL Annual Technology Baseline)."""
    discharge_efficiency: Fraction = Field(default=0.922, ge=0.3)
    """Given over taken from store."""
    self_discharge_per_day: Fraction = Field(default=0.0007, lt=1)
    """Part of what is stored that is lost in a day; 0.0007 is 2 % a month."""
    lowest_charge: Fraction = 0.1
    """Discharging stops at this part of the capacity."""
    highest_charge: Fraction = 0.9
    """Charging stops at this part of the capacity."""
    initial_charge: Fraction = 0.5
    """Part of the capacity at t = 0."""
    temperature_deg_c: TemperatureDegC = Field(default=25.0, ge=-20.0, le=60.0)
    """Of the cells; heat ages them."""
    end_of_life_fraction: Fraction = Field(default=0.8, ge=0.1, lt=1)
    """Capacity over new at which it is replaced."""
    replacement_cost_usd: Number = Field(default=0.0, ge=0, le=1e12)
    """Of the cells, spread over their wear; 0: wear costs nothing."""

    @model_validator(mode="after")
    def _charge_in_window(self) -> Self:
        issues = []
        if self.lowest_charge >= self.highest_charge:
            expected = f"more than lowest_charge, {self.lowest_charge:g}"
            issues.append(FieldIssue(f"{self.highest_charge:g}", expected, "", ("highest_charge",)))
        elif not self.lowest_charge <= self.initial_charge <= self.highest_charge:
            expected = (
                f"between lowest_charge and highest_charge, {self.lowest_charge:g} to {self.highest_charge:g}"
            )
            issues.append(FieldIssue(f"{self.initial_charge:g}", expected, "", ("initial_charge",)))
        for name in ("charge_power_w", "discharge_power_w"):
            power_w = getattr(self, name)
            if power_w is not None and power_w * 3600.0 > 20.0 * self.capacity_j:
                most = format_quantity(20.0 * self.capacity_j / 3600.0, Quantity.POWER)
                hint = "look at the units: capacity_j is an energy, such as 2 MWh"
                got = format_quantity(power_w, Quantity.POWER)
                issues.append(FieldIssue(got, f"at most 20 C, {most}", hint, (name,)))
        if issues:
            raise FieldError(*issues)
        return self


class SolarSpec(SpecModel):
    """Fixed panels with one inverter, by PVWatts (Dobos, NREL/TP-6A20-62641, 2014)."""

    rated_power_w: PowerW = Field(gt=0)
    """DC, at 1,000 W/m2 and 25 degC."""
    inverter_power_w: PowerW | None = Field(default=None, gt=0)
    """AC rating; None: `rated_power_w` over 1.2."""
    tilt_deg: Number = Field(default=20.0, ge=0, le=90)
    """0: flat."""
    azimuth_deg: Number | None = Field(default=None, ge=0, lt=360)
    """180 faces south; None: towards the equator."""
    latitude_deg: Number | None = Field(default=None, ge=-90, le=90)
    """North positive; None: of the weather's site or EPW file."""
    longitude_deg: Number | None = Field(default=None, ge=-180, le=180)
    """East positive; None: of the weather's site or EPW file."""
    losses: Fraction = Field(default=0.14, lt=1)
    """Soiling, wiring, mismatch and the rest, over the DC power; PVWatts' default."""
    inverter_efficiency: Fraction = Field(default=0.96, ge=0.5)
    """Nominal."""
    temperature_coefficient_per_k: Number = Field(default=-0.0035, ge=-0.01, le=0)
    """Of DC power; -0.0035 for premium modules, -0.0047 for standard ones."""
    clearness: Fraction | None = Field(default=None, gt=0)
    """Global horizontal irradiance over that of a clear sky, where no file gives it; None: of the weather's site."""

    @field_validator("longitude_deg")
    @classmethod
    def _both_or_neither(cls, longitude_deg: float | None, info: ValidationInfo) -> float | None:
        latitude_deg = info.data.get("latitude_deg")
        if (latitude_deg is None) != (longitude_deg is None):
            raise FieldError(FieldIssue("one of latitude_deg and longitude_deg", "both, or neither"))
        return longitude_deg


class OnsiteSpec(SpecModel):
    """Behind the meter, beside the hall."""

    battery: BatterySpec | None = None
    """None: no battery. What it does is `policies.battery`."""
    solar: SolarSpec | None = None
    """None: no panels."""
    export: Literal["curtail", "allow"] = "curtail"
    """What happens to power that the site cannot use: it is not generated, or goes to the grid."""
    export_limit_w: PowerW | None = Field(default=None, gt=0)
    """Largest export; None: no limit."""
    export_price_usd_per_j: PriceUsdPerJ = 0.0
    """Paid for what is exported."""
    settlement_interval_s: DurationS = Field(default=900.0, ge=60.0, le=3_600.0)
    """How often the battery's policy is asked, and over which the flows are means: over longer ones sun and
    load that never meet would cancel."""

    @field_validator("settlement_interval_s")
    @classmethod
    def _divides_a_day(cls, interval_s: float) -> float:
        if 86_400.0 % interval_s:
            hint = "15 min, 30 min and 1 h do"
            raise FieldError(FieldIssue(f"{interval_s:g} s", "a whole number of intervals in a day", hint))
        return interval_s


def onsite_issues(
    onsite: OnsiteSpec, battery_policy: str, *, located: bool, clearness_known: bool
) -> tuple[FieldIssue, ...]:
    """Return what is wrong with on-site generation beside the rest of the scenario; paths below `onsite`.

    `located`: the weather says where the site is (a named site or an EPW file); `clearness_known`: it says how
    cloudy it is, or the irradiance itself.
    """
    issues = []
    solar = onsite.solar
    if solar is not None and solar.latitude_deg is None and not located:
        hint = "add them, or choose weather of a site or an EPW file"
        issues.append(
            FieldIssue("nothing", "latitude_deg and longitude_deg", hint, ("solar", "latitude_deg"))
        )
    if solar is not None and solar.clearness is None and not clearness_known:
        hint = "0.5 is a cloudy place, 0.8 a desert; or choose weather of a site or an EPW file"
        issues.append(FieldIssue("nothing", "the clearness of the sky", hint, ("solar", "clearness")))
    if battery_policy != "idle" and onsite.battery is None:
        hint = "add `onsite.battery`, or leave out `policies.battery`"
        issues.append(
            FieldIssue("nothing", f"a battery for the policy {battery_policy!r}", hint, ("battery",))
        )
    return tuple(issues)
