"""What a placement policy may see of the air in the hall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["HeatView"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HeatView:
    """N nodes (racks, or groups of them) that breathe each other's exhaust; arrays cannot be written."""

    node: Ints
    """(S,) node of each server."""
    rise_k_per_w: Floats
    """(N, N) D at full flow: kelvin over supply at the inlet of i (row) for each watt at j (column), >= 0."""
    heat_rate_w_per_k: Floats
    """(N,) heat that the air through each node takes up for each kelvin, > 0."""
    recirculation_factor: Floats
    """(N,) heat that is breathed in again somewhere for each watt at a node, >= 0."""
    busy_power_w: Floats
    """(S,) what an accelerator that works adds to its server, its share of the cores included."""
    core_power_w: Floats
    """(S,) what a core that works adds to its server."""
    inlet_deg_c: Callable[[], Floats]
    """Gives (N,) the air that servers breathe, with what was granted at this instant as it will be once it works."""
    power_w: Callable[[], Floats]
    """Gives (N,) what the nodes draw, with what was granted at this instant."""

    def __len__(self) -> int:
        return len(self.heat_rate_w_per_k)
