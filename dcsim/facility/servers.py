"""The servers: what is free on each, who holds it, and which are asleep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.errors import GuardError
from dcsim.facility.hardware import Accelerator
from dcsim.spec.cluster import ClusterSpec, ServerSpec

__all__ = ["SHARE_UNITS", "Fleet", "Held", "ServerType", "quantised_w", "share_units"]

SHARE_UNITS = 1000
"""Parts of a device that can be asked for are counted in thousandths."""
_POWER_STEPS_PER_W = 2.0**22

Held = tuple[int, int, int]
"""(server, whole devices, slot of the shared device or -1) held by one job on one server."""


def quantised_w(power_w: float) -> float:
    """Return the power rounded to 2^-22 W, so that running totals are exact in any order.

    Sums up to 2 GW of such powers fit the 53 bits of a float.

    >>> quantised_w(0.1) + quantised_w(0.2) - quantised_w(0.2) == quantised_w(0.1)
    True
    """
    return round(power_w * _POWER_STEPS_PER_W) / _POWER_STEPS_PER_W


def share_units(share: float) -> int:
    """Return a fraction of a device in thousandths, at least one, rounded up."""
    return max(1, -int(-share * SHARE_UNITS // 1))


@dataclass(frozen=True, slots=True)
class ServerType:
    """What all servers of one line of the scenario have in common."""

    spec: ServerSpec
    accelerator: Accelerator | None
    idle_power_w: float
    """Accelerators included."""
    sleep_power_w: float


class Fleet:
    """All servers as a struct of arrays; index = order in the scenario.

    Args:
        cluster: racks and servers by count.
        catalogue: accelerators by name.
    """

    def __init__(self, cluster: ClusterSpec, catalogue: Mapping[str, Accelerator]) -> None:
        self.types: list[ServerType] = []
        type_of: list[int] = []
        rack_of: list[int] = []
        names: list[str] = []
        racks = 0
        for rack in cluster.racks:
            first_type = len(self.types)
            self.types += [_server_type(spec, catalogue) for spec in rack.servers]
            kinds = [first_type + kind for kind, spec in enumerate(rack.servers) for _ in range(spec.count)]
            for number in range(rack.count):
                label = rack.name if rack.count == 1 else f"{rack.name}-{number}"
                names += [f"{label}/{position}" for position in range(len(kinds))]
                type_of += kinds
                rack_of += [racks] * len(kinds)
                racks += 1
        self.names = tuple(names)
        self.type_of = type_of
        self.rack = np.array(rack_of, dtype=np.int64)
        self.rack_start = np.searchsorted(self.rack, np.arange(racks))
        self._build_state()

    def _build_state(self) -> None:
        kind = np.array(self.type_of)
        self.total = np.array([t.spec.accelerators for t in self.types], dtype=np.int64)[kind]
        self.free_bytes = bytearray(self.total.astype(np.uint8).tobytes())
        self.free = np.frombuffer(self.free_bytes, dtype=np.uint8)
        self.cpu_cores = np.array([t.spec.cpu_cores for t in self.types])[kind]
        self.memory_bytes = np.array([t.spec.memory_bytes for t in self.types])[kind]
        self.free_cpu = self.cpu_cores.copy()
        self.free_memory = self.memory_bytes.copy()
        self.largest_share = (self.total > 0).astype(np.float64)
        self.asleep = np.zeros(len(kind), dtype=bool)
        self.jobs_on = [0] * len(kind)
        self._shared: dict[int, dict[int, int]] = {}
        """server -> slot -> free thousandths of a device that is being shared."""
        self.idle_power_w = np.array([t.idle_power_w for t in self.types])[kind]
        self.sleep_power_w = np.array([t.sleep_power_w for t in self.types])[kind]
        self.has_shares = False
        self.track_cpu_memory = False

    def __len__(self) -> int:
        return len(self.type_of)

    def type(self, server: int) -> ServerType:
        """Return the type of a server."""
        return self.types[self.type_of[server]]

    @property
    def accelerators(self) -> int:
        """All devices of the fleet."""
        return int(self.total.sum())

    def peak_power_w(self) -> float:
        """Return the draw with every device and core busy."""
        peaks = [
            t.spec.peak_power_w + (t.spec.accelerators * t.accelerator.peak_power_w if t.accelerator else 0.0)
            for t in self.types
        ]
        return float(np.array(peaks)[np.array(self.type_of)].sum())

    def used_units(self) -> npt.NDArray[np.int64]:
        """Return (S,) what jobs hold of each server's devices, in thousandths of a device."""
        used: npt.NDArray[np.int64] = (self.total - self.free.astype(np.int64)) * SHARE_UNITS
        for server, slots in self._shared.items():
            used[server] -= sum(slots.values())
        return used

    def take(self, server: int, devices: int, cpu: float, memory: float) -> Held:
        """Give `devices` whole devices, cores and bytes of one server to a job.

        Raises:
            GuardError: there is less free.
        """
        free = self.free_bytes[server] - devices
        if free < 0:
            msg = f"server {self.names[server]}: {devices} accelerators wanted, {free + devices} free"
            raise GuardError(msg)
        self.free_bytes[server] = free
        if self.has_shares:
            self._update_share(server)
        if self.track_cpu_memory:
            self._take_host(server, cpu, memory)
        self.jobs_on[server] += 1
        return (server, devices, -1)

    def take_share(self, server: int, units: int, cpu: float, memory: float) -> Held:
        """Give a part of one device: of the tightest shared device that fits, else of a whole one.

        Raises:
            GuardError: no device of the server has that much free.
        """
        slots = self._shared.setdefault(server, {})
        fitting = [(free, slot) for slot, free in slots.items() if free >= units]
        if fitting:
            free, slot = min(fitting)
        else:
            if not self.free_bytes[server]:
                msg = f"server {self.names[server]}: no device has {units}/{SHARE_UNITS} free"
                raise GuardError(msg)
            self.free_bytes[server] -= 1
            slot = next(number for number in range(len(slots) + 1) if number not in slots)
            free = SHARE_UNITS
        slots[slot] = free - units
        self._update_share(server)
        self._take_host(server, cpu, memory)
        self.jobs_on[server] += 1
        return (server, 0, slot)

    def give_back(self, held: Held, units: int, cpu: float, memory: float) -> None:
        """Free what `take` or `take_share` gave."""
        server, devices, slot = held
        if slot >= 0:
            slots = self._shared[server]
            slots[slot] += units
            if slots[slot] == SHARE_UNITS:
                del slots[slot]
                self.free_bytes[server] += 1
        else:
            self.free_bytes[server] += devices
        if self.has_shares:
            self._update_share(server)
        if self.track_cpu_memory:
            self.free_cpu[server] += cpu
            self.free_memory[server] += memory
        self.jobs_on[server] -= 1
        if self.track_cpu_memory and not self.jobs_on[server]:
            # Sums of fractions drift; an empty server has all of its own again.
            self.free_cpu[server] = self.cpu_cores[server]
            self.free_memory[server] = self.memory_bytes[server]

    def _take_host(self, server: int, cpu: float, memory: float) -> None:
        if not self.track_cpu_memory:
            return
        self.free_cpu[server] -= cpu
        self.free_memory[server] -= memory
        # Shares of a server are sums of fractions: forgive rounding, not a core.
        short_cpu = self.free_cpu[server] < -1e-9 * self.cpu_cores[server]
        if short_cpu or self.free_memory[server] < -1e-9 * self.memory_bytes[server]:
            msg = f"server {self.names[server]}: {cpu} cores, {memory} bytes wanted, not free"
            raise GuardError(msg)

    def _update_share(self, server: int) -> None:
        slots = self._shared.get(server)
        if self.free_bytes[server]:
            self.largest_share[server] = 1.0
        else:
            self.largest_share[server] = max(slots.values()) / SHARE_UNITS if slots else 0.0

    def check(self) -> None:
        """Prove capacities.

        Raises:
            GuardError: something is over-allocated or negative.
        """
        shared = np.zeros(len(self), dtype=np.int64)
        for server, slots in self._shared.items():
            shared[server] = len(slots)
            if any(not 0 <= free < SHARE_UNITS for free in slots.values()):
                msg = f"server {self.names[server]}: shared devices {slots} out of range"
                raise GuardError(msg)
        over = np.flatnonzero(self.free.astype(np.int64) + shared > self.total)
        low = np.flatnonzero(self.free_cpu < -1e-6)
        bad = np.concatenate([over, low])
        if len(bad):
            msg = f"server {self.names[int(bad[0])]}: more in use or free than it has"
            raise GuardError(msg)


def _server_type(spec: ServerSpec, catalogue: Mapping[str, Accelerator]) -> ServerType:
    accelerator = catalogue[spec.accelerator] if spec.accelerator and spec.accelerators else None
    idle_w = spec.idle_power_w
    if accelerator is not None:
        idle_w += spec.accelerators * accelerator.idle_power_w
    return ServerType(spec, accelerator, quantised_w(idle_w), quantised_w(min(spec.sleep_power_w, idle_w)))
