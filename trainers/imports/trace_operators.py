"""What the operators in a trace computed and read, by kind, and how much of a step devices were busy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dcsim.workload.profile import OperatorCost, OperatorKind
from trainers.imports.repeats import point_of_times
from trainers.imports.run import Run
from trainers.imports.sources import (
    ImportedModel,
    Source,
    catalogue_device,
    file_sha256,
    profile_name,
    refusal,
)
from trainers.imports.trace_events import Event, StepWindow, Trace, number_of, read_trace, step_windows

__all__ = ["DeviceWork", "busy_s", "device_events", "device_work", "operator_kind", "read_trace_model"]

_KERNELS = frozenset({"kernel", "gpu_memcpy", "gpu_memset"})
"""Categories of PyTorch's profiler for what runs on the GPU."""
_CONTAINERS = ("while", "conditional", "call")
"""Operators whose work is that of those inside them."""
_KINDS: tuple[tuple[OperatorKind, tuple[str, ...]], ...] = (
    ("collective", ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective", "nccl")),
    ("gather_scatter", ("gather", "scatter", "dynamic-slice", "dynamic-update-slice")),
    ("convolution", ("conv",)),
    ("matmul", ("dot", "gemm", "matmul")),
    ("reduction", ("reduce", "reduction")),
    ("data_movement", ("copy", "memcpy", "memset", "transpose", "reshape", "broadcast", "concat", "pad", "formatting")),
    ("elementwise", ("elementwise", "fusion", "vectorized")),
)  # fmt: skip


class DeviceWork(NamedTuple):
    """What the devices of a trace did in its steps; per sample of one device."""

    busy_share: float | None
    """Of the steps; None: the trace shows no operators."""
    operators: tuple[OperatorCost, ...]
    """Kinds of which every operator has FLOPs and bytes."""
    complete: bool
    """Every operator has them."""


def read_trace_model(
    path: Path, run: Run, *, step_name: str | None = None
) -> tuple[Source, list[ImportedModel]]:
    """Return the one point that the trace of a run gives, and the cost of its operators where the trace tells it.

    Args:
        path: Trace in Chrome's JSON, plain or gzipped.
        run: What the trace does not say.
        step_name: Of the events that mark steps.

    Raises:
        InputError: Not such a trace, no step markers, or too few steps.
    """
    trace = read_trace(path)
    windows = step_windows(trace, step_name)[run.warm_up :]
    if not windows:
        raise refusal(
            path, f"no more than {run.warm_up} steps", f"more than {run.warm_up}", "say --warm-up 0"
        )
    work = device_work(trace, windows, run.batch_per_device)
    device, assumed = catalogue_device("", run.device, path)
    name = run.model or path.name.split(".")[0]
    busy = (
        "no operators in the trace" if work.busy_share is None else f"busy {work.busy_share:.1%} of the steps"
    )
    notes = [
        f"step times are from the start of a step to that of the next, the first {run.warm_up} left out",
        f"devices: {busy}",
    ]
    known = bool(work.operators) and work.complete
    model = ImportedModel(
        name=profile_name(name),
        description=f"{name} on {device}, from a trace",
        device=device,
        points=(point_of_times(run.devices, run.batch_per_device, [each.duration_s for each in windows]),),
        notes=(*notes, *filter(None, [assumed])),
        parameters=run.parameters,
        operators=work.operators,
        flops_per_sample=sum(each.flops_per_sample for each in work.operators) or None if known else None,
        bytes_accessed_per_sample=sum(each.bytes_per_sample for each in work.operators) if known else None,
    )
    command = f"python -m trainers import trace {path.name}" + (
        f" --step-name {step_name}" if step_name else ""
    )
    return Source("a trace of one's own", "not stated", {path.name: file_sha256(path)}, command), [model]


def device_work(trace: Trace, windows: Sequence[StepWindow], batch_per_device: int) -> DeviceWork:
    """Return what the devices did between the start of the first window and the end of the last.

    Args:
        trace: All events.
        windows: At least one.
        batch_per_device: Samples a step on each device.
    """
    first_s, last_s = windows[0].start_s, windows[-1].end_s
    by_device = {
        device: [event for event in events if first_s <= event.start_s < last_s]
        for device, events in device_events(trace).items()
    }
    if not any(by_device.values()):
        return DeviceWork(None, (), complete=False)
    shares = [busy_s(events, first_s, last_s) / (last_s - first_s) for events in by_device.values()]
    samples = len(windows) * len(by_device) * batch_per_device
    totals: dict[OperatorKind, list[float]] = {}
    unknown: set[OperatorKind] = set()
    for event in (event for events in by_device.values() for event in events):
        label = str(event.arguments.get("hlo_category") or event.name).lower()
        if label.startswith(_CONTAINERS):
            continue
        kind = operator_kind(label)
        flops = number_of(event.arguments.get("model_flops", event.arguments.get("flops")))
        moved = number_of(event.arguments.get("bytes_accessed"))
        if flops is None or moved is None or flops < 0 or moved < 0:
            unknown.add(kind)
        else:
            sums = totals.setdefault(kind, [0.0, 0.0])
            sums[0] += flops
            sums[1] += moved
    operators = tuple(
        OperatorCost(kind=kind, flops_per_sample=sums[0] / samples, bytes_per_sample=sums[1] / samples)
        for kind, sums in sorted(totals.items())
        if kind not in unknown
    )
    return DeviceWork(sum(shares) / len(shares), operators, complete=not unknown)


def device_events(trace: Trace) -> dict[str, list[Event]]:
    """Return the operators that ran on each device.

    Those are XLA's operators (an argument hlo_op, or on a thread "XLA Ops"; where a process has such a thread, on
    that only, for others show the same work again) and PyTorch's kernels and copies.
    """
    summed = {thread[0] for thread, name in trace.threads.items() if name == "XLA Ops"}
    found: dict[str, list[Event]] = {}
    for event in trace.events:
        if event.thread[0] in summed:
            runs = trace.threads.get(event.thread) == "XLA Ops"
        else:
            runs = "hlo_op" in event.arguments or event.category in _KERNELS
        if runs:
            process = event.thread[0]
            device = event.arguments.get("device_ordinal", event.arguments.get("device", process))
            found.setdefault(f"{process}/{device}", []).append(event)
    return found


def busy_s(events: Iterable[Event], first_s: float, last_s: float) -> float:
    """Return how long at least one of the events ran between two instants [s].

    >>> from trainers.imports.trace_events import Event
    >>> ran = [Event("a", "", ("1", "1"), start, 2.0, {}) for start in (0.0, 1.0, 5.0)]
    >>> busy_s(ran, 0.5, 6.0)
    3.5
    """
    total_s, reached_s = 0.0, first_s
    for event in sorted(events, key=lambda each: each.start_s):
        end_s = min(event.end_s, last_s)
        if end_s > reached_s:
            total_s += end_s - max(event.start_s, reached_s)
            reached_s = end_s
    return total_s


def operator_kind(label: str) -> OperatorKind:
    """Return the kind of an operator by its category, or by its name where it has none.

    >>> operator_kind("convolution fusion"), operator_kind("loop fusion"), operator_kind("ampere_sgemm_128x64_nn")
    ('convolution', 'elementwise', 'matmul')
    """
    text = label.lower()
    return next((kind for kind, words in _KINDS if any(word in text for word in words)), "other")
