"""Embodied carbon: what it took to make the hardware, by the time it is held (SCI, ISO/IEC 21031)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from dcsim.spec.scenario import Scenario

__all__ = ["ACCELERATOR_KG", "DEFAULT_ACCELERATOR_KG", "Embodied", "embodied", "embodied_kg"]

Floats = npt.NDArray[np.float64]

DEFAULT_ACCELERATOR_KG = (
    150.0,
    "Luccioni, Viguier, Ligozat, Estimating the carbon footprint of BLOOM (2023), any GPU; an estimate",
)
"""kgCO2e of a device whose maker published nothing, and the source."""

_H100 = "NVIDIA, HGX H100 product carbon footprint summary (2025), as quoted: 1,312 kg for 8, cradle to gate"
_A100 = "Falk et al., cradle-to-grave assessment of the A100 SXM 40 GB (2025), as quoted: 127.6 kg, cradle to gate"
_LIKE = "assumed from its predecessor: "

ACCELERATOR_KG: Mapping[str, tuple[float, str]] = MappingProxyType(
    {
        "A100-40": (127.6, _A100),
        "A100-80": (127.6, f"{_A100}; the memory of the 80 GB board is not counted"),
        "H100": (164.0, _H100),
        "cpu-core": (0.0, "a core is part of its server"),
        "H200": (164.0, f"{_LIKE}{_H100}; its larger memory is not counted"),
    }
)
"""By name in the hardware catalogue: kgCO2e of one device, and the source: seen where others quote it, not in the original."""


@dataclass(frozen=True)
class Embodied:
    """The rates at which the hardware of a cluster uses up what it took to make it, kgCO2e/s."""

    accelerator_kg_per_s: Mapping[str, float]
    """Of one device of each model in the cluster, by name."""
    accelerators: Mapping[str, int]
    """Devices of each model."""
    server_kg_per_s: float
    """Of one server without its accelerators."""
    servers: int
    notes: tuple[str, ...] = ()
    """Models whose figure is the default or assumed, for the result's warnings."""

    @property
    def kg_per_s(self) -> float:
        """Of the whole cluster, busy or not."""
        devices = [self.accelerator_kg_per_s[name] * count for name, count in self.accelerators.items()]
        return math.fsum([*devices, self.server_kg_per_s * self.servers])

    def job_kg(self, accelerator_s: npt.ArrayLike) -> Floats:
        """Return the share (N,), kgCO2e, of jobs that held devices for `accelerator_s` (N,), >= 0.

        A device-second carries an equal part of the whole cluster, servers included; what no job held
        is left to the owner, so the shares and the rest add up to the cluster's.
        """
        devices = sum(self.accelerators.values())
        held = np.asarray(accelerator_s, dtype=np.float64)
        return held * (self.kg_per_s / devices) if devices else np.zeros_like(held)


def embodied(scenario: Scenario) -> Embodied:
    """Return the rates of a scenario's cluster.

    A model that the scenario describes itself has no published figure, even where it has the name of one.
    """
    spec = scenario.embodied
    counts: dict[str, int] = {}
    servers = 0
    for rack in scenario.cluster.racks:
        for group in rack.servers:
            servers += rack.count * group.count
            if group.accelerator is not None and group.accelerators:
                devices = rack.count * group.count * group.accelerators
                counts[group.accelerator] = counts.get(group.accelerator, 0) + devices
    rates, notes = {}, []
    for name in counts:
        kg, note = _device_kg(scenario, name)
        rates[name] = kg / spec.accelerator_lifetime_s
        notes.extend(note)
    server_kg_per_s = spec.server_kg / spec.server_lifetime_s
    return Embodied(MappingProxyType(rates), MappingProxyType(counts), server_kg_per_s, servers, tuple(notes))


def embodied_kg(scenario: Scenario, duration_s: float) -> float:
    """Return what a cluster uses up of its embodied carbon in `duration_s` >= 0: kgCO2e, by time in service."""
    return embodied(scenario).kg_per_s * duration_s


def _device_kg(scenario: Scenario, name: str) -> tuple[float, list[str]]:
    """Return kgCO2e of one device, and a note where nobody published it."""
    told = scenario.embodied.accelerator_kg.get(name)
    if told is not None:
        return told, []
    if name in ACCELERATOR_KG and name not in scenario.accelerators:
        kg, source = ACCELERATOR_KG[name]
        return kg, [f"embodied: {name}: {source}"] if source.startswith(_LIKE) else []
    kg, source = DEFAULT_ACCELERATOR_KG
    hint = "give embodied.accelerator_kg"
    return kg, [f"embodied: no figure is published for {name}; {kg:g} kg assumed ({source}); {hint}"]
