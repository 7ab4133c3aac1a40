"""Set points of a hall over a run: supply temperature and flow of air, each from its time on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

__all__ = ["SetPoints"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SetPoints:
    """K settings, each of which holds from its time to the next."""

    time_s: Floats
    """(K,) ascending, the first 0."""
    supply_deg_c: Floats
    """(K,)."""
    flow: Floats
    """(K,) part of full flow, (0, 1]; NaN: as the air movers do by themselves."""

    @classmethod
    def fixed(cls, supply_deg_c: float) -> Self:
        """Return one setting for all time, with the flow that the air movers give by themselves."""
        return cls(np.zeros(1), np.array([supply_deg_c]), np.array([np.nan]))

    def at(self, times_s: Floats, own_flow: Floats) -> tuple[Floats, Floats]:
        """Return (N,) supply temperature and flow at N times; `own_flow` (N,) where none is set."""
        if len(self.time_s) == 1:
            flow = own_flow if np.isnan(self.flow[0]) else np.full_like(own_flow, self.flow[0])
            return np.full_like(own_flow, self.supply_deg_c[0]), flow
        row = np.searchsorted(self.time_s, times_s, side="right") - 1
        flow = self.flow[row]
        return self.supply_deg_c[row], np.where(np.isnan(flow), own_flow, flow)

    def breakpoints(self, from_s: float, to_s: float) -> Floats:
        """Return the times in [from_s, to_s) at which a setting changes."""
        return self.time_s[slice(*np.searchsorted(self.time_s, [from_s, to_s]).tolist())]
