"""What a step would take that was not measured: other batches, more devices, other hardware; and how wrong that may be.

Every prediction says what it rests on. Each use outside what was measured is named and widens the interval, by
independent errors that add up in squares of the logarithm; beyond `REACH` times the measured range it is refused unless
asked for. Where the widths come from: docs/decisions/0094-operators-and-prediction.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from dcsim.errors import InputError, Problem
from dcsim.facility.hardware import CATALOGUE, Accelerator
from dcsim.workload.cost import rate_used, step_cost
from dcsim.workload.profile import CostProfile
from dcsim.workload.surface import batch_range, device_range, measured_neighbours, width_doubt
from trainers.roofline import Efficiencies, Learnt, kind_times_s, learn, measured_steps, operators_of
from trainers.scaling import INSIDE_LATENCY_S, Network, ScaledStep, fit_network, scaled_step

__all__ = [
    "ASSUMED",
    "CALL_S",
    "COVERAGE",
    "DOUBLED_BATCH",
    "OTHER_GPU",
    "REACH",
    "Basis",
    "Prediction",
    "Request",
    "predict",
]

REACH = 4.0
"""Times the measured range beyond which a prediction is refused."""
COVERAGE = 0.8
"""Share of real step times that an interval is meant to hold, where it was widened."""

ASSUMED = Efficiencies(matmul=0.5, convolution=0.5, memory=0.8)
"""Of a device on which nothing was measured. Products: PaLM kept TPU v4 at 46 % of its peak in a whole run (Chowdhery et
al. 2022, arXiv:2204.02311); memory: what copies reach of a data sheet's bandwidth, assumed."""

DOUBLED_BATCH = {"cpu": 1.5, "gpu": 1.15, "tpu": 1.15}
"""Factor of error that a doubling beyond the measured batches may bring, by kind of device. On six
applications of Pollux on a T4 lines continued to twice the batch err by less than 1.15 in four of five cases; on a CPU the
time per sample of a convolutional network doubled between batch 32 and 64 in a process that returned its memory after each
step (docs/decisions/0099), as other programs may."""
_DOUBLED_DEVICES = 1.1
_ONE_MODEL = 1.5
"""Factor of error of efficiencies learnt from a single model."""
OTHER_GPU = 2.4
"""Four of five times of Gavel's jobs on V100, P100 and K80 lie within this factor of what the peaks of two of them say."""
_OTHER_KIND = 4.0
"""Assumed: no measurements of one model on a CPU and on an accelerator were at hand."""
_LEAST_WIDTH = 0.05
_MEAN_TO_COVERAGE = 1.6
"""Half width that holds four of five normal errors, over their mean absolute value: 1.28 / 0.80."""

CALL_S = {"gpu": 3.8e-6, "tpu": 1.2e-6}
"""Least time from one operator to the next. GPU: short kernels launched in a row (Gray, Getting Started with CUDA Graphs,
2019); TPU: the compiler reckons with at least 1,825 cycles for a fusion, at 1.5 GHz."""

Basis = Literal["measured", "extrapolated"]


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    device: Accelerator
    devices: int = 1
    batch_per_device: int = 0
    """0: the largest measured."""
    network: Network | None = None
    """None: as measured, or what the catalogue says joins the devices of one server."""
    overlap_fraction: float | None = None
    """Part of computing behind which gradients may travel; None: as the profile says."""
    precision: str = ""
    """Of products; empty: the profile's."""
    also: tuple[CostProfile, ...] = ()
    """Other profiles of the profile's device, to learn efficiencies from."""
    extrapolate: bool = False
    """Whether to go beyond `REACH`."""


@dataclass(frozen=True)
class Prediction:
    """A step that was not measured."""

    request: Request
    step: ScaledStep
    low_s: float
    high_s: float
    coverage: float
    """Share of real step times meant to lie between low and high."""
    basis: Basis
    reasons: tuple[str, ...]
    """Everything it rests on that was not measured."""
    parts_s: dict[str, float]
    """What the step is spent on; they add up to it [s]."""
    mfu: float | None
    """FLOPs of the model over the peak of all devices; None where either is not known."""
    memory_bytes: float
    """Of one device; 0: not known."""
    learnt: Learnt | None = None
    """Efficiencies on the profile's device, where the step was carried over to another."""
    efficiencies: Efficiencies | None = None
    """What was assumed on the device asked for."""

    @property
    def samples_per_s(self) -> float:
        """Of all devices together."""
        return self.request.devices * self.request.batch_per_device / self.step.step_s


