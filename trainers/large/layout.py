"""How a training run is laid out over its devices, and why a layout does not fit an architecture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dcsim.errors import Problem
from trainers.large.architecture import Architecture

__all__ = [
    "DEVICES_MAX",
    "PRECISION_BYTES",
    "RECOMPUTATIONS",
    "Recomputation",
    "TrainingLayout",
    "layout_problems",
]

Recomputation = Literal["none", "selective", "full"]
"""What of the forward pass is computed again in the backward pass: nothing; the attention core (Korthikanti et al. 2022,
section 5, arXiv:2205.05198); every layer from its input (Chen et al. 2016, arXiv:1604.06174)."""
RECOMPUTATIONS: tuple[Recomputation, ...] = ("none", "selective", "full")
DEVICES_MAX = 1_000_000
"""Of a run, and of sequences a step; the simulator's gangs are no wider."""
PRECISION_BYTES = {"fp16": 2.0, "bf16": 2.0, "fp32": 4.0}
"""Bytes of a weight, a gradient or an activation; where it is not 4, the optimizer keeps weights in fp32, too."""


@dataclass(frozen=True)
class TrainingLayout:
    """Degrees of parallelism and what else decides the time and the memory of a step.

    >>> TrainingLayout(devices=1024, global_batch=1536, tensor=8, pipeline=16).micro_batches
    192
    """

    devices: int
    global_batch: int
    """Sequences a step."""
    tensor: int = 1
    pipeline: int = 1
    micro_batch: int = 1
    """Sequences that pass through a replica at once."""
    interleaving: int = 1
    """v, chunks of layers that each stage holds (Narayanan et al. 2021, section 2.2.2)."""
    sequence_parallel: bool = False
    """Whether tensor-parallel ranks split activations between layers, too (Korthikanti et al. 2022)."""
    recomputation: Recomputation = "none"
    precision: str = "bf16"
    zero_stage: int = 0
    """What data-parallel ranks share: 0 nothing, 1 optimizer states, 2 gradients, 3 weights, each too."""
    overlap: float = 0.0
    """Part of the time of backward computing behind which the exchange of gradients may hide, 0 to 1."""
    fused_attention: bool = False
    """Whether scores stay on the chip (FlashAttention, Dao et al. 2022, arXiv:2205.14135)."""

    @property
    def data(self) -> int:
        """Replicas of the model."""
        return self.devices // (self.tensor * self.pipeline)

    @property
    def micro_batches(self) -> int:
        """m, that pass through each replica in a step."""
        return self.global_batch // (self.data * self.micro_batch)

    @property
    def value_bytes(self) -> float:
        """Of a weight, a gradient or an activation [B]."""
        return PRECISION_BYTES[self.precision]

    @property
    def words(self) -> str:
        """The layout as `NAME=NUMBER` words."""
        parts = {
            "data": self.data, "tensor": self.tensor, "pipeline": self.pipeline, "micro_batch": self.micro_batch,
            "interleaving": self.interleaving, "sequence_parallel": int(self.sequence_parallel),
            "recomputation": self.recomputation, "zero": self.zero_stage,
        }  # fmt: skip
        return " ".join(f"{name}={value}" for name, value in parts.items())


def layout_problems(shape: Architecture, layout: TrainingLayout) -> list[Problem]:
    """Return every reason why a layout cannot train an architecture, memory left aside; empty where it can."""
    problems = [Problem("layout", None, *facts) for facts in _values(layout)]
    return problems or [Problem("layout", None, *facts) for facts in _divisions(shape, layout)]


def _values(layout: TrainingLayout) -> Iterator[tuple[str, str, str]]:
    for name in ("devices", "global_batch", "tensor", "pipeline", "micro_batch", "interleaving"):
        if not 1 <= getattr(layout, name) <= DEVICES_MAX:
            yield name, str(getattr(layout, name))[:20], f"an integer from 1 to {DEVICES_MAX:,}"
    if layout.zero_stage not in {0, 1, 2, 3}:
        yield "zero_stage", str(layout.zero_stage), "0, 1, 2 or 3"
    if not 0.0 <= layout.overlap <= 1.0:
        yield "overlap", f"{layout.overlap:g}", "0 to 1"
    if layout.precision not in PRECISION_BYTES:
        yield "precision", layout.precision, "one of " + ", ".join(PRECISION_BYTES)
    if layout.recomputation not in RECOMPUTATIONS:
        yield "recomputation", layout.recomputation, "one of " + ", ".join(RECOMPUTATIONS)


def _divisions(shape: Architecture, layout: TrainingLayout) -> Iterator[tuple[str, str, str, str]]:
    model = layout.tensor * layout.pipeline
    if layout.devices % model:
        hint = f"{layout.devices // model * model} or {(layout.devices // model + 1) * model} are near"
        yield "devices", str(layout.devices), f"a multiple of tensor x pipeline = {model}", hint
    elif layout.global_batch % (layout.data * layout.micro_batch):
        least = layout.data * layout.micro_batch
        yield "global_batch", str(layout.global_batch), f"a multiple of data x micro_batch = {least}", ""
    elif layout.interleaving > 1 and layout.micro_batches % layout.pipeline:
        expected = f"micro-batches that are a multiple of pipeline = {layout.pipeline}"
        yield (
            "interleaving",
            f"{layout.micro_batches} micro-batches",
            expected,
            "the schedule goes in such rounds",
        )
    divided = (
        ("heads", shape.heads), ("hidden", shape.hidden), ("feed_forward", shape.feed_forward_width),
        ("vocabulary", shape.vocabulary),
    )  # fmt: skip
    for name, value in divided:
        if value % layout.tensor:
            yield "tensor", str(layout.tensor), f"a divisor of {name} = {value}", ""
    if layout.sequence_parallel and shape.sequence % layout.tensor:
        yield "sequence_parallel", f"tensor {layout.tensor}", f"a divisor of sequence = {shape.sequence}", ""
    chunks = layout.pipeline * layout.interleaving
    if shape.layers % chunks:
        expected = f"pipeline x interleaving that divides layers = {shape.layers}"
        yield "pipeline", f"{layout.pipeline} x {layout.interleaving}", expected, ""
    if layout.interleaving > 1 and layout.pipeline == 1:
        yield "interleaving", str(layout.interleaving), "1 without a pipeline", ""
    if layout.zero_stage >= 2 and layout.pipeline > 1:
        hint = "as in DeepSpeed: each micro-batch would exchange all gradients"
        yield "zero_stage", str(layout.zero_stage), "0 or 1 with a pipeline", hint
