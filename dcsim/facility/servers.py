"""The servers: what is free on each, who holds it, and which are asleep."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import GuardError
from dcsim.facility.hardware import Accelerator
from dcsim.spec.cluster import ClusterSpec, ServerSpec

__all__ = ["SHARE_UNITS", "Fleet", "Held", "ServerType", "exact_host", "quantised_w", "share_units"]

SHARE_UNITS = 1000
"""Parts of a device that can be asked for are counted in thousandths."""
_POWER_STEPS_PER_W = 2.0**22
_STEPS_PER_CORE = 2.0**20
_SHARE_SLACK = 1e-6
"""Of a thousandth: 0.55 * 1000 is a hair above 550, and means 550."""
_MOST_KINDS = 63

Held = tuple[int, int, int]
"""(server, whole devices, which) held by one job on one server.

`which` is the number of the shared device, or below 0 for whole ones: -1 where the fleet does not tell
its devices apart, else -1 - mask with bit d set for device d.
"""


def quantised_w(power_w: float) -> float:
    """Return the power rounded to 2^-22 W, so that running totals are exact in any order.

    Sums up to 2 GW of such powers fit the 53 bits of a float.

    >>> quantised_w(0.1) + quantised_w(0.2) - quantised_w(0.2) == quantised_w(0.1)
    True
    """
    return round(power_w * _POWER_STEPS_PER_W) / _POWER_STEPS_PER_W


def share_units(share: float) -> int:
    """Return a fraction of a device in thousandths, at least one, rounded up.

    >>> share_units(0.55), share_units(0.3334), share_units(1e-9)
    (550, 334, 1)
    """
    return max(1, math.ceil(share * SHARE_UNITS - _SHARE_SLACK))


def exact_host(cores: float, memory_bytes: float) -> tuple[float, float]:
    """Return cores in whole 2^-20 and memory in whole bytes, rounded down.

    Sums and differences of such numbers are exact up to 2^33 cores and 9 PB, so what was taken and
    given back in any order leaves nothing behind; parts of a server never add up to more than it.

    >>> cores, _ = exact_host(64 / 3, 0.0)
    >>> 64.0 - cores - cores - cores >= 0.0
    True
    """
    return math.floor(cores * _STEPS_PER_CORE) / _STEPS_PER_CORE, float(math.floor(memory_bytes))


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
        host = [exact_host(t.spec.cpu_cores, t.spec.memory_bytes) for t in self.types]
        self.cpu_cores = np.array([cores for cores, _ in host])[kind]
        self.memory_bytes = np.array([memory for _, memory in host])[kind]
        self.free_cpu = self.cpu_cores.copy()
        self.free_memory = self.memory_bytes.copy()
        self.largest_share = (self.total > 0).astype(np.float64)
        self.asleep = np.zeros(len(kind), dtype=bool)
        self.jobs_on = [0] * len(kind)
        self.units: npt.NDArray[np.int16] | None = None
        """(S, G) free thousandths of each device, G the most a server has; None without shares."""
        self.kinds: npt.NDArray[np.uint64] | None = None
        """(S,) bit 0: parts of devices are in use; bit n: a job holds n devices; None: not tracked."""
        self._kind_counts: dict[tuple[int, int], int] = {}
        self.idle_power_w = np.array([t.idle_power_w for t in self.types])[kind]
        self.sleep_power_w = np.array([t.sleep_power_w for t in self.types])[kind]
        self._track_cpu_memory = False
        self._plain = True
        """Whole devices are all there is to count."""

    def _set_plain(self) -> None:
        self._plain = self.units is None and self.kinds is None and not self._track_cpu_memory

    @property
    def track_cpu_memory(self) -> bool:
        """Whether cores and memory are counted."""
        return self._track_cpu_memory

    @track_cpu_memory.setter
    def track_cpu_memory(self, tracked: bool) -> None:
        self._must_be_idle("track_cpu_memory")
        self._track_cpu_memory = tracked
        self._set_plain()

    @property
    def has_shares(self) -> bool:
        """Whether parts of devices can be taken: then each device is told apart. Set it on an idle fleet."""
        return self.units is not None

    @has_shares.setter
    def has_shares(self, shared: bool) -> None:
        self._must_be_idle("has_shares")
        most = int(self.total.max(initial=0))
        whole = np.where(np.arange(most) < self.total[:, None], SHARE_UNITS, 0).astype(np.int16)
        # One buffer, seen as an array by policies and as a flat sequence by the books, which is faster.
        buffer = array("h", whole.tobytes())
        self._flat_units = buffer
        self._most_devices = most
        self.units = np.frombuffer(buffer, dtype=np.int16).reshape(whole.shape) if shared and buffer else None
        self._set_plain()

    @property
    def track_kinds(self) -> bool:
        """Whether `kinds` is kept up. Set it on an idle fleet."""
        return self.kinds is not None

    @track_kinds.setter
    def track_kinds(self, tracked: bool) -> None:
        self._must_be_idle("track_kinds")
        self.kinds = np.zeros(len(self), dtype=np.uint64) if tracked else None
        self._set_plain()

    def _must_be_idle(self, what: str) -> None:
        if any(self.jobs_on):
            msg = f"{what} of a fleet with jobs on it -> expected an idle fleet"
            raise GuardError(msg)

    def columns(self) -> dict[str, Any]:
        """Return what a placement policy may see, by the names of `ClusterView`: live, not writeable."""
        columns = {
            "total_accelerators": self.total,
            "rack": self.rack,
            "rack_start": self.rack_start,
            "free_accelerators": self.free,
            "asleep": self.asleep,
            "free_cpu_cores": self.free_cpu,
            "free_memory_bytes": self.free_memory,
            "largest_free_share": self.largest_share,
            "cpu_cores": self.cpu_cores,
            "memory_bytes": self.memory_bytes,
            "free_units": self.units,
            "job_kinds": self.kinds,
            "accelerator_type": self._accelerator_types(),
        }
        views = {name: column.view() for name, column in columns.items() if column is not None}
        for view in views.values():
            view.flags.writeable = False
        return views

    def _accelerator_types(self) -> npt.NDArray[np.int64]:
        """Return (S,) a code for the accelerators of each server, -1 where it has none."""
        names = [t.accelerator.name if t.accelerator else "" for t in self.types]
        codes = {name: code for code, name in enumerate(dict.fromkeys(name for name in names if name))}
        of_type = np.array([codes.get(name, -1) for name in names], dtype=np.int64)
        column: npt.NDArray[np.int64] = of_type[np.array(self.type_of)]
        return column

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
        if self.units is not None:
            free = self.units.sum(axis=1, dtype=np.int64)
        else:
            free = self.free.astype(np.int64) * SHARE_UNITS
        used: npt.NDArray[np.int64] = self.total * SHARE_UNITS - free
        return used

    def take(self, server: int, devices: int, cpu: float, memory: float) -> Held:
        """Give `devices` whole devices, cores and bytes of one server to a job: the first free ones.

        Raises:
            GuardError: there is less free; then nothing is taken.
        """
        free = self.free_bytes[server]
        if free < devices:
            msg = f"server {self.names[server]}: {devices} accelerators wanted, {free} free"
            raise GuardError(msg)
        if self._plain:  # by far the most frequent case
            self.free_bytes[server] = free - devices
            self.jobs_on[server] += 1
            return (server, devices, -1)
        which = -1
        if self.units is not None and devices:
            row = self._free_units(server)
            whole = [device for device, units in enumerate(row) if units == SHARE_UNITS]
            which -= sum(1 << device for device in whole[:devices])
        held = (server, devices, which)
        self._take(held, 0, cpu, memory)
        return held

    def take_share(self, server: int, units: int, cpu: float, memory: float, device: int = -1) -> Held:
        """Give a part of one device: of `device`, or of the tightest that fits, the first of equals.

        Raises:
            GuardError: the device, or each of the server's, has less free; then nothing is taken.
        """
        if self.units is None:
            msg = f"server {self.names[server]}: no device is shared on this fleet (see has_shares)"
            raise GuardError(msg)
        if device >= 0:
            self.retake((server, 0, device), units, cpu, memory)
            return (server, 0, device)
        free = self._free_units(server)
        fitting = [(left, number) for number, left in enumerate(free) if left >= units]
        if not fitting:
            msg = f"server {self.names[server]}: no device has {units}/{SHARE_UNITS} free"
            raise GuardError(msg)
        held = (server, 0, min(fitting)[1])
        self._take(held, units, cpu, memory)
        return held

    def _free_units(self, server: int) -> list[int]:
        """Return the free thousandths of each device of a server, 0 past its last."""
        start = server * self._most_devices
        return self._flat_units[start : start + self._most_devices].tolist()

    def retake(self, held: Held, units: int, cpu: float, memory: float) -> None:
        """Take again, device by device, what `give_back` freed: the fleet is as it was before that.

        Args:
            held: from `take` or `take_share`, given back since.
            units: thousandths, where `held` is a part of a device.
            cpu: cores.
            memory: bytes.

        Raises:
            GuardError: some of it is not free any more; then nothing is taken.
        """
        self._must_be_free(held, units)
        self._take(held, units, cpu, memory)

    def _take(self, held: Held, units: int, cpu: float, memory: float) -> None:
        """Take devices that are known to be free, and cores and memory if they are."""
        server, devices, which = held
        if self._track_cpu_memory:
            self._take_host(server, cpu, memory)
        self._change_devices(held, -units)
        self.jobs_on[server] += 1
        if self.kinds is not None:
            self._count_kind(server, devices if which < 0 else -1, 1)

    def give_back(self, held: Held, units: int, cpu: float, memory: float) -> None:
        """Free what `take` or `take_share` gave."""
        server, devices, which = held
        if self._plain:
            self.free_bytes[server] += devices
            self.jobs_on[server] -= 1
            return
        self._change_devices(held, units, freed=True)
        if self._track_cpu_memory:
            cores, whole_bytes = exact_host(cpu, memory)
            self.free_cpu[server] += cores
            self.free_memory[server] += whole_bytes
        self.jobs_on[server] -= 1
        if self.kinds is not None:
            self._count_kind(server, devices if which < 0 else -1, -1)

    def _must_be_free(self, held: Held, units: int) -> None:
        server, devices, which = held
        if which < 0:
            enough = self.free_bytes[server] >= devices
            if enough and self.units is not None:
                row = self._free_units(server)
                enough = all(row[device] == SHARE_UNITS for device in _devices_of(which))
        else:
            free = self._free_units(server)
            enough = which < self.total[server] and free[which] >= units
        if not enough:
            what = f"{units}/{SHARE_UNITS} of device {which}" if which >= 0 else f"{devices} accelerators"
            msg = f"server {self.names[server]}: {what} wanted, not free"
            raise GuardError(msg)

    def _change_devices(self, held: Held, units: int, *, freed: bool = False) -> None:
        """Free devices, or `units` more thousandths of one; or take them."""
        server, devices, which = held
        if self.units is None:
            self.free_bytes[server] += devices if freed else -devices
            return
        if not devices and which < 0:
            return  # a CPU-only job
        flat, start = self._flat_units, server * self._most_devices
        if which >= 0:
            before = flat[start + which]
            after = flat[start + which] = before + units
            self.free_bytes[server] += (after == SHARE_UNITS) - (before == SHARE_UNITS)
        else:
            for device in _devices_of(which):
                flat[start + device] = SHARE_UNITS if freed else 0
            self.free_bytes[server] += devices if freed else -devices
        self.largest_share[server] = max(flat[start : start + self._most_devices]) / SHARE_UNITS

    def _take_host(self, server: int, cpu: float, memory: float) -> None:
        cores, whole_bytes = exact_host(cpu, memory)
        if self.free_cpu[server] < cores or self.free_memory[server] < whole_bytes:
            msg = f"server {self.names[server]}: {cpu} cores, {memory} bytes wanted, not free"
            raise GuardError(msg)
        self.free_cpu[server] -= cores
        self.free_memory[server] -= whole_bytes

    def _count_kind(self, server: int, devices: int, change: int) -> None:
        """Count a job that holds `devices` (-1: a part of one) on a server; CPU-only jobs are of no kind."""
        if devices == 0 or self.kinds is None:
            return
        kind = min(max(devices, 0), _MOST_KINDS)
        count = self._kind_counts.get((server, kind), 0) + change
        self._kind_counts[server, kind] = count
        bits = int(self.kinds[server])
        self.kinds[server] = bits | (1 << kind) if count else bits & ~(1 << kind)

    def check(self) -> None:
        """Prove capacities.

        Raises:
            GuardError: something is over-allocated or negative.
        """
        bad = (self.free > self.total) | (self.free_cpu < 0.0) | (self.free_memory < 0.0)
        bad |= (self.free_cpu > self.cpu_cores) | (self.free_memory > self.memory_bytes)
        if self.units is not None:
            there = np.arange(self.units.shape[1]) < self.total[:, None]
            bad |= ((self.units < 0) | (self.units > np.where(there, SHARE_UNITS, 0))).any(axis=1)
            bad |= (self.units == SHARE_UNITS).sum(axis=1) != self.free
        if bad.any():
            msg = f"server {self.names[int(bad.argmax())]}: more in use or free than it has"
            raise GuardError(msg)


def _devices_of(which: int) -> list[int]:
    """Return the numbers of the whole devices that a `Held` names.

    >>> _devices_of(-1 - 0b1010)
    [1, 3]
    """
    mask, devices = -1 - which, []
    while mask:
        low = mask & -mask
        devices.append(low.bit_length() - 1)
        mask ^= low
    return devices


def _server_type(spec: ServerSpec, catalogue: Mapping[str, Accelerator]) -> ServerType:
    accelerator = catalogue[spec.accelerator] if spec.accelerator and spec.accelerators else None
    idle_w = spec.idle_power_w
    if accelerator is not None:
        idle_w += spec.accelerators * accelerator.idle_power_w
    return ServerType(spec, accelerator, quantised_w(idle_w), quantised_w(min(spec.sleep_power_w, idle_w)))
