"""What one training step of a gang puts on the network: every collective of every kind of parallelism.

Bytes come from the cost profile (`CollectiveTraffic`), undivided; here they meet a layout and a placement. With b
samples a step on each accelerator a replica of T P C devices takes s = b T P C samples, so that every device has
the work that it has in data parallelism. A group's message is then

    data, expert_data   m / (T P), and for experts m / (T P E)
    tensor              m / (P C)
    pipeline            v m / (T C), over each boundary, activations one way and their gradients the other, with v
                        chunks of layers a stage
    context             m / (T P)
    expert              m / (T P C)

Tensor-parallel ranks split what crosses a boundary of stages (the scatter-gather of Narayanan et al. 2021, section 4.1,
or sequence parallelism of Korthikanti et al. 2022). Gradients are all-reduced; with a sharded optimizer (ZeRO,
Rajbhandari et al. 2020, arXiv:1910.02054) they are reduce-scattered and the parameters all-gathered: once a step at
stage 1; at stage 2 gradients are scattered in every micro-batch, and at stage 3 parameters are gathered twice in
every micro-batch, which is 1.5 times the bytes of stage 0 with one micro-batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from dcsim.workload.collective_cost import AlgorithmChoice, Links, pattern_time_s
from dcsim.workload.collectives import Algorithm, Collective, Pattern, placement_counts
from dcsim.workload.overlap import exposed_communication_s
from dcsim.workload.parallel import Dimension, Layout, bubble_fraction, dimension_pattern
from dcsim.workload.profile import CollectiveTraffic, CostProfile

__all__ = ["DimensionStep", "StepTraffic", "step_traffic"]


@dataclass(frozen=True, slots=True)
class DimensionStep:
    """What one collective of one dimension moves in a step, over all its groups."""

    dimension: Dimension
    collective: Collective
    algorithm: Algorithm
    pattern: Pattern
    """Bytes and rounds of a whole step."""
    messages: int
    """Calls in a step by one group; of a pipeline, the steps of its schedule that pass something on."""
    overlap_fraction: float
    """Part of the time of computing behind which these may hide."""


@dataclass(frozen=True)
class StepTraffic:
    """What one step of one gang moves."""

    parts: tuple[DimensionStep, ...]
    """Those that move anything, in a fixed order: data, then the profile's."""
    bubble_fraction: float
    """Time that pipeline stages wait for the first and last micro-batch, over that of computing."""

    @cached_property
    def transfers(self) -> tuple[tuple[int, int, float], ...]:
        """(source server, target server, bytes a step) of all parts together, each pair once."""
        total: dict[tuple[int, int], float] = {}
        for part in self.parts:
            for source, target, size in part.pattern.transfers:
                total[source, target] = total.get((source, target), 0.0) + size
        return tuple([(source, target, size) for (source, target), size in total.items()])

    @cached_property
    def inside(self) -> tuple[tuple[int, float], ...]:
        """(server, bytes a step) between its devices, ascending by server."""
        total: dict[int, float] = {}
        for part in self.parts:
            for server, size in part.pattern.inside:
                total[server] = total.get(server, 0.0) + size
        return tuple(sorted(total.items()))

    @property
    def between_bytes(self) -> float:
        """Bytes a step that servers send, in all."""
        return math.fsum(part.pattern.between_bytes for part in self.parts)

    @property
    def inside_bytes(self) -> float:
        """Bytes a step sent inside servers, in all."""
        return math.fsum(part.pattern.inside_bytes for part in self.parts)

    def communication_s(self, links: Links) -> float:
        """Return the time of all parts one after the other [s], alone on `links`."""
        return math.fsum(pattern_time_s(part.pattern, links) for part in self.parts)

    def exposed_s(self, links: Links, compute_s: float) -> float:
        """Return the time that a step waits for communication [s], alone on `links`; see `dcsim.workload.overlap`."""
        times = [(pattern_time_s(part.pattern, links), part.overlap_fraction) for part in self.parts]
        return exposed_communication_s(times, compute_s)


