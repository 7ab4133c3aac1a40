"""Direct-to-chip liquid cooling: cold plates, a CDU, facility water, a dry cooler or tower, a trim chiller."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.facility.cooling import EVAPORATION_L_PER_J, chiller_cop, tower_water_l_per_j
from dcsim.facility.cooling_plant import (
    NO_REUSE,
    CoolingPlant,
    HeatReuse,
    Outdoors,
    PlantLoad,
    PlantOutput,
    closed_output,
    joined_output,
)
from dcsim.facility.heat_exchange import (
    cooler_air_flow,
    cooler_effectiveness,
    counterflow_effectiveness,
    counterflow_ntu,
)

__all__ = ["LiquidLoop", "LiquidPlant", "LoopState"]

Floats = npt.NDArray[np.float64]

CONDUCTANCE_EXPONENT = 0.8
"""Conductance of the CDU by flow over full flow: Dittus and Boelter's turbulent convection."""


@dataclass(frozen=True, slots=True)
class LoopState:
    """Temperatures of the two loops on N intervals; arrays (N,)."""

    flow: Floats
    """Of both loops, over full flow."""
    liquid_supply_deg_c: Floats
    """Entering the servers."""
    liquid_return_deg_c: Floats
    facility_supply_deg_c: Floats
    """Entering the CDU."""
    facility_return_deg_c: Floats


@dataclass(frozen=True, slots=True)
class LiquidLoop:
    """The liquid side, sized for the heat it captures at peak."""

    peak_heat_w: float
    """Captured; > 0."""
    supply_deg_c: float
    """Liquid entering the servers, where nobody asks for another."""
    rise_k: float
    """Of the liquid, at peak."""
    flow_ratio: float
    """Heat capacity rate of facility water over that of the liquid."""
    cdu_effectiveness: float
    """At peak flows."""
    class_limit_deg_c: float
    """Facility water is never warmer than this when it enters the CDU."""
    least_flow: float
    pump_peak_w: float
    """Of both loops."""
    evaporates: bool
    """A tower, towards the wet bulb; else a dry cooler, towards the dry bulb."""
    cooler_approach_k: float
    cooler_fan_peak_w: float
    carnot_fraction: float
    """Of the trim chiller."""
    condenser_lift_k: float
    cop_max: float
    cycles_of_concentration: float
    reuse: HeatReuse = NO_REUSE

    def state(self, heat_w: Floats, supply_deg_c: Floats | None = None) -> LoopState:
        """Return the temperatures that carry heat, W, from the servers to the facility water.

        The CDU is a counter-flow exchanger: to hold the liquid's supply at a heat, facility water must enter at
        return - heat / (effectiveness * smaller capacity rate); a valve mixes it warmer if it comes colder.
        """
        full_rate = self.peak_heat_w / self.rise_k
        flow = np.clip(heat_w / self.peak_heat_w, self.least_flow, 1.0)
        smaller, larger = sorted((1.0, self.flow_ratio))
        full_ntu = counterflow_ntu(self.cdu_effectiveness, smaller / larger)
        ntu = full_ntu * np.power(flow, CONDUCTANCE_EXPONENT - 1.0)
        effectiveness = counterflow_effectiveness(ntu, smaller / larger)
        supply = np.full_like(heat_w, self.supply_deg_c) if supply_deg_c is None else supply_deg_c
        rise = heat_w / (flow * full_rate)
        facility = np.minimum(supply + rise * (1.0 - 1.0 / (effectiveness * smaller)), self.class_limit_deg_c)
        return LoopState(flow, supply, supply + rise, facility, facility + rise / self.flow_ratio)

    def operate(self, heat_w: Floats, outdoors: Outdoors, supply_deg_c: Floats | None = None) -> PlantOutput:
        """Return what removing captured heat, W, takes: pumps, fans of the cooler, and the trim chiller."""
        state = self.state(heat_w, supply_deg_c)
        sink = outdoors.wet_bulb_deg_c if self.evaporates else outdoors.dry_bulb_deg_c
        reused = self.reuse.reused_w(heat_w, state.facility_return_deg_c)
        kept = np.maximum(1.0 - reused / np.where(heat_w > 0.0, heat_w, 1.0), 0.0)
        free, air = self._cooled(state, kept, sink)
        cop = chiller_cop(
            state.facility_supply_deg_c,
            sink + self.cooler_approach_k + self.condenser_lift_k,
            self.carnot_fraction,
            self.cop_max,
        )
        compressor = heat_w * kept * (1.0 - free) / cop
        pump = self.pump_peak_w * state.flow**3
        evaporating = np.maximum(heat_w + compressor + pump - reused, 0.0) if self.evaporates else 0.0
        return closed_output(
            heat_w,
            free_fraction=np.clip(1.0 - kept * (1.0 - free), 0.0, 1.0),
            compressor_w=compressor,
            pump_w=pump,
            tower_fan_w=self.cooler_fan_peak_w * air**3,
            reused_w=reused,
            evaporated_l_per_s=EVAPORATION_L_PER_J * evaporating,
            water_l_per_s=tower_water_l_per_j(self.cycles_of_concentration) * evaporating,
        )

    def _cooled(self, state: LoopState, kept: Floats, sink_deg_c: Floats) -> tuple[Floats, Floats]:
        """Return the part of the kept heat that the cooler takes by itself, and its air flow, both 0..1."""
        full_range = self.rise_k / self.flow_ratio
        full_ntu = -np.log1p(-full_range / (full_range + self.cooler_approach_k))
        range_k = (state.facility_return_deg_c - state.facility_supply_deg_c) * kept
        drive_k = state.facility_supply_deg_c + range_k - sink_deg_c
        reached_k = cooler_effectiveness(full_ntu, state.flow) * np.maximum(drive_k, 0.0)
        idle = range_k <= 0.0
        free = np.where(idle, 1.0, np.clip(reached_k / np.where(idle, 1.0, range_k), 0.0, 1.0))
        needed = np.where(
            drive_k > 0.0, range_k / np.where(drive_k > 0.0, drive_k, 1.0), np.where(idle, 0.0, 1.0)
        )
        return free, cooler_air_flow(needed, full_ntu, state.flow)


