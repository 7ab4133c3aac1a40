"""What servers draw more in warm air, fans and leakage, and the inlet temperatures at which that adds up.

Fans and leakage rise with the inlet, the inlet rises with what all racks draw. The instant's answer is the
fixed point of T -> Tsup + D (P + e(T)). With s_j >= de_j/dT the map is a contraction in the largest norm by
q = max_i sum_j D_ij s_j, and a room with q >= 1 is refused (`contraction`); so there is one fixed point, and the iteration is
within q / (1 - q) of its last step from it (Banach).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.facility.room import Room
from dcsim.facility.servers import Fleet, ServerType
from dcsim.facility.thermal import leakage_gain

__all__ = [
    "HeatFeedback",
    "InletTemperatures",
    "ServerCells",
    "busy_powers_w",
    "contraction",
    "mixed_inlets",
    "quantised_powers_w",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STEPS_AT_MOST = 10_000
_POWER_STEPS_PER_W = 2.0**22
_CLOSE = 1e-12
"""Of a temperature: the last step of the iteration, over the largest of them."""


@dataclass(frozen=True, slots=True)
class ServerCells:
    """The M cells of a fleet: the servers of one type in one rack, which stand side by side; arrays (M,)."""

    rack: Ints
    kind: Ints
    """Index into the fleet's types."""
    start: Ints
    """First server."""
    servers: Ints
    """How many."""
    of_server: Ints
    """(S,) cell of each server."""

    @classmethod
    def of(cls, fleet: Fleet) -> ServerCells:
        """Return the cells of a fleet."""
        kind = np.array(fleet.type_of, dtype=np.int64)
        begins = np.ones(len(fleet), dtype=bool)
        begins[1:] = (np.diff(kind) != 0) | (np.diff(fleet.rack) != 0)
        start = np.flatnonzero(begins)
        servers = np.diff(np.append(start, len(fleet)))
        return cls(fleet.rack[start], kind[start], start, servers, np.cumsum(begins) - 1)

    def __len__(self) -> int:
        return len(self.rack)


class HeatFeedback:
    """What the servers of each cell draw above their powers at reference temperatures; arrays (M,).

    Leakage is that at the temperature a device tends to: it follows within some of its time constants.

    Args:
        types: of the fleet.
        cells: of the fleet.
        racks: R.
    """

    def __init__(self, types: Sequence[ServerType], cells: ServerCells, racks: int) -> None:
        self._cells = cells
        self._racks = racks
        columns = np.array([_parameters(kind) for kind in types]).reshape(len(types), -1)[cells.kind].T
        (
            self._fan_w,
            self._full_fan_w,
            self._fan_from,
            self._fan_to,
            self.resistance_k_per_w,
            self.gain,
            self.reference_deg_c,
            self._leak_w_per_k,
            self._static_w,
            self._devices,
        ) = columns
        self._least_speed, most_speed = np.cbrt(self._fan_w), np.cbrt(self._full_fan_w)
        self._more_speed = most_speed - self._least_speed
        self._per_k = 1.0 / (self._fan_to - self._fan_from)
        self._at_rest_w = self._least_speed * self._least_speed * self._least_speed
        self._has_fans = bool((self._full_fan_w > self._fan_w).any())
        self._leaks = bool((self._leak_w_per_k > 0.0).any())
        self.has_any = self._has_fans or self._leaks
        """Whether anything depends on the inlet."""

    def extra_w(self, inlet_deg_c: Floats, awake: Floats, device_w: Floats) -> Floats:
        """Return (M,) W above reference: fans of servers that are awake, and leakage of their devices.

        Args:
            inlet_deg_c: (R,) of each rack.
            awake: (M,) servers that are switched on.
            device_w: (M,) what all devices of these servers draw at the reference temperature.
        """
        inlet = inlet_deg_c[self._cells.rack]
        extra = np.zeros(len(inlet))
        if self._has_fans:
            # `server_power.fan_power_w` less its power at rest, with its cube roots taken once.
            part = np.minimum(np.maximum((inlet - self._fan_from) * self._per_k, 0.0), 1.0)
            speed = self._least_speed + self._more_speed * part
            extra = awake * (speed * speed * speed - self._at_rest_w)
        if self._leaks:
            # T - T_ref = g (Tin + R P - T_ref) is linear in P, so the devices of a cell add up.
            devices = awake * self._devices
            warmer = devices * (inlet - self.reference_deg_c) + self.resistance_k_per_w * device_w
            extra = extra + np.maximum(self._leak_w_per_k * self.gain * warmer, -devices * self._static_w)
        return np.asarray(extra)

    def by_rack(self, of_cells: Floats) -> Floats:
        """Return (R,) sums of (M,) over the cells of each rack."""
        sums: Floats = np.bincount(self._cells.rack, weights=of_cells, minlength=self._racks).astype(
            np.float64
        )
        return sums

    def slope_w_per_k(self) -> Floats:
        """Return (R,) the most that a rack can draw more for each kelvin of its inlet, all its servers awake.

        Of fans (a + (b - a) x)^3 the derivative is largest at full speed: 3 b^2 (b - a) a kelvin of their range.
        """
        most = self._least_speed + self._more_speed
        fans = 3.0 * most * most * self._more_speed * self._per_k
        leakage = self._devices * self._leak_w_per_k * self.gain
        return self.by_rack(self._cells.servers * (fans + leakage))


