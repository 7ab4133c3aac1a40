"""The heat of a run's hall, where its scenario has a room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dcsim.engine import Engine
from dcsim.facility.building import Building
from dcsim.facility.room import Room
from dcsim.facility.room_layout import build_room
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.rack_powers import RackPowers
from dcsim.simulation.record import RunRecord
from dcsim.simulation.thermal_state import ThermalState

__all__ = ["own_flow_of", "room_of", "thermal_state_of"]


def own_flow_of(building: Building) -> Callable[[float], float]:
    """Return what gives the flow, (0, 1], of a building's air movers by themselves, for an IT power, W.

    As the meter reckons it, with an even load on stages that stand in racks and PDUs.
    """

    def own_flow(it_w: float) -> float:
        released_w = np.array([float(building.released_w(it_w))])
        return float(building.plant.flow_for(released_w)[0])

    return own_flow


def room_of(inputs: RunInputs) -> Room | None:
    """Return the room of a run's scenario; None: it has none.

    Raises:
        ScenarioError: a matrix that cannot be used, or air that goes where it cannot.
    """
    scenario, fleet = inputs.scenario, inputs.fleet
    if scenario.room is None:
        return None
    peaks_w = [
        kind.spec.peak_power_w
        + (kind.spec.accelerators * kind.accelerator.peak_power_w if kind.accelerator else 0.0)
        for kind in fleet.types
    ]
    of_racks = np.bincount(fleet.rack, weights=np.array(peaks_w)[np.array(fleet.type_of)])
    return build_room(scenario.room, of_racks.astype(np.float64), inputs.base_dir, file=scenario.name)


def thermal_state_of(
    inputs: RunInputs,
    engine: Engine,
    record: RunRecord,
    racks: RackPowers | None,
    own_flow: Callable[[float], float] | None = None,
) -> ThermalState | None:
    """Return the thermal state of a run that begins, noted in its record; None without a room.

    Args:
        inputs: of the run.
        engine: of the run.
        record: of the run.
        racks: of the run; None: nobody keeps up their powers.
        own_flow: of the plant for an IT power, W; None: full flow unless a policy sets another.

    Raises:
        ScenarioError: the room cannot be, or servers would heat themselves up without end.
    """
    scenario = inputs.scenario
    room = room_of(inputs)
    if scenario.room is None or room is None or racks is None:
        return None
    record.heat = ThermalState(
        engine,
        record.log,
        inputs.fleet,
        room,
        racks,
        racks_per_node=scenario.room.racks_per_node,
        supply_deg_c=scenario.cooling.supply_temperature_deg_c,
        watched=inputs.policies.placement.knows_heat,
        least_flow=scenario.cooling.least_flow,
        own_flow=own_flow,
        idle_it_w=record.base_power_w,
    )
    return record.heat
