"""The hardware catalogue: what each accelerator can do and draws, with the source of every figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from dcsim.errors import Problem, ScenarioError
from dcsim.facility.cap_curve import CapCurve
from dcsim.facility.catalogue_data import CATALOGUE_ROWS, MEASURED_CURVES, CatalogueRow
from dcsim.spec.scenario import Scenario

__all__ = ["CATALOGUE", "PRECISIONS", "Accelerator", "catalogue"]

PRECISIONS = ("fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8")
"""Names of number formats, as keys of `Accelerator.peak_flop_per_s`."""

_SOURCED = (
    "peak_flop_per_s",
    "memory_bytes",
    "memory_bandwidth_bytes_per_s",
    "link_bandwidth_bytes_per_s",
    "idle_power_w",
    "peak_power_w",
)

_USER_CURVE = "V100"
"""Curve assumed for accelerators that users add: the one with the smaller error on workloads left out."""


@dataclass(frozen=True)
class Accelerator:
    """One accelerator model. Rates are dense peaks (no structured sparsity), bandwidths one direction."""

    name: str
    kind: str
    """gpu, tpu or cpu."""
    peak_flop_per_s: Mapping[str, float]
    """By precision (`PRECISIONS`); int8 counts operations. Absent where the device has no such rate."""
    memory_bytes: float
    memory_bandwidth_bytes_per_s: float
    link_bandwidth_bytes_per_s: float
    """To the other accelerators of its server, all links together."""
    idle_power_w: float
    """Switched on without work."""
    peak_power_w: float
    """Busy and uncapped."""
    sources: Mapping[str, str]
    """By field name: where the figure comes from, or how it was assumed."""
    cap_curve: CapCurve

    @property
    def busy_power_w(self) -> float:
        """Draw while a job of unknown power computes on it, uncapped, W (the peak)."""
        return self.peak_power_w

    @property
    def least_cap(self) -> float:
        """Smallest power cap, over its peak power, at which it computes and draws no more than the cap, (0, 1]."""
        return max(self.cap_curve.least_cap, self.idle_power_w / self.peak_power_w)


def _accelerator(row: CatalogueRow) -> Accelerator:
    return Accelerator(
        name=row.name,
        kind=row.kind,
        peak_flop_per_s=MappingProxyType({key: value * 1e12 for key, value in row.peak_tflop_per_s.items()}),
        memory_bytes=row.memory_bytes,
        memory_bandwidth_bytes_per_s=row.memory_bandwidth_gb_per_s * 1e9,
        link_bandwidth_bytes_per_s=row.link_bandwidth_gb_per_s * 1e9,
        idle_power_w=row.idle_power_w,
        peak_power_w=row.peak_power_w,
        sources=MappingProxyType(dict(row.sources)),
        cap_curve=_curve(row.cap_curve_of, measured=row.cap_curve_measured),
    )


def _curve(device: str, *, measured: bool) -> CapCurve:
    curve = MEASURED_CURVES[device]
    prefix = "measured" if measured else f"assumed to be that of the {device}, measured"
    return replace(curve, source=f"{prefix}: {curve.source}")


CATALOGUE: Mapping[str, Accelerator] = MappingProxyType(
    {row.name: _accelerator(row) for row in CATALOGUE_ROWS}
)
"""Built-in accelerators by name."""


def catalogue(scenario: Scenario) -> dict[str, Accelerator]:
    """Return the built-in accelerators and those the scenario adds or redefines.

    Raises `ScenarioError` with every unknown precision, idle power above peak, and name that no
    accelerator has.
    """
    problems: list[Problem] = []
    models = dict(CATALOGUE)
    for name, spec in scenario.accelerators.items():
        path = f"accelerators.{name}"
        problems += [
            Problem(
                "scenario",
                None,
                f"{path}.peak_flop_per_s.{key}",
                repr(key),
                f"one of {', '.join(PRECISIONS)}",
            )
            for key in spec.peak_flop_per_s
            if key not in PRECISIONS
        ]
        if spec.idle_power_w > spec.peak_power_w:
            expected = f"at most peak_power_w, {spec.peak_power_w:g}"
            problems.append(
                Problem("scenario", None, f"{path}.idle_power_w", f"{spec.idle_power_w:g}", expected)
            )
        models[name] = Accelerator(
            name=name,
            kind="gpu",
            peak_flop_per_s=MappingProxyType(dict(spec.peak_flop_per_s)),
            memory_bytes=spec.memory_bytes,
            memory_bandwidth_bytes_per_s=spec.memory_bandwidth_bytes_per_s,
            link_bandwidth_bytes_per_s=spec.link_bandwidth_bytes_per_s,
            idle_power_w=spec.idle_power_w,
            peak_power_w=spec.peak_power_w,
            sources=MappingProxyType(dict.fromkeys(_SOURCED, spec.source)),
            cap_curve=_curve(_USER_CURVE, measured=False),
        )
    if problems:
        raise ScenarioError(problems)
    return models
