"""What a cooling plant is: given heat, weather and set points it says what removing the heat takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

__all__ = [
    "NO_REUSE",
    "CoolingPlant",
    "HeatReuse",
    "Outdoors",
    "PlantLoad",
    "PlantOutput",
    "closed_output",
    "joined_output",
]

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


@dataclass(frozen=True, slots=True)
class HeatReuse:
    """Somebody who takes a part of the heat, where it is warm enough."""

    fraction: float = 0.0
    """Of what the plant gives off, 0..1."""
    temperature_deg_c: float = -np.inf
    """The coldest that the user takes."""

    def reused_w(self, given_off_w: Floats, stream_deg_c: Floats) -> Floats:
        """Return (N,) what the user takes of heat that comes at a temperature, W.

        >>> HeatReuse(0.5, 40.0).reused_w(np.array([100.0, 100.0]), np.array([39.0, 41.0])).tolist()
        [0.0, 50.0]
        """
        warm = np.asarray(stream_deg_c) >= self.temperature_deg_c
        return np.where(warm, self.fraction * given_off_w, 0.0)


NO_REUSE = HeatReuse()
"""Nobody takes any."""


def closed_output(
    heat_w: Floats,
    *,
    free_fraction: Floats,
    compressor_w: Floats | float = 0.0,
    pump_w: Floats | float = 0.0,
    tower_fan_w: Floats | float = 0.0,
    other_w: Floats | float = 0.0,
    reused_w: Floats | float = 0.0,
    evaporated_l_per_s: Floats | float = 0.0,
    water_l_per_s: Floats | float = 0.0,
) -> PlantOutput:
    """Return the output whose rejected heat closes the balance; scalars hold for all (N,) intervals.

    >>> float(closed_output(np.array([10.0]), free_fraction=np.array([0.0]), compressor_w=2.0).rejected_w[0])
    12.0
    """
    given_off = heat_w + (compressor_w + pump_w + tower_fan_w + other_w)
    shape = np.shape(heat_w)
    return PlantOutput(
        compressor_w=_filled(compressor_w, shape),
        pump_w=_filled(pump_w, shape),
        tower_fan_w=_filled(tower_fan_w, shape),
        other_w=_filled(other_w, shape),
        rejected_w=np.asarray(given_off - reused_w),
        reused_w=_filled(reused_w, shape),
        evaporated_l_per_s=_filled(evaporated_l_per_s, shape),
        water_l_per_s=_filled(water_l_per_s, shape),
        free_fraction=_filled(free_fraction, shape),
    )


def joined_output(outputs: Sequence[PlantOutput], heats_w: Sequence[Floats]) -> PlantOutput:
    """Return what plants do together: all summed, the free fraction weighted by the heat of each."""
    total = np.asarray(np.sum(heats_w, axis=0))
    sums = {
        field.name: np.asarray(np.sum([getattr(output, field.name) for output in outputs], axis=0))
        for field in fields(PlantOutput)
    }
    free = [output.free_fraction * heat for output, heat in zip(outputs, heats_w, strict=True)]
    mean = np.asarray(np.sum(free, axis=0)) / np.where(total > 0.0, total, 1.0)
    idle = np.asarray(np.mean([output.free_fraction for output in outputs], axis=0))
    # Weights add up to 1 but for rounding.
    sums["free_fraction"] = np.clip(np.where(total > 0.0, mean, idle), 0.0, 1.0)
    return PlantOutput(**sums)


def _filled(value: Floats | float, shape: tuple[int, ...]) -> Floats:
    """Return a value as a float array of its own shape."""
    return np.broadcast_to(np.asarray(value, dtype=np.float64), shape)
