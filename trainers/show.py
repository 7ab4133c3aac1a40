"""A profile as text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dcsim.workload.profile import CostProfile, StepTimeFit

__all__ = ["describe"]

_ORIGINS = {
    "measured": "measured",
    "compiled": "compiled, not timed",
    "predicted": "predicted, not measured",
    "imported": "taken over from a table",
}


def describe(profile: CostProfile) -> str:
    """Return a profile's figures as lines of text: its facts, then a table of each part it has."""
    parts = (_facts, _points, _surface, _startup, _operators, _collectives, _parallel, _prediction, _memory)
    return "\n".join(line for part in parts for line in part(profile))


def _facts(profile: CostProfile) -> Iterator[str]:
    fit, origin = profile.fit, profile.provenance
    held_out = "none" if fit.held_out_error_relative is None else f"{fit.held_out_error_relative:.1%}"
    flops = _known(profile.flops_per_sample, "{:,.0f} FLOP")
    yield f"{profile.name}: {profile.description}"
    yield f"origin         {_ORIGINS[profile.origin]}, {profile.device}, {profile.precision}"
    yield f"parameters     {_known(profile.parameters, '{:,}')} ({profile.optimizer})"
    yield f"a sample       {flops}, {profile.input_bytes_per_sample:,.0f} B of input"
    yield f"all-reduce     {profile.collectives.all_reduce_bytes:,.0f} B a step"
    memory = (
        f"{profile.memory_bytes_per_device:,.0f} B a device"
        if profile.memory_bytes_per_device
        else "not known"
    )
    yield f"memory         {memory}, checkpoint {profile.checkpoint_bytes:,.0f} B"
    yield f"fit            {_formula(fit)}"
    yield f"               residual {fit.residual_relative:.1%}, held out {held_out}"
    yield f"energy         {_energy(profile)}"
    if origin.host_cores:
        yield f"made           {origin.created_utc}, {origin.host_cores} x {origin.host_cpu}"
        yield f"load average   {origin.load_average_start} before, {origin.load_average_end} after"
    if origin.device_kind is not None:
        yield f"JAX device     {origin.device_kind}"
    if origin.freed_memory is not None:
        yield f"freed memory   {origin.freed_memory}"
    for text in origin.warnings:
        yield f"warning        {text}"


def _points(profile: CostProfile) -> Iterator[str]:
    rows = [
        (
            each.mode,
            str(each.devices),
            str(each.batch_per_device),
            *(_ms(value) for value in (each.step_time_s, each.step_time_low_s, each.step_time_high_s)),
            _ms(each.cpu_time_per_step_s),
            _known(each.split_half_spread, "{:.1%}"),
            _known(each.compile_time_s, "{:.2f}"),
            _known(each.page_faults_per_step, "{:,.0f}"),
        )
        for each in profile.points
    ]
    yield from _table(
        "points",
        ("mode", "devices", "batch", "step ms", "p10", "p90", "CPU ms", "spread", "compile s", "faults"),
        rows,
    )


def _surface(profile: CostProfile) -> Iterator[str]:
    surface = profile.surface
    if surface is None:
        return
    rows = [
        (
            str(knot.devices),
            str(knot.batch_per_device),
            _ms(knot.step_time_s),
            f"{knot.step_time_s / knot.batch_per_device * 1e6:.3f}",
        )
        for knot in surface.knots
    ]
    within = f"{surface.coverage:.0%} of new measurements within -+{surface.interval_relative:.1%}"
    yield from _table(
        f"surface ({surface.mode}), {within}", ("devices", "batch", "step ms", "us a sample"), rows
    )
    if surface.regimes:
        yield f"  regimes end at batches {', '.join(map(str, surface.regimes))}"


def _startup(profile: CostProfile) -> Iterator[str]:
    start = profile.startup
    if start is not None:
        cells = [f"{each:.2f}" for each in (start.process_s, start.data_s, start.compile_s, start.total_s)]
        yield from _table("start-up", ("process s", "data s", "compile s", "in all s"), [cells])


