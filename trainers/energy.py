"""Joules, where the machine counts them: through zeus where it is installed, else RAPL or NVML by themselves."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from trainers.zeus_counter import ZeusCounter, find_zeus

__all__ = ["EnergyCounter", "Nvml", "Rapl", "find_counter", "power_w"]

RAPL_ROOT = Path("/sys/class/powercap")


class EnergyCounter(Protocol):
    """Reads how much energy has been used since the counter's own zero."""

    @property
    def method(self) -> str:
        """What is counted, in words."""

    @property
    def devices(self) -> int | None:
        """Devices whose energy is counted, and nothing else's; None: a whole host's."""

    def read_j(self) -> float:
        """Return the count; differences of two readings are meaningful, single ones are not."""


@dataclass
class Rapl:
    """Running average power limit counters of all processor packages (Linux powercap)."""

    zones: Sequence[Path]
    """Folders with `energy_uj` and `max_energy_range_uj`."""

    def __post_init__(self) -> None:
        self._last_uj = [self._count(zone) for zone in self.zones]
        self._ranges_uj = [int((zone / "max_energy_range_uj").read_text()) for zone in self.zones]
        self._total_uj = 0

    @property
    def method(self) -> str:
        """What is counted, in words."""
        return f"RAPL, {len(self.zones)} whole processor package(s), idle power included"

    @property
    def devices(self) -> int | None:
        """None: the cores of a package are not told apart."""
        return None

    @staticmethod
    def _count(zone: Path) -> int:
        return int((zone / "energy_uj").read_text())

    def read_j(self) -> float:
        """Return joules since this object was made, right across one wrap of the counters a call."""
        for index, zone in enumerate(self.zones):
            count = self._count(zone)
            # max_energy_range_uj is the largest value; the next one is 0.
            self._total_uj += (count - self._last_uj[index]) % (self._ranges_uj[index] + 1)
            self._last_uj[index] = count
        return self._total_uj / 1e6


@dataclass
class Nvml:
    """Total energy of the first graphics card since its driver was loaded."""

    library: Any
    """A loaded and initialised libnvidia-ml."""
    handle: Any

    @property
    def method(self) -> str:
        """What is counted, in words."""
        return "NVML, the whole first graphics card, idle power included"

    @property
    def devices(self) -> int | None:
        """The first card."""
        return 1

    def read_j(self) -> float:
        """Return joules.

        Raises:
            OSError: if the card does not count energy.
        """
        millijoules = ctypes.c_ulonglong()
        code = self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle, ctypes.byref(millijoules))
        if code != 0:
            raise OSError(f"NVML error {code}")
        return millijoules.value / 1e3


def find_counter(backend: str, rapl_root: Path = RAPL_ROOT, devices: int = 1) -> EnergyCounter | str:
    """Return the counter of the devices that JAX runs on, or why there is none; never raises.

    Args:
        backend: cpu, gpu or tpu.
        rapl_root: the powercap folder.
        devices: how many of them are used.

    >>> find_counter("tpu")
    'not measured: no energy counter is known for tpu'
    """
    if backend not in {"cpu", "gpu"}:
        return f"not measured: no energy counter is known for {backend}"
    through_zeus = find_zeus(backend, devices) if rapl_root == RAPL_ROOT else "not asked"
    if isinstance(through_zeus, ZeusCounter):
        return through_zeus
    return _find_rapl(rapl_root) if backend == "cpu" else _find_nvml()


def power_w(
    energy_per_step_j: float | None, step_time_s: float, counted: int | None, *, devices: int, host_cores: int
) -> float | None:
    """Return the mean draw of one device while it computes [W]; None where that cannot be told.

    Args:
        energy_per_step_j: of all that is counted.
        step_time_s: mean over the same steps.
        counted: devices whose energy that is; None: a whole host's, which is that of its cores if all of them compute.
        devices: that compute.
        host_cores: of the host.

    >>> power_w(3.0, 0.01, None, devices=2, host_cores=2), power_w(3.0, 0.01, None, devices=1, host_cores=2)
    (150.0, None)
    """
    sharing = counted if counted is not None else devices if devices == host_cores else None
    if energy_per_step_j is None or sharing is None or energy_per_step_j <= 0.0:
        return None
    return energy_per_step_j / step_time_s / sharing


def _find_rapl(root: Path) -> Rapl | str:
    # Sub-zones such as intel-rapl:0:0 are parts of a package: counted with it.
    zones = [zone for zone in sorted(root.glob("*-rapl:*")) if zone.name.count(":") == 1]
    if not zones:
        return "not measured: this host has no RAPL counters (virtual machines hide them)"
    try:
        return Rapl(zones)
    except (OSError, ValueError) as error:
        return f"not measured: RAPL counters are not readable ({type(error).__name__})"


def _find_nvml() -> Nvml | str:
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return "not measured: NVML is not installed"
    handle = ctypes.c_void_p()
    if library.nvmlInit_v2() != 0 or library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle)) != 0:
        return "not measured: NVML finds no card"
    counter = Nvml(library, handle)
    try:
        counter.read_j()
    except OSError as error:
        return f"not measured: {error}"
    return counter
