"""A network from Slurm's topology.conf: each switch has one uplink, blocks are joined level by level."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dcsim.errors import Problem, ScenarioError
from dcsim.facility.network.slurm_conf import SwitchTree, conf_entries
from dcsim.facility.network.wiring import NO_LINK, Wiring
from dcsim.spec.network import NetworkSpec

__all__ = ["wire_slurm"]

_SHOWN = 50
_KEYWORDS = ("switchname", "blockname", "nodename", "blocksizes")


def wire_slurm(spec: NetworkSpec, text: str, path: str, servers: int, file: str) -> Wiring:
    """Return the links of servers, in the order in which a walk down the tree meets their nodes, and of switches.

    That is the order in which `dcsim import` lists them. The uplink of a switch carries what comes from
    below divided by the oversubscription of its level; blocks are joined by the levels of BlockSizes= and, in the
    end, by one switch. Storage is at the top.

    Source: topology.conf(5) of Slurm 24.05.

    Args:
        spec: bandwidths and oversubscription.
        text: of the file.
        path: shown in problems.
        servers: S.
        file: of the scenario, shown in problems.

    Raises:
        ScenarioError: with all lines that are malformed or contradict others, several trees, or another
            number of nodes.
    """
    tree = SwitchTree()
    sizes: list[int] = []
    for entry in conf_entries(text, path, _KEYWORDS, tree.problems, strict=True):
        if "blocksizes" in entry.values:
            sizes += _block_sizes(tree.problems, path, entry.line, entry.values["blocksizes"])
        elif "nodename" not in entry.values:
            tree.take(entry)
    blocks = [name for name, entry in tree.lines.items() if "blockname" in entry.values]
    _join_blocks(tree, blocks, sizes)
    order = tree.walk()
    tree.check_nodes()
    nodes = [node for name in order for node in tree.leaves.get(name, ())]
    if not tree.lines and not tree.problems:
        expected = "SwitchName= or BlockName= lines"
        tree.problems.append(Problem(path, None, "", "no switches", expected))
    roots = [name for name in order if name not in tree.parent]
    if len(roots) > 1:
        got = f"{len(roots)} trees, under {', '.join(roots[:5])}"
        hint = "add a switch above them all: SwitchName=top Switches=..."
        tree.problems.append(Problem(path, None, "", got, "one tree", hint))
    if len(nodes) != servers and not tree.problems:
        got, expected = f"{len(nodes):,} nodes", f"as many as the cluster has servers ({servers:,})"
        hint = "import the cluster from the same file: dcsim import slurm"
        tree.problems.append(Problem(path, None, "", got, expected, hint))
    if tree.problems:
        raise ScenarioError(tree.problems[:_SHOWN])
    return _wired(spec, tree, order, file)


def _block_sizes(problems: list[Problem], path: str, line: int, text: str) -> list[int]:
    """Return the sizes of BlockSizes=, of which each must be a multiple of the one before."""
    parts = text.split(",")
    if all(part.isascii() and part.isdigit() and 0 < len(part) <= 7 for part in parts):
        sizes = [int(part) for part in parts]
        if sizes[0] > 0 and all(b > a and b % a == 0 for a, b in pairwise(sizes)):
            return sizes
    problems.append(Problem(path, line, "BlockSizes", text[:100], "ascending numbers, as in 4,8,16"))
    return []


def _join_blocks(tree: SwitchTree, blocks: list[str], sizes: list[int]) -> None:
    """Put as many blocks under one switch as each size is of the first, and in the end all under one."""
    if not blocks:
        return
    below, joined = blocks, 1
    for size in sizes[1:]:
        each = size // sizes[0] // joined
        joined *= each
        groups = [below[i : i + each] for i in range(0, len(below), each)]
        below = [_switch_over(tree, blocks[0], f"blocks of {size} #{i}", g) for i, g in enumerate(groups)]
    if len(below) > 1:
        _switch_over(tree, blocks[0], "all blocks", below)


def _switch_over(tree: SwitchTree, block: str, name: str, below: list[str]) -> str:
    tree.lines[name] = tree.lines[block]  # where problems of it would be shown
    tree.above[name] = tuple(below)
    return name


def _wired(spec: NetworkSpec, tree: SwitchTree, order: list[str], file: str) -> Wiring:
    """Return the links: servers up and down, then switches up and down."""
    number = {name: router for router, name in enumerate(order)}
    wiring = Wiring(len(order), len(order))
    at = [number[name] for name in order for _ in tree.leaves.get(name, ())]
    bandwidth = spec.server_bandwidth_bytes_per_s
    up = wiring.lay("server", [f"server {s} up" for s in range(len(at))], bandwidth)
    down = wiring.lay("server", [f"server {s} down" for s in range(len(at))], bandwidth)
    wiring.attach(at, up, down)

    level, uplink = _uplinks(spec, tree, order, file)
    low = [name for name in order if name in tree.parent]
    tiers = ["leaf" if level[name] == 1 else f"level {level[name]}" for name in low]
    capacity = [uplink[name] for name in low]
    child = np.array([number[name] for name in low], dtype=np.int64)
    parent = np.array([number[tree.parent[name]] for name in low], dtype=np.int64)
    wiring.join(wiring.lay(tiers, [f"{name} up" for name in low], capacity), child, parent)
    wiring.join(wiring.lay(tiers, [f"{name} down" for name in low], capacity), parent, child)
    wiring.storage = [((0, NO_LINK, NO_LINK),)]  # the walk begins at the top
    return wiring


def _uplinks(
    spec: NetworkSpec, tree: SwitchTree, order: list[str], file: str
) -> tuple[dict[str, int], dict[str, float]]:
    """Return the level of each switch (leaves: 1) and the bandwidth of its uplink in bytes/s."""
    level: dict[str, int] = {}
    uplink: dict[str, float] = {}
    given = spec.level_oversubscription or (spec.oversubscription,)
    for name in reversed(order):
        below = tree.above.get(name, ())
        level[name] = 1 + max((level[child] for child in below), default=0)
        from_below = len(tree.leaves.get(name, ())) * spec.server_bandwidth_bytes_per_s
        from_below += sum(uplink[child] for child in below)
        uplink[name] = from_below / (given[level[name] - 1] if level[name] <= len(given) else 1.0)
    levels = level[order[0]] - 1
    if len(spec.level_oversubscription) > max(levels, 0):
        got = f"{len(spec.level_oversubscription)} levels"
        expected = f"at most {levels}, the levels of {spec.graph} below the top"
        place = "network.level_oversubscription"
        raise ScenarioError([Problem(file, None, place, got, expected)])
    return level, uplink