def _operators(profile: CostProfile) -> Iterator[str]:
    rows = [
        (
            each.kind,
            f"{each.flops_per_sample:,.0f}",
            f"{each.bytes_per_sample:,.0f}",
            _known(each.efficiency, "{:.1%}"),
        )
        for each in profile.operators
    ]
    yield from _table("operators, a sample", ("kind", "FLOP", "bytes", "efficiency"), rows)


def _collectives(profile: CostProfile) -> Iterator[str]:
    rows = [
        (each.kind, each.mode, str(each.devices), str(each.count), f"{each.size_bytes:,.0f}")
        for each in profile.collectives.compiled
    ]
    yield from _table("compiled collectives, a step", ("kind", "mode", "devices", "calls", "bytes"), rows)


def _parallel(profile: CostProfile) -> Iterator[str]:
    rows = [
        (
            each.dimension,
            each.collective,
            f"{each.bytes_per_step:,.0f}",
            f"{each.bytes_per_sample:,.0f}",
            str(each.messages_per_step),
            f"{each.overlap_fraction:.0%}",
        )
        for each in profile.collectives.parallel
    ]
    heads = ("dimension", "collective", "B a step", "B a sample", "messages", "overlap")
    yield from _table("traffic of other kinds of parallelism", heads, rows)


def _prediction(profile: CostProfile) -> Iterator[str]:
    step = profile.prediction
    if step is None:
        return
    low, high = step.step_time_low_s / step.step_time_s - 1, step.step_time_high_s / step.step_time_s - 1
    yield f"predicted step on {step.devices:,} devices, {step.global_batch:,} samples, {step.layout}"
    yield f"  {step.step_time_s:.4g} s, {step.coverage:.0%} within {low:+.0%} to {high:+.0%}, MFU {step.mfu:.1%}"
    rows = [
        (name, f"{part_s:.4g}", f"{part_s / step.step_time_s:.1%}") for name, part_s in step.parts_s.items()
    ]
    yield from _table("spent on", ("part", "s", "share"), rows)
    for text in step.assumptions:
        yield f"  assumed: {text}"


def _memory(profile: CostProfile) -> Iterator[str]:
    step = profile.prediction
    if step is not None:
        rows = [(name, f"{size / 1e9:.3f}") for name, size in step.memory_parts_bytes.items()]
        yield from _table("memory of the fullest device", ("part", "GB"), rows)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a title and aligned columns: words to the left, numbers to the right; nothing without rows.

    Columns of which nothing is known are named in one line below.
    """
    if not rows:
        return
    whole = list(zip(heads, *rows, strict=True))
    columns = [column for column in whole if set(column[1:]) != {"-"}]
    widths = [max(map(len, column)) for column in columns]
    sides: list[Callable[..., str]] = [str.rjust if _numeric(column[1:]) else str.ljust for column in columns]
    yield f"{title}:"
    for row in zip(*columns, strict=True):
        cells = (side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()
    if len(columns) < len(whole):
        yield f"  not known: {', '.join(column[0] for column in whole if column not in columns)}"


def _numeric(cells: Sequence[str]) -> bool:
    """Return whether a column holds numbers, or dashes for unknown ones."""
    return all(cell == "-" or cell[:1].isdigit() for cell in cells)


def _ms(time_s: float | None) -> str:
    return _known(None if time_s is None else time_s * 1e3, "{:.3f}")


def _known(value: Any, form: str) -> str:  # noqa: ANN401 - a number, or None
    """Return a number in a form, or a dash where it is not known."""
    return "-" if value is None else form.format(value)


def _formula(fit: StepTimeFit) -> str:
    terms = (
        f"{fit.overhead_s * 1e3:.3f} ms",
        f"{fit.per_sample_s * 1e6:.3f} us a sample",
        f"{fit.per_device_s * 1e3:.3f} ms a further device",
    )
    return f"{fit.mode}: " + " + ".join(terms)


def _energy(profile: CostProfile) -> str:
    energy = profile.energy
    if energy.energy_per_step_j is None:
        return energy.method
    draw = "" if energy.power_w is None else f", {energy.power_w:.4g} W a device"
    return f"{energy.energy_per_step_j:.4g} J a step{draw} ({energy.method})"
