"""The roofline by kind of operator, and how much of it is reached, learnt from measured steps.

A step of b samples takes

    t(b) = o + sum over kinds of max(b F / (e P), b Q / (m B))

F and Q being FLOPs and bytes of one sample in one kind, P and B the device's peaks (Williams, Waterman, Patterson 2009,
doi:10.1145/1498765.1498785). Learnt are o, the fixed time of a step, e for matrix products and for convolutions, and m, the
part of the memory bandwidth; all other kinds are bound by memory. See docs/decisions/0094-operators-and-prediction.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dcsim.facility.hardware import Accelerator
from dcsim.workload.cost import rate_used
from dcsim.workload.profile import CostProfile, OperatorCost, OperatorKind

__all__ = [
    "Efficiencies",
    "Learnt",
    "kind_times_s",
    "learn",
    "leave_one_out",
    "measured_steps",
    "operators_of",
    "step_time_s",
    "with_efficiencies",
]

_COMPUTE: tuple[OperatorKind, ...] = ("matmul", "convolution")
_CACHES = 100.0
"""A CPU's caches may serve bytes so many times faster than its memory."""
_TIE = 0.02
"""Weight of the wish that kinds be alike: it decides where the measurements do not."""
_USUAL = 0.5
"""Part of the peak that matrix products reach where nothing says otherwise."""
_LEAST = 1e-4


class Efficiencies(NamedTuple):
    """How much of a device's peaks real steps reach."""

    matmul: float
    """Part of the peak FLOP rate in matrix products, (0, 1]."""
    convolution: float
    memory: float
    """Part of the memory bandwidth, > 0; on a CPU above 1 where caches serve."""
    step_s: float = 0.0
    """Fixed time of a step [s]."""


@dataclass(frozen=True)
class Learnt:
    """Efficiencies, and how well they predict."""

    efficiencies: Efficiencies
    models: tuple[str, ...]
    """They were learnt from."""
    residual_relative: float
    """Mean |relative error| on the points learnt from."""
    left_out_relative: Mapping[str, float]
    """By model: mean |relative error| on its points, learnt from all others; empty where there is only one."""


def operators_of(profile: CostProfile) -> tuple[OperatorCost, ...]:
    """Return a sample's cost by kind; of a profile that does not tell kinds, all FLOPs as products, all bytes as moves."""
    if profile.operators:
        return profile.operators
    return (
        OperatorCost(kind="matmul", flops_per_sample=profile.flops_per_sample or 0.0, bytes_per_sample=0.0),
        OperatorCost(
            kind="other", flops_per_sample=0.0, bytes_per_sample=profile.bytes_accessed_per_sample or 0.0
        ),
    )


def kind_times_s(
    operators: Sequence[OperatorCost],
    samples: float,
    device: Accelerator,
    precision: str,
    efficiencies: Efficiencies,
) -> dict[OperatorKind, float]:
    """Return how long each kind of operator takes for a step's samples [s]; collectives are left out.

    Args:
        operators: of one sample.
        samples: of one device in one step.
        device: for its peaks.
        precision: in which it multiplies.
        efficiencies: its own.

    Raises:
        ValueError: if the device has no peak rate for the precision.
    """
    peak = device.peak_flop_per_s.get(rate_used(device, precision))
    if peak is None:
        known = ", ".join(device.peak_flop_per_s)
        raise ValueError(f"precision {precision} on {device.name} -> expected one of {known}")
    found: dict[OperatorKind, float] = {}
    for each in operators:
        if each.kind == "collective":
            continue
        reached = efficiencies.memory * device.memory_bandwidth_bytes_per_s
        memory_s = samples * each.bytes_per_sample / reached
        part = efficiencies.matmul if each.kind == "matmul" else efficiencies.convolution
        compute_s = samples * each.flops_per_sample / (part * peak) if each.kind in _COMPUTE else 0.0
        found[each.kind] = max(compute_s, memory_s)
    return found


def step_time_s(
    operators: Sequence[OperatorCost],
    samples: float,
    device: Accelerator,
    precision: str,
    efficiencies: Efficiencies,
) -> float:
    """Return how long a step takes one device, nothing exchanged [s]; see the equation above."""
    return efficiencies.step_s + math.fsum(
        kind_times_s(operators, samples, device, precision, efficiencies).values()
    )


def measured_steps(profile: CostProfile, devices: int) -> dict[int, float]:
    """Return measured step times [s] of so many devices by batch: the surface's corners, else the fit's points.

    The corners go first because they are corrected for what the host did meanwhile.
    """
    if not profile.points:
        return {}
    if profile.surface is not None:
        corners = [knot for knot in profile.surface.knots if knot.devices == devices]
        return {knot.batch_per_device: knot.step_time_s for knot in corners}
    return {
        point.batch_per_device: point.step_time_s
        for point in profile.points
        if point.devices == devices and point.mode == profile.fit.mode
    }


