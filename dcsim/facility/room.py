"""Air that mixes in a hall: inlet temperatures from powers, by the heat that recirculates (pure functions).

Node j (a rack, or some racks) breathes a mix of supply air and of others' exhaust, at steady state:

    K Tin = A^T K Tout + (K - A^T K) Tsup,    P = K (Tout - Tin),    K = rho f cp

with a_ij the part of the air out of node i that node j breathes in. Hence Tin = Tsup + D P with
D = (K - A^T K)^-1 - K^-1: Tang, Gupta, Varsamopoulos, "Energy-efficient thermal-aware task scheduling for
homogeneous high-performance computing data centers: a cyber-physical approach", IEEE TPDS 19 (11), 2008.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "AIR_HEAT_J_PER_M3_K",
    "Room",
    "heat_capacity_rate_w_per_k",
    "make_room",
    "recirculation_faults",
    "supply_heat_index",
    "supply_red_line_deg_c",
]

Floats = npt.NDArray[np.float64]

AIR_HEAT_J_PER_M3_K = 1.184 * 1006.0
"""rho cp of dry air at 25 degC and 101,325 Pa: 1.184 kg/m3, 1,006 J/(kg K)."""

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Room:
    """How N nodes breathe each other's exhaust while servers move all their air; arrays cannot be written."""

    heat_rate_w_per_k: Floats
    """(N,) K: heat that the air of each node takes up for each kelvin, > 0."""
    recirculation: Floats
    """(N, N) A: part of the air out of node i (row) that node j (column) breathes in."""
    rise_k_per_w: Floats
    """(N, N) D: kelvin over supply at the inlet of i (row) for each watt at j (column), >= 0."""
    return_rate_w_per_k: float
    """Sum of K over the air that goes back to the plant: what the air movers have to bring."""
    matched: bool = True
    """Whether servers move no more of their full air than the air movers do."""

    def __len__(self) -> int:
        return len(self.heat_rate_w_per_k)

    def inlet_rise_k(self, power_w: Floats, flow_fraction: float = 1.0) -> Floats:
        """Return (N,) inlet over supply temperature, K.

        At a part f of full flow, matched servers move f of their air: D / f. Servers that move all their air
        make up what is missing from the return air, which is (1 / f) sum P / R over supply, so that every
        inlet is warmer by (1 / f - 1) sum P / R: exactly, by the Sherman-Morrison formula.

        Args:
            power_w: (N,) heat released at each node, >= 0.
            flow_fraction: of the air movers' full flow, (0, 1].
        """
        return self.rise_at_flow_k(self.rise_k_per_w @ power_w, float(power_w.sum()), flow_fraction)

    def rise_at_flow_k(self, full_flow_k: Floats, power_w: float, flow_fraction: float) -> Floats:
        """Return (N,) the rise at a part of full flow from that at full flow, D P; `power_w` is sum P."""
        if flow_fraction == 1.0:
            return full_flow_k
        if self.matched:
            return np.asarray(full_flow_k / flow_fraction)
        return np.asarray(full_flow_k + (1.0 / flow_fraction - 1.0) * power_w / self.return_rate_w_per_k)

    def outlet_rise_k(self, power_w: Floats, flow_fraction: float = 1.0) -> Floats:
        """Return (N,) outlet over supply temperature, K; arguments as of `inlet_rise_k`."""
        flow = flow_fraction if self.matched else 1.0
        return np.asarray(
            self.inlet_rise_k(power_w, flow_fraction) + power_w / (flow * self.heat_rate_w_per_k)
        )

    def return_rise_k(self, power_w: Floats, flow_fraction: float = 1.0) -> float:
        """Return how much warmer than supply the mixed air is that goes back to the plant, K.

        The mean of the outlets, weighed by what of their air is not breathed again. By the balance of heat it
        is sum P / (f R), which is how a test closes it.
        """
        back = self.heat_rate_w_per_k * (1.0 - self.recirculation.sum(axis=1))
        return float(back @ self.outlet_rise_k(power_w, flow_fraction)) / float(back.sum())

    def recirculation_factors(self) -> Floats:
        """Return (N,) heat that is breathed in again somewhere, over heat released at each node: K^T D.

        The smaller, the less a watt there costs: Moore, Chase, Ranganathan, Sharma, "Making scheduling cool",
        USENIX ATC 2005, section 3.2, rank servers so (their factors are relative to a reference).

        >>> room = make_room([[0.1, 0.0], [0.2, 0.0]], [100.0, 100.0])
        >>> room.recirculation_factors().round(6).tolist()
        [0.111111, 0.222222]
        """
        return np.asarray(self.heat_rate_w_per_k @ self.rise_k_per_w)


