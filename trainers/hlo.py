"""What a compiled step computes, holds and sends, read from XLA's own account of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Collective", "StepCost", "collectives", "step_cost"]

_ITEM_BITS: Mapping[str, int] = {
    "pred": 8, "s2": 2, "u2": 2, "s4": 4, "u4": 4, "s8": 8, "u8": 8, "s16": 16, "u16": 16,
    "s32": 32, "u32": 32, "s64": 64, "u64": 64, "bf16": 16, "f16": 16, "f32": 32, "f64": 64,
    "c64": 64, "c128": 128,
}  # fmt: skip

# `%name = f32[10,4]{1,0} all-reduce(` or `%name = (f32[4]{0}, f32[]) all-reduce-start(`. The
# matching `-done` names no new transfer, so it is not matched.
_INSTRUCTION = re.compile(
    r"=\s+(?P<type>\S.*?)\s+"
    r"(?P<op>all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
)
_SHAPE = re.compile(r"\b(?P<item>pred|[suf]\d+|bf16|c64|c128|f8e\w+)\[(?P<dims>[\d,]*)\]")


@dataclass(frozen=True)
class Collective:
    """All instructions of one kind in a compiled step."""

    count: int
    size_bytes: float
    """Bytes of their results on one device, summed."""


@dataclass(frozen=True)
class StepCost:
    """One compiled step on one device."""

    flops: float
    bytes_accessed: float
    argument_bytes: float
    output_bytes: float
    """Without the outputs that reuse an argument's memory."""
    temporary_bytes: float
    all_reduce: Collective

    @property
    def memory_bytes(self) -> float:
        """Arguments, outputs and temporaries together."""
        return self.argument_bytes + self.output_bytes + self.temporary_bytes


def _item_bits(item: str) -> int:
    return 8 if item.startswith("f8") else _ITEM_BITS[item]


def _size_bytes(type_text: str) -> float:
    """Bytes of an HLO type: a shape, or a tuple of shapes."""
    return sum(
        math.prod(int(dim) for dim in shape["dims"].split(",") if dim) * _item_bits(shape["item"]) / 8
        for shape in _SHAPE.finditer(type_text)
    )


def collectives(hlo_text: str) -> dict[str, Collective]:
    """Return the collectives of a compiled module by kind.

    The result of an all-reduce has the shape of its operands, so its bytes are what one device
    contributes; asynchronous ones are counted at their start and not at their end.

    Args:
        hlo_text: `compiled.as_text()`. Instructions in the body of a loop count once.

    >>> collectives("%r = (f32[10,4]{1,0}, f32[4]{0}, f32[]) all-reduce(%a, %b, %c), channel_id=1")
    {'all-reduce': Collective(count=1, size_bytes=180.0)}
    """
    found: dict[str, Collective] = {}
    for match in _INSTRUCTION.finditer(hlo_text):
        before = found.get(match["op"], Collective(0, 0.0))
        found[match["op"]] = Collective(before.count + 1, before.size_bytes + _size_bytes(match["type"]))
    return found


def step_cost(compiled: Any) -> StepCost:  # noqa: ANN401 - jax.stages.Compiled, without importing JAX
    """Return what a compiled step costs one device.

    Args:
        compiled: what `jitted.lower(...).compile()` returned.

    Raises:
        RuntimeError: if this backend gives no account of memory.
    """
    analysis = compiled.cost_analysis()
    # Older releases of JAX return one entry a program.
    costs = analysis[0] if isinstance(analysis, list) else analysis
    memory = compiled.memory_analysis()
    if memory is None:
        raise RuntimeError("this backend does not report the memory of a compiled step")
    return StepCost(
        flops=float(costs.get("flops", 0.0)),
        bytes_accessed=float(costs.get("bytes accessed", 0.0)),
        argument_bytes=float(memory.argument_size_in_bytes),
        output_bytes=float(memory.output_size_in_bytes - memory.alias_size_in_bytes),
        temporary_bytes=float(memory.temp_size_in_bytes),
        all_reduce=collectives(compiled.as_text()).get("all-reduce", Collective(0, 0.0)),
    )
