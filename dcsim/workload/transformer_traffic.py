"""What a transformer's parallelism exchanges, from its shape, where no profile measured it.

Per layer and sample, with sequence length s, hidden size h and v bytes a value:

    tensor    two all-reduces of s h values forward and two backward (Narayanan et al. 2021, section 3.2,
              doi:10.1145/3458817.3476209); with sequence parallelism each is an all-gather and a reduce-scatter of the
              same bytes (Korthikanti et al. 2022, arXiv:2205.05198)
    pipeline  s h values over each boundary of stages, forward, and their gradients backward
    context   keys and values pass round the ring once forward, and once more backward with their gradients
              (Liu, Zaharia, Abbeel, Ring Attention, 2023, arXiv:2310.01889)
    expert    of each layer with experts, every token goes to k experts and back, forward and backward: four
              all-to-alls (Lepikhin et al., GShard, 2021, arXiv:2006.16668)
"""

from __future__ import annotations

from dataclasses import dataclass

from dcsim.workload.profile import DimensionTraffic

__all__ = ["TransformerShape", "transformer_traffic"]


@dataclass(frozen=True, slots=True)
class TransformerShape:
    """What of a transformer its traffic depends on."""

    layers: int
    hidden: int
    """h, values a token."""
    sequence: int
    """s, tokens a sample."""
    value_bytes: float = 2.0
    """v of activations: 2 in 16-bit formats [B]."""
    key_value_hidden: int = 0
    """Values of the keys of a token, and of its values; 0: as many as `hidden` (no grouped queries)."""
    expert_layers: int = 0
    """Layers with experts."""
    experts_per_token: int = 1
    """k."""
    expert_gradient_bytes: float = 0.0
    """Gradients of all experts of all layers [B]; they are not part of `all_reduce_bytes`."""


def transformer_traffic(
    shape: TransformerShape, *, sequence_parallel: bool = False
) -> tuple[DimensionTraffic, ...]:
    """Return the entries of `CollectiveTraffic.parallel` for a transformer.

    Args:
        shape: Of the model.
        sequence_parallel: Whether tensor-parallel ranks split activations between layers, too.

    >>> entries = transformer_traffic(TransformerShape(layers=2, hidden=4, sequence=8))
    >>> [(entry.dimension, entry.bytes_per_sample) for entry in entries]
    [('tensor', 512.0), ('pipeline', 64.0), ('context', 768.0)]
    """
    plane = shape.sequence * shape.hidden * shape.value_bytes
    pairs = shape.sequence * 2 * (shape.key_value_hidden or shape.hidden) * shape.value_bytes
    calls = 4 * shape.layers
    entries = [
        DimensionTraffic(
            dimension="tensor", collective=name, bytes_per_sample=calls * plane, messages_per_step=calls
        )
        for name in (("all_gather", "reduce_scatter") if sequence_parallel else ("all_reduce",))
    ]
    entries.append(DimensionTraffic(dimension="pipeline", collective="send_recv", bytes_per_sample=plane))
    passes = 3 * shape.layers
    entries.append(
        DimensionTraffic(
            dimension="context",
            collective="all_gather",
            bytes_per_sample=passes * pairs,
            messages_per_step=passes,
        )
    )
    return (*entries, *_experts(shape, plane))


def _experts(shape: TransformerShape, plane: float) -> tuple[DimensionTraffic, ...]:
    """Return the exchange of tokens and of the gradients of experts, where there are any."""
    if not shape.expert_layers:
        return ()
    calls = 4 * shape.expert_layers
    tokens = DimensionTraffic(
        dimension="expert",
        collective="all_to_all",
        bytes_per_sample=calls * shape.experts_per_token * plane,
        messages_per_step=calls,
    )
    gradients = DimensionTraffic(
        dimension="expert_data", collective="all_reduce", bytes_per_step=shape.expert_gradient_bytes
    )
    return tokens, gradients
