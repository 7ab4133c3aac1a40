"""The text of a compiled module as computations, instructions and shapes; nothing is judged here.

The grammar is that of XLA's own printer (`compiled.as_text()`), of which only what costs something is read: names,
types, opcodes, operands and attributes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

__all__ = [
    "EMPTY",
    "Computation",
    "Instruction",
    "Module",
    "Shape",
    "parse_module",
    "parse_shapes",
    "total_bytes",
]

_SHAPE = re.compile(
    r"\b(?P<item>pred|[su](?P<bits>\d+)|bf16|f16|f32|f64|c64|c128|f8\w+|f4\w+)\[(?P<dims>[\d,<=]*)\]"
    r"(?:\{(?P<layout>[^}]*)\})?"
)
_BITS = {"pred": 8, "bf16": 16, "f16": 16, "f32": 32, "f64": 64, "c64": 64, "c128": 128}
_SPACE = re.compile(r"S\((\d+)\)")
_COMMENT = re.compile(r"/\*.*?\*/")
_HEADER = re.compile(r"(?P<entry>ENTRY\s+)?%?(?P<name>[\w.\-]+)\s+\(.*\)\s*->.*\{\s*$")
_START = re.compile(r"\s+(?P<root>ROOT\s+)?%?(?P<name>[\w.\-]+)\s+=\s+")
_OPCODE = re.compile(r"\s*(?P<opcode>[a-z][\w\-]*)\(")
_OPERAND = re.compile(r"%([\w.\-]+)")


@dataclass(frozen=True)
class Shape:
    """One array."""

    item_bits: int
    dims: tuple[int, ...]
    on_chip: bool = False
    """Whether a TPU's compiler keeps it in the chip's own memory: using it costs no traffic to HBM."""

    @property
    def elements(self) -> int:
        """Number of items."""
        return math.prod(self.dims)

    @property
    def size_bytes(self) -> float:
        """What it takes, without padding [B]."""
        return self.elements * self.item_bits / 8


EMPTY = Shape(0, (0,))
"""Of what the text does not tell."""


@dataclass(frozen=True)
class Instruction:
    """One line of a computation."""

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    """Of its result: several of a tuple."""
    operands: tuple[str, ...]
    """Names of instructions of the same computation."""
    attributes: str
    """Everything behind the operands."""
    root: bool = False
    """Whether its result is that of its computation."""
    index: int | None = None
    """Of a parameter: its number."""

    @property
    def elements(self) -> int:
        """Items of its result."""
        return sum(shape.elements for shape in self.shapes)

    def attribute(self, pattern: str) -> str | None:
        """Return the first group of a pattern found among the attributes."""
        found = re.search(pattern, self.attributes)
        return found[1] if found else None

    def called(self, keyword: str) -> tuple[str, ...]:
        """Return the computations named after a keyword such as calls, to_apply, body.

        >>> Instruction("f", "fusion", (), (), ", kind=kLoop, calls=%fused.1").called("calls")
        ('fused.1',)
        """
        found = re.search(rf"\b{keyword}=(?:\{{(?P<many>[^}}]*)\}}|%?(?P<one>[\w.\-]+))", self.attributes)
        if not found:
            return ()
        return tuple(name.strip().lstrip("%") for name in (found["many"] or found["one"]).split(","))


@dataclass(frozen=True)
class Computation:
    """Instructions by name, in the order in which they are printed."""

    name: str
    instructions: Mapping[str, Instruction]

    @property
    def root(self) -> Instruction:
        """The one whose result is the computation's."""
        marked = [each for each in self.instructions.values() if each.root]
        return marked[0] if marked else list(self.instructions.values())[-1]

    @property
    def parameters(self) -> dict[int, Instruction]:
        """Parameters by number."""
        return {each.index: each for each in self.instructions.values() if each.index is not None}

    @cached_property
    def users(self) -> Mapping[str, list[Instruction]]:
        """Who reads each result, in the order of the text."""
        found: dict[str, list[Instruction]] = {name: [] for name in self.instructions}
        for each in self.instructions.values():
            for operand in dict.fromkeys(each.operands):
                if operand in found:
                    found[operand].append(each)
        return found

    def shape(self, name: str) -> Shape:
        """Return the shape of a result, of a tuple the first; `EMPTY` where the text does not tell."""
        found = self.instructions.get(name)
        return found.shapes[0] if found and found.shapes else EMPTY


