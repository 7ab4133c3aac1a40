"""Where each array of a state lies on a mesh: rules by the path and shape of a parameter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import PartitionSpec
from jax.tree_util import DictKey

from trainers.parallel.placement import DATA, TENSOR
from trainers.registry import State

__all__ = ["Placement", "fsdp_placements", "kept_whole", "specs_by_path", "tensor_placements"]

Path = tuple[str, ...]
WHOLE = PartitionSpec()


@dataclass(frozen=True)
class Placement:
    """How one parameter is divided, or why it is not."""

    spec: PartitionSpec
    reason: str = ""
    """Empty where it is divided."""


def _parameters(params: Any) -> dict[Path, Any]:  # noqa: ANN401 - a pytree of arrays
    return {
        tuple(str(key.key) for key in path): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]
    }


def specs_by_path(state: State, placements: Mapping[Path, Placement]) -> State:
    """Return the specification of every array of a state.

    What the optimizer keeps for a parameter lies where the parameter does: its path ends in the parameter's. All else,
    counters for instance, is whole on every device.
    """

    def spec(path: tuple[Any, ...], leaf: Any) -> PartitionSpec:  # noqa: ANN401 - keys and an array
        names = tuple(str(key.key) if isinstance(key, DictKey) else "" for key in path)
        for start in range(len(names)):
            found = placements.get(names[start:])
            if found is not None and len(found.spec) <= len(leaf.shape):
                return found.spec
        return WHOLE

    specs: State = jax.tree_util.tree_map_with_path(spec, state)
    return specs


def kept_whole(placements: Mapping[Path, Placement]) -> Mapping[str, str]:
    """Return the parameters that are not divided, and why."""
    return {"/".join(path): placed.reason for path, placed in placements.items() if placed.reason}


def fsdp_placements(params: Any, devices: int) -> Mapping[Path, Placement]:  # noqa: ANN401 - a pytree of arrays
    """Divide every parameter along the longest axis that so many devices divide evenly.

    Args:
        params: arrays, or anything that has their shapes.
        devices: that share them.
    """
    return {path: _longest_axis(tuple(leaf.shape), devices) for path, leaf in _parameters(params).items()}


def _longest_axis(shape: tuple[int, ...], devices: int) -> Placement:
    fitting = [axis for axis, size in enumerate(shape) if size % devices == 0]
    if not fitting:
        return Placement(WHOLE, f"no axis of {list(shape)} is a multiple of {devices}")
    axis = max(fitting, key=lambda each: shape[each])
    return Placement(PartitionSpec(*[None] * axis, DATA))


def tensor_placements(params: Any, shards: int) -> Mapping[Path, Placement]:  # noqa: ANN401 - a pytree of arrays
    """Divide pairs of dense layers and attention heads as Megatron does (Shoeybi et al. 2019, section 3).

    Of two dense layers in a row, the first is divided by its outputs and the second by its inputs, so that one
    all-reduce after the second is enough; of attention, each device holds some of the heads. A parameter that no rule
    fits is kept whole, with the reason; the result is the same, only less is shared.

    Args:
        params: arrays, or anything that has their shapes.
        shards: devices that share one layer.
    """
    found = dict(_of_module(params, (), shards))
    return {path: found.get(path, Placement(WHOLE, _why_whole(path))) for path in _parameters(params)}


def _why_whole(path: Path) -> str:
    layer = path[-2] if len(path) > 1 else path[-1]
    if layer.startswith("Conv"):
        return "a convolution: its channels are not divided"
    if layer.startswith("Dense"):
        return "no dense layer beside it takes or gives the divided axis"
    return "neither a dense layer nor a projection of heads"


def _of_module(module: Any, path: Path, shards: int) -> Iterator[tuple[Path, Placement]]:  # noqa: ANN401 - nested dicts
    """Yield the placements of the layers of a module and of the modules in it."""
    layers = {name: child for name, child in module.items() if hasattr(child, "items") and "kernel" in child}
    dense = sorted((name for name in layers if _is_dense(name, layers[name])), key=_number)
    while len(dense) > 1:
        first, second = dense[:2]
        if layers[first]["kernel"].shape[1] == layers[second]["kernel"].shape[0]:
            yield from _pair(layers, path, first, second, shards)
            dense = dense[2:]
        else:
            dense = dense[1:]
    yield from _heads(layers, path, shards)
    for name, child in module.items():
        if hasattr(child, "items"):
            yield from _of_module(child, (*path, name), shards)


def _is_dense(name: str, layer: Any) -> bool:  # noqa: ANN401 - a dict of arrays
    return not name.startswith("Conv") and len(layer["kernel"].shape) == 2


def _number(name: str) -> tuple[str, int]:
    """Sort key: Dense_2 before Dense_10."""
    match = re.fullmatch(r"(.*?)_?(\d+)", name)
    return (match[1], int(match[2])) if match else (name, -1)


def _pair(layers: Any, path: Path, first: str, second: str, shards: int) -> Iterator[tuple[Path, Placement]]:  # noqa: ANN401 - nested dicts
    """First by columns, with its bias; second by rows, its bias added once after the sum."""
    width = layers[first]["kernel"].shape[1]
    even = width % shards == 0
    whole = Placement(WHOLE, f"{width} hidden units are no multiple of {shards}")
    yield (*path, first, "kernel"), Placement(PartitionSpec(None, TENSOR)) if even else whole
    yield (*path, second, "kernel"), Placement(PartitionSpec(TENSOR)) if even else whole
    if "bias" in layers[first]:
        yield (*path, first, "bias"), Placement(PartitionSpec(TENSOR)) if even else whole
    if "bias" in layers[second]:
        yield (*path, second, "bias"), Placement(WHOLE, "added once, to the sum over the devices")


def _heads(layers: Any, path: Path, shards: int) -> Iterator[tuple[Path, Placement]]:  # noqa: ANN401 - nested dicts
    """Projections from and to heads: kernels [D, ..., H, K] and, the output's, [H, K, D]."""
    general = {
        name: layer
        for name, layer in layers.items()
        if len(layer["kernel"].shape) > 2 and not name.startswith("Conv")
    }
    outputs = [
        name for name, layer in general.items()
        if len(layer["kernel"].shape) == 3
        and any(other["kernel"].shape[-2:] == layer["kernel"].shape[:2] for key, other in general.items() if key != name)
    ]  # fmt: skip
    if not outputs:
        return
    out = max(outputs, key=_number)
    heads, head_width = general[out]["kernel"].shape[:2]
    whole = Placement(WHOLE, f"{heads} heads are no multiple of {shards}")
    for name, layer in general.items():
        for kind in ("kernel", "bias"):
            if kind not in layer or (name != out and layer[kind].shape[-2:] != (heads, head_width)):
                continue
            if name == out and kind == "bias":
                yield (*path, name, kind), Placement(WHOLE, "added once, to the sum over the devices")
            elif heads % shards:
                yield (*path, name, kind), whole
            else:
                before = 0 if name == out else len(layer[kind].shape) - 2
                yield (*path, name, kind), Placement(PartitionSpec(*[None] * before, TENSOR))
