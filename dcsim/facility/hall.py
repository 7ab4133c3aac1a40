"""The air and metal of one hall: heat comes in, the plant takes it out, the temperature between is exact.

C dT/dt = heat - removed, removed = (T - supply) / R while the plant can: it never heats, and it never removes
more than its capacity, so that beyond it the hall warms up. R falls as the flow of air rises.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Hall", "Relaxation"]

Floats = npt.NDArray[np.float64]


class Relaxation(NamedTuple):
    """What N consecutive intervals did to a hall; arrays (N,)."""

    removed_w: Floats
    """Mean heat removed."""
    mean_deg_c: Floats
    """Mean air temperature on its way back to the plant."""
    end_deg_c: Floats
    """The same at the end of each interval."""
    over_s: Floats
    """Time for which more would have been removed if the plant could."""


class _Piece(NamedTuple):
    """A stretch of an interval in which one law holds."""

    length_s: float
    end_deg_c: float
    removed_j: float
    degree_s: float
    over_s: float


@dataclass(frozen=True)
class Hall:
    """A hall of constant heat capacity."""

    heat_capacity_j_per_k: float
    """Of air and metal, > 0."""
    resistance_k_per_w: float
    """Return over supply air, per heat removed, at full flow, > 0."""
    capacity_w: float
    """The most heat that the plant removes, > 0; infinity: any."""

    def relax(
        self, start_deg_c: float, heat_w: Floats, supply_deg_c: Floats, flow: Floats, duration_s: Floats
    ) -> Relaxation:
        """Let N intervals go by one after the other.

        Args:
            start_deg_c: before the first.
            heat_w: (N,) released in the hall, >= 0.
            supply_deg_c: (N,) air from the plant.
            flow: (N,) part of full flow, (0, 1].
            duration_s: (N,) >= 0.
        """
        resistance = self.resistance_k_per_w / flow
        ratio = duration_s / (self.heat_capacity_j_per_k * resistance)
        decay = np.exp(-ratio)
        before = self._start_removals(start_deg_c, heat_w, supply_deg_c, resistance, decay)
        least, most = (
            float(before.min(initial=0.0)),
            float(max(before.max(initial=0.0), heat_w.max(initial=0.0))),
        )
        if least < 0.0 or most > self.capacity_w:
            return self._bounded(start_deg_c, heat_w, supply_deg_c, resistance, duration_s)
        weight = np.where(ratio > 0.0, -np.expm1(-ratio) / np.where(ratio > 0.0, ratio, 1.0), 1.0)
        removed = heat_w + (before - heat_w) * weight
        return Relaxation(
            removed_w=removed,
            mean_deg_c=supply_deg_c + resistance * removed,
            end_deg_c=supply_deg_c + resistance * (heat_w + (before - heat_w) * decay),
            over_s=np.zeros_like(heat_w),
        )

    def steady_deg_c(self, heat_w: float, supply_deg_c: float, flow: float) -> float:
        """Return the air temperature at which a heat that the plant can remove is removed."""
        return supply_deg_c + self.resistance_k_per_w / flow * min(heat_w, self.capacity_w)

    def _start_removals(
        self, start_deg_c: float, heat_w: Floats, supply_deg_c: Floats, resistance: Floats, decay: Floats
    ) -> Floats:
        """Return (N,) what would be removed at the start of each interval if the plant had no bounds."""
        air, found = start_deg_c, list[float]()
        note = found.append
        rows = zip(heat_w.tolist(), supply_deg_c.tolist(), resistance.tolist(), decay.tolist(), strict=True)
        for heat, supply, k_per_w, factor in rows:
            removal = (air - supply) / k_per_w
            note(removal)
            air = supply + k_per_w * (heat + (removal - heat) * factor)
        return np.array(found)

    def _bounded(
        self, start_deg_c: float, heat_w: Floats, supply_deg_c: Floats, resistance: Floats, duration_s: Floats
    ) -> Relaxation:
        """Return the relaxation where the plant stands still or does all it can for some of the time."""
        air, rows = start_deg_c, list[tuple[float, float, float, float]]()
        for heat, supply, k_per_w, length in zip(
            heat_w.tolist(), supply_deg_c.tolist(), resistance.tolist(), duration_s.tolist(), strict=True
        ):
            left_s, removed_j, degree_s, over_s = length, 0.0, 0.0, 0.0
            while left_s > 0.0:
                piece = self._piece(air, heat, supply, k_per_w, left_s)
                air, left_s = piece.end_deg_c, left_s - piece.length_s
                removed_j += piece.removed_j
                degree_s += piece.degree_s
                over_s += piece.over_s
            whole = length if length > 0.0 else 1.0
            rows.append((removed_j / whole, degree_s / whole if length > 0.0 else air, air, over_s))
        columns = np.array(rows).reshape(-1, 4).T
        return Relaxation(*columns)

    def _piece(self, air: float, heat: float, supply: float, k_per_w: float, left_s: float) -> _Piece:
        """Return what holds from now on: nothing removed, all that can be, or what the air's temperature asks for."""
        capacity = self.heat_capacity_j_per_k
        full_deg_c = supply + k_per_w * self.capacity_w
        if air < supply:
            until_s = (supply - air) * capacity / heat if heat > 0.0 else math.inf
            return self._linear(air, heat, 0.0, until_s, left_s, supply)
        if air > full_deg_c or (air == full_deg_c and heat > self.capacity_w):
            net = self.capacity_w - heat
            until_s = (air - full_deg_c) * capacity / net if net > 0.0 else math.inf
            return self._linear(air, heat, self.capacity_w, until_s, left_s, full_deg_c)
        tau_s, removal = capacity * k_per_w, (air - supply) / k_per_w
        until_s = math.inf
        if heat > self.capacity_w:
            until_s = tau_s * math.log((heat - removal) / (heat - self.capacity_w))
        length_s = min(left_s, until_s)
        gone = -math.expm1(-length_s / tau_s) if tau_s > 0.0 else 1.0
        removed_j = heat * length_s + (removal - heat) * tau_s * gone
        end = full_deg_c if until_s <= left_s else supply + k_per_w * (heat + (removal - heat) * (1.0 - gone))
        return _Piece(length_s, end, removed_j, supply * length_s + k_per_w * removed_j, 0.0)

    def _linear(
        self, air: float, heat: float, removed_w: float, until_s: float, left_s: float, goal: float
    ) -> _Piece:
        """Return a stretch of constant removal, until the temperature `goal` is reached or time is over."""
        length_s = min(left_s, until_s)
        end = goal if until_s <= left_s else air + (heat - removed_w) * length_s / self.heat_capacity_j_per_k
        over_s = length_s if removed_w > 0.0 else 0.0
        return _Piece(length_s, end, removed_w * length_s, 0.5 * (air + end) * length_s, over_s)
