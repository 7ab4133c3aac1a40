"""What a cooling plant is: given heat, weather and set points it says what removing the heat takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CoolingPlant", "Outdoors", "PlantLoad", "PlantOutput"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outdoors:
    """Weather on N intervals; arrays (N,)."""

    dry_bulb_deg_c: Floats
    wet_bulb_deg_c: Floats
    humidity_ratio: Floats
    """Water over dry air, kg/kg."""
    pressure_pa: Floats


@dataclass(frozen=True, slots=True)
class PlantLoad:
    """What a plant has to do on N intervals; arrays (N,)."""

    heat_w: Floats
    """To remove from the hall: IT, air movers and the losses that the hall takes up, after its thermal mass."""
    it_fraction: Floats
    """Part of the heat that IT released, 0..1; the rest comes from air movers and the power chain."""
    supply_deg_c: Floats
    """Set point of the air (or, in a liquid-cooled hall, of its air side) that enters the servers."""
    flow_fraction: Floats
    """Of the air movers' full flow, (0, 1]."""
    liquid_supply_deg_c: Floats | None = None
    """Set point of the liquid that enters the servers; None: as the plant was built."""


@dataclass(frozen=True, slots=True)
class PlantOutput:
    """What a plant draws and gives off on N intervals; arrays (N,), all >= 0.

    rejected + reused = heat + compressor + pump + tower fan + other, at every interval.
    """

    compressor_w: Floats
    pump_w: Floats
    tower_fan_w: Floats
    other_w: Floats
    """Humidifiers, sprays, dry-cooler fans, controls."""
    rejected_w: Floats
    """To the surroundings."""
    reused_w: Floats
    """Given to somebody who has use for it, at the plant's boundary."""
    evaporated_l_per_s: Floats
    water_l_per_s: Floats
    """Make-up: evaporated, blown down and drifted away."""
    free_fraction: Floats
    """Part of the heat that left without a compressor, 0..1."""

    @property
    def power_w(self) -> Floats:
        """(N,) all that the plant draws; the air movers of the hall are not in it."""
        return np.asarray(self.compressor_w + self.pump_w + self.tower_fan_w + self.other_w)


class CoolingPlant(ABC):
    """A plant sized for a hall. Pure: equal arguments give equal results, nothing is kept."""

    capacity_w: float
    """Heat it can remove."""

    @abstractmethod
    def air_mover_w(self, hall_heat_w: Floats, flow_fraction: Floats) -> Floats:
        """Return (N,) the power of the hall's air movers, W; all of it becomes heat in the hall.

        Args:
            hall_heat_w: (N,) released in the hall without them.
            flow_fraction: (N,) of full flow, (0, 1].
        """

    @abstractmethod
    def flow_for(self, hall_heat_w: Floats) -> Floats:
        """Return (N,) the part of full flow, (0, 1], that the air movers give by themselves for a heat."""

    @abstractmethod
    def operate(self, load: PlantLoad, outdoors: Outdoors) -> PlantOutput:
        """Return what it draws and gives off while it removes `load.heat_w`, all of it.

        Never asked for more than `capacity_w`. Powers are never negative, no compressor beats Carnot's.
        """
