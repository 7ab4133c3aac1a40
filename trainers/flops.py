"""FLOPs of a step: of the Transformer by hand, and of the matrix products in a compiled program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainers.operators import module_cost

__all__ = ["TransformerFlops", "dot_flops", "transformer_step_flops"]


@dataclass(frozen=True)
class TransformerFlops:
    """Products of one training step, a multiply-add as 2."""

    matmul_parameters: int
    """N: those that tokens are multiplied with."""
    weights: float
    """6 N a token."""
    attention: float
    """12 L D a token and block."""

    @property
    def total(self) -> float:
        """Of weights and attention."""
        return self.weights + self.attention


def transformer_step_flops(network: Any, samples: int, length: int) -> TransformerFlops:  # noqa: ANN401 - a flax module; no JAX here
    """Return the FLOPs of forward and backward pass over a batch, by hand.

    A token meets, in each block of width D, the projections to queries, keys and values (3 D^2) and from the heads
    (D^2), and the feed-forward layers D x 4 D and 4 D x D (8 D^2): 12 D^2. Behind the blocks it meets the logits' matrix,
    D V, whether that is the embedding's own or another. So N = 12 D^2 blocks + D V. Forward costs 2 N; backward twice
    that, once for the gradient of the weights and once for that of the inputs, which even the first block needs for
    the embedding below it. Together 6 N a token (Kaplan et al. 2020, section 2.1).

    Scores and their mixture are two products of L x D a token and block, 4 L D forward and 12 L D with the backward
    pass; the causal mask saves nothing here, masked scores are computed as well.

    Not counted: reading the embedding (a look-up, no product) and adding up its gradients, positions, norms, softmax,
    GELU, the loss, and the optimizer. XLA's own count has them: about 13 D + 5 H L a token and block, and more for V.

    Args:
        network: has `width`, `blocks` and `vocabulary`; feed-forward layers are four times as wide as it.
        samples: sequences of the step.
        length: L, tokens of a sequence.

    >>> from types import SimpleNamespace
    >>> found = transformer_step_flops(SimpleNamespace(width=64, blocks=2, vocabulary=256), samples=8, length=64)
    >>> found.matmul_parameters, found.weights, found.attention
    (114688, 352321536.0, 50331648.0)
    """
    width, blocks = int(network.width), int(network.blocks)
    parameters = 12 * width**2 * blocks + width * int(network.vocabulary)
    tokens = samples * length
    return TransformerFlops(parameters, 6.0 * parameters * tokens, 12.0 * length * width * blocks * tokens)


def dot_flops(hlo_text: str) -> float:
    """Return the FLOPs of all matrix products and convolutions in one run of a compiled module, on one device.

    Also those in fusions, in loops (once a turn, where XLA knows how many), and in calls of libraries that say which
    axes they contract.

    Args:
        hlo_text: `compiled.as_text()`.

    Raises:
        ValueError: if the text holds no compiled module.
    """
    kinds = module_cost(hlo_text).kinds
    return sum((kinds[kind].flops for kind in ("matmul", "convolution") if kind in kinds), 0.0)
