"""The best that any battery policy can do with perfect foresight: a linear program, written from the physics alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linprog

from dcsim.facility.battery import Battery

__all__ = ["least_cost"]

Floats = npt.NDArray[np.float64]


def least_cost(
    battery: Battery,
    load_w: Floats,
    solar_w: Floats,
    price: Floats,
    duration_s: float,
    demand_price: float = 0.0,
) -> float:
    """Return the least of sum(price x import energy) + demand_price x max(import), nothing exported.

    Columns: import, charge, discharge, curtailed (n each), stored at the end of each interval (n), peak.
    """
    n = len(load_w)
    rate = battery.self_discharge_per_s
    left = math.exp(-rate * duration_s)
    effective = (1.0 - left) / rate / duration_s if rate else 1.0
    one, none, spare = sparse.eye_array(n), sparse.csr_array((n, n)), sparse.csr_array((n, 1))
    carried = left * sparse.eye_array(n, k=-1)
    taken, given = effective * battery.charge_efficiency, effective / battery.discharge_efficiency
    balance = sparse.hstack([one, -one, one, -one, none, spare])
    store = sparse.hstack([none, -taken * one, given * one, none, one - carried, spare])
    equal: Any = sparse.vstack([balance, store])  # the stubs know dense matrices only
    below: Any = sparse.hstack([one, *[none] * 4, sparse.csr_array(-np.ones((n, 1)))])
    # The solver's tolerances are absolute: powers in units of the largest, energies of that for an interval,
    # and the dearest hour costs 1.
    unit_w = max(float(load_w.max()), battery.charge_limit_w)
    unit_cost = max(float(np.abs(price).max()) * duration_s, demand_price, 1e-30)
    unit_j = unit_w * duration_s
    first = np.zeros(n)
    first[0] = battery.initial_j * left / unit_j
    found = linprog(
        np.concatenate([price * duration_s, np.zeros(4 * n), [demand_price]]) / unit_cost,
        A_eq=equal,
        b_eq=np.concatenate([(load_w - solar_w) / unit_w, first]),
        A_ub=below,
        b_ub=np.zeros(n),
        bounds=[(0.0, None)] * n
        + [(0.0, battery.charge_limit_w / unit_w)] * n
        + [(0.0, battery.discharge_limit_w / unit_w)] * n
        + [(0.0, sun) for sun in (solar_w / unit_w).tolist()]
        + [(battery.lowest_j / unit_j, battery.highest_j / unit_j)] * n
        + [(0.0, None)],
        method="highs",
    )
    assert found.status == 0, found.message
    return float(found.fun or 0.0) * unit_cost * unit_w
