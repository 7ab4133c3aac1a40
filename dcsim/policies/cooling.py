"""Cooling policies: how warm the air of the hall is supplied, and how much of it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.facility import CoolingPolicy, HallView

__all__ = ["FlowByLoad", "HighestSupply", "LeastPower", "WeatherReset"]

Floats = npt.NDArray[np.float64]

_KELVIN = 273.15
_CLOSE_K = 1e-6


def _in_range(policy: str, name: str, value: float, low: float, high: float, unit: str) -> float:
    """Return a parameter; raises `PolicyError` outside low..high."""
    if not low <= value <= high:
        msg = f"{policy}.{name}: {value} -> expected {low:g}..{high:g} {unit}".rstrip()
        raise PolicyError(msg)
    return value


def _own_flow(hall: HallView) -> Floats:
    """Return (K,) about what the plant gives by itself: the flow that keeps the air's rise as at peak."""
    return np.clip(hall.it_power_w / (hall.peak_it_power_w or 1.0), hall.least_flow, 1.0)


def _highest_supply(hall: HallView, flow: Floats, margin_k: float) -> Floats:
    """Return (K,) the supply at which the hottest inlet is at its limit: recirculation grows as flow shrinks."""
    # Where nobody breathes exhaust no heat to come makes inlets warmer, and there is nothing to keep a distance for.
    margin = np.where(hall.flow_rise_k > 0.0, margin_k, 0.0)
    warmest = hall.highest_inlet_deg_c - margin - hall.rise_k(flow)
    return np.clip(warmest, hall.lowest_supply_deg_c, hall.highest_supply_deg_c)


def _own_or_more(hall: HallView, supply: Floats | float, margin_k: float = 0.0) -> Floats:
    """Return (K,) NaN, the plant's own flow, or what the hottest inlet needs at this supply where that is more."""
    allowed_k = hall.highest_inlet_deg_c - margin_k - supply
    more_k = hall.flow_rise_k
    # hottest + (1 / f - 1) more <= allowed, solved for f; even full flow may be too little.
    left_k = np.maximum(allowed_k - hall.hottest_rise_k, 0.0)
    helps = (hall.rise_k(_own_flow(hall)) > allowed_k + _CLOSE_K) & (more_k > 0.0)
    needed = more_k / np.where(helps, more_k + left_k, 1.0)
    return np.where(helps, np.clip(needed, hall.least_flow, 1.0), np.nan)


class HighestSupply(CoolingPolicy):
    """The warmest supply that keeps the hottest server inlet under its limit; the plant's own flow."""

    name: ClassVar[str] = "highest_supply"
    optimises: ClassVar[str] = "power of the plant: warmer supply, better COP and more free cooling"
    source: ClassVar[str] = "Tang, Gupta, Varsamopoulos, IEEE TPDS 19(11) (2008), equation 12"
    needs: ClassVar[str] = "the hottest inlet's rise over supply air"

    def __init__(self, *, margin_k: float = 1.0, interval_s: float = 300.0) -> None:
        """Take the distance kept to the limit, 0..20 K, for heat that comes between decisions, and the time between decisions.

        Raises:
            PolicyError: outside that.
        """
        self.margin_k = _in_range(self.name, "margin_k", margin_k, 0.0, 20.0, "K")
        self.interval_s = _in_range(self.name, "interval_s", interval_s, 1.0, np.inf, "s")

    def set_points(self, hall: HallView) -> tuple[Floats, Floats]:
        """Return limit - margin - rise at the plant's own flow; more flow only where the coldest supply needs it."""
        supply = _highest_supply(hall, _own_flow(hall), self.margin_k)
        return supply, _own_or_more(hall, supply, self.margin_k)


class WeatherReset(CoolingPolicy):
    """The supply moves between two temperatures as the wet bulb moves between two others.

    The defaults follow wet bulb + 16 K: just warm enough for a plant with 12 K of coil and 4 K of tower approach to
    go without its chiller, so that servers breathe cool air while it is free. No use for a plant without free cooling.
    """

    name: ClassVar[str] = "weather_reset"
    optimises: ClassVar[str] = (
        "fans and leakage of servers while cooling is free, compressor work when it is not"
    )
    source: ClassVar[str] = "ANSI/ASHRAE/IES 90.1 (2019), 6.5.4.4: reset by outdoor temperature"
    needs: ClassVar[str] = "the wet bulb"

    def __init__(
        self,
        *,
        cool_wet_bulb_deg_c: float = 2.0,
        warm_wet_bulb_deg_c: float = 11.0,
        cool_supply_deg_c: float = 18.0,
        warm_supply_deg_c: float = 27.0,
        margin_k: float = 1.0,
    ) -> None:
        """Take the two wet bulbs, the supply up to the first and from the second on, degC, and `margin_k` as before.

        Raises:
            PolicyError: a temperature outside -30..45 degC, or wet bulbs that are no range.
        """
        for key, value in (
            ("cool_wet_bulb_deg_c", cool_wet_bulb_deg_c),
            ("warm_wet_bulb_deg_c", warm_wet_bulb_deg_c),
        ):
            _in_range(self.name, key, value, -30.0, 40.0, "degC")
        for key, value in (
            ("cool_supply_deg_c", cool_supply_deg_c),
            ("warm_supply_deg_c", warm_supply_deg_c),
        ):
            _in_range(self.name, key, value, 5.0, 45.0, "degC")
        if warm_wet_bulb_deg_c <= cool_wet_bulb_deg_c:
            msg = (
                f"{self.name}.warm_wet_bulb_deg_c: {warm_wet_bulb_deg_c} -> expected more than"
                f" cool_wet_bulb_deg_c, {cool_wet_bulb_deg_c}"
            )
            raise PolicyError(msg)
        self.margin_k = _in_range(self.name, "margin_k", margin_k, 0.0, 20.0, "K")
        self.wet_bulbs_deg_c = (cool_wet_bulb_deg_c, warm_wet_bulb_deg_c)
        self.supplies_deg_c = (cool_supply_deg_c, warm_supply_deg_c)

    def set_points(self, hall: HallView) -> tuple[Floats, Floats]:
        """Return the supply by wet bulb, kept under what the hottest inlet allows; flow as of `highest_supply`."""
        supply = np.interp(hall.wet_bulb_deg_c, self.wet_bulbs_deg_c, self.supplies_deg_c)
        supply = np.minimum(supply, _highest_supply(hall, _own_flow(hall), self.margin_k))
        return supply, _own_or_more(hall, supply, self.margin_k)


