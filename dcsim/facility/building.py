"""A hall with its plant and its power chain, sized for a peak IT power."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.facility.cooling_plant import CoolingPlant
from dcsim.facility.hall import Hall
from dcsim.facility.plant_build import build_cooling_plant, design_power_w
from dcsim.facility.power import ChainStage, build_chain, chain_losses_w
from dcsim.spec.cooling import CoolingSpec
from dcsim.spec.power import PowerChainSpec

__all__ = ["HALL_RISE_K", "Building", "build_building"]

Floats = npt.NDArray[np.float64]

HALL_RISE_K = 12.0
"""Return over supply air at peak heat where the scenario gives no thermal resistance."""


@dataclass(frozen=True)
class Building:
    """What stands around the IT equipment."""

    plant: CoolingPlant
    hall: Hall
    stages: tuple[ChainStage, ...]
    """Of the power chain, from the servers up."""
    auxiliary_w: float
    peak_it_w: float
    supply_deg_c: float
    time_constant_s: float
    """R C of the hall at full flow."""

    @property
    def below_tap(self) -> tuple[ChainStage, ...]:
        """Stages that carry IT power only."""
        return tuple(stage for stage in self.stages if not stage.carries_cooling)

    def chain(
        self, it_w: npt.ArrayLike, cooling_w: npt.ArrayLike, tree_loss_w: npt.ArrayLike | None = None
    ) -> list[tuple[Floats, Floats]]:
        """Return (output W, loss W) of every stage while IT draws `it_w` and cooling `cooling_w`.

        Stages that stand in racks and PDUs lose what their even load would make them lose, times what the load
        of each node of the power tree makes of that: `tree_loss_w`, of all of them together; None: even load.
        """
        low = [stage for stage in self.stages if stage.level != "hall"]
        if tree_loss_w is None or not low:
            return list(chain_losses_w(self.stages, it_w, cooling_w))
        even = chain_losses_w(low, it_w)
        total = sum((loss for _, loss in even), np.zeros_like(np.asarray(it_w, dtype=np.float64)))
        lost = np.asarray(tree_loss_w, dtype=np.float64)
        factor = np.divide(lost, total, out=np.zeros_like(lost), where=total > 0.0)
        below = [(output, loss * factor) for output, loss in even]
        above = [stage for stage in self.stages if stage.level == "hall"]
        return [*below, *chain_losses_w(above, np.asarray(it_w) + lost, cooling_w)]

    def released_w(self, it_w: npt.ArrayLike, tree_loss_w: npt.ArrayLike | None = None) -> Floats:
        """Return the heat released in the hall without its air movers, W: IT, and losses of stages in the hall."""
        heat = np.asarray(it_w, dtype=np.float64)
        for stage, (_, loss) in zip(self.stages, self.chain(it_w, 0.0, tree_loss_w), strict=True):
            if stage.heats_hall:  # none of these carries cooling
                heat = heat + loss
        return heat

    def steady_heat_w(self, it_w: float) -> float:
        """Return all heat released in the hall, W, while IT draws a constant power and flow follows the heat."""
        released = np.array([float(self.released_w(it_w))])
        return float((released + self.plant.air_mover_w(released, self.plant.flow_for(released)))[0])

    def steady_deg_c(self, it_w: float) -> float:
        """Return the hall's air temperature in equilibrium with a constant IT power."""
        released = np.array([float(self.released_w(it_w))])
        flow = float(self.plant.flow_for(released)[0])
        return self.hall.steady_deg_c(self.steady_heat_w(it_w), self.supply_deg_c, flow)


def build_building(
    cooling: CoolingSpec,
    power: PowerChainSpec,
    peak_it_w: float,
    *,
    base_dir: Path = Path(),
    allow_fmu: bool = False,
) -> Building:
    """Return the building with everything the scenario leaves open sized for `peak_it_w` (>= 0).

    `base_dir` and `allow_fmu` are for a plant that is an FMU (`build_cooling_plant`).
    """
    if not 0.0 <= peak_it_w < math.inf:
        raise ValueError(f"peak IT power {peak_it_w!r} W: expected a finite number >= 0")
    # Ratings below the tap do not depend on cooling, so a first chain gives the heat that sizes the rest.
    below = tuple(stage for stage in build_chain(power, peak_it_w, 0.0) if not stage.carries_cooling)
    losses = zip(below, chain_losses_w(below, peak_it_w), strict=True)
    released_w = peak_it_w + sum(float(loss) for stage, (_, loss) in losses if stage.heats_hall)
    plant = build_cooling_plant(
        cooling, released_w, peak_it_w=peak_it_w, base_dir=base_dir, allow_fmu=allow_fmu
    )
    heat_w = released_w + float(plant.air_mover_w(np.array([released_w]), np.ones(1))[0])
    resistance = cooling.hall_resistance_k_per_w or HALL_RISE_K / (heat_w or 1.0)
    part = peak_it_w / (released_w or 1.0)
    plant_w = design_power_w(plant, released_w, cooling.supply_temperature_deg_c, it_fraction=part)
    return Building(
        plant=plant,
        hall=Hall(cooling.hall_time_constant_s / resistance, resistance, plant.capacity_w),
        stages=build_chain(power, peak_it_w, plant_w),
        auxiliary_w=power.auxiliary_power_w,
        peak_it_w=peak_it_w,
        supply_deg_c=cooling.supply_temperature_deg_c,
        time_constant_s=cooling.hall_time_constant_s,
    )
