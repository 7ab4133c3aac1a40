"""What a compiled step costs by kind of operator: FLOPs, bytes and calls, read from the text of its program.

FLOPs are counted inside fusions, bytes at their boundary: what a fusion passes from one operation to the next never
leaves the processor. Loops cost their body times the number of turns that the compiler knows; XLA's own analysis counts
it once. On a TPU only HBM counts: what the compiler keeps in the chip's own memory was fetched by a copy, and that is
counted. See docs/decisions/0094-operators-and-prediction.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from dcsim.workload.profile import OperatorCost, OperatorKind
from trainers.hlo_flops import (
    ELEMENTWISE,
    combiner_flops,
    convolution_flops,
    convolution_is_matmul,
    dot_flops,
    gemm_flops,
    reduction_flops,
    sort_flops,
)
from trainers.hlo_text import Computation, Instruction, Module, Shape, parse_module, total_bytes

__all__ = ["KindCost", "ModuleCost", "module_cost", "operator_costs"]

_FREE = frozenset(
    {
        "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id",
        "opt-barrier", "domain", "add-dependency", "get-dimension-size",
    }
)  # fmt: skip
_COLLECTIVES = (
    "all-reduce", "all-gather", "reduce-scatter", "all-to-all", "ragged-all-to-all", "collective-permute",
    "collective-broadcast",
)  # fmt: skip
_KINDS: Mapping[str, OperatorKind] = {
    **dict.fromkeys(ELEMENTWISE, "elementwise"),
    **dict.fromkeys(
        (
            "bitcast-convert", "broadcast", "concatenate", "copy", "copy-start", "dynamic-reshape", "dynamic-slice",
            "dynamic-update-slice", "infeed", "iota", "outfeed", "pad", "recv", "reshape", "reverse", "send", "slice",
            "transpose",
        ),
        "data_movement",
    ),
    **dict.fromkeys(_COLLECTIVES, "collective"),
    **dict.fromkeys((f"{name}-start" for name in _COLLECTIVES), "collective"),
    **dict.fromkeys(("reduce", "reduce-window", "select-and-scatter"), "reduction"),
    **dict.fromkeys(("gather", "scatter"), "gather_scatter"),
    "dot": "matmul",
}  # fmt: skip
_NO_FLOPS = frozenset({"GatherScatterIndicesBitpacked", "TopK"})
"""Custom calls without a floating-point operation."""
_NO_WORK = frozenset(
    {
        "AllocateBuffer", "AssumeAligned", "AssumeGatherIndicesInBound", "ConcatBitcast", "Sharding",
        "SPMDFullToShardShape", "SPMDShardToFullShape",
    }
)  # fmt: skip
"""Custom calls that only tell the compiler something, or see the same bytes as another shape."""
_TARGET = r'custom_call_target="([^"]*)"'
_SLICES = frozenset({"slice", "dynamic-slice", "gather"})
_BY_WEIGHT: tuple[OperatorKind, ...] = (
    "convolution", "matmul", "gather_scatter", "other", "reduction", "elementwise", "data_movement",
)  # fmt: skip
"""A fusion's bytes belong to the first of these kinds that it holds."""


@dataclass
class KindCost:
    """All operators of one kind in a step, on one device."""

    flops: float = 0.0
    size_bytes: float = 0.0
    """Operands read and results written [B]."""
    calls: float = 0.0
    """Operators started one by one; a fusion is one, of the kind that its bytes belong to."""

    def add(
        self, flops: float = 0.0, size_bytes: float = 0.0, calls: float = 0.0, times: float = 1.0
    ) -> None:
        """Add some work, `times` over."""
        self.flops += times * flops
        self.size_bytes += times * size_bytes
        self.calls += times * calls


@dataclass
class ModuleCost:
    """A step by kind of operator."""

    kinds: dict[OperatorKind, KindCost] = field(default_factory=dict)
    """In the order of `OperatorKind`; kinds without any operator are left out."""
    unknown: tuple[str, ...] = ()
    """What could not be counted, in words: loops of unknown length, calls of unknown libraries."""

    @property
    def flops(self) -> float:
        """Of all kinds."""
        return sum(cost.flops for cost in self.kinds.values())

    @property
    def size_bytes(self) -> float:
        """Of all kinds [B]."""
        return sum(cost.size_bytes for cost in self.kinds.values())

    @property
    def calls(self) -> float:
        """Of all kinds."""
        return sum(cost.calls for cost in self.kinds.values())