@dataclass
class _Widths:
    """Reasons for doubt, each with the logarithm of its factor."""

    logs: list[float] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def add(self, factor: float, reason: str = "") -> None:
        self.logs.append(math.log(factor))
        if reason:
            self.reasons.append(reason)

    @property
    def factor(self) -> float:
        return math.exp(math.sqrt(sum(log * log for log in self.logs)))


def predict(profile: CostProfile, request: Request) -> Prediction:
    """Return the predicted step of a profile's model.

    Raises:
        InputError: with every reason: too far from what was measured, too large for the device's memory, or a profile
            that does not say what a sample computes.
    """
    batch = request.batch_per_device or profile.fit.batch_per_device_max
    request = replace(request, batch_per_device=batch, precision=request.precision or profile.precision)
    memory_bytes = _memory_bytes(profile, batch)
    problems = list(_problems(profile, request, memory_bytes))
    if problems:
        raise InputError(problems)
    widths = _Widths()
    here = request.device.name == profile.device and request.precision == profile.precision
    learnt = efficiencies = None
    if here:
        step = _measured_step(profile, request, widths)
        parts = {"computing": step.compute_s}
    else:
        learnt, efficiencies = _carried_over(profile, request, widths)
        compute_s, parts = _computed(profile, request, efficiencies)
        step = _exchanged(profile, request, compute_s, widths)
    _doubt_range(profile, request, widths)
    inside = not widths.reasons
    low_s, high_s, coverage = _interval(profile, step.step_s, widths, inside=inside)
    if step.exposed_s > 0.0:
        parts["exchange of gradients"] = step.exposed_s
    return Prediction(
        request=request,
        step=step,
        low_s=low_s,
        high_s=high_s,
        coverage=coverage,
        basis="measured" if inside else "extrapolated",
        reasons=tuple(widths.reasons),
        parts_s=parts,
        mfu=_mfu(profile, request, step.step_s),
        memory_bytes=memory_bytes,
        learnt=learnt,
        efficiencies=efficiencies,
    )


def _measured_step(profile: CostProfile, request: Request, widths: _Widths) -> ScaledStep:
    """Return the step on the profile's own device: as measured, or one device and a network."""
    devices, batch = request.devices, request.batch_per_device
    most = _ranges(profile, devices)[1][1]
    if request.network is None and devices <= most:
        _doubt_between(profile, request, widths)
        cost = step_cost(profile, request.device, devices, batch)
        together_s = cost.compute_s * (1.0 - cost.utilisation)
        alone_s = cost.compute_s - together_s
        return ScaledStep(alone_s, together_s, together_s)
    alone_s = step_cost(profile, request.device, 1, batch).compute_s
    if _ranges(profile, 1)[1][0] > 1:
        widths.add(_DOUBLED_DEVICES, f"{profile.name}: one device alone was not measured")
    return _exchanged(profile, request, alone_s, widths)


def _doubt_between(profile: CostProfile, request: Request, widths: _Widths) -> None:
    """Widen for a number of devices between two of a surface, where nothing was measured.

    As for doublings from the nearer of them, or as a ring and contention that grows with the devices disagree, whichever
    is more.
    """
    surface, devices = profile.surface, request.devices
    between = None if surface is None else measured_neighbours(surface, devices)
    if surface is None or between is None:
        return
    away = math.log2(min(devices / between[0], between[1] / devices))
    shape = width_doubt(surface, devices, request.batch_per_device)
    done = "measured" if profile.origin == "measured" else profile.origin
    reason = f"{devices} devices lie between the {done} {between[0]} and {between[1]}"
    widths.add(max(_DOUBLED_DEVICES**away, shape), reason)


def _exchanged(profile: CostProfile, request: Request, compute_s: float, widths: _Widths) -> ScaledStep:
    """Return a step with the exchange of its gradients; tell what that rests on."""
    if request.devices == 1:
        return ScaledStep(compute_s, 0.0, 0.0)
    network = request.network or _network(profile, request, widths)
    if request.network is not None:
        widths.add(_DOUBLED_DEVICES, "exchange of gradients: reckoned for the links given, not measured")
    overlap = request.overlap_fraction
    return scaled_step(
        compute_s,
        profile.collectives.all_reduce_bytes,
        request.devices,
        network,
        overlap_fraction=profile.collectives.overlap_fraction if overlap is None else overlap,
    )


