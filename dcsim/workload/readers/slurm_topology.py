"""Reader of Slurm's topology.conf (tree and block) and of the NodeName= lines of slurm.conf."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from dcsim.errors import Problem, TraceError
from dcsim.spec.cluster import ServerSpec
from dcsim.workload.readers.accelerator_names import AcceleratorNames
from dcsim.workload.readers.bounded import decoded, numbered_lines, read_bounded
from dcsim.workload.readers.hostlist import HOSTS_MAX, HostlistError, expand_hosts
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
_PAIR = re.compile(r'([A-Za-z]\w*)=("[^"]*"|[^\s"]+)', re.ASCII)
_MIB = 2.0**20
_SHOWN = 50


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of a configuration: `Key=value` pairs by lower-case key."""

    file: str
    line: int
    values: Mapping[str, str]


@dataclass
class _Cluster:
    """What the files say so far."""

    names: AcceleratorNames
    racks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Leaf switch or block -> its nodes."""
    above: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Switch -> switches below it."""
    nodes: dict[str, Node] = field(default_factory=dict)
    default: dict[str, str] = field(default_factory=dict)
    lines: dict[str, _Entry] = field(default_factory=dict)
    """Line of each switch and block."""
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, entry: _Entry, path: str, got: str, expected: str, hint: str = "") -> None:
        self.problems.append(Problem(entry.file, entry.line, path, got[:100], expected, hint))

    def hosts(self, entry: _Entry, key: str) -> tuple[str, ...]:
        """Return the names of a host list, none where it is malformed."""
        try:
            return expand_hosts(entry.values.get(key, ""), hosts_max=HOSTS_MAX)
        except HostlistError as error:
            self.refuse(entry, key, error.got, error.expected)
            return ()


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
            for entry in _entries(cluster, file, strict=strict):
                _take(cluster, entry)
    order = _walk(cluster)
    _check_racks(cluster)
    if not cluster.racks and not cluster.nodes and not cluster.problems:
        hint = "give topology.conf, and slurm.conf with --nodes"
        cluster.problems.append(
            Problem(str(path), None, "", "no SwitchName=, BlockName= or NodeName=", "some", hint)
        )
    if cluster.problems:
        raise TraceError(cluster.problems[:_SHOWN])
    return _built(cluster, order, path)


def _entries(cluster: _Cluster, path: Path, *, strict: bool) -> Iterator[_Entry]:
    """Yield the lines that speak of switches, blocks and nodes; `strict`: others are a problem."""
    text = decoded(read_bounded(path, bytes_max=CONF_BYTES_MAX), path)
    for number, line in _joined(text):
        words = line.split()
        if words[0].lower() == "include":
            hint = "paste what it names in its place"
            problem = Problem(str(path), number, "Include", line[:100], "one file without Include", hint)
            cluster.problems.append(problem)
            continue
        key = words[0].partition("=")[0].lower()
        if key not in _KEYWORDS:
            if strict and key not in {"blocksizes", "topologyparam"}:
                expected = "a line that starts with SwitchName=, BlockName= or NodeName="
                cluster.problems.append(Problem(str(path), number, "", words[0][:100], expected))
            continue
        values: dict[str, str] = {}
        for name, value in _PAIR.findall(line):
            if name.lower() in values:
                cluster.problems.append(Problem(str(path), number, name, "given twice", "each key once"))
            values[name.lower()] = value.strip('"')
        for word in _PAIR.sub("", line).split()[:3]:
            expected = "pairs Key=value without blanks in the value"
            cluster.problems.append(Problem(str(path), number, "", word[:100], expected))
        if key in values:
            yield _Entry(str(path), number, values)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    r"""Yield (first line, text) of lines joined where they end in a backslash, comments gone.

    >>> list(_joined("a=1 \\\n b=2 # c\n\nd=3"))
    [(1, 'a=1  b=2'), (4, 'd=3')]
    """
    start = 0
    parts: list[str] = []
    for number, raw in numbered_lines(text):
        line = re.sub(r"(?<!\\)#.*", "", raw).rstrip()
        start = start or number
        # A list of nodes may go on in the next line, indented.
        after_comma = bool(parts) and parts[-1].endswith(",")
        parts.append((line.lstrip() if after_comma else line).removesuffix("\\"))
        if line.endswith("\\"):
            continue
        joined = "".join(parts).strip()
        if joined:
            yield start, joined
        start, parts = 0, []
    if "".join(parts).strip():
        yield start, "".join(parts).strip()


