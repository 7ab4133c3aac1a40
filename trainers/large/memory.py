"""What a device holds while it trains a Transformer.

Weights, gradients and Adam's states take 2 + 2 + 12 bytes a parameter in 16-bit training, each divided among
replicas from its ZeRO stage on (Rajbhandari et al. 2020, arXiv:1910.02054, section 3.1). Activations of one layer for one
micro-batch take, in a plain layer with 16-bit values (Korthikanti et al. 2022, arXiv:2205.05198, equations 1 to 4),

    s b h (10 + 24 / t + 5 a s / (h t))
    s b h / t (34 + 5 a s / h)            with sequence parallelism

without 5 a s / (h t) where attention is fused or computed again, and 2 s b h where the whole layer is.
"""

from __future__ import annotations

from trainers.large.architecture import Architecture
from trainers.large.layout import TrainingLayout

__all__ = [
    "RESERVED_BYTES",
    "activations_in_flight",
    "checkpoint_bytes",
    "layer_activation_bytes",
    "memory_parts",
]

RESERVED_BYTES = 1e9
"""Taken by the driver, the libraries' kernels and the buffers of collectives; assumed."""


def layer_activation_bytes(shape: Architecture, layout: TrainingLayout, *, stored: bool = True) -> float:
    """Return the activations of one layer that a device keeps for one micro-batch [B].

    Args:
        shape: Of the model.
        layout: Of the run.
        stored: Until the backward pass; False: while the layer is computed, whatever is computed again later.

    >>> layout = TrainingLayout(devices=1, global_batch=1, precision="bf16")
    >>> layer_activation_bytes(Architecture("x", 1, 1024, 16, 1024, 1), layout) / 2**20  # 34 + 5 a s / h = 114
    114.0
    """
    s, h, t = shape.sequence, shape.hidden, layout.tensor
    tokens = s * layout.micro_batch
    whole = t if layout.sequence_parallel else 1
    value = layout.value_bytes
    if stored and layout.recomputation == "full":
        return value * tokens * h / whole
    # Inputs of two normalisations and two projections, two masks of one byte a value.
    mask = 1.0 if shape.dropout else 0.0
    between = tokens * h * (4.0 * value + 2.0 * mask) / whole
    gates = 2 if shape.gated else 1
    inner = tokens * shape.feed_forward_width * (gates + 1.0) * value / t
    own = tokens * value * (2.0 * h + 2.0 * shape.key_value_hidden) / t
    if layout.fused_attention or (stored and layout.recomputation == "selective"):
        return between + inner + own
    # Scores, dropped scores, and a mask.
    return between + inner + own + shape.heads * s * tokens * (value + (value + 1.0) * mask) / t


def activations_in_flight(layout: TrainingLayout, stage: int = 0) -> float:
    """Return how many micro-batches a stage holds the activations of, at most.

    1F1B: p - i, but no more than there are. Interleaved, stage i takes 2 (p - i - 1) + (v - 1) p chunks forward, each 1 / v
    of its layers, before its first backward (Narayanan et al. 2021, arXiv:2104.04473, section 2.2, as Megatron-LM
    schedules it), and holds one more from then on: p (1 + (p - 1) / (p v)) micro-batches on the first stage
    (Korthikanti et al. 2022, section 4.2.3), 1 / v + p (v - 1) / v on the last.

    >>> activations_in_flight(TrainingLayout(devices=4, global_batch=32, pipeline=4))
    4.0
    >>> activations_in_flight(TrainingLayout(devices=4, global_batch=32, pipeline=4, interleaving=2), 3)
    2.5
    """
    p, v = layout.pipeline, layout.interleaving
    chunks = 2 * (p - stage - 1) + (v - 1) * p + 1 if v > 1 else p - stage
    return min(float(layout.micro_batches), chunks / v)


def memory_parts(shape: Architecture, layout: TrainingLayout) -> dict[str, float]:
    """Return what the fullest device holds, by part [B]."""
    # No stage between holds more than the first, which has as many layers and more micro-batches in flight.
    stages = {0, layout.pipeline - 1}
    return max(
        (_stage(shape, layout, stage) for stage in sorted(stages)), key=lambda parts: sum(parts.values())
    )


def checkpoint_bytes(shape: Architecture, layout: TrainingLayout) -> float:
    """Return what a checkpoint stores: weights and the optimizer's states [B].

    >>> one = Architecture("1t", 128, 25600, 160, 2048, 51200)  # 13.8 TB in Narayanan et al. 2021, section 5.10
    >>> round(checkpoint_bytes(one, TrainingLayout(devices=1, global_batch=1)) / 1e12, 1)
    14.1
    """
    return shape.parameters * (layout.value_bytes + _state_bytes(layout))


def _state_bytes(layout: TrainingLayout) -> float:
    """Return Adam's states a parameter: two moments in fp32, and the weights where they are not [B]."""
    return 8.0 if layout.value_bytes >= 4.0 else 12.0


def _stage(shape: Architecture, layout: TrainingLayout, stage: int) -> dict[str, float]:
    """Return what a device of one stage holds, by part [B]."""
    t, d, zero = layout.tensor, layout.data, layout.zero_stage
    first, last = stage == 0, stage == layout.pipeline - 1
    layers = shape.layers // layout.pipeline
    parameters = layers * shape.layer_parameters
    parameters += shape.embedding_parameters if first else 0
    if last:
        # The last stage has a copy of a tied embedding, but where it is the first as well.
        copied = shape.hidden * shape.vocabulary if shape.tied_embeddings and not first else 0
        parameters += shape.head_parameters + copied
    held = parameters / t
    flying = activations_in_flight(layout, stage)
    tokens = shape.sequence * layout.micro_batch
    whole = t if layout.sequence_parallel else 1
    ends = tokens * shape.hidden * flying / whole if first and shape.dropout else 0.0
    logits = 0.0
    if last:
        ends += layout.value_bytes * 2.0 * tokens * shape.hidden / whole
        logits = tokens * shape.vocabulary / t * (4.0 + layout.value_bytes)
    again = layer_activation_bytes(shape, layout, stored=False) if layout.recomputation == "full" else 0.0
    return {
        "weights": held * layout.value_bytes / (d if zero >= 3 else 1),
        "gradients": held * layout.value_bytes / (d if zero >= 2 else 1),
        "optimizer_states": held * _state_bytes(layout) / (d if zero >= 1 else 1),
        "activations": layers * layer_activation_bytes(shape, layout) * flying + ends,
        "workspace": max(again, logits) + RESERVED_BYTES,
    }