@dataclass(frozen=True, slots=True)
class LiquidPlant(CoolingPlant):
    """A liquid loop that captures a part of the heat of IT, and an air plant for all other heat."""

    capacity_w: float
    captured_fraction: float
    """Of the heat of IT, (0, 1]."""
    loop: LiquidLoop
    air: CoolingPlant

    def air_mover_w(self, hall_heat_w: Floats, flow_fraction: Floats) -> Floats:
        """Return (N,) what the air plant's movers draw for the heat that the liquid leaves."""
        return self.air.air_mover_w(hall_heat_w * (1.0 - self.captured_fraction), flow_fraction)

    def flow_for(self, hall_heat_w: Floats) -> Floats:
        """Return (N,) the flow of the air plant for the heat that the liquid leaves."""
        return self.air.flow_for(hall_heat_w * (1.0 - self.captured_fraction))

    def operate(self, load: PlantLoad, outdoors: Outdoors) -> PlantOutput:
        """Return what both take; the liquid has its part of the heat that IT released, no other."""
        captured = load.heat_w * load.it_fraction * self.captured_fraction
        left = load.heat_w - captured
        it_left = load.heat_w * load.it_fraction - captured
        air_load = PlantLoad(
            left, it_left / np.where(left > 0.0, left, 1.0), load.supply_deg_c, load.flow_fraction
        )
        liquid = self.loop.operate(captured, outdoors, load.liquid_supply_deg_c)
        return joined_output([liquid, self.air.operate(air_load, outdoors)], [captured, left])