def _parameters(kind: ServerType) -> tuple[float, ...]:
    """Return the columns of a type of server: fans, then device."""
    spec = kind.spec
    fans = spec.fans
    of_fans = (0.0, 0.0, 25.0, 40.0)
    if fans is not None:
        of_fans = (fans.power_w, fans.full_power_w, fans.reference_inlet_deg_c, fans.full_inlet_deg_c)
    thermal, device = spec.thermal, kind.accelerator
    if thermal is None or device is None:
        return (*of_fans, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    leak_w_per_k = thermal.leakage_fraction_per_k * device.idle_power_w
    gain = float(leakage_gain(thermal.resistance_k_per_w, leak_w_per_k))
    return (
        *of_fans,
        thermal.resistance_k_per_w,
        gain,
        thermal.leakage_reference_deg_c,
        leak_w_per_k,
        device.idle_power_w,
        float(spec.accelerators),
    )


@dataclass(frozen=True, slots=True)
class InletTemperatures:
    """The fixed point of one instant."""

    inlet_deg_c: Floats
    """(N,) of each node."""
    extra_w: Floats
    """(M,) of each cell, at those inlets."""
    steps: int


def mixed_inlets(
    room: Room,
    node_of_rack: Ints,
    feedback: HeatFeedback,
    *,
    base_w: Floats,
    awake: Floats,
    device_w: Floats,
    supply_deg_c: float,
    flow_fraction: float,
    start_deg_c: Floats,
) -> InletTemperatures:
    """Return inlets and powers that belong together, to some 1e-12 of them.

    Args:
        room: N nodes.
        node_of_rack: (R,).
        feedback: what rises with the inlets.
        base_w: (N,) what each node draws at reference temperatures.
        awake: (M,) servers of each cell that are switched on.
        device_w: (M,) drawn by their devices at the reference temperature.
        supply_deg_c: of the air from the plant.
        flow_fraction: of the air movers' full flow, (0, 1].
        start_deg_c: (N,) a guess; the answer does not depend on it but for rounding.

    Raises:
        ArithmeticError: the iteration does not end: its map is no contraction (see `contraction`).
    """
    nodes = len(room)
    inlet = start_deg_c
    for step in range(1, _STEPS_AT_MOST):
        extra = feedback.extra_w(inlet[node_of_rack], awake, device_w)
        power = base_w + np.bincount(node_of_rack, weights=feedback.by_rack(extra), minlength=nodes)
        mixed = supply_deg_c + room.inlet_rise_k(power, flow_fraction)
        if float(np.abs(mixed - inlet).max()) <= _CLOSE * max(1.0, float(np.abs(mixed).max())):
            return InletTemperatures(mixed, extra, step)
        inlet = mixed
    msg = f"inlet temperatures and powers do not settle within {_STEPS_AT_MOST:,} steps"
    raise ArithmeticError(msg)


def quantised_powers_w(power_w: Floats) -> Floats:
    """Return powers rounded to 2^-22 W, as `servers.quantised_w` does one."""
    return np.asarray(np.rint(power_w * _POWER_STEPS_PER_W) / _POWER_STEPS_PER_W)


def contraction(room: Room, node_of_rack: Ints, feedback: HeatFeedback, flow_fraction: float = 1.0) -> float:
    """Return q: by how much a step of the iteration brings two inlet temperatures nearer, at worst.

    Below 1 there is exactly one answer. The rise is linear and monotone in the powers, so its
    largest row for the steepest slopes bounds all.
    """
    of_racks = feedback.slope_w_per_k()
    slope = np.bincount(node_of_rack, weights=of_racks, minlength=len(room)).astype(np.float64)
    return float(room.inlet_rise_k(slope, flow_fraction).max())


def busy_powers_w(fleet: Fleet) -> tuple[Floats, Floats]:
    """Return (S,) what an accelerator and its cores, and (S,) what a core adds to a server that works uncapped."""
    device_w, core_w = [], []
    for kind in fleet.types:
        above_w = kind.spec.peak_power_w - kind.spec.idle_power_w
        core_w.append(above_w / kind.spec.cpu_cores)
        accelerator, count = kind.accelerator, kind.spec.accelerators
        own_w = accelerator.peak_power_w - accelerator.idle_power_w if accelerator else 0.0
        device_w.append(own_w + above_w / count if count else 0.0)
    of_type = np.array(fleet.type_of)
    return np.array(device_w)[of_type], np.array(core_w)[of_type]
