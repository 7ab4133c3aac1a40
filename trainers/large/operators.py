"""The kernels that a device runs for a layer of a Transformer, for its embedding and for its last projection.

Counted for Megatron-LM's fused kernels (Shoeybi et al. 2019, arXiv:1909.08053; Narayanan et al. 2021, section 4.2):
matrix products by their shapes, all else by the bytes it reads and writes. With b sequences of s tokens of width h on t
tensor-parallel devices, E = s b h values and A = a s^2 b / t scores:

    forward   normalisations 2 x 2 E, bias + dropout + residual 2 x 3.5 E, bias + activation, transposed context,
              softmax 2 A, dropout of scores 2.5 A
    backward  the same passes with their incoming gradients, the sums of bias gradients and of residual gradients, and
              weight gradients added to those of earlier micro-batches
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from trainers.large.architecture import Architecture
from trainers.large.layout import TrainingLayout

__all__ = [
    "Kernel",
    "Slice",
    "attention_forward",
    "block_backward",
    "block_forward",
    "head_kernels",
    "slice_of",
]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel, or `copies` of a matrix product in one batched kernel."""

    name: str
    size_bytes: float
    """Read and written in device memory, all copies together [B]."""
    rows: int = 0
    """M of the product (M, K) x (K, N); 0: no product."""
    columns: int = 0
    depth: int = 0
    copies: int = 1
    operators: float = 1.0
    """Operators that the host dispatches for it, views and bookkeeping of gradients included."""
    flop_fraction: float = 1.0
    """Part of the product that is done; 1/2 where a causal kernel leaves out what is masked."""

    @property
    def flops(self) -> float:
        """Multiplications and additions [FLOP]."""
        return 2.0 * self.rows * self.columns * self.depth * self.copies * self.flop_fraction


@dataclass(frozen=True)
class Slice:
    """What one device has of a layer, for one micro-batch: the key by which times of kernels are kept."""

    sequence: int
    micro_batch: int
    hidden: int
    heads: int
    tensor: int
    key_value_hidden: int
    feed_forward: int
    vocabulary: int
    gated: bool
    causal: bool
    dropout: bool
    value_bytes: float
    sequence_parallel: bool
    fused_attention: bool

    @property
    def tokens(self) -> int:
        """Of a micro-batch, s b."""
        return self.sequence * self.micro_batch

    @property
    def plane_bytes(self) -> float:
        """E values, undivided [B]."""
        return self.tokens * self.hidden * self.value_bytes

    @property
    def between_bytes(self) -> float:
        """E values as they lie between the parallel parts of a layer [B]."""
        return self.plane_bytes / (self.tensor if self.sequence_parallel else 1)

    @property
    def score_bytes(self) -> float:
        """A values [B]."""
        return self.heads / self.tensor * self.sequence * self.tokens * self.value_bytes

    @property
    def fused_softmax(self) -> bool:
        """Whether Megatron's fused softmax takes it: it wants a multiple of 4 (micro-batch, head) pairs on a device."""
        return self.micro_batch * self.heads // self.tensor % 4 == 0