def _take(cluster: _Cluster, entry: _Entry) -> None:
    """Take one line into the cluster."""
    if "nodename" in entry.values:
        _take_nodes(cluster, entry)
        return
    key = "switchname" if "switchname" in entry.values else "blockname"
    name = entry.values[key]
    if name in cluster.lines:
        cluster.refuse(
            entry, key, name, "a name used once", f"it is in line {cluster.lines[name].line} already"
        )
        return
    cluster.lines[name] = entry
    below = [part for part in ("nodes", "switches") if part in entry.values]
    if len(below) != 1:
        cluster.refuse(entry, name, " and ".join(below) or "neither", "either Nodes= or Switches=")
    elif below[0] == "nodes":
        cluster.racks[name] = cluster.hosts(entry, "nodes")
    else:
        cluster.above[name] = cluster.hosts(entry, "switches")


def _take_nodes(cluster: _Cluster, entry: _Entry) -> None:
    """Take the nodes of one NodeName= line, or the defaults of those below it."""
    if entry.values["nodename"].upper() == "DEFAULT":
        cluster.default |= dict(entry.values)
        return
    values = {**cluster.default, **entry.values}
    node = _node(cluster, entry, values)
    for name in cluster.hosts(entry, "nodename"):
        if name in cluster.nodes:
            cluster.refuse(entry, "NodeName", name, "a node named once")
            break
        cluster.nodes[name] = node


def _node(cluster: _Cluster, entry: _Entry, values: Mapping[str, str]) -> Node:
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


def _walk(cluster: _Cluster) -> list[str]:
    """Return the racks as a walk down the tree meets them; switches unknown, twice or in a circle are problems."""
    parent: dict[str, str] = {}
    for name, below in cluster.above.items():
        for child in below:
            entry = cluster.lines[name]
            if child not in cluster.lines:
                cluster.refuse(entry, f"{name}.Switches", child, "a switch of this file")
            elif child in parent:
                cluster.refuse(
                    entry,
                    f"{name}.Switches",
                    child,
                    "a switch below one other",
                    f"it is below {parent[child]}",
                )
            parent.setdefault(child, name)
    order: list[str] = []
    seen: set[str] = set()
    stack = [name for name in reversed(cluster.lines) if name not in parent]
    while stack:
        name = stack.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in cluster.racks:
            order.append(name)
        stack += reversed([child for child in cluster.above.get(name, ()) if child in cluster.lines])
    for name, entry in cluster.lines.items():
        if name not in seen:
            cluster.refuse(entry, name, "a circle of switches", "a tree")
    return order


def _check_racks(cluster: _Cluster) -> None:
    """Flag nodes of two racks, and nodes that no NodeName= line describes."""
    rack_of: dict[str, str] = {}
    for rack, members in cluster.racks.items():
        entry = cluster.lines[rack]
        for name in members:
            if name in rack_of:
                cluster.refuse(
                    entry, f"{rack}.Nodes", name, "a node of one rack", f"it is in {rack_of[name]}"
                )
            rack_of[name] = rack
        unknown = [name for name in members if name not in cluster.nodes] if cluster.nodes else []
        if unknown:
            more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
            hint = "give slurm.conf with --nodes" if len(unknown) == len(members) else ""
            cluster.refuse(
                entry, f"{rack}.Nodes", unknown[0] + more, "nodes that a NodeName= line describes", hint
            )


def _built(cluster: _Cluster, order: Sequence[str], path: Path) -> ImportedCluster:
    """Return the cluster of what was read."""
    notes = []
    standard = ServerSpec()
    plain = Node("", 0, standard.cpu_cores, standard.memory_bytes)
    if not cluster.nodes:
        notes.append("slurm: nothing says what the nodes are made of: each is a default CPU server")
    racks = {name: [cluster.nodes.get(node, plain) for node in cluster.racks[name]] for name in order}
    placed = {node for members in cluster.racks.values() for node in members}
    loose = [node for name, node in cluster.nodes.items() if name not in placed]
    if loose:
        where = "no switch names them" if racks else "there is no topology"
        notes.append(f"slurm: {len(loose)} nodes are put in racks of equal servers, 32 a rack: {where}")
    if cluster.above:
        notes.append("slurm: switches above the leaves are not kept; racks stand in the order of the tree")
    try:
        specs = named_racks(racks) + equal_racks(loose)
    except ValidationError as error:
        raise refused(path, error) from None
    return ImportedCluster(cluster_of(path, specs), (*notes, *cluster.names.notes()))