def heat_capacity_rate_w_per_k(peak_power_w: npt.ArrayLike, design_rise_k: float) -> Floats:
    """Return K = rho f cp of servers whose air warms up by `design_rise_k` (> 0) at their peak power (> 0).

    >>> float(heat_capacity_rate_w_per_k(12_000.0, 12.0) / AIR_HEAT_J_PER_M3_K)  # m3/s of 10 racks, say
    0.8395...
    """
    return np.asarray(np.asarray(peak_power_w, dtype=np.float64) / design_rise_k)


def recirculation_faults(recirculation: Floats, heat_rate_w_per_k: Floats) -> list[tuple[int, str, str]]:
    """Return (node, got, expected) of all that air cannot do; empty: the matrix has an inverse, D >= 0.

    Args:
        recirculation: (N, N) A.
        heat_rate_w_per_k: (N,) K > 0.

    >>> recirculation_faults(np.array([[0.0, 0.9], [0.0, 0.0]]), np.array([200.0, 100.0]))
    [(1, '1.8 times its air in exhaust of others', 'at most all of it')]
    """
    faults = []
    for i, row in enumerate(recirculation):
        if not (np.isfinite(row).all() and row.min(initial=0.0) >= 0.0):
            faults.append((i, f"a part of {row.min():g}", "parts of at least 0"))
        elif not row.sum() < 1.0:
            faults.append((i, f"parts that add up to {row.sum():.6g}", "less than 1: some air goes back"))
    if not faults:
        breathed = heat_rate_w_per_k @ recirculation / heat_rate_w_per_k
        faults = [
            (int(j), f"{breathed[j]:.6g} times its air in exhaust of others", "at most all of it")
            for j in np.flatnonzero(breathed > 1.0 + _ROUNDING)
        ]
    return faults


def make_room(
    recirculation: npt.ArrayLike, heat_rate_w_per_k: npt.ArrayLike, *, matched: bool = True
) -> Room:
    """Return a room from A (N, N) and K (N,); rows of A below 1 make I - A^T diagonally dominant, so it has an inverse.

    Raises:
        ValueError: the matrix is not one of air (see `recirculation_faults`).

    >>> room = make_room([[0.1, 0.0], [0.2, 0.0]], [100.0, 100.0])
    >>> room.inlet_rise_k(np.array([1000.0, 1000.0])).round(6).tolist()
    [3.333333, 0.0]
    """
    parts = np.array(recirculation, dtype=np.float64)
    rate = np.array(heat_rate_w_per_k, dtype=np.float64)
    if parts.shape != (len(rate), len(rate)) or not (rate > 0.0).all():
        msg = f"a matrix of shape {parts.shape} for {len(rate)} nodes"
        raise ValueError(msg)
    faults = recirculation_faults(parts, rate)
    if faults:
        msg = "; ".join(f"node {node}: {got} -> expected {expected}" for node, got, expected in faults)
        raise ValueError(msg)
    # K D = (I - A^T)^-1 - I = (I - A^T)^-1 A^T: no difference of near-equal numbers, so D >= 0 to the last bit.
    passed = np.linalg.solve(np.eye(len(rate)) - parts.T, parts.T)
    rise = np.maximum(passed, 0.0) / rate[:, None]
    returned = float((rate * (1.0 - parts.sum(axis=1))).sum())
    for array in (parts, rate, rise):
        array.flags.writeable = False
    return Room(rate, parts, rise, returned, matched)


def supply_heat_index(room: Room, power_w: Floats) -> float:
    """Return the heat that inlets get from exhaust over all heat above supply at the outlets, 0..1.

    SHI of Sharma, Bash, Patel, "Dimensionless parameters for evaluation of thermal design and performance of
    large-scale data centers", AIAA 2002-3091.
    """
    rate = room.heat_rate_w_per_k
    return float(rate @ room.inlet_rise_k(power_w)) / float(rate @ room.outlet_rise_k(power_w))


def supply_red_line_deg_c(
    room: Room, power_w: Floats, red_line_deg_c: float, flow_fraction: float = 1.0
) -> float:
    """Return the warmest supply air at which no inlet is above the red line: T_red - max (D P) (Tang 2008).

    >>> room = make_room([[0.1, 0.0], [0.2, 0.0]], [100.0, 100.0])
    >>> round(supply_red_line_deg_c(room, np.array([1000.0, 1000.0]), 27.0), 6)
    23.666667
    """
    return red_line_deg_c - float(room.inlet_rise_k(power_w, flow_fraction).max())
