"""FLOPs of one instruction of a compiled module, from its shapes.

As XLA's own analysis counts them: a multiply-add is 2, every other operation on an item 1, and products with padding
or with the zeros between dilated items are none. XLA keeps transcendental functions apart; here one is 1 FLOP as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from trainers.hlo_text import Computation, Instruction, Shape

__all__ = [
    "ELEMENTWISE",
    "combiner_flops",
    "convolution_flops",
    "convolution_is_matmul",
    "dot_flops",
    "gemm_flops",
    "reduction_flops",
    "sort_flops",
]

ELEMENTWISE = frozenset(
    {
        "abs", "add", "and", "atan2", "cbrt", "ceil", "clamp", "compare", "complex", "convert", "cosine", "divide",
        "erf", "exponential", "exponential-minus-one", "floor", "imag", "is-finite", "log", "log-plus-one", "logistic",
        "maximum", "minimum", "multiply", "negate", "not", "or", "popcnt", "power", "real", "remainder",
        "round-nearest-afz", "round-nearest-even", "rsqrt", "select", "shift-left", "shift-right-arithmetic",
        "shift-right-logical", "sign", "sine", "sqrt", "stochastic-convert", "subtract", "tan", "tanh", "xor",
    }
)  # fmt: skip
"""Opcodes that do one operation on each item of their result."""

_LABELS = re.compile(r"dim_labels=(\w+)_(\w+)->(\w+)")


def dot_flops(dot: Instruction, left: Shape) -> float:
    """Return 2 x items of the result x length of the contracted axes.

    Args:
        dot: a `dot`.
        left: shape of its first operand.

    >>> dot = Instruction("d", "dot", (Shape(32, (8, 5)),), (), ", lhs_contracting_dims={1}")
    >>> dot_flops(dot, Shape(32, (8, 100)))
    8000.0
    """
    return _product_flops(dot, left, dot.attribute(r"lhs_contracting_dims=\{([\d,]*)\}") or "")


def gemm_flops(call: Instruction, left: Shape) -> float | None:
    """Return the FLOPs of a call of a library of matrix products, as GPUs have; None where it is no such call."""
    contracted = call.attribute(r'lhs_contracting_dimensions":\[([\d",]*)\]')
    return None if contracted is None else _product_flops(call, left, contracted)


def _product_flops(product: Instruction, left: Shape, contracted: str) -> float:
    length = math.prod(left.dims[int(dim)] for dim in re.findall(r"\d+", contracted))
    return 2.0 * product.shapes[0].elements * length


def convolution_is_matmul(convolution: Instruction) -> bool:
    """Return whether a convolution is a matrix product in disguise, as all of them are in a TPU's programs.

    It has no spatial axes, or comes from a `dot_general` of the program.
    """
    labels = _LABELS.search(convolution.attributes)
    no_axes = labels is not None and not any(label.isdigit() for label in labels[1])
    return no_axes or "dot_general" in (convolution.attribute(r'op_name="([^"]*)"') or "")


def convolution_flops(convolution: Instruction, left: Shape, right: Shape) -> float:
    """Return 2 x batch x features out x features in of a group x pairs of window position and item that is no padding.

    Args:
        convolution: a `convolution`.
        left: shape of the input.
        right: shape of the kernel.

    Raises:
        ValueError: if its axes are not labelled.

    >>> same = ", window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f"
    >>> convolution = Instruction("c", "convolution", (Shape(32, (1, 28, 28, 32)),), (), same)
    >>> image, kernel = Shape(32, (1, 28, 28, 1)), Shape(32, (3, 3, 1, 32))
    >>> convolution_flops(convolution, image, kernel) == 2 * 32 * (3 * 28 - 2) ** 2
    True
    """
    labels = _LABELS.search(convolution.attributes)
    if not labels:
        raise ValueError(f"{convolution.name}: no dim_labels -> expected a convolution")
    image, kernel, result = labels.groups()
    out = convolution.shapes[0]
    batch = left.dims[image.index("b")] // int(convolution.attribute(r"batch_group_count=(\d+)") or 1)
    features_in, features_out = right.dims[kernel.index("i")], right.dims[kernel.index("o")]
    window = _window(convolution)
    positions = math.prod(
        _valid_positions(
            left.dims[image.index(str(axis))],
            out.dims[result.index(str(axis))],
            right.dims[kernel.index(str(axis))],
            {name: values[axis] for name, values in window.items()},
        )
        for axis in range(sum(label.isdigit() for label in image))
    )
    return 2.0 * batch * features_in * features_out * positions


def reduction_flops(reduction: Instruction, operands: Sequence[Shape], each: int) -> float:
    """Return the FLOPs of a reduce, a reduce-window, or a select-and-scatter, the gradient of a maximum's window.

    Args:
        reduction: one of the three.
        operands: shapes of its operands.
        each: operations that join two items.

    >>> row_sums = Instruction("r", "reduce", (Shape(32, (8,)),), (), ", dimensions={1}")
    >>> reduction_flops(row_sums, [Shape(32, (8, 100)), Shape(32, ())], each=1)
    792.0
    """
    results = reduction.shapes[0].elements
    if reduction.opcode == "reduce":
        return float((operands[0].elements - results) * each)
    window = math.prod(size[0] for size in _window(reduction).get("size", [(1,)]))
    if reduction.opcode == "reduce-window":
        return float(results * (window - 1) * each)
    # Each window is searched for its maximum, and the gradient added there.
    return float(operands[1].elements * window)


def sort_flops(sort: Instruction, keys: Shape) -> float:
    """Return the comparisons of a sort: items x log2 of the length sorted."""
    axis = sort.attribute(r"dimensions=\{(\d+)")
    length = keys.elements if axis is None else keys.dims[int(axis)]
    return float(keys.elements * math.ceil(math.log2(max(1, length))))


def combiner_flops(computations: Mapping[str, Computation], reduction: Instruction) -> int:
    """Return the operations of the function that a reduction or a scatter applies to each item, at least 1."""
    bodies = [computations[name] for name in reduction.called("to_apply") if name in computations]
    return max(1, sum(each.opcode in ELEMENTWISE for body in bodies for each in body.instructions.values()))


def _window(instruction: Instruction) -> dict[str, list[tuple[int, ...]]]:
    """Return the fields of a window by name: along each axis one number, or two of a padding."""
    text = instruction.attribute(r"window=\{([^}]*)\}") or ""
    fields: dict[str, list[tuple[int, ...]]] = {}
    for name, values in re.findall(r"(\w+)=([\d_x\-]+)", text):
        fields[name] = [tuple(int(number) for number in value.split("_")) for value in values.split("x")]
    return fields


def _valid_positions(items: int, results: int, size: int, window: Mapping[str, tuple[int, ...]]) -> int:
    """Return along one axis how many pairs of result and kernel item meet an item of the input."""
    stride, before = window.get("stride", (1,))[0], window.get("pad", (0, 0))[0]
    spread, dilation = window.get("rhs_dilate", (1,))[0], window.get("lhs_dilate", (1,))[0]
    padded = (items - 1) * dilation + 1
    places = (result * stride + item * spread - before for item in range(size) for result in range(results))
    return sum(0 <= place < padded and place % dilation == 0 for place in places)