class FlowByLoad(CoolingPolicy):
    """The scenario's supply temperature; the plant's own flow, by heat, or more where an inlet needs it."""

    name: ClassVar[str] = "flow_by_load"
    optimises: ClassVar[str] = "power of air movers"
    source: ClassVar[str] = (
        "Bash, Patel, Sharma, Dynamic thermal management of air cooled data centers, ITHERM (2006)"
    )
    needs: ClassVar[str] = "IT power, the hottest inlet's rise"

    def __init__(self, *, interval_s: float = 300.0) -> None:
        """Take the time between decisions, >= 1 s.

        Raises:
            PolicyError: less.
        """
        self.interval_s = _in_range(self.name, "interval_s", interval_s, 1.0, np.inf, "s")

    def set_points(self, hall: HallView) -> tuple[Floats, Floats]:
        """Return the scenario's supply, and what the hottest inlet needs where the plant's own flow is less."""
        return np.full(len(hall.now_s), hall.supply_deg_c), _own_or_more(hall, hall.supply_deg_c)


class LeastPower(CoolingPolicy):
    """The flow, and the warmest supply it allows, at which fans and a chilled-water plant draw least together.

    More flow costs the cube of it in fans and takes recirculation out, so that the supply may be warmer. The plant is
    judged by a model of its own: economiser, then a fraction of Carnot's COP, with the parameters below.
    """

    name: ClassVar[str] = "least_power"
    optimises: ClassVar[str] = "power of air movers and chiller together"
    source: ClassVar[str] = "grid search over flow; trade-off of Breen et al., ITHERM (2010)"
    needs: ClassVar[str] = "IT power, wet bulb, the hottest inlet's rise; the plant's parameters as its own"
    complexity: ClassVar[str] = "O(flows tried) a control instant"

    def __init__(
        self,
        *,
        flows: int = 31,
        fan_fraction: float = 0.04,
        approach_k: float = 12.0,
        tower_approach_k: float = 4.0,
        condenser_lift_k: float = 5.0,
        carnot_fraction: float = 0.5,
        margin_k: float = 1.0,
        interval_s: float = 300.0,
    ) -> None:
        """Take how many flows to try, 2..1001, of the plant what `cooling` calls by the same names, and the margin.

        Raises:
            PolicyError: outside its range.
        """
        self.flows = int(_in_range(self.name, "flows", flows, 2, 1_001, ""))
        self.fan_fraction = _in_range(self.name, "fan_fraction", fan_fraction, 0.0, 1.0, "")
        self.approach_k = _in_range(self.name, "approach_k", approach_k, 0.0, 40.0, "K")
        self.tower_approach_k = _in_range(self.name, "tower_approach_k", tower_approach_k, 0.0, 40.0, "K")
        self.condenser_lift_k = _in_range(self.name, "condenser_lift_k", condenser_lift_k, 0.0, 40.0, "K")
        self.margin_k = _in_range(self.name, "margin_k", margin_k, 0.0, 20.0, "K")
        self.carnot_fraction = _in_range(self.name, "carnot_fraction", carnot_fraction, 0.05, 1.0, "")
        self.interval_s = _in_range(self.name, "interval_s", interval_s, 1.0, np.inf, "s")

    def set_points(self, hall: HallView) -> tuple[Floats, Floats]:
        """Return the best of a grid of flows, none under that by load, and its warmest supply; of equals the least."""
        least = _own_flow(hall)
        best = np.full(len(hall.now_s), np.inf)
        supply, flow = np.full_like(best, hall.supply_deg_c), np.ones_like(best)
        for tried in np.linspace(hall.least_flow, 1.0, self.flows):
            here = np.maximum(tried, least)
            warmest = _highest_supply(hall, here, self.margin_k)
            fan_w = self.fan_fraction * hall.peak_it_power_w * here**3
            power = fan_w + (hall.it_power_w + fan_w) * self.power_per_heat(warmest, hall.wet_bulb_deg_c)
            # Full flow is always allowed: where even that is too little, nothing better can be had.
            cool = warmest + hall.rise_k(here) <= hall.highest_inlet_deg_c + 1e-9
            better = (cool | (here == 1.0)) & (power < best)
            best = np.where(better, power, best)
            supply, flow = np.where(better, warmest, supply), np.where(better, here, flow)
        return supply, flow

    def power_per_heat(self, supply_deg_c: Floats, wet_bulb_deg_c: Floats) -> Floats:
        """Return compressor work over heat of the policy's own plant; 0 where the economiser takes all.

        1 - f over the COP, f the part that tower water takes of a range of 5.56 K, as in the plant of that name.
        """
        chilled = supply_deg_c - self.approach_k
        water = wet_bulb_deg_c + self.tower_approach_k
        left = np.clip((water - chilled) / 5.56, 0.0, 1.0)
        lift = np.maximum(water + self.condenser_lift_k - chilled, 1.0)
        return np.asarray(left * lift / (self.carnot_fraction * (chilled + _KELVIN)))
