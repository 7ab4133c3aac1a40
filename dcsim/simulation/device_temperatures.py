"""The temperature of each server's hottest accelerator, exact between events, and when it crosses a limit.

With one time constant the temperature is the sum of two exponentials: x, of what the server's own devices draw, and
y, of the inlet, which is the same for all servers of one cell. So a new inlet is O(cells) and a new power O(1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.facility.rack_heat import HeatFeedback, ServerCells
from dcsim.facility.servers import ServerType
from dcsim.facility.thermal import cooling_s, relaxed_deg_c, steady_deg_c, warming_s

__all__ = ["Crossing", "DeviceTemperatures"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ROUNDING_ULPS = 64.0
"""Equal servers cross together: their times differ by rounding only."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """What crosses a limit next."""

    time_s: float
    """Infinity: nothing does."""
    too_hot: tuple[int, ...]
    """Servers that reach their limit, ascending."""
    cool_again: tuple[int, ...]
    """Throttled servers that are as cool as they need be, ascending."""


class DeviceTemperatures:
    """Temperatures of S servers of M cells; at the start each is in equilibrium.

    Args:
        types: of the fleet.
        cells: of the fleet.
        feedback: with the constants of devices.
        inlet_deg_c: (R,) of each rack, before the start.
        hottest_w: (S,) draw of each server's hottest accelerator, before the start.
    """

    def __init__(
        self,
        types: Sequence[ServerType],
        cells: ServerCells,
        feedback: HeatFeedback,
        inlet_deg_c: Floats,
        hottest_w: Floats,
    ) -> None:
        self._cells = cells
        specs = [kind.spec.thermal if kind.accelerator else None for kind in types]
        kept = np.array([spec is not None for spec in specs])[cells.kind]
        tau = np.array([spec.time_constant_s if spec else 1.0 for spec in specs])[cells.kind]
        self._gain, self._reference = feedback.gain, feedback.reference_deg_c
        self._tau = tau * self._gain
        self._k_per_w = np.where(kept, self._gain * feedback.resistance_k_per_w, 0.0)
        limit = np.array([spec.throttle_deg_c if spec else math.inf for spec in specs])
        self._limit = limit[cells.kind]
        self._release = (limit - np.array([spec.hysteresis_k if spec else 0.0 for spec in specs]))[cells.kind]
        self.has_any = bool(kept.any())
        """Whether any server has accelerators that warm up."""
        self.throttled = np.zeros(len(cells.of_server), dtype=bool)
        """(S,) now."""
        self._hot: dict[int, None] = {}
        self._now_s = 0.0
        self._inlet = self._inlet_to = self._inlet_part(inlet_deg_c)
        self._own = self._own_to = self._k_per_w[cells.of_server] * hottest_w
        self._own, self._own_to = self._own.copy(), self._own_to.copy()
        self._own_since_s = np.zeros(len(self._own))
        self._top = np.maximum.reduceat(self._own_to, cells.start)
        """(M,) at least what x can be on any server of a cell from now on."""

    def _inlet_part(self, inlet_deg_c: Floats) -> Floats:
        """Return (M,) what y tends to."""
        inlet = inlet_deg_c[self._cells.rack]
        return steady_deg_c(
            inlet, 0.0, resistance_k_per_w=0.0, gain=self._gain, reference_deg_c=self._reference
        )

    def breathe(self, now_s: float, inlet_deg_c: Floats) -> None:
        """Let all racks have new inlets (R,) from now on."""
        self._advance(now_s)
        self._inlet_to = self._inlet_part(inlet_deg_c)

    def _advance(self, now_s: float) -> None:
        if now_s > self._now_s:
            self._inlet = relaxed_deg_c(self._inlet, self._inlet_to, now_s - self._now_s, self._tau)
            self._now_s = now_s

    def draw(self, now_s: float, server: int, hottest_w: float) -> None:
        """Let a server's hottest accelerator draw another power from now on."""
        cell = int(self._cells.of_server[server])
        start, to = float(self._own[server]), float(self._own_to[server])
        elapsed_s = now_s - float(self._own_since_s[server])
        here = start + (start - to) * math.expm1(-elapsed_s / float(self._tau[cell]))
        target = float(self._k_per_w[cell]) * hottest_w
        self._own[server], self._own_to[server], self._own_since_s[server] = here, target, now_s
        self._top[cell] = max(float(self._top[cell]), here, target)

    def at(self, now_s: float, servers: Ints) -> Floats:
        """Return (K,) temperatures of some servers, degC."""
        self._advance(now_s)
        cell = self._cells.of_server[servers]
        return np.asarray(self._inlet[cell] + self._own_now(now_s, servers))

    def _own_now(self, now_s: float, servers: Ints) -> Floats:
        elapsed_s = now_s - self._own_since_s[servers]
        tau = self._tau[self._cells.of_server[servers]]
        return relaxed_deg_c(self._own[servers], self._own_to[servers], elapsed_s, tau)

    # -- limits ------------------------------------------------------------------------------------

    def throttle(self, server: int, *, on: bool) -> None:
        """Note that a server is throttled, or no longer."""
        self.throttled[server] = on
        if on:
            self._hot[server] = None
        else:
            self._hot.pop(server, None)

    def next(self, now_s: float) -> Crossing:
        """Return what crosses next if nothing changes."""
        self._advance(now_s)
        hot, hot_s = self._warming(now_s)
        cool, cool_s = self._cooling(now_s)
        first_s = min(hot_s.min(initial=math.inf), cool_s.min(initial=math.inf))
        if first_s == math.inf:
            return Crossing(math.inf, (), ())
        together_s = first_s + _ROUNDING_ULPS * math.ulp(max(1.0, now_s + first_s))
        return Crossing(
            now_s + float(first_s),
            tuple(hot[hot_s <= together_s].tolist()),
            tuple(cool[cool_s <= together_s].tolist()),
        )

    def _warming(self, now_s: float) -> tuple[Ints, Floats]:
        """Return servers that may reach their limits, and when; only of cells whose bound does."""
        cells = self._cells
        near = self._top + np.maximum(self._inlet, self._inlet_to) >= self._limit
        if not near.any():
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        servers = np.flatnonzero(near[cells.of_server])
        own = self._own_now(now_s, servers)
        cell = cells.of_server[servers]
        # The bound only rises as powers come and go: here it is made exact again.
        self._top[near] = -math.inf
        np.maximum.at(self._top, cell, np.maximum(own, self._own_to[servers]))
        free = ~self.throttled[servers]
        servers, own, cell = servers[free], own[free], cell[free]
        steady = self._inlet_to[cell] + self._own_to[servers]
        return servers, warming_s(self._inlet[cell] + own, steady, self._tau[cell], self._limit[cell])

    def _cooling(self, now_s: float) -> tuple[Ints, Floats]:
        servers: Ints = np.array(sorted(self._hot), dtype=np.int64)
        cell = self._cells.of_server[servers]
        here = self._inlet[cell] + self._own_now(now_s, servers)
        steady = self._inlet_to[cell] + self._own_to[servers]
        return servers, cooling_s(here, steady, self._tau[cell], self._release[cell])