@dataclass(frozen=True)
class Module:
    """All computations of a program."""

    computations: Mapping[str, Computation]
    entry: str


def parse_shapes(type_text: str) -> tuple[Shape, ...]:
    """Return the arrays of an HLO type, tokens left out.

    >>> parse_shapes("(f32[10,4]{1,0:T(8,128)S(1)}, s4[3], bf16[])")[1:]
    (Shape(item_bits=4, dims=(3,), on_chip=False), Shape(item_bits=16, dims=(), on_chip=False))
    """
    return tuple(_shapes(type_text))


def total_bytes(shapes: tuple[Shape, ...]) -> float:
    """Return the bytes of those that are not kept on the chip [B]."""
    return sum(shape.size_bytes for shape in shapes if not shape.on_chip)


def _shapes(type_text: str) -> Iterator[Shape]:
    for match in _SHAPE.finditer(type_text):
        # A bounded dynamic dimension is written <=4 and takes the room of its bound.
        dims = tuple(int(dim.lstrip("<=")) for dim in match["dims"].split(",") if dim)
        layout = match["layout"] or ""
        # Tiles, T(..), are a TPU's; there memory space 0 is HBM, and S(1) and more are on the chip.
        space = _SPACE.search(layout)
        on_chip = "T(" in layout and space is not None and int(space[1]) > 0
        yield Shape(_item_bits(match["item"], match["bits"]), dims, on_chip)


def _item_bits(item: str, bits: str | None) -> int:
    if bits:
        return int(bits)
    return {"f8": 8, "f4": 4}.get(item[:2]) or _BITS[item]


def parse_module(hlo_text: str) -> Module:
    """Return a module's computations.

    Args:
        hlo_text: `compiled.as_text()`; lines that are no instructions (tables of file names) are passed over.

    Raises:
        ValueError: if there is no entry computation.
    """
    computations: dict[str, Computation] = {}
    entry = name = ""
    lines: dict[str, Instruction] = {}
    for raw in hlo_text.splitlines():
        line = _COMMENT.sub("", raw)
        header = None if line[:1].isspace() else _HEADER.match(line)
        if header:
            name, lines = header["name"], {}
            entry = name if header["entry"] else entry
        elif line.startswith("}") and name:
            computations[name] = Computation(name, lines)
            name = ""
        elif name:
            instruction = _instruction(line)
            if instruction:
                lines[instruction.name] = instruction
    if entry not in computations:
        raise ValueError("no ENTRY computation -> expected the text of a compiled module")
    return Module(computations, entry)


def _instruction(line: str) -> Instruction | None:
    start = _START.match(line)
    if not start:
        return None
    type_end = _closing(line, start.end()) if line[start.end()] == "(" else line.find(" ", start.end())
    opcode = _OPCODE.match(line, type_end)
    if not opcode:
        return None
    end = _closing(line, opcode.end() - 1)
    operands = line[opcode.end() : end - 1]
    return Instruction(
        name=start["name"],
        opcode=opcode["opcode"],
        shapes=parse_shapes(line[start.end() : type_end]),
        operands=() if opcode["opcode"] in {"constant", "parameter"} else tuple(_OPERAND.findall(operands)),
        attributes=line[end:],
        root=bool(start["root"]),
        index=int(operands) if opcode["opcode"] == "parameter" else None,
    )


def _closing(text: str, start: int) -> int:
    """Return the position behind the parenthesis that closes the one at `start`."""
    depth = 0
    for match in re.finditer(r"[()]", text[start:]):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return start + match.end()
    return len(text)