def operator_costs(compiled: Any, samples: float) -> tuple[OperatorCost, ...]:  # noqa: ANN401 - jax.stages.Compiled
    """Return what a sample costs by kind of operator, in a compiled step.

    Args:
        compiled: what `jitted.lower(...).compile()` returned.
        samples: of one device in one step, > 0.

    Raises:
        ValueError: if `samples` is not above 0.
    """
    if not samples > 0:
        raise ValueError(f"samples {samples} -> expected a number > 0")
    return tuple(
        OperatorCost(
            kind=kind,
            flops_per_sample=cost.flops / samples,
            bytes_per_sample=cost.size_bytes / samples,
            calls_per_step=cost.calls,
        )
        for kind, cost in module_cost(compiled.as_text()).kinds.items()
    )


def module_cost(hlo_text: str) -> ModuleCost:
    """Return what one run of a compiled module costs one device.

    Args:
        hlo_text: `compiled.as_text()`.

    Raises:
        ValueError: if the text holds no compiled module.

    >>> text = '''
    ... ENTRY %main (a: f32[4,8], b: f32[8,2]) -> f32[4,2] {
    ...   %a = f32[4,8]{1,0} parameter(0)
    ...   %b = f32[8,2]{1,0} parameter(1)
    ...   ROOT %dot = f32[4,2]{1,0} dot(%a, %b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
    ... }
    ... '''
    >>> module_cost(text).kinds
    {'matmul': KindCost(flops=128.0, size_bytes=224.0, calls=1.0)}
    """
    counter = _Counter(parse_module(hlo_text))
    counter.run(counter.module.entry, 1.0)
    kinds: dict[OperatorKind, KindCost] = {
        kind: counter.kinds[kind] for kind in get_args(OperatorKind) if kind in counter.kinds
    }
    return ModuleCost(kinds, tuple(dict.fromkeys(counter.unknown)))


