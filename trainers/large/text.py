"""A prediction as text for people: aligned tables with units."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from trainers.large.predict import COVERAGE, Prediction
from trainers.large.traffic import sent_by_device

__all__ = ["describe", "describe_architectures", "describe_ranking"]

_WIDTH = 80


def describe(prediction: Prediction) -> str:
    """Return all figures of a prediction."""
    shape, layout, cluster = prediction.shape, prediction.layout, prediction.cluster
    low, high = prediction.step_time_low_s, prediction.step_time_high_s
    rows = [
        ("model", f"{shape.name}, {shape.parameters / 1e9:,.1f} B parameters"),
        ("devices", f"{layout.devices:,} x {cluster.device.name}, {cluster.server_devices} a server"),
        ("layout", layout.words),
        ("batch", f"{layout.global_batch:,} sequences of {shape.sequence:,} tokens, {layout.micro_batches} micro-batches"),
        ("step time", f"{_seconds(prediction.step_time_s)}, {COVERAGE:.0%} between {_seconds(low)} and {_seconds(high)}"),
        ("throughput", f"{prediction.tokens_per_s:,.0f} tokens/s"),
        ("utilisation", f"{prediction.mfu:.1%} of the peak for the model (MFU), {prediction.hfu:.1%} computed (HFU)"),
        ("memory", f"{prediction.memory_bytes / 1e9:,.1f} GB of {cluster.device.memory_bytes / 1e9:,.0f} GB a device"),
        ("checkpoint", f"{prediction.checkpoint_bytes / 1e9:,.1f} GB"),
    ]  # fmt: skip
    lines = [
        line
        for name, value in rows
        for line in wrap(f"{name:<12} {value}", _WIDTH, subsequent_indent=" " * 13, break_on_hyphens=False)
    ]
    parts = [(name, value) for name, value in prediction.step.parts_s.items() if value > 0.0]
    lines += _shares("step time", parts, "s", 1.0, ".4f")
    lines += _shares(
        "memory of the fullest device", list(prediction.memory_parts_bytes.items()), "GB", 1e9, ".2f"
    )
    sent = sent_by_device(shape, layout)
    if sent:
        lines += ["", "sent by a device in a step                 calls  members          GB"]
        lines += [
            f"  {one.dimension:<10} {one.collective:<20} {one.calls:14,d} {one.members:8,d} {one.size_bytes / 1e9:11,.2f}"
            for one in sent
        ]
    return "\n".join(lines)


def describe_ranking(found: Sequence[Prediction], most: int) -> str:
    """Return the fastest layouts as a table."""
    lines = ["   step s     MFU   memory GB  tensor  pipeline  data  micro  chunks  recomputation"]
    lines += [
        f"{one.step_time_s:9.3f} {one.mfu:7.1%} {one.memory_bytes / 1e9:11.1f} {one.layout.tensor:7d}"
        f" {one.layout.pipeline:9d} {one.layout.data:5d} {one.layout.micro_batch:6d}"
        f" {one.layout.interleaving:7d}  {one.layout.recomputation}"
        for one in found[:most]
    ]
    return "\n".join(lines)


def describe_architectures() -> str:
    """Return the built-in architectures as a table."""
    from trainers.large.architectures import ARCHITECTURES

    lines = ["name             parameters  layers  hidden  heads  sequence"]
    source = ""
    for one in ARCHITECTURES.values():
        if one.source != source:
            source = one.source
            lines += wrap(f"{source}:", _WIDTH)
        lines.append(
            f"  {one.name:<13} {one.parameters / 1e9:9.2f} B {one.layers:7d} {one.hidden:7d} {one.heads:6d}"
            f" {one.sequence:9d}"
        )
    return "\n".join(lines)


def _shares(title: str, parts: Sequence[tuple[str, float]], unit: str, scale: float, form: str) -> list[str]:
    """Return lines with each part, largest as given, and its share."""
    total = sum(value for _, value in parts)
    lines = ["", f"{title:<30} {unit:>10}   share"]
    return lines + [
        f"  {name.replace('_', ' '):<28} {format(value / scale, form):>10} {value / total:7.1%}"
        for name, value in parts
    ]


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1.0 else f"{value * 1e3:.1f} ms"
