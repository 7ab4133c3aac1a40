"""What one optimizer step costs on an accelerator: as measured where it was measured, else a roofline.

The step time of a profile is measured on one host: a surface through what was measured, or without one the line
step = overhead + per_sample * batch + per_device * (devices - 1). Its last term, or what the surface adds to the
step of one device, is what running the devices of that host together cost: their all-reduce and their contention. So on the calibrated device the traffic *inside* a server is
already counted and `StepCost.intra_allreduce_bytes` is 0; only the traffic *between* servers is left
to the simulator. On other hardware it says nothing: it is left out, and both kinds of
traffic are left to the simulator. See docs/decisions/0030-step-cost.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dcsim.errors import Problem, ProfileError
from dcsim.facility.hardware import CATALOGUE, Accelerator
from dcsim.workload.profile import CostProfile, StepTimeSurface
from dcsim.workload.surface import batch_range, device_range, measured_neighbours, surface_step_time_s

__all__ = [
    "StepCost",
    "check_efficiency",
    "fits",
    "ideal_step_time_s",
    "marginal_efficiency",
    "rate_used",
    "roofline_s",
    "step_cost",
]


@dataclass(frozen=True, slots=True)
class StepCost:
    """One step of one gang on one kind of accelerator, before the simulator adds what is shared."""

    compute_s: float
    """Step time of each device without the communication counted by the bytes below; > 0 [s]."""
    intra_allreduce_bytes: float
    """All-reduced by each device within its server [B]; 0 where measured into compute_s."""
    allreduce_bytes: float
    """All-reduced between servers [B], if the gang spans more than one; 0 for a gang of one."""
    input_bytes: float
    """Read by the whole gang for one step [B]."""
    utilisation: float
    """Part of compute_s in which a device computes, (0, 1]; the rest is measured communication."""
    extrapolated: bool
    """Not as measured: other hardware, outside the measured batches or widths, on a surface between two widths, or a
    profile that was not measured."""
    reasons: tuple[str, ...]
    """Why it is extrapolated, in words; empty where it is not."""


def roofline_s(
    flops: float, memory_bytes: float, accelerator: Accelerator, precision: str, efficiency: float
) -> float:
    """Return the time [s] of `flops` [FLOP] and `memory_bytes` [B]: max of both roofs over efficiency.

    t = max(F / P, Q / B) / e (Williams, Waterman, Patterson 2009, doi:10.1145/1498765.1498785).

    Raises:
        ProfileError: The accelerator has no peak rate for `precision`.
    """
    peak = accelerator.peak_flop_per_s.get(rate_used(accelerator, precision))
    if peak is None:
        known = ", ".join(accelerator.peak_flop_per_s)
        problem = Problem(accelerator.name, None, "peak_flop_per_s", precision, f"one of {known}")
        raise ProfileError([problem])
    return max(flops / peak, memory_bytes / accelerator.memory_bandwidth_bytes_per_s) / efficiency


def rate_used(accelerator: Accelerator, precision: str) -> str:
    """Return the precision whose peak rate holds for matrix products in `precision`.

    The same, but on a TPU without an fp32 rate: there JAX multiplies fp32 matrices in bf16 unless told
    otherwise (jax.default_matmul_precision).

    >>> rate_used(CATALOGUE["TPU-v4"], "fp32"), rate_used(CATALOGUE["T4"], "fp32")
    ('bf16', 'fp32')
    """
    missing = precision not in accelerator.peak_flop_per_s
    return "bf16" if missing and accelerator.kind == "tpu" and precision == "fp32" else precision


def marginal_efficiency(profile: CostProfile, measured_on: Accelerator) -> float:
    """Return the measured fraction of the roofline, (0, 1], that one more sample runs at.

    The roofline time of a sample on the calibrated device over its fitted time; taken as 1 where
    noise puts it above, or where the fit found no cost per sample.
    """
    ideal_s = _sample_s(profile, measured_on, efficiency=1.0)
    if profile.fit.per_sample_s <= ideal_s:
        return 1.0
    return ideal_s / profile.fit.per_sample_s


def check_efficiency(profile: CostProfile, measured_on: Accelerator | None = None) -> None:
    """Raise ProfileError where a measured point is faster than its device can compute (MFU > 1).

    `measured_on` None: the device is looked up in the built-in catalogue, and refused if not there.
    """
    problems = list(_efficiency_problems(profile, measured_on or _device(profile)))
    if problems:
        raise ProfileError(problems)


def step_cost(
    profile: CostProfile,
    accelerator: Accelerator,
    devices: int,
    batch_per_accelerator: int = 0,
    *,
    measured_on: Accelerator | None = None,
) -> StepCost:
    """Return what one step costs a gang of `devices`, each with `batch_per_accelerator` samples.

    Args:
        profile: Measured costs.
        accelerator: What the job runs on; the calibrated device is told by its catalogue name.
        devices: Gang width, >= 1.
        batch_per_accelerator: Samples of each device, >= 1; 0: the largest measured.
        measured_on: Catalogue entry of `profile.device`; None: looked up in the built-in catalogue.

    Raises:
        ProfileError: Unknown device or precision, or a width or batch below its range.

    On the calibrated device the surface is used where there is one, else the fit, and outside the measured range
    continued: in the batch by its outer slope, in the width by its last measured value (a ring's cost levels off, and
    contention is bounded by the host). Between two widths of a surface it is what a ring makes of both. Elsewhere compute_s = overhead + batch * roofline(sample) with the measured
    marginal efficiency; the overhead, work of the host, is kept.
    """
    batch = batch_per_accelerator or profile.fit.batch_per_device_max
    if devices < 1 or batch < 1:
        problem = Problem(profile.name, None, "step_cost", f"width {devices}, batch {batch}", "both >= 1")
        raise ProfileError([problem])
    alone_s, together_s, reasons = _parts(profile, accelerator, devices, batch, measured_on)
    traffic = profile.collectives.all_reduce_bytes if devices > 1 else 0.0
    here = accelerator.name == profile.device
    return StepCost(
        compute_s=alone_s + together_s,
        intra_allreduce_bytes=0.0 if here else traffic,
        allreduce_bytes=traffic,
        input_bytes=profile.input_bytes_per_sample * batch * devices,
        utilisation=alone_s / (alone_s + together_s),
        extrapolated=bool(reasons),
        reasons=reasons,
    )


def fits(profile: CostProfile, accelerator: Accelerator) -> bool:
    """Return whether what a device holds in the largest configuration looked at fits into an accelerator's memory.

    True where the profile does not know its memory (0), or the catalogue that of the accelerator.
    """
    return profile.memory_bytes_per_device <= (accelerator.memory_bytes or float("inf"))


def ideal_step_time_s(cost: StepCost, accelerator: Accelerator, devices: int) -> float:
    """Return the step time [s] of a gang alone in one server, its input never late.

    compute + 2 (n - 1) / n * m / B, a ring all-reduce without latency over the links between the
    accelerators of one server (Patarasuk, Yuan 2009, doi:10.1016/j.jpdc.2008.09.002).
    """
    ring = 2.0 * (devices - 1) / devices
    return cost.compute_s + ring * cost.intra_allreduce_bytes / accelerator.link_bandwidth_bytes_per_s


def _sample_s(profile: CostProfile, accelerator: Accelerator, efficiency: float) -> float:
    """Return the roofline time of one sample [s].

    The compiler counts every access of an operation as bytes; on a CPU nearly all of them hit the
    caches, so there the memory roof says nothing and only the compute roof is used.
    """
    if profile.flops_per_sample is None:
        expected = f"jobs on {profile.device} only, or a profile that was measured by the trainers"
        raise ProfileError([Problem(profile.name, None, "flops_per_sample", "not known", expected)])
    flops, memory_bytes = profile.flops_per_sample, profile.bytes_accessed_per_sample or 0.0
    if accelerator.kind == "cpu":
        memory_bytes = 0.0
    return roofline_s(flops, memory_bytes, accelerator, profile.precision, efficiency)


def _parts(
    profile: CostProfile, accelerator: Accelerator, devices: int, batch: int, measured_on: Accelerator | None
) -> tuple[float, float, tuple[str, ...]]:
    """Return (time of a device alone, time lost by running together, why extrapolated)."""
    fit = profile.fit
    reasons = (*_origin_reasons(profile), *_range_reasons(profile, devices, batch))
    if accelerator.name == profile.device:
        if profile.surface is not None:
            reasons = (*reasons, *_between_reasons(profile, profile.surface, devices))
            return (*_surface_parts(profile.surface, devices, batch), reasons)
        together_s = fit.per_device_s * (min(devices, fit.devices_max) - 1)
        return fit.overhead_s + fit.per_sample_s * batch, together_s, reasons
    source = measured_on or _device(profile)
    efficiency = marginal_efficiency(profile, source)
    alone_s = fit.overhead_s + batch * _sample_s(profile, accelerator, efficiency)
    scaled = f"{profile.name}: measured on {profile.device}, scaled by a roofline to {accelerator.name}"
    rate = rate_used(accelerator, profile.precision)
    return alone_s, 0.0, (f"{scaled} at {efficiency:.2%} of its {rate} roofline", *reasons)


def _surface_parts(surface: StepTimeSurface, devices: int, batch: int) -> tuple[float, float]:
    """Return (time of a device alone, time lost by running together) from a surface; their sum is what it says.

    Where one device was not measured, or noise made it slower than many, all of the time counts as computing.
    """
    total_s = surface_step_time_s(surface, devices, batch)
    if device_range(surface)[0] > 1:
        return total_s, 0.0
    alone_s = min(total_s, surface_step_time_s(surface, 1, batch))
    return alone_s, total_s - alone_s


def _origin_reasons(profile: CostProfile) -> Iterator[str]:
    """Yield in words why the step times of a profile that was not measured are not to be taken for measured ones."""
    if profile.origin == "measured":
        return
    words = {
        "compiled": "compiled, not timed",
        "predicted": "predicted, not measured",
        "imported": "taken over from a table, not measured by the trainers",
    }[profile.origin]
    step, surface = profile.prediction, profile.surface
    if step is not None:
        low, high = (
            step.step_time_low_s / step.step_time_s - 1.0,
            step.step_time_high_s / step.step_time_s - 1.0,
        )
        words += f": {step.coverage:.0%} within {low:+.0%} to {high:+.0%}"
    elif surface is not None:
        words += f": {surface.coverage:.0%} within -+{surface.interval_relative:.0%}"
    yield f"{profile.name}: {words}"


def _range_reasons(profile: CostProfile, devices: int, batch: int) -> Iterator[str]:
    """Yield in words how a width and a batch lie outside what was measured, or predicted."""
    fit, surface = profile.fit, profile.surface
    batches = (fit.batch_per_device_min, fit.batch_per_device_max)
    widths = (fit.devices_min, fit.devices_max)
    if surface is not None:
        batches, widths = batch_range(surface, devices), device_range(surface)
    done = _done(profile)
    if not batches[0] <= batch <= batches[1]:
        yield f"{profile.name}: batch {batch} a device is outside the {done} {batches[0]} to {batches[1]}"
    if not widths[0] <= devices <= widths[1]:
        yield f"{profile.name}: {devices} devices are outside the {done} {widths[0]} to {widths[1]}"


def _between_reasons(profile: CostProfile, surface: StepTimeSurface, devices: int) -> Iterator[str]:
    """Yield in words between which widths of a surface one lies that has no corner."""
    between = measured_neighbours(surface, devices)
    if between is not None:
        yield f"{profile.name}: {devices} devices lie between the {_done(profile)} {between[0]} and {between[1]}"


def _done(profile: CostProfile) -> str:
    """Return what was done where a profile's range lies."""
    return {"compiled": "compiled", "predicted": "predicted"}.get(profile.origin, "measured")


def _device(profile: CostProfile) -> Accelerator:
    """Return the catalogue entry of the device a profile was measured on."""
    if profile.device not in CATALOGUE:
        known = ", ".join(sorted(CATALOGUE))
        hint = f"give its figures to the catalogue; known are {known}"
        raise ProfileError([Problem(profile.name, None, "device", profile.device, "a catalogue name", hint)])
    return CATALOGUE[profile.device]


def _efficiency_problems(profile: CostProfile, measured_on: Accelerator) -> Iterator[Problem]:
    """Yield points whose samples would need more than the device's peak FLOP rate."""
    for i, point in enumerate(profile.points):
        flops = point.flops_per_device or (profile.flops_per_sample or 0.0) * point.batch_per_device
        ideal_s = roofline_s(flops, 0.0, measured_on, profile.precision, 1.0)
        if ideal_s > point.step_time_s:
            utilisation = ideal_s / point.step_time_s
            yield Problem(
                profile.name,
                None,
                f"points.{i}.step_time_s",
                f"{point.step_time_s:.3g} s, {utilisation:.2f} of the peak of {measured_on.name}",
                f"a step time of at least {ideal_s:.3g} s",
                "the device named in the profile, its peak or its precision is wrong",
            )
