"""From the nodes that a cluster's own tools list to racks of equal servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from dcsim.errors import Problem, TraceError
from dcsim.spec.cluster import ClusterSpec, RackSpec, ServerSpec
from dcsim.spec.names import fold
from dcsim.workload.readers.accelerator_names import clean_name

__all__ = [
    "SERVERS_PER_RACK",
    "ImportedCluster",
    "Node",
    "cluster_of",
    "equal_racks",
    "named_racks",
    "refused",
]

SERVERS_PER_RACK = 32
"""Where a list of nodes says nothing of racks."""


class Node(NamedTuple):
    """What a server is made of; equal nodes are put together."""

    accelerator: str
    """Catalogue name, "" for none."""
    accelerators: int
    cpu_cores: float
    memory_bytes: float


class ImportedCluster(NamedTuple):
    """A cluster, and what had to be assumed of it."""

    cluster: ClusterSpec
    notes: tuple[str, ...]


def equal_racks(nodes: Iterable[Node], servers_per_rack: int = SERVERS_PER_RACK) -> list[RackSpec]:
    """Return nodes of unknown place in racks of equal servers, kinds in order of first appearance.

    The last rack of a kind holds what is left.

    >>> [rack.count for rack in equal_racks([Node("", 0, 8.0, 2.0**30)] * 5, 2)]
    [2, 1]
    """
    if servers_per_rack < 1:
        raise ValueError(f"servers_per_rack: {servers_per_rack} -> expected an integer >= 1")
    racks: list[RackSpec] = []
    for node, count in _kinds(nodes).items():
        name = clean_name(f"{_kind_name(node)}-{node.memory_bytes / 2**30:g}g")
        full, left = divmod(count, servers_per_rack)
        if full:
            servers = (_server(node, min(count, servers_per_rack)),)
            racks.append(RackSpec(name=name, count=full, servers=servers))
        if left:
            racks.append(RackSpec(name=f"{name}-rest" if full else name, servers=(_server(node, left),)))
    return racks


def named_racks(nodes: Mapping[str, Sequence[Node]]) -> list[RackSpec]:
    """Return one rack for each name, in the order given; equal nodes of a rack become one entry.

    Names become such as a scenario takes; those that are then alike are numbered.

    >>> [rack.name for rack in named_racks({"row 1": [Node("", 0, 8.0, 2.0**30)]})]
    ['row-1']
    """
    racks: list[RackSpec] = []
    used: set[str] = set()
    for label, members in nodes.items():
        name = first = clean_name(label, otherwise="rack")
        number = 1
        while fold(name) in used:
            number += 1
            name = f"{first[:90]}-{number}"
        used.add(fold(name))
        servers = tuple(_server(node, count) for node, count in _kinds(members).items())
        racks.append(RackSpec(name=name, servers=servers))
    return racks


def cluster_of(path: Path, racks: Iterable[RackSpec]) -> ClusterSpec:
    """Return the cluster of some racks.

    Raises:
        TraceError: What a cluster cannot have: no racks, racks alike but for case, too many servers.
    """
    try:
        return ClusterSpec(racks=tuple(racks))
    except ValidationError as error:
        raise refused(path, error) from None


def refused(path: Path, error: ValidationError) -> TraceError:
    """Return the error of nodes that no server of a scenario can be: 1,000 GPUs, no cores."""
    return TraceError(
        [
            Problem(str(path), None, ".".join(map(str, e["loc"])), repr(e["input"])[:80], e["msg"])
            for e in error.errors(include_url=False)
        ]
    )


def _kinds(nodes: Iterable[Node]) -> dict[Node, int]:
    """Return how many nodes there are of each kind, in order of first appearance."""
    kinds: dict[Node, int] = {}
    for node in nodes:
        kinds[node] = kinds.get(node, 0) + 1
    return kinds


def _kind_name(node: Node) -> str:
    return f"{node.accelerator or 'cpu'}-{node.accelerators}x-{node.cpu_cores:g}c"


def _server(node: Node, count: int) -> ServerSpec:
    """Return `count` servers; their power, which no list says, is the default server's by cores."""
    standard = ServerSpec()
    scale = node.cpu_cores / standard.cpu_cores
    return ServerSpec(
        count=count,
        accelerator=node.accelerator or None,
        accelerators=node.accelerators,
        cpu_cores=node.cpu_cores,
        memory_bytes=node.memory_bytes,
        idle_power_w=standard.idle_power_w * scale,
        peak_power_w=standard.peak_power_w * scale,
        sleep_power_w=standard.sleep_power_w * scale,
    )
