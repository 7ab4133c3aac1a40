"""What a compiled step computes, holds and sends, read from XLA's own account of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dcsim.workload.profile import CollectiveKind, Mode
from trainers.hlo_text import Instruction, Module, parse_module

__all__ = [
    "Collective",
    "CollectiveCall",
    "StepCost",
    "collective_calls",
    "collective_kinds",
    "collectives",
    "step_cost",
]

KINDS = MappingProxyType(
    {
        "all-reduce": "all_reduce",
        "all-gather": "all_gather",
        "reduce-scatter": "reduce_scatter",
        "all-to-all": "all_to_all",
        "ragged-all-to-all": "all_to_all",
        "collective-broadcast": "broadcast",
        "collective-permute": "send_recv",
    }
)
"""What XLA calls them, and what a cost profile does."""

_GROUPS = re.compile(r"\breplica_groups=\{(\{[\d,]*\}(?:,\{[\d,]*\})*)?\}")
# [2,4]<=[8] and [4,2]<=[2,4]T(1,0): two groups of four devices, four groups of two.
_IOTA_GROUPS = re.compile(r"\breplica_groups=\[(\d+),(\d+)\]<=")
# mesh['data'=4,'tensor'=2] {'tensor'}: groups along the named axes; 'data':(1)2 is a part of an axis, 2 long.
_MESH_GROUPS = re.compile(r"\breplica_groups=mesh\[([^\]]*)\]\s*\{([^}]*)\}")
_PAIRS = re.compile(r"\bsource_target_pairs=\{(\{\d+,\d+\}(?:,\{\d+,\d+\})*)?\}")
_TRIPS = r'"known_trip_count":\s*\{\s*"n":\s*"?(\d+)'


@dataclass(frozen=True)
class Collective:
    """All instructions of one kind in a compiled step."""

    count: int
    """Calls in a step, those in loops once a turn."""
    size_bytes: float
    """Bytes of their results on one device, summed over the calls."""


@dataclass(frozen=True)
class CollectiveCall:
    """One collective instruction."""

    kind: str
    """As XLA writes it: all-reduce, all-gather, reduce-scatter, all-to-all, collective-permute, ..."""
    size_bytes: float
    """Of its result on one device."""
    times: int
    """How often a step carries it out."""
    group_size: int | None
    """Devices that take part together; None: all of the program."""


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


def collective_calls(hlo_text: str) -> tuple[CollectiveCall, ...]:
    """Return the collective instructions of a compiled module, in the order of its computations.

    Asynchronous ones appear at their start only; groups of one device send nothing and are left out. What stands in a
    loop is carried out once a turn, where XLA states the number of turns, else once; of a conditional every branch
    counts, so that its collectives are an upper bound.

    Args:
        hlo_text: `compiled.as_text()`, or lines of it.
    """
    module = parse_module(hlo_text if "ENTRY" in hlo_text else _as_entry(hlo_text))
    found = []
    for name, times in _times(module).items():
        for instruction in module.computations[name].instructions.values():
            kind = instruction.opcode.removesuffix("-start")
            group = _group_size(instruction.attributes)
            if kind in KINDS and group != 1:
                found.append(CollectiveCall(kind, _result_bytes(instruction, kind), times, group))
    return tuple(found)


def _as_entry(lines: str) -> str:
    """Lines alone, as the only computation of a module."""
    body = "\n".join(f"  {line.strip()}" for line in lines.splitlines())
    return f"ENTRY %lines () -> () {{\n{body}\n}}\n"


def _times(module: Module) -> dict[str, int]:
    """How often one run of the program carries out each computation that it reaches."""
    found: dict[str, int] = {}

    def visit(name: str, times: int) -> None:
        found[name] = found.get(name, 0) + times
        for instruction in module.computations[name].instructions.values():
            turns = int(instruction.attribute(_TRIPS) or 1) if instruction.opcode == "while" else 1
            for called in _called(instruction):
                visit(called, times * turns)

    visit(module.entry, 1)
    return found


def _called(instruction: Instruction) -> tuple[str, ...]:
    """Computations that run whenever an instruction does; the scalar functions of reductions are not meant."""
    keywords = ["calls", "body", "condition", "true_computation", "false_computation", "branch_computations"]
    if instruction.opcode in {"call", "async-start"}:
        keywords.append("to_apply")
    return tuple(name for keyword in keywords for name in instruction.called(keyword))


def _result_bytes(instruction: Instruction, kind: str) -> float:
    """Bytes of the result. The start of an asynchronous gather or permutation returns its operands before it."""
    shapes = instruction.shapes
    if instruction.opcode.endswith("-start") and kind != "all-reduce":
        operands = len(instruction.operands)
        shapes = shapes[operands : 2 * operands]
    return sum((shape.size_bytes for shape in shapes), 0.0)


def _group_size(attributes: str) -> int | None:
    iota = _IOTA_GROUPS.search(attributes)
    if iota:
        return int(iota[2])
    mesh = _MESH_GROUPS.search(attributes)
    if mesh:
        sizes = {name: int(size) for name, size in re.findall(r"('[^']*')=(\d+)", mesh[1])}
        named = re.findall(r"('[^']*')(?::\(\d+\)(\d+))?", mesh[2])
        return math.prod(int(part) if part else sizes[name] for name, part in named)
    pairs = _PAIRS.search(attributes)
    if pairs:
        return 2 if pairs[1] else 1
    groups = _GROUPS.search(attributes)
    if groups is None or groups[1] is None:
        return None
    return groups[1].split("}")[0].count(",") + 1


def collectives(hlo_text: str) -> dict[str, Collective]:
    """Return the collectives of a compiled module by kind.

    The result of an all-reduce has the shape of its operands, so its bytes are what one device
    contributes; asynchronous ones are counted at their start and not at their end.

    Args:
        hlo_text: `compiled.as_text()`. Instructions in the body of a loop count once a turn where XLA states
            the number of turns, else once.

    >>> collectives("%r = (f32[10,4]{1,0}, f32[4]{0}, f32[]) all-reduce(%a, %b, %c), channel_id=1")
    {'all-reduce': Collective(count=1, size_bytes=180.0)}
    """
    found: dict[str, Collective] = {}
    for call in collective_calls(hlo_text):
        before = found.get(call.kind, Collective(0, 0.0))
        found[call.kind] = Collective(
            before.count + call.times, before.size_bytes + call.times * call.size_bytes
        )
    return found


def collective_kinds(compiled: Any, devices: int, mode: Mode) -> tuple[CollectiveKind, ...]:  # noqa: ANN401 - jax.stages.Compiled, without importing JAX
    """Return a compiled step's collectives as a cost profile lists them, in the order of `KINDS`.

    Args:
        compiled: what `jitted.lower(...).compile()` returned.
        devices: it was compiled for.
        mode: in which they share the step.
    """
    found = collectives(compiled.as_text())
    by_name: dict[str, Collective] = {}
    for kind, name in KINDS.items():
        if kind in found:
            before = by_name.get(name, Collective(0, 0.0))
            each = found[kind]
            by_name[name] = Collective(before.count + each.count, before.size_bytes + each.size_bytes)
    return tuple(
        CollectiveKind.model_validate(
            {
                "kind": name,
                "devices": devices,
                "mode": mode,
                "count": each.count,
                "size_bytes": each.size_bytes,
            }
        )
        for name, each in by_name.items()
    )


def step_cost(compiled: Any) -> StepCost:  # noqa: ANN401 - jax.stages.Compiled, without importing JAX
    """Return what a compiled step costs one device.

    Args:
        compiled: what `jitted.lower(...).compile()` returned.

    Raises:
        RuntimeError: if this backend gives no account of memory.
    """
    analysis = compiled.cost_analysis()
    # Older releases of JAX return one entry a program.
    costs: Mapping[str, float] = analysis[0] if isinstance(analysis, list) else analysis
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
