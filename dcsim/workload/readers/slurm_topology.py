"""Reader of Slurm's topology.conf (tree and block) and of the NodeName= lines of slurm.conf."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from dcsim.errors import Problem, TraceError
from dcsim.facility.network.slurm_conf import ConfEntry, SwitchTree, conf_entries
from dcsim.spec.cluster import ServerSpec
from dcsim.workload.readers.accelerator_names import AcceleratorNames
from dcsim.workload.readers.bounded import decoded, read_bounded
from dcsim.workload.readers.servers import (
    ImportedCluster,
    Node,
    cluster_of,
    equal_racks,
    named_racks,
    refused,
)

__all__ = ["read_slurm_cluster"]

CONF_BYTES_MAX = 16 * 2**20
"""A larger file is no configuration [B]."""

_KEYWORDS = ("switchname", "blockname", "nodename")
_GRES = re.compile(r"gpu(?::(?P<type>[A-Za-z][\w.\-]*))?(?::(?P<count>\d{1,4}))?(?:\([^()]*\))?\Z", re.ASCII)
_MIB = 2.0**20
_SHOWN = 50


@dataclass
class _Cluster:
    """What the files say so far."""

    names: AcceleratorNames
    switches: SwitchTree = field(default_factory=SwitchTree)
    nodes: dict[str, Node] = field(default_factory=dict)
    default: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[Problem]:
        """All that is wrong so far."""
        return self.switches.problems

    def refuse(self, entry: ConfEntry, path: str, got: str, expected: str, hint: str = "") -> None:
        self.switches.refuse(entry, path, got, expected, hint)


def read_slurm_cluster(
    path: Path, nodes: Path | None = None, *, accelerator_names: Mapping[str, str] | None = None
) -> ImportedCluster:
    """Return the cluster that Slurm's configuration describes.

    A leaf switch (`SwitchName=... Nodes=...`) or a block (`BlockName=... Nodes=...`) is a rack, in the
    order in which a walk down the tree meets them, so that neighbours stay neighbours. Servers are
    what `NodeName=` lines say: Gres gpu, CPUs (else sockets x cores x threads), RealMemory in MiB.
    Nodes that no switch names are put in racks of equal servers. Without any `NodeName=` line each node
    is a default CPU server.

    Args:
        path: topology.conf, or a file with `NodeName=` lines alone, or both in one.
        nodes: A second file with `NodeName=` lines, such as slurm.conf; other lines are passed over.
        accelerator_names: GPU type of Gres, or `gpu` where it has none, -> catalogue name.

    Source: topology.conf(5) and slurm.conf(5) of Slurm 24.05.

    Raises:
        TraceError: With every line that is malformed or contradicts another.
    """
    cluster = _Cluster(AcceleratorNames(accelerator_names))
    for file, strict in ((path, nodes is not None), (nodes, False)):
        if file is not None:
            text = decoded(read_bounded(file, bytes_max=CONF_BYTES_MAX), file)
            for entry in conf_entries(text, str(file), _KEYWORDS, cluster.problems, strict=strict):
                if "nodename" in entry.values:
                    _take_nodes(cluster, entry)
                else:
                    cluster.switches.take(entry)
    order = cluster.switches.walk()
    cluster.switches.check_nodes()
    _check_described(cluster)
    if not cluster.switches.leaves and not cluster.nodes and not cluster.problems:
        hint = "give topology.conf, and slurm.conf with --nodes"
        cluster.problems.append(
            Problem(str(path), None, "", "no SwitchName=, BlockName= or NodeName=", "some", hint)
        )
    if cluster.problems:
        raise TraceError(cluster.problems[:_SHOWN])
    return _built(cluster, order, path)


def _take_nodes(cluster: _Cluster, entry: ConfEntry) -> None:
    """Take the nodes of one NodeName= line, or the defaults of those below it."""
    if entry.values["nodename"].upper() == "DEFAULT":
        cluster.default |= dict(entry.values)
        return
    values = {**cluster.default, **entry.values}
    node = _node(cluster, entry, values)
    for name in cluster.switches.hosts(entry, "nodename"):
        if name in cluster.nodes:
            cluster.refuse(entry, "NodeName", name, "a node named once")
            break
        cluster.nodes[name] = node


def _node(cluster: _Cluster, entry: ConfEntry, values: Mapping[str, str]) -> Node:
    """Return what a NodeName= line says of each of its nodes."""

    def whole(key: str, default: int) -> int:
        text = values.get(key, str(default))
        if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) <= 10**9 and len(text) <= 10):
            cluster.refuse(entry, key, text, "a whole number > 0")
            return default
        return int(text)

    per_board = "socketsperboard" in values
    sockets = whole("boards", 1) * whole("socketsperboard", 1) if per_board else whole("sockets", 1)
    threads = sockets * whole("corespersocket", 1) * whole("threadspercore", 1)
    cores = whole("cpus", threads) if "cpus" in values else whole("procs", threads)
    gpus: dict[str, int] = {}
    for part in filter(None, re.split(r",(?![^()]*\))", values.get("gres", ""))):
        if part.split(":")[0].lower() != "gpu":
            continue
        found = _GRES.match(part)
        if found is None:
            cluster.refuse(entry, "Gres", part, "gpu:TYPE:COUNT, as in gpu:a100:8")
            continue
        label = found["type"] or "gpu"
        gpus[label] = gpus.get(label, 0) + int(found["count"] or 1)
    if len(gpus) > 1:
        cluster.refuse(entry, "Gres", values["gres"], "one type of GPU in a node")
    label, count = next(iter(gpus.items()), ("", 0))
    if count > 64:
        cluster.refuse(entry, "Gres", values["gres"], "at most 64 GPUs in a server")
    if label == "gpu" and not cluster.names.told("gpu"):
        hint = "say which it is: --accelerator gpu=A100-80"
        cluster.refuse(entry, "Gres", values["gres"], "a type, as in gpu:a100:8", hint)
        return Node("", 0, float(cores), whole("realmemory", 1) * _MIB)
    return Node(cluster.names.one(label) if count else "", count, float(cores), whole("realmemory", 1) * _MIB)


def _check_described(cluster: _Cluster) -> None:
    """Flag nodes of racks that no NodeName= line describes."""
    if not cluster.nodes:
        return
    for rack, members in cluster.switches.leaves.items():
        unknown = [name for name in members if name not in cluster.nodes]
        if unknown:
            more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
            hint = "give slurm.conf with --nodes" if len(unknown) == len(members) else ""
            expected = "nodes that a NodeName= line describes"
            entry = cluster.switches.lines[rack]
            cluster.refuse(entry, f"{rack}.Nodes", unknown[0] + more, expected, hint)


def _built(cluster: _Cluster, order: Sequence[str], path: Path) -> ImportedCluster:
    """Return the cluster of what was read."""
    notes = []
    standard = ServerSpec()
    plain = Node("", 0, standard.cpu_cores, standard.memory_bytes)
    if not cluster.nodes:
        notes.append("slurm: nothing says what the nodes are made of: each is a default CPU server")
    leaves = cluster.switches.leaves
    racks = {
        name: [cluster.nodes.get(node, plain) for node in leaves[name]] for name in order if name in leaves
    }
    placed = {node for members in leaves.values() for node in members}
    loose = [node for name, node in cluster.nodes.items() if name not in placed]
    if loose:
        where = "no switch names them" if racks else "there is no topology"
        notes.append(f"slurm: {len(loose)} nodes are put in racks of equal servers, 32 a rack: {where}")
    if cluster.switches.above:
        notes.append(
            "slurm: switches above the leaves are not kept; racks stand in the order of the tree"
            " (network: {topology: graph, graph: topology.conf} keeps them)"
        )
    try:
        specs = named_racks(racks) + equal_racks(loose)
    except ValidationError as error:
        raise refused(path, error) from None
    return ImportedCluster(cluster_of(path, specs), (*notes, *cluster.names.notes()))
