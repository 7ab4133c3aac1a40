"""How long one training step takes, by what it is spent on.

A pipeline of p stages whose slowest takes t for the forward and backward pass of a micro-batch takes, with m
micro-batches and v chunks of layers a stage,

    m t + (sum of all stages - t) / v

which is m t (1 + (p - 1) / (v m)) where all stages are equal (Narayanan et al. 2021, section 2.2). Where the host
dispatches more slowly than the device computes, a pass takes as long as the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from trainers.large.architecture import Architecture
from trainers.large.efficiency import Efficiency
from trainers.large.kernels import device_s, host_s
from trainers.large.layout import TrainingLayout
from trainers.large.links import Cluster, ring_s, transfer_s
from trainers.large.operators import (
    Kernel,
    Slice,
    attention_forward,
    block_backward,
    block_forward,
    head_kernels,
    slice_of,
)

__all__ = ["PassTime", "StepTime", "bubble_fraction", "step_time"]

_COLLECTIVE_OPERATORS = 1.0
"""Dispatched for one collective of a layer."""


@dataclass(frozen=True, slots=True)
class PassTime:
    """One pass of one micro-batch over a part of the model on one device."""

    compute_s: float
    """On the device, or on the host where that is slower."""
    communication_s: float
    """Of tensor parallelism, that the host does not hide."""

    @property
    def total_s(self) -> float:
        """Of both."""
        return self.compute_s + self.communication_s


@dataclass(frozen=True, slots=True)
class StepTime:
    """One step [s]."""

    forward_s: float
    backward_s: float
    recomputation_s: float
    tensor_parallel_s: float
    bubble_s: float
    pipeline_transfer_s: float
    data_parallel_s: float
    """Exchange of gradients, and of weights where the optimizer is sharded, that computing does not hide."""
    optimizer_s: float
    host_s: float
    """Data, loss and logging."""

    @property
    def parts_s(self) -> dict[str, float]:
        """All parts by name [s]."""
        return {name.removesuffix("_s"): getattr(self, name) for name in self.__slots__}

    @property
    def total_s(self) -> float:
        """Of the whole step [s]."""
        return sum(self.parts_s.values())


def bubble_fraction(pipeline: int, micro_batches: int, interleaving: int = 1) -> float:
    """Return the time that stages wait for the first and last micro-batch, over that of working: (p - 1) / (v m).

    >>> bubble_fraction(8, 64, 3) == 7 / 192
    True
    """
    return (pipeline - 1) / (interleaving * micro_batches)


def step_time(
    shape: Architecture, layout: TrainingLayout, cluster: Cluster, efficiency: Efficiency
) -> StepTime:
    """Return how long a step takes.

    The layout must divide the architecture (`layout_problems`), and tensor-parallel devices share a server
    (`trainers.large.predict.cluster_problems`).
    """
    part = slice_of(shape, layout)
    block = _block(part, layout.recomputation, cluster, layout.precision, efficiency)
    head = _head(part, cluster, layout.precision, efficiency)
    layers = shape.layers // layout.pipeline
    forward_s = layers * block["forward"].compute_s + head["forward"].compute_s
    backward_s = layers * block["backward"].compute_s + head["backward"].compute_s
    repeated_s = layers * block["repeated"].compute_s
    tensor_s = layers * sum(p.communication_s for p in block.values()) + sum(
        p.communication_s for p in head.values()
    )
    slowest_s = forward_s + backward_s + repeated_s + tensor_s
    head_s = sum(p.total_s for p in head.values())
    others_s = (layout.pipeline - 1) * (slowest_s - head_s)
    m = layout.micro_batches
    return StepTime(
        forward_s=m * forward_s,
        backward_s=m * backward_s,
        recomputation_s=m * repeated_s,
        tensor_parallel_s=m * tensor_s,
        bubble_s=others_s / layout.interleaving,
        pipeline_transfer_s=_pipeline_s(part, layout, cluster, efficiency),
        data_parallel_s=_data_s(shape, layout, cluster, efficiency, m * backward_s),
        optimizer_s=_optimizer_s(shape, layout, cluster, efficiency),
        host_s=efficiency.step_s,
    )


@lru_cache(maxsize=4096)
def _block(
    part: Slice, recomputation: str, cluster: Cluster, precision: str, efficiency: Efficiency
) -> dict[str, PassTime]:
    """Return the passes of one layer for one micro-batch."""
    again: tuple[Kernel, ...] = ()
    if recomputation == "full":
        again = block_forward(part)
    elif recomputation == "selective" and not part.fused_attention:  # which stores no scores anyway
        again = attention_forward(part)
    planes = {"forward": 2, "repeated": 2 if recomputation == "full" else 0, "backward": 2}
    kernels = {"forward": block_forward(part), "repeated": again, "backward": block_backward(part)}
    return {
        name: _pass(kernels[name], planes[name], part, cluster, precision, efficiency) for name in kernels
    }


@lru_cache(maxsize=4096)
def _head(part: Slice, cluster: Cluster, precision: str, efficiency: Efficiency) -> dict[str, PassTime]:
    """Return the passes of the last projection and the loss for one micro-batch."""
    forward, backward = head_kernels(part)
    return {
        "forward": _pass(forward, 0, part, cluster, precision, efficiency),
        "backward": _pass(backward, 1, part, cluster, precision, efficiency),
    }


def _pass(
    kernels: tuple[Kernel, ...],
    planes: int,
    part: Slice,
    cluster: Cluster,
    precision: str,
    efficiency: Efficiency,
) -> PassTime:
    """Return a pass that exchanges so many planes of activations among tensor-parallel devices."""
    compute_s = device_s(kernels, cluster.device, precision, efficiency)
    waited_s = 0.0
    calls = 0
    if part.tensor > 1 and planes:
        # An all-reduce, or an all-gather and a reduce-scatter, of each plane. Sequence parallelism gathers once
        # more for weight gradients, behind the gradient of the input (Korthikanti et al. 2022, section 4.2.2).
        waited_s = planes * 2.0 * ring_s(part.plane_bytes, part.tensor, cluster, efficiency, inside=True)
        calls = planes * (2 if part.sequence_parallel else 1)
    busy_s = compute_s + waited_s
    slack_s = host_s(kernels, efficiency) + calls * _COLLECTIVE_OPERATORS * efficiency.operator_s - busy_s
    return PassTime(compute_s + max(0.0, slack_s), waited_s)


def _pipeline_s(part: Slice, layout: TrainingLayout, cluster: Cluster, efficiency: Efficiency) -> float:
    """Return the time of handing activations and their gradients to the next stage that nothing hides."""
    if layout.pipeline == 1:
        return 0.0
    inside = layout.devices <= cluster.server_devices
    sharing = min(cluster.server_devices, layout.devices // layout.pipeline)
    one_s = transfer_s(part.plane_bytes / part.tensor, cluster, efficiency, inside=inside, sharing=sharing)
    steps = layout.micro_batches * layout.interleaving + layout.pipeline - 1
    return 2.0 * steps * one_s


def _data_s(
    shape: Architecture, layout: TrainingLayout, cluster: Cluster, efficiency: Efficiency, backward_s: float
) -> float:
    """Return the exchange of gradients, and of weights where sharded, that the backward pass does not hide."""
    if layout.data == 1:
        return 0.0
    size = _device_parameters(shape, layout) * layout.value_bytes
    inside = layout.tensor * layout.data <= cluster.server_devices
    sharing = min(layout.tensor, cluster.server_devices)
    one_s = ring_s(size, layout.data, cluster, efficiency, inside=inside, sharing=sharing)
    passes = 2.0
    if layout.zero_stage == 2:
        passes = layout.micro_batches + 1.0
    elif layout.zero_stage == 3:
        passes = 3.0 * layout.micro_batches
    total_s = passes * one_s
    return total_s - min(total_s, layout.overlap * backward_s)


def _optimizer_s(
    shape: Architecture, layout: TrainingLayout, cluster: Cluster, efficiency: Efficiency
) -> float:
    """Return the time of the update of a device's share of the weights."""
    share = layout.data if layout.zero_stage else 1
    size = efficiency.optimizer_bytes * _device_parameters(shape, layout) / share
    return size / (efficiency.memory_fraction * cluster.device.memory_bandwidth_bytes_per_s)


def _device_parameters(shape: Architecture, layout: TrainingLayout) -> float:
    """Return the weights that the fullest device holds, sharding among replicas left aside."""
    layers = shape.layers / layout.pipeline * shape.layer_parameters
    head = shape.head_parameters + (shape.embedding_parameters if layout.pipeline == 1 else 0)
    return (layers + max(head, shape.embedding_parameters)) / layout.tensor
