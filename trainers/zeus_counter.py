"""Energy through zeus (the extra `energy`): graphics cards of several makers, and RAPL through its daemon without root.

You, Chung, Chowdhury 2023, Zeus: Understanding and Optimizing GPU Energy Consumption of DNN Training, NSDI.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ZeusCounter", "find_zeus"]


@dataclass
class ZeusCounter:
    """The counters of some devices, read through zeus."""

    readers: Sequence[Callable[[], float]]
    """Each returns joules since a zero of its own."""
    what: str
    devices: int | None
    """Devices whose energy is counted; None: a whole host's."""

    @property
    def method(self) -> str:
        """What is counted, in words."""
        return f"zeus, {self.what}, idle power included"

    def read_j(self) -> float:
        """Return the sum of all counters [J]."""
        return sum(reader() for reader in self.readers)


def find_zeus(backend: str, devices: int) -> ZeusCounter | str:
    """Return a counter that has answered once, or why there is none; never raises.

    Args:
        backend: cpu or gpu.
        devices: graphics cards that are used, the first ones.
    """
    if importlib.util.find_spec("zeus") is None or importlib.util.find_spec("zeus.device") is None:
        return "not measured: zeus is not installed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            counter = _cards(devices) if backend == "gpu" else _packages()
            counter.read_j()
    except Exception as error:  # noqa: BLE001 - without a card zeus raises what its libraries do, differently on every host
        return f"not measured: zeus finds no counter ({type(error).__name__})"
    return counter


def _cards(devices: int) -> ZeusCounter:
    from zeus.device import get_gpus

    cards: Any = get_gpus()

    def reader(index: int) -> Callable[[], float]:
        return lambda: float(cards.get_total_energy_consumption(index)) / 1e3

    return ZeusCounter(
        [reader(index) for index in range(devices)], f"{devices} whole graphics card(s)", devices
    )


def _packages() -> ZeusCounter:
    from zeus.device import get_cpus

    packages: Any = get_cpus()
    count = len(packages)

    def reader(index: int) -> Callable[[], float]:
        def read_j() -> float:
            found = packages.get_total_energy_consumption(index)
            return float(found.cpu_mj + (found.dram_mj or 0.0)) / 1e3

        return read_j

    return ZeusCounter([reader(index) for index in range(count)], f"{count} whole processor package(s)", None)