def learn(profiles: Sequence[CostProfile], device: Accelerator) -> Learnt:
    """Return the efficiencies that explain the steps that profiles measured on one device.

    Least squares in relative error, each profile weighing the same; kinds that the profiles cannot tell apart are made
    alike. Each is left out once, to see how well the others predict it.

    Args:
        profiles: measured on `device`, each with points on a single device.
        device: their device.

    Raises:
        ValueError: if none has such a point.
    """
    usable = [profile for profile in profiles if measured_steps(profile, 1)]
    if not usable:
        raise ValueError("no profile with a point on one device -> expected at least one to learn from")
    found = _fitted(usable, device)
    errors = [_error(profile, device, found) for profile in usable]
    return Learnt(
        efficiencies=found,
        models=tuple(profile.name for profile in usable),
        residual_relative=sum(errors) / len(errors),
        left_out_relative=leave_one_out(usable, device) if len(usable) > 1 else {},
    )


def leave_one_out(profiles: Sequence[CostProfile], device: Accelerator) -> dict[str, float]:
    """Return by name the mean |relative error| of each profile's points, learnt from the other profiles only."""
    found = {}
    for index, profile in enumerate(profiles):
        others = [*profiles[:index], *profiles[index + 1 :]]
        found[profile.name] = _error(profile, device, _fitted(others, device))
    return found


def with_efficiencies(
    operators: Sequence[OperatorCost], device: Accelerator, precision: str, efficiencies: Efficiencies
) -> tuple[OperatorCost, ...]:
    """Return operators with the part of the roofline that each kind reaches, at most 1.

    That is the time at both peaks over the time at the learnt part of them. Of collectives it is not known, and on a CPU
    neither of kinds bound by memory, since caches serve most of their bytes.
    """
    cpu = device.kind == "cpu"
    best = Efficiencies(1.0, 1.0, math.inf if cpu else 1.0)
    times_s = kind_times_s(operators, 1.0, device, precision, efficiencies)
    best_s = kind_times_s(operators, 1.0, device, precision, best)
    parts = {kind: best_s[kind] / time_s for kind, time_s in times_s.items() if time_s > 0.0}
    return tuple(
        each.model_copy(update={"efficiency": min(1.0, parts[each.kind])}) if parts.get(each.kind) else each
        for each in operators
    )


def _error(profile: CostProfile, device: Accelerator, efficiencies: Efficiencies) -> float:
    operators, steps = operators_of(profile), measured_steps(profile, 1)
    errors = [
        abs(step_time_s(operators, batch, device, profile.precision, efficiencies) / time_s - 1.0)
        for batch, time_s in steps.items()
    ]
    return sum(errors) / len(errors)


def _fitted(profiles: Sequence[CostProfile], device: Accelerator) -> Efficiencies:
    """Return the efficiencies of least mean square relative error, from three beginnings the best."""
    from scipy.optimize import least_squares

    cells = [(operators_of(profile), profile.precision, measured_steps(profile, 1)) for profile in profiles]
    shortest_s = min(min(steps.values()) for _, _, steps in cells)

    def efficiencies(logs: Any) -> Efficiencies:  # noqa: ANN401 - an array, or a list
        matmul, convolution, memory = (math.exp(value) for value in logs[:3])
        return Efficiencies(matmul, convolution, memory, float(logs[3]) * shortest_s)

    def residuals(logs: Any) -> list[float]:  # noqa: ANN401 - an array, or a list
        tried = efficiencies(logs)
        errors = [
            (step_time_s(operators, batch, device, precision, tried) / time_s - 1.0) / math.sqrt(len(steps))
            for operators, precision, steps in cells
            for batch, time_s in steps.items()
        ]
        # On a CPU caches serve most bytes, so that its memory tells nothing of its arithmetic.
        level = 0.0 if device.kind == "cpu" else logs[0]
        wishes = [logs[0] - math.log(_USUAL), logs[1] - logs[0], logs[2] - level]
        return [*errors, *(_TIE * float(wish) for wish in wishes)]

    most = math.log(_CACHES) if device.kind == "cpu" else 0.0
    low, high = [math.log(_LEAST)] * 3 + [0.0], [0.0, 0.0, most, 1.0]
    starts = ([math.log(part)] * 3 + [0.3] for part in (0.03, 0.3, 0.9))
    solved = [least_squares(residuals, start, bounds=(low, high), x_scale=1.0) for start in starts]
    best = min(solved, key=lambda each: float(each.cost))
    return efficiencies(best.x)
