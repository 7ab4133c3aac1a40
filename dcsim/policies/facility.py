"""Policies of the hall and the meter: set points of the cooling, and what the battery does."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.policies.views import GridView

__all__ = ["BatteryPolicy", "BatteryView", "CoolingPolicy", "FixedSetPoints", "HallView", "IdleBattery"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HallView:
    """A hall at K control instants; arrays (K,) unless said otherwise."""

    now_s: Floats
    it_power_w: Floats
    peak_it_power_w: float
    """Scalar."""
    dry_bulb_deg_c: Floats
    wet_bulb_deg_c: Floats
    hottest_rise_k: Floats
    """Hottest server inlet over supply air at full flow; 0 in a hall without recirculation."""
    flow_rise_k: Floats
    """What the hottest inlet gets warmer for each 1 of 1 / flow - 1, >= 0: its rise at full flow where servers move
    as much of their air as the air movers do, that of the return air where they always move all of it."""
    supply_deg_c: float
    """Scalar: as the scenario gives it."""
    lowest_supply_deg_c: float
    highest_supply_deg_c: float
    highest_inlet_deg_c: float
    """Scalar: the warmest air that servers may breathe (ASHRAE recommended or allowed)."""
    least_flow: float
    """Scalar: part of full flow, (0, 1]."""

    def rise_k(self, flow: Floats) -> Floats:
        """Return (K,) hottest inlet over supply air, K, at (K,) parts of full flow, (0, 1]."""
        return np.asarray(self.hottest_rise_k + (1.0 / flow - 1.0) * self.flow_rise_k)


class CoolingPolicy(ABC):
    """Supply temperature and flow; asked at weather changes and every `interval_s`, at least every 300 s."""

    name: ClassVar[str]
    optimises: ClassVar[str]
    source: ClassVar[str]
    needs: ClassVar[str] = "nothing"
    complexity: ClassVar[str] = "O(1) a control instant"
    interval_s: float = math.inf
    """Time between control instants besides changes of weather; more than 300 s counts as 300 s."""

    @abstractmethod
    def set_points(self, hall: HallView) -> tuple[Floats, Floats]:
        """Return (K,) supply temperature, degC, and (K,) part of full flow; NaN flow: as the plant does by itself.

        The plant's own flow follows the heat at every event; a flow that is set holds until the policy is asked again.
        Instant by instant: row k may depend on row k only. Both are clipped to what the hall allows, and the
        supply moves no faster than its ramp limit.
        """


class FixedSetPoints(CoolingPolicy):
    """The scenario's supply temperature, and the flow that the plant gives by itself."""

    name: ClassVar[str] = "fixed"
    optimises: ClassVar[str] = "nothing: the baseline"
    source: ClassVar[str] = "-"

    def set_points(self, hall: HallView) -> tuple[Floats, Floats]:
        """Return the scenario's temperature, and no flow of its own."""
        return np.full(len(hall.now_s), hall.supply_deg_c), np.full(len(hall.now_s), np.nan)


@dataclass(frozen=True, slots=True)
class BatteryView:
    """What a battery policy sees at the start of a settlement interval; scalars."""

    now_s: float
    duration_s: float
    load_w: float
    """Mean power of facility less on-site generation over this interval, as metered while it acts; may be < 0."""
    stored_j: float
    capacity_j: float
    most_charge_w: float
    """That it can take at its terminals now, whatever limits it."""
    most_discharge_w: float
    efficiency: float
    """Round trip, (0, 1]."""
    peak_import_w: float
    """Largest interval mean of grid import so far in the present billing window."""
    grid: GridView
    """Forecast of carbon and price."""
    demand_price_usd_per_w: float
    """Demand charge of the present window; 0: none."""
    limit_w: float
    """Import asked for by demand response now; infinity: none."""
    charge_limit_w: float
    """Rating, whatever is stored."""
    discharge_limit_w: float
    lowest_j: float
    """Discharging stops here, charging at `highest_j`."""
    highest_j: float
    charge_efficiency: float
    """Stored over taken, (0, 1]."""
    past_load_w: Floats
    """(D,) `load_w` of the intervals of the day before `now_s`, ascending in time; fewer at the start of a run."""
    past_duration_s: Floats
    """(D,)."""


class BatteryPolicy(ABC):
    """What the battery does, settlement interval by settlement interval."""

    name: ClassVar[str]
    optimises: ClassVar[str]
    source: ClassVar[str]
    needs: ClassVar[str] = "nothing"
    complexity: ClassVar[str] = "O(1) an interval"
    reads_forecast: ClassVar[bool] = False
    """Whether it goes by what the grid is forecast to be."""

    @abstractmethod
    def power_w(self, view: BatteryView) -> float:
        """Return the power at its terminals, W: > 0 charges, < 0 discharges; clipped to what it can do."""


class IdleBattery(BatteryPolicy):
    """The battery is left alone."""

    name: ClassVar[str] = "idle"
    optimises: ClassVar[str] = "nothing: the baseline"
    source: ClassVar[str] = "-"

    def power_w(self, view: BatteryView) -> float:
        """Return 0."""
        return 0.0
