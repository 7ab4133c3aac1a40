"""What a thermal placement policy sees in tests: rows of racks that breathe some of each other's exhaust."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from dcsim.facility.room import heat_capacity_rate_w_per_k, make_room
from dcsim.facility.room_layout import aisle_matrix
from dcsim.policies.heat_view import HeatView

__all__ = ["make_heat_view"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_IDLE_W, _BUSY_W, _CORE_W = 500.0, 400.0, 5.0
_SUPPLY_DEG_C = 24.0
_MOST_NODES = 64


def make_heat_view(rack: Ints, total: Ints, free: Ints) -> HeatView:
    """Return the heat of a hall of racks with open aisles, whose devices that are not free work.

    Args:
        rack: (S,) rack of each server, ascending from 0; more than 64 racks are seen in groups.
        total: (S,) accelerators of each server.
        free: (S,) those that are free.

    >>> view = make_heat_view(np.array([0, 0, 1]), np.array([8, 8, 8]), np.array([8, 0, 8]))
    >>> bool(view.inlet_deg_c()[0] > view.inlet_deg_c()[1] > 24.0)
    True
    """
    racks = int(rack[-1]) + 1
    node = rack // -(-racks // _MOST_NODES)
    nodes = int(node[-1]) + 1
    peak_w = np.bincount(node, weights=_IDLE_W + _BUSY_W * total, minlength=nodes)
    rate = heat_capacity_rate_w_per_k(peak_w, 12.0)
    parts = aisle_matrix(
        rate,
        racks_per_row=8,
        recirculation_fraction=0.2,
        containment=0.0,
        decay_m=1.0,
        rack_width_m=0.6,
    )
    room = make_room(parts * min(1.0, 0.9 / float(parts.sum(axis=1).max())), rate)
    drawn_w = _IDLE_W + _BUSY_W * (total - free)
    power_w = np.bincount(node, weights=drawn_w, minlength=nodes).astype(np.float64)
    inlet = _SUPPLY_DEG_C + room.inlet_rise_k(power_w)
    columns = {
        "node": node.copy(),
        "recirculation_factor": room.recirculation_factors(),
        "busy_power_w": np.full(len(rack), _BUSY_W),
        "core_power_w": np.full(len(rack), _CORE_W),
    }
    for column in columns.values():
        column.flags.writeable = False
    return HeatView(
        **columns,
        rise_k_per_w=room.rise_k_per_w,
        heat_rate_w_per_k=room.heat_rate_w_per_k,
        inlet_deg_c=partial(np.array, inlet),
        power_w=partial(np.array, power_w),
    )
