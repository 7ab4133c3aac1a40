"""Joules, where the machine counts them: RAPL for the processor, NVML for a graphics card."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["EnergyCounter", "Nvml", "Rapl", "find_counter"]

RAPL_ROOT = Path("/sys/class/powercap")


class EnergyCounter(Protocol):
    """Reads how much energy has been used since the counter's own zero."""

    @property
    def method(self) -> str:
        """What is counted, in words."""

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


def find_counter(backend: str, rapl_root: Path = RAPL_ROOT) -> EnergyCounter | str:
    """Return the counter of the device that JAX runs on, or why there is none.

    Args:
        backend: "cpu" or "gpu".
        rapl_root: the powercap folder.

    >>> find_counter("tpu")
    'not measured: no energy counter is known for tpu'
    """
    if backend == "cpu":
        return _find_rapl(rapl_root)
    if backend == "gpu":
        return _find_nvml()
    return f"not measured: no energy counter is known for {backend}"


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
