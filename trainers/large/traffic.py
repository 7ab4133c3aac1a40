"""What a step exchanges, by kind of parallelism and collective: as the simulator reads it, and as people do."""

from __future__ import annotations

from dataclasses import dataclass

from dcsim.workload.profile import CollectiveTraffic, DimensionTraffic
from dcsim.workload.transformer_traffic import TransformerShape, transformer_traffic
from trainers.large.architecture import Architecture
from trainers.large.layout import TrainingLayout

__all__ = ["Sent", "collective_traffic", "sent_by_device"]


@dataclass(frozen=True, slots=True)
class Sent:
    """What one device sends in a step for one collective, by ring."""

    dimension: str
    collective: str
    members: int
    calls: int
    size_bytes: float
    """Sent by a device in a step [B]."""


def collective_traffic(
    shape: Architecture, layout: TrainingLayout, gradient_overlap: float = 0.0
) -> CollectiveTraffic:
    """Return the traffic of a profile whose samples are tokens, before a layout divides it.

    Recomputing whole layers repeats their two forward exchanges, so that there are six instead of four.
    """
    tokens = TransformerShape(
        layers=shape.layers,
        hidden=shape.hidden,
        sequence=1,
        value_bytes=layout.value_bytes,
        key_value_hidden=shape.key_value_hidden,
    )
    entries = transformer_traffic(tokens, sequence_parallel=layout.sequence_parallel)
    return CollectiveTraffic(
        all_reduce_bytes=shape.parameters * layout.value_bytes,
        all_reduce_count=1,
        overlap_fraction=gradient_overlap,
        parallel=tuple(_scaled(entry, layout) for entry in entries if entry.dimension != "context"),
    )


def sent_by_device(shape: Architecture, layout: TrainingLayout) -> list[Sent]:
    """Return what a device in the middle of the pipeline sends in a step, largest first."""
    t, p, d, m = layout.tensor, layout.pipeline, layout.data, layout.micro_batches
    plane = shape.sequence * layout.micro_batch * shape.hidden * layout.value_bytes
    found = []
    if t > 1:
        times = (6 if layout.recomputation == "full" else 4) * (shape.layers // p) * m
        ring = (t - 1) / t * plane * times
        if layout.sequence_parallel:
            found += [Sent("tensor", name, t, times, ring) for name in ("all_gather", "reduce_scatter")]
        else:
            found.append(Sent("tensor", "all_reduce", t, times, 2.0 * ring))
    if p > 1:
        times = 2 * m * layout.interleaving
        found.append(Sent("pipeline", "send_recv", p, times, times * plane / t))
    if d > 1:
        size = (d - 1) / d * shape.parameters * layout.value_bytes / (t * p)
        if layout.zero_stage == 0:
            found.append(Sent("data", "all_reduce", d, 1, 2.0 * size))
        else:
            scatters = m if layout.zero_stage >= 2 else 1
            gathers = 2 * m if layout.zero_stage == 3 else 1
            found.append(Sent("data", "reduce_scatter", d, scatters, scatters * size))
            found.append(Sent("data", "all_gather", d, gathers, gathers * size))
    return sorted(found, key=lambda sent: -sent.size_bytes)


def _scaled(entry: DimensionTraffic, layout: TrainingLayout) -> DimensionTraffic:
    if entry.dimension != "tensor" or layout.recomputation != "full":
        return entry
    update = {
        "bytes_per_sample": 1.5 * entry.bytes_per_sample,
        "messages_per_step": 3 * entry.messages_per_step // 2,
    }
    return entry.model_copy(update=update)