def _network(profile: CostProfile, request: Request, widths: _Widths) -> Network:
    """Return links where none are given: those that measured steps speak of, else the catalogue's."""
    device = request.device
    alone = measured_steps(profile, 1)
    extra_s = [
        (count, time_s - alone[batch])
        for count in sorted({point.devices for point in profile.points} - {1})
        for batch, time_s in measured_steps(profile, count).items()
        if batch in alone
    ]
    if device.name == profile.device and extra_s and profile.collectives.all_reduce_bytes > 0.0:
        words = f"exchange of gradients: a ring as on up to {max(n for n, _ in extra_s)} devices, contention and all"
        widths.add(_DOUBLED_DEVICES, words)
        return fit_network(extra_s, profile.collectives.all_reduce_bytes)
    rate = device.link_bandwidth_bytes_per_s
    widths.add(
        _DOUBLED_DEVICES, f"exchange of gradients: {device.name}s of one server at {rate / 1e9:g} GB/s each"
    )
    return Network(math.inf, 0.0, request.devices, rate, INSIDE_LATENCY_S)


def _carried_over(
    profile: CostProfile, request: Request, widths: _Widths
) -> tuple[Learnt | None, Efficiencies]:
    """Return what was learnt on the profile's device, and what of it is taken to hold on another."""
    source, target = CATALOGUE[profile.device], request.device
    if not profile.points:
        widths.add(1.0, f"{profile.name}: nothing timed; {_words(ASSUMED)} assumed")
        return None, ASSUMED
    learnt = learn([profile, *(each for each in request.also if each.device == profile.device)], source)
    errors = learnt.left_out_relative.values()
    if errors:
        spread = _MEAN_TO_COVERAGE * sum(errors) / len(errors)
        of = f"{len(learnt.models)} models, {sum(errors) / len(errors):.0%} error on the one left out"
    else:
        spread, of = _ONE_MODEL - 1.0, "one model"
    widths.add(1.0 + spread, f"efficiencies learnt on {source.name} from {of}")
    found = learnt.efficiencies
    if source.kind != target.kind:
        # A CPU's caches and its cost of starting a step are its own.
        found = found._replace(memory=min(found.memory, ASSUMED.memory))
        widths.add(_OTHER_KIND, f"carried over from a {source.kind} to a {target.kind}: {_words(found)}")
    elif source.name != target.name:
        widths.add(OTHER_GPU, f"carried over from {source.name} to {target.name}: {_words(found)}")
    if request.precision != profile.precision:
        widths.add(
            1.2, f"products in {request.precision}, measured in {profile.precision}; bytes as measured"
        )
    if not profile.operators:
        widths.add(1.2, f"{profile.name}: kinds of operators not told apart")
    return learnt, found


def _words(found: Efficiencies) -> str:
    return f"{found.matmul:.0%} of the peak in products, {found.memory:.0%} of the memory bandwidth"


def _computed(
    profile: CostProfile, request: Request, efficiencies: Efficiencies
) -> tuple[float, dict[str, float]]:
    """Return computing on another device, and its parts [s]."""
    operators, batch = operators_of(profile), request.batch_per_device
    try:
        times_s = kind_times_s(operators, batch, request.device, request.precision, efficiencies)
    except ValueError as error:
        raise InputError(f"{profile.name}: {error}") from None
    parts = {kind.replace("_", " "): time_s for kind, time_s in times_s.items() if time_s > 0.0}
    calls = sum(each.calls_per_step or 0.0 for each in operators)
    starting_s = efficiencies.step_s + calls * CALL_S.get(request.device.kind, 0.0)
    if starting_s > 0.0:
        parts["starting the step"] = starting_s
    return math.fsum(parts.values()), parts