class _Counter:
    """Walks a module's computations and adds up what they cost."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.kinds: dict[OperatorKind, KindCost] = {}
        self.unknown: list[str] = []

    def cost(self, kind: OperatorKind) -> KindCost:
        return self.kinds.setdefault(kind, KindCost())

    def run(self, name: str, times: float) -> None:
        """Add a computation that is carried out `times` over, each of its operators on its own."""
        computation = self.module.computations[name]
        for instruction in computation.instructions.values():
            if instruction.opcode == "fusion":
                self._fusion(instruction, times)
            elif instruction.opcode == "while":
                self._loop(instruction, times)
            elif instruction.opcode == "conditional":
                self._dearest(instruction, times)
            elif instruction.opcode in {"call", "async-start"}:
                for called in (*instruction.called("to_apply"), *instruction.called("calls")):
                    self.run(called, times)
            elif not _is_free(instruction):
                kind, flops = self._work(instruction, computation)
                self.cost(kind).add(flops, _own_bytes(instruction, computation), 1.0, times)

    def _loop(self, loop: Instruction, times: float) -> None:
        turns = loop.attribute(r'"known_trip_count":\s*\{\s*"n":\s*"?(\d+)')
        if turns is None:
            self.unknown.append(f"loop {loop.name}: number of turns not known, counted once")
        for name in (*loop.called("body"), *loop.called("condition")):
            self.run(name, times * float(turns or 1))

    def _dearest(self, choice: Instruction, times: float) -> None:
        """Add the branch with most FLOPs, of equals that with most bytes."""
        keywords = ("branch_computations", "true_computation", "false_computation")
        found = []
        for name in (name for keyword in keywords for name in choice.called(keyword)):
            branch = _Counter(self.module)
            branch.run(name, 1.0)
            found.append(branch)
        dearest = max(
            found, key=lambda each: (ModuleCost(each.kinds).flops, ModuleCost(each.kinds).size_bytes)
        )
        for kind, cost in dearest.kinds.items():
            self.cost(kind).add(cost.flops, cost.size_bytes, cost.calls, times)
        self.unknown += dearest.unknown

    def _fusion(self, fusion: Instruction, times: float) -> None:
        inner = self.module.computations[fusion.called("calls")[0]]
        held: set[OperatorKind] = set()
        self._inside(inner, times, held)
        kind: OperatorKind = "data_movement"
        for each in reversed(_BY_WEIGHT):
            kind = each if each in held else kind
        read = sum(
            _read_bytes(parameter, inner)
            for index, parameter in inner.parameters.items()
            if index < len(fusion.operands)
        )
        self.cost(kind).add(size_bytes=read + _fusion_result_bytes(inner), calls=1.0, times=times)

    def _inside(self, computation: Computation, times: float, held: set[OperatorKind]) -> None:
        """Add the FLOPs of everything inside a fusion, each to its own kind; tell the kinds that it holds."""
        for instruction in computation.instructions.values():
            if instruction.opcode == "fusion":
                self._inside(self.module.computations[instruction.called("calls")[0]], times, held)
            elif not _is_free(instruction):
                kind, flops = self._work(instruction, computation)
                held.add(kind)
                if flops:
                    self.cost(kind).add(flops=flops, times=times)

    def _work(self, instruction: Instruction, computation: Computation) -> tuple[OperatorKind, float]:
        """Return kind and FLOPs of one instruction that calls no other computation but for single items."""
        opcode = instruction.opcode
        operands = [computation.shape(name) for name in instruction.operands]
        kind: OperatorKind = _KINDS.get(opcode, "other")
        flops = 0.0
        if opcode == "custom-call":
            return self._library_call(instruction, operands)
        if opcode == "convolution":
            kind = "matmul" if convolution_is_matmul(instruction) else "convolution"
            flops = convolution_flops(instruction, operands[0], operands[1])
        elif opcode == "dot":
            flops = dot_flops(instruction, operands[0])
        elif kind == "elementwise":
            flops = float(instruction.elements)
        elif kind == "reduction":
            each = combiner_flops(self.module.computations, instruction)
            flops = reduction_flops(instruction, operands, each)
        elif opcode == "scatter":
            flops = float(operands[-1].elements * combiner_flops(self.module.computations, instruction))
        elif opcode == "sort":
            flops = sort_flops(instruction, operands[0])
        return kind, flops

    def _library_call(self, call: Instruction, operands: Sequence[Shape]) -> tuple[OperatorKind, float]:
        flops = gemm_flops(call, operands[0]) if operands else None
        if flops is not None:
            return "matmul", flops
        target = call.attribute(_TARGET) or "without a name"
        if target not in _NO_FLOPS:
            self.unknown.append(f"custom call {target}: its FLOPs are not known")
        return "other", 0.0


def _is_free(instruction: Instruction) -> bool:
    if instruction.opcode == "custom-call":
        return instruction.attribute(_TARGET) in _NO_WORK
    return instruction.opcode in _FREE or instruction.opcode.endswith(("-done", "-update"))


def _read_bytes(parameter: Instruction, inner: Computation) -> float:
    """Return the bytes of one operand that a fusion reads: only slices of it where nothing else is used."""
    whole = total_bytes(parameter.shapes)
    read = 0.0
    for user in inner.users[parameter.name]:
        sliced = user.operands.index(parameter.name) == 0 and user.operands.count(parameter.name) == 1
        if user.opcode in _SLICES and sliced:
            read += sum(shape.size_bytes for shape in user.shapes)
        elif user.opcode != "dynamic-update-slice" or not sliced:
            return whole
    return min(whole, read)


def _fusion_result_bytes(inner: Computation) -> float:
    """Return the bytes that a fusion writes: of an update in place only the new part."""
    root = inner.root
    results = [inner.instructions[name] for name in root.operands] if root.opcode == "tuple" else [root]
    return sum(
        total_bytes((inner.shape(each.operands[1]),))
        if each.opcode == "dynamic-update-slice"
        else total_bytes(each.shapes)
        for each in results
    )


def _own_bytes(instruction: Instruction, computation: Computation) -> float:
    """Return what an operator outside fusions reads and writes [B]."""
    opcode = instruction.opcode
    operands = tuple(computation.shape(name) for name in dict.fromkeys(instruction.operands))
    if _KINDS.get(opcode) == "collective":
        # It crosses links, wherever the compiler keeps it: what is sent, and as much received.
        sent = sum(shape.size_bytes for shape in operands)
        received = sum(shape.size_bytes for shape in instruction.shapes)
        # The start of an asynchronous one, all-reduce apart, returns its operands as well.
        return received if opcode.endswith("-start") and opcode != "all-reduce-start" else sent + received
    if opcode == "copy-start":  # its result is (target, source, handle)
        return total_bytes(instruction.shapes[:2])
    if opcode in _SLICES:
        return 2.0 * total_bytes(instruction.shapes)
    if opcode == "dynamic-update-slice":
        return 2.0 * total_bytes((computation.shape(instruction.operands[1]),))
    return total_bytes(instruction.shapes) + total_bytes(operands)