def step_traffic(
    costs: CostProfile | CollectiveTraffic | float,
    layout: Layout,
    placement: Sequence[tuple[int, int]],
    batch_per_accelerator: int,
    algorithm: AlgorithmChoice = "ring",
    links: Links | None = None,
) -> StepTraffic:
    """Return what a step of a gang moves between and inside its servers.

    Args:
        costs: A profile, its traffic, or only the gradient bytes of one step [B].
        layout: Degrees of parallelism.
        placement: (server, devices) in rank order, each server once.
        batch_per_accelerator: b, >= 1.
        algorithm: Of all collectives; auto: for each the one that takes least time over `links`.
        links: Needed by auto.

    Raises:
        ValueError: a gang that does not divide as `Layout.data` wants it, a placement or batch that makes no
            sense, or auto without links.

    >>> traffic = step_traffic(400.0, Layout(), [(0, 1), (3, 1)], 32)
    >>> traffic.transfers
    ((0, 3, 400.0), (3, 0, 400.0))
    """
    if batch_per_accelerator < 1:
        msg = f"batch_per_accelerator {batch_per_accelerator}: expected >= 1"
        raise ValueError(msg)
    servers, counts = placement_counts(placement)
    layout.data(sum(counts))
    parts = []
    for part in _messages(_traffic(costs), layout, batch_per_accelerator):
        if part.message_bytes <= 0.0:
            continue
        step = _step(part, layout, servers, counts, algorithm, links)
        if step.pattern.transfers or step.pattern.inside:
            parts.append(step)
    return StepTraffic(
        tuple(parts), bubble_fraction(layout.pipeline, layout.micro_batches, layout.interleaving)
    )


@dataclass(frozen=True, slots=True)
class _Message:
    """What each group of one dimension is given in a step."""

    dimension: Dimension
    collective: Collective
    message_bytes: float
    messages: int
    overlap_fraction: float


def _traffic(costs: CostProfile | CollectiveTraffic | float) -> CollectiveTraffic:
    """Return the traffic of a profile; a number is the bytes of a single all-reduce."""
    if isinstance(costs, CostProfile):
        return costs.collectives
    if isinstance(costs, CollectiveTraffic):
        return costs
    return CollectiveTraffic(all_reduce_bytes=costs, all_reduce_count=1)


def _messages(traffic: CollectiveTraffic, layout: Layout, batch: int) -> Iterator[_Message]:
    """Yield the messages of a group of each dimension."""
    t, p, c = layout.tensor, layout.pipeline, layout.context
    samples = batch * layout.model
    overlap = traffic.overlap_fraction
    yield from _gradients(
        "data", traffic.all_reduce_bytes / (t * p), traffic.all_reduce_count, overlap, layout
    )
    divisors = {"tensor": p * c, "pipeline": t * c, "context": t * p, "expert": t * p * c}
    for entry in traffic.parallel:
        whole = entry.bytes_per_step + samples * entry.bytes_per_sample
        if entry.dimension == "expert_data":
            size = whole / (t * p * layout.expert)
            yield from _gradients(
                "expert_data", size, entry.messages_per_step, entry.overlap_fraction, layout
            )
            continue
        messages = math.ceil(entry.messages_per_step * layout.micro_batches / p)
        if entry.dimension == "pipeline":
            # Forward and backward, the last micro-batch leaves the last stage after v m + p - 1 steps of each.
            messages = 2 * (layout.interleaving * layout.micro_batches + p - 1)
            whole *= layout.interleaving
        size = whole / divisors[entry.dimension]
        yield _Message(entry.dimension, entry.collective, size, messages, entry.overlap_fraction)


def _gradients(
    dimension: Dimension, size: float, messages: int, overlap: float, layout: Layout
) -> Iterator[_Message]:
    """Yield the exchange of gradients, and of parameters where the optimizer is sharded (ZeRO)."""
    stage, parts = layout.zero_stage, layout.micro_batches
    if stage == 0:
        yield _Message(dimension, "all_reduce", size, messages, overlap)
        return
    scatters, gathers = (parts if stage >= 2 else 1), (2 * parts if stage == 3 else 1)
    yield _Message(dimension, "reduce_scatter", scatters * size, scatters * messages, overlap)
    yield _Message(dimension, "all_gather", gathers * size, gathers * messages, overlap)


def _step(
    part: _Message,
    layout: Layout,
    servers: tuple[int, ...],
    counts: tuple[int, ...],
    algorithm: AlgorithmChoice,
    links: Links | None,
) -> DimensionStep:
    """Return what a step moves with the algorithm asked for, or the one that takes least time."""
    shape = layout._replace(micro_batches=1, zero_stage=0, interleaving=1)  # none changes who talks to whom

    def run_by(name: Algorithm) -> DimensionStep:
        unit = dimension_pattern(part.dimension, part.collective, name, shape, counts)
        pattern = unit.placed(servers, part.message_bytes, part.messages)
        return DimensionStep(
            part.dimension, part.collective, name, pattern, part.messages, part.overlap_fraction
        )

    if algorithm != "auto":
        return run_by(algorithm)
    if links is None:
        raise ValueError("auto -> expected links to choose an algorithm by")
    return min(map(run_by, links.algorithms), key=lambda step: pattern_time_s(step.pattern, links))