def _doubt_range(profile: CostProfile, request: Request, widths: _Widths) -> None:
    """Widen for batches and numbers of devices that were not measured."""
    batch, devices = request.batch_per_device, request.devices
    batches, counts = _ranges(profile, devices)
    done = "measured" if profile.origin == "measured" else profile.origin
    outside = _beyond(batch, batches)
    if outside > 1.0:
        each = DOUBLED_BATCH[request.device.kind]
        reason = f"batch {batch} a device: {batches[0]} to {batches[1]} {done}"
        widths.add(each ** math.log2(outside), reason)
    outside = _beyond(devices, counts)
    if outside > 1.0:
        reason = f"{devices} devices: {counts[0]} to {counts[1]} {done}"
        widths.add(_DOUBLED_DEVICES ** math.log2(outside), reason)
    if profile.origin != "measured":
        # An imported table was measured, by somebody; what was never timed is as doubtful as another kind of device.
        factor = 1.0 if profile.points else _OTHER_KIND
        widths.add(factor, f"{profile.name} itself is {profile.origin}")


def _interval(
    profile: CostProfile, step_s: float, widths: _Widths, *, inside: bool
) -> tuple[float, float, float]:
    """Return (low [s], high [s], coverage)."""
    surface = profile.surface
    if surface is not None:
        width = surface.interval_relative
        if inside:
            return step_s * max(0.0, 1.0 - width), step_s * (1.0 + width), surface.coverage
    else:
        error = profile.fit.held_out_error_relative or profile.fit.residual_relative
        width = max(_LEAST_WIDTH, _MEAN_TO_COVERAGE * error)
    widths.add(1.0 + width)
    return step_s / widths.factor, step_s * widths.factor, COVERAGE


def _ranges(profile: CostProfile, devices: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the smallest and largest batch a device, and number of devices, that were looked at."""
    fit, surface = profile.fit, profile.surface
    if surface is None:
        return (fit.batch_per_device_min, fit.batch_per_device_max), (fit.devices_min, fit.devices_max)
    return batch_range(surface, devices), device_range(surface)


def _beyond(value: float, ends: tuple[int, int]) -> float:
    """Return how many times outside a range a value lies, at least 1."""
    return max(1.0, value / ends[1], ends[0] / value)


def _memory_bytes(profile: CostProfile, batch: int) -> float:
    """Return what a device holds [B]: the state, and activations in proportion to the batch; 0 where not known."""
    if not profile.memory_bytes_per_device:
        return 0.0
    state = min(profile.checkpoint_bytes, profile.memory_bytes_per_device)
    return state + (profile.memory_bytes_per_device - state) * batch / profile.fit.batch_per_device_max


def _problems(profile: CostProfile, request: Request, memory_bytes: float) -> Iterator[Problem]:
    device, name = request.device, profile.name
    if memory_bytes > device.memory_bytes:
        got = f"{memory_bytes / 1e9:.3g} GB on each device"
        yield Problem(
            name,
            None,
            "batch",
            got,
            f"at most {device.memory_bytes / 1e9:.3g} GB, the memory of {device.name}",
        )
    batches, counts = _ranges(profile, request.devices)
    hint = "give --extrapolate to go on all the same"
    for path, value, ends in (
        ("batch", request.batch_per_device, batches),
        ("devices", request.devices, counts),
    ):
        if _beyond(value, ends) > REACH and not request.extrapolate:
            expected = f"within {REACH:g} times the {profile.origin} {ends[0]} to {ends[1]}"
            yield Problem(name, None, path, str(value), expected, hint)
    if device.name == profile.device and request.precision == profile.precision:
        return
    if profile.flops_per_sample is None:
        expected = f"a profile that says it, or --device {profile.device}"
        yield Problem(name, None, "flops_per_sample", "not known", expected)
    if profile.device not in CATALOGUE:
        yield Problem(name, None, "device", profile.device, "a catalogue name")
    if rate_used(device, request.precision) not in device.peak_flop_per_s:
        known = ", ".join(device.peak_flop_per_s)
        yield Problem(name, None, "precision", request.precision, f"one of {known} on {device.name}")
    if profile.points and not measured_steps(profile, 1):
        yield Problem(name, None, "points", "none on one device", "at least one, to learn efficiencies from")


def _mfu(profile: CostProfile, request: Request, step_s: float) -> float | None:
    peak = request.device.peak_flop_per_s.get(rate_used(request.device, request.precision))
    if peak is None or profile.flops_per_sample is None:
        return None
    return profile.flops_per_sample * request.batch_per_device / (peak * step_s)
