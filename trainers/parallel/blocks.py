"""A network taken apart into what stands before, in and behind its row of equal blocks; no network knows of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

__all__ = ["BLOCKS", "REST", "Apart", "block_names", "stacked", "taken_apart", "unstacked"]

BLOCKS = "blocks"
REST = "rest"
_NUMBERED = re.compile(r"(?P<family>.*?)_?(?P<number>\d+)")


def _looks(layer: Any) -> Any:  # noqa: ANN401 - hashable
    shapes = jax.tree.map(lambda leaf: (tuple(leaf.shape), str(leaf.dtype)), layer)
    return jax.tree.structure(layer), tuple(
        jax.tree.leaves(shapes, is_leaf=lambda node: isinstance(node, tuple))
    )


def block_names(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the modules that form the longest row of equal ones, in order: Block_0, Block_1, ...

    Args:
        params: parameters of a network by module, or anything with their shapes.

    Raises:
        ValueError: if no two modules of one name are equal.
    """
    families: dict[str, list[tuple[int, str]]] = {}
    for name, module in params.items():
        match = _NUMBERED.fullmatch(name)
        if match and hasattr(module, "items"):
            families.setdefault(match["family"], []).append((int(match["number"]), name))
    rows = [
        [name for _, name in sorted(row)]
        for row in families.values()
        if len(row) > 1 and all(_looks(params[name]) == _looks(params[row[0][1]]) for _, name in row)
    ]
    if not rows:
        raise ValueError(
            f"modules {', '.join(sorted(params))} -> expected a row of equal blocks that can be cut into stages"
        )
    longest = max(len(row) for row in rows)
    return tuple(next(row for row in rows if len(row) == longest))


def _is_row(node: Any, names: tuple[str, ...]) -> bool:  # noqa: ANN401 - a node of a pytree
    return hasattr(node, "items") and all(name in node for name in names)


def stacked(state: Any, names: tuple[str, ...]) -> Any:  # noqa: ANN401 - pytrees
    """Return a state whose blocks lie one behind the other along a new first axis, in the optimizer's state as well."""

    def stack(node: Any) -> Any:  # noqa: ANN401 - a node of a pytree
        if not _is_row(node, names):
            return node
        blocks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(node[name] for name in names))
        return {BLOCKS: blocks, REST: {name: child for name, child in node.items() if name not in names}}

    return jax.tree.map(stack, state, is_leaf=lambda node: _is_row(node, names))


def unstacked(state: Any, names: tuple[str, ...]) -> Any:  # noqa: ANN401 - pytrees
    """Undo `stacked`."""

    def spread(node: Any) -> Any:  # noqa: ANN401 - a node of a pytree
        if not _is_row(node, (BLOCKS, REST)):
            return node
        blocks = {
            name: jax.tree.map(lambda leaf, at=at: leaf[at], node[BLOCKS]) for at, name in enumerate(names)
        }
        return dict(sorted({**blocks, **node[REST]}.items()))

    return jax.tree.map(spread, state, is_leaf=lambda node: _is_row(node, (BLOCKS, REST)))


@dataclass(frozen=True)
class Apart:
    """The parts of a network as functions of their own parameters."""

    before: Callable[[Any, Any, Any], Any]
    """(rest, x, key) -> what the first block is given."""
    block: Callable[[Any, Any, Any], Any]
    """(parameters of one block, its input, key) -> its output; to be called after `before` has been."""
    behind: Callable[[Any, Any, Any, Any], Any]
    """(rest, output of the last block, x, key) -> the network's output."""


def _in_row(names: tuple[str, ...], module: nn.Module) -> int | None:
    """Return the place of a module in the row of blocks, None if it is another."""
    path = module.path
    return names.index(path[0]) if len(path) == 1 and path[0] in names else None


def taken_apart(network: nn.Module, names: tuple[str, ...]) -> Apart:
    """Return the parts of a network around and in its row of blocks.

    The network itself is run with its blocks passed over; what only the other part needs is computed for nobody, and
    the compiler leaves it out.

    Args:
        network: called as network(x, train=bool).
        names: of the blocks, in the order in which they are run.
    """
    seen: dict[str, Any] = {}

    def run(rest: Any, x: Any, key: Any, passes: Callable[[int, Any], Any]) -> Any:  # noqa: ANN401 - pytrees
        def passed_over(call: Any, args: Any, kwargs: Any, context: Any) -> Any:  # noqa: ANN401 - flax's own
            place = _in_row(names, context.module) if context.method_name == "__call__" else None
            if place is None:
                return call(*args, **kwargs)
            if place == 0:
                _no_arrays(args[1:], kwargs)
                seen.update(block=context.module.clone(parent=None, name=None), args=args[1:], kwargs=kwargs)
            return passes(place, args[0])

        with nn.intercept_methods(passed_over):
            return network.apply({"params": rest}, x, train=key is not None, rngs=_rngs(key))

    def before(rest: Any, x: Any, key: Any) -> Any:  # noqa: ANN401 - pytrees
        hidden: list[Any] = []

        def keep(place: int, value: Any) -> Any:  # noqa: ANN401 - an array
            if place == 0:
                hidden.append(value)
            return value

        run(rest, x, key, keep)
        return hidden[0]

    def block(own: Any, value: Any, key: Any) -> Any:  # noqa: ANN401 - pytrees
        return seen["block"].apply({"params": own}, value, *seen["args"], **seen["kwargs"], rngs=_rngs(key))

    def behind(rest: Any, value: Any, x: Any, key: Any) -> Any:  # noqa: ANN401 - pytrees
        return run(rest, x, key, lambda place, given: value if place == len(names) - 1 else given)

    return Apart(before, block, behind)


def _rngs(key: Any) -> dict[str, Any]:  # noqa: ANN401 - a random key or None
    return {} if key is None else {"dropout": key}


def _no_arrays(args: Any, kwargs: Any) -> None:  # noqa: ANN401 - pytrees
    """What a block is told beside its input must hold for every micro-batch alike."""
    if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves((args, kwargs))):
        raise ValueError(
            "a block that is given a second array -> expected one that is told only its input and plain values"
        )