def slice_of(shape: Architecture, layout: TrainingLayout) -> Slice:
    """Return what a device has of a layer of this architecture in this layout."""
    return Slice(
        shape.sequence, layout.micro_batch, shape.hidden, shape.heads, layout.tensor, shape.key_value_hidden,
        shape.feed_forward_width, shape.vocabulary, shape.gated, shape.causal, shape.dropout, layout.value_bytes,
        layout.sequence_parallel, layout.fused_attention,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def block_forward(part: Slice) -> tuple[Kernel, ...]:
    """Return the kernels of one layer's forward pass on one device."""
    between, own = part.between_bytes, part.plane_bytes / part.tensor
    t, h, f = part.tensor, part.hidden, part.feed_forward
    inner = part.tokens * f / t * part.value_bytes
    gates = 2 if part.gated else 1
    added = (3.5 if part.dropout else 3.0) * between
    return (
        _moved("normalise", 2.0 * between, 3),
        _product(part, "query_key_value", part.tokens, (h + 2 * part.key_value_hidden) // t, h, 8),
        *attention_forward(part),
        _moved("context", 2.0 * own, 4),
        _product(part, "project", part.tokens, h, h // t, 4),
        _moved("add", added, 4),
        _moved("normalise", 2.0 * between, 3),
        _product(part, "up", part.tokens, gates * f // t, h, 4),
        _moved("activate", (gates + 1.0) * inner, 3),
        _product(part, "down", part.tokens, h, f // t, 4),
        _moved("add", added, 4),
    )


@lru_cache(maxsize=4096)
def attention_forward(part: Slice) -> tuple[Kernel, ...]:
    """Return the kernels between the projections: scores, softmax, dropout, values; what selective recomputation repeats."""
    s, width = part.sequence, part.hidden // part.heads
    copies = max(1, part.micro_batch * part.heads // part.tensor)
    own = part.plane_bytes / part.tensor
    if part.fused_attention:
        half = 0.5 if part.causal else 1.0
        return (Kernel("attend", 4.0 * own, s, s, 2 * width, copies, 6.0, half),)
    scores = part.score_bytes
    softmax = [_moved("softmax", 2.0 * scores, 3)]
    if not part.fused_softmax:
        # Scale, mask, to fp32, softmax in fp32, and back: each a pass of its own.
        softmax = [
            _moved("scale", 2.0 * scores, 6), _moved("mask", 2.5 * scores, 10), _moved("widen", 3.0 * scores, 6),
            _moved("softmax", 4.0 * scores, 6), _moved("narrow", 3.0 * scores, 6),
        ]  # fmt: skip
    return (
        Kernel("scores", 2.0 * own + scores, s, s, width, copies, 6.0),
        *softmax,
        *_dropped(part),
        Kernel("values", scores + 2.0 * own, s, width, s, copies, 5.0),
    )


@lru_cache(maxsize=4096)
def block_backward(part: Slice) -> tuple[Kernel, ...]:
    """Return the kernels of one layer's backward pass on one device, recomputation left out."""
    between, own = part.between_bytes, part.plane_bytes / part.tensor
    t, h, f = part.tensor, part.hidden, part.feed_forward
    inner = part.tokens * f / t * part.value_bytes
    gates = 2 if part.gated else 1
    added = (3.5 if part.dropout else 3.0) * between
    return (
        _moved("add", added, 5),
        *_gradients(part, "down", part.tokens, h, f // t),
        _moved("activate", (3.0 * gates + 1.0) * inner, 4),
        *_gradients(part, "up", part.tokens, gates * f // t, h),
        _moved("normalise", 6.0 * between, 5),
        _moved("add", added, 5),
        *_gradients(part, "project", part.tokens, h, h // t),
        _moved("context", 2.0 * own, 3),
        *_attention_backward(part),
        _moved("join", (2.0 + 1.0) * own * (h + 2 * part.key_value_hidden) / h, 8),
        *_gradients(part, "query_key_value", part.tokens, (h + 2 * part.key_value_hidden) // t, h),
        _moved("normalise", 6.0 * between, 5),
    )


@lru_cache(maxsize=4096)
def head_kernels(part: Slice) -> tuple[tuple[Kernel, ...], tuple[Kernel, ...]]:
    """Return the kernels of the last projection and the loss, (forward, backward).

    The loss is computed in fp32, in passes over all logits of a device: to fp32, maximum, subtract, exponentials
    and their sum, normalise; backward: scale and narrow.
    """
    columns = part.vocabulary // part.tensor
    logits = part.tokens * columns
    forward = (
        _moved("normalise", 2.0 * part.between_bytes, 3),
        _product(part, "logits", part.tokens, columns, part.hidden, 5),
        _moved("loss", (part.value_bytes + 4.0 + 4.0 + 8.0 + 8.0 + 8.0) * logits, 15),
    )
    backward = (
        _moved("loss", (8.0 + 4.0 + part.value_bytes) * logits, 10),
        *_gradients(part, "logits", part.tokens, columns, part.hidden),
        _moved("normalise", 3.0 * part.between_bytes, 4),
    )
    return forward, backward


def _attention_backward(part: Slice) -> tuple[Kernel, ...]:
    s, width = part.sequence, part.hidden // part.heads
    copies = max(1, part.micro_batch * part.heads // part.tensor)
    own = part.plane_bytes / part.tensor
    if part.fused_attention:
        half = 0.5 if part.causal else 1.0
        # Scores once more, then four products as deep as a head is wide.
        return (Kernel("attend", 8.0 * own, s, s, 5 * width, copies, 8.0, half),)
    scores = part.score_bytes
    softmax = [_moved("softmax", 3.0 * scores, 3)]
    if not part.fused_softmax:
        softmax = [
            _moved("widen", 3.0 * scores, 6), _moved("softmax", 6.0 * scores, 6), _moved("narrow", 3.0 * scores, 6),
            _moved("mask", 2.5 * scores, 8), _moved("scale", 2.0 * scores, 6),
        ]  # fmt: skip
    return (
        Kernel("values_input", scores + 2.0 * own, s, s, width, copies, 4.0),
        Kernel("values_weight", scores + 2.0 * own, s, width, s, copies, 3.0),
        *_dropped(part),
        *softmax,
        Kernel("scores_input", scores + 2.0 * own, s, width, s, copies, 4.0),
        Kernel("scores_weight", scores + 2.0 * own, s, width, s, copies, 3.0),
    )


def _dropped(part: Slice) -> tuple[Kernel, ...]:
    """Return the dropout of scores, forward or backward."""
    return (_moved("drop", 2.5 * part.score_bytes, 2),) if part.dropout else ()


def _moved(name: str, size_bytes: float, operators: float) -> Kernel:
    return Kernel(name, size_bytes, operators=operators)


def _product(part: Slice, name: str, rows: int, columns: int, depth: int, operators: float) -> Kernel:
    size = part.value_bytes * (rows * depth + depth * columns + rows * columns)
    return Kernel(name, size, rows, columns, depth, 1, operators)


def _gradients(part: Slice, name: str, rows: int, columns: int, depth: int) -> tuple[Kernel, ...]:
    """Return the two products of a projection's backward pass, its bias gradient, and the sum over micro-batches."""
    return (
        _product(part, f"{name}_input", rows, depth, columns, 4),
        _product(part, f"{name}_weight", columns, depth, rows, 3),
        _moved(f"{name}_sum", part.value_bytes * (rows * columns + 3.0 * columns * depth), 4),
    )
