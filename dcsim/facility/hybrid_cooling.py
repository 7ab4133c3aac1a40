"""Halls that mix plants: each takes a fixed part of the heat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dcsim.facility.cooling_plant import CoolingPlant, Outdoors, PlantLoad, PlantOutput, joined_output

__all__ = ["HybridPlant"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HybridPlant(CoolingPlant):
    """Several plants, each with its part of the heat; all blow air of one temperature and flow."""

    capacity_w: float
    """Of the whole: the first part to be full limits it."""
    parts: tuple[tuple[float, CoolingPlant], ...]
    """(part of the heat, plant); the parts add up to 1."""

    def _shares(self, heat_w: Floats) -> Iterator[tuple[CoolingPlant, Floats]]:
        """Yield (plant, its heat); the last takes what the others leave, so that nothing is lost to rounding."""
        left = heat_w
        for fraction, plant in self.parts[:-1]:
            share = fraction * heat_w
            left = np.maximum(left - share, 0.0)
            yield plant, share
        yield self.parts[-1][1], left

    def air_mover_w(self, hall_heat_w: Floats, flow_fraction: Floats) -> Floats:
        """Return (N,) what the air movers of all parts draw, W."""
        powers = [plant.air_mover_w(heat, flow_fraction) for plant, heat in self._shares(hall_heat_w)]
        return np.asarray(np.sum(powers, axis=0))

    def flow_for(self, hall_heat_w: Floats) -> Floats:
        """Return (N,) the mean flow of the parts, weighted by their part of the heat."""
        flows = [plant.flow_for(heat) for plant, heat in self._shares(hall_heat_w)]
        weights = [fraction for fraction, _ in self.parts]
        return np.asarray(np.average(flows, axis=0, weights=weights))

    def operate(self, load: PlantLoad, outdoors: Outdoors) -> PlantOutput:
        """Return the sum of the parts."""
        shares = list(self._shares(load.heat_w))
        outputs = [plant.operate(replace(load, heat_w=heat), outdoors) for plant, heat in shares]
        return joined_output(outputs, [heat for _, heat in shares])
