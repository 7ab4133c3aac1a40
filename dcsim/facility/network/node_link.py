"""Graphs as networkx writes them (node-link JSON), read with every problem at once.

    {"directed": false, "multigraph": false,
     "nodes": [{"id": 0, "kind": "server", "name": "a"}, {"id": 1, "kind": "switch"}, ...],
     "links": [{"source": 0, "target": 1, "bandwidth": "400 Gbit/s", "latency": "1 us"}, ...]}

Format: networkx.node_link_data of networkx 3; `edges` is taken for `links`, as its newer releases write.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dcsim.errors import Problem, ScenarioError
from dcsim.spec.names import nearest
from dcsim.spec.strict_json import strict_json
from dcsim.units import Quantity, QuantityError, parse_quantity

__all__ = ["KINDS", "GraphLink", "GraphNode", "NodeLinkGraph", "read_node_link"]

KINDS = ("server", "switch", "storage")
"""What a node may be."""

_NODES_MAX = 1_000_000
_LINKS_MAX = 4_000_000
_SHOWN = 50
_NODE_KEYS = ("id", "kind", "name", "forwards")
_LINK_KEYS = ("source", "target", "bandwidth", "latency", "tier", "key")
_MOST = {Quantity.BANDWIDTH: 1e21, Quantity.DURATION: 10.0}


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One server, switch or storage node."""

    kind: str
    name: str
    """Unique."""
    forwards: bool
    """Whether it passes on what is not for it: switches do."""


@dataclass(frozen=True, slots=True)
class GraphLink:
    """One direction of one link."""

    name: str
    """Unique."""
    source: int
    """Place of its node."""
    target: int
    bandwidth_bytes_per_s: float
    latency_s: float | None
    tier: str


@dataclass
class NodeLinkGraph:
    """Nodes and directed links in the order of the file."""

    nodes: list[GraphNode] = field(default_factory=list)
    links: list[GraphLink] = field(default_factory=list)


@dataclass
class _Reading:
    """What has been read, and what was wrong with it."""

    file: str
    graph: NodeLinkGraph = field(default_factory=NodeLinkGraph)
    place: dict[object, int] = field(default_factory=dict)
    """Id -> place of its node."""
    names: dict[str, int] = field(default_factory=dict)
    link_names: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, path: str, got: object, expected: str, hint: str = "") -> None:
        """Note one problem, the first fifty of them."""
        if len(self.problems) < _SHOWN:
            text = got if isinstance(got, str) else repr(got)
            self.problems.append(Problem(self.file, None, path, text[:100], expected, hint))


def read_node_link(text: str, file: str) -> NodeLinkGraph:
    """Return the graph of a node-link document.

    Args:
        text: JSON.
        file: shown in problems.

    Raises:
        ScenarioError: with every node and link that cannot be used.
    """
    record = strict_json(text, file, error=ScenarioError)
    reading = _Reading(file)
    if not isinstance(record, dict):
        reading.refuse("", _kind_of(record), "a mapping with nodes and links", "networkx.node_link_data")
        raise ScenarioError(reading.problems)
    parts = _parts(reading, record)
    if not reading.problems:
        for index, node in enumerate(parts.nodes):
            _take_node(reading, index, node)
        for index, link in enumerate(parts.links):
            _take_link(reading, index, link, directed=parts.directed, parallel=parts.multigraph)
    if reading.problems:
        raise ScenarioError(reading.problems)
    return reading.graph


class _Parts(NamedTuple):
    """Lists and flags, once they have been looked at."""

    nodes: Any
    links: Any
    directed: Any
    multigraph: Any


def _parts(reading: _Reading, record: Mapping[str, Any]) -> _Parts:
    """Return what the document is made of, with the problems of it noted."""
    parts = _Parts(
        record.get("nodes", ()),
        record.get("links", record.get("edges", ())),
        record.get("directed", False),
        record.get("multigraph", False),
    )
    for key, value, most in (("nodes", parts.nodes, _NODES_MAX), ("links", parts.links, _LINKS_MAX)):
        if not isinstance(value, list):
            got = "missing" if value == () else _kind_of(value)
            reading.refuse(key, got, "a list", nearest(key, record) if key not in record else "")
        elif len(value) > most:
            reading.refuse(key, f"{len(value):,} items", f"at most {most:,}")
    for key, flag in (("directed", parts.directed), ("multigraph", parts.multigraph)):
        if not isinstance(flag, bool):
            reading.refuse(key, repr(flag), "true or false")
    return parts


def _take_node(reading: _Reading, index: int, node: object) -> None:
    path = f"nodes.{index}"
    if not isinstance(node, dict):
        reading.refuse(path, _kind_of(node), "a mapping with id and kind")
        return
    _refuse_slips(reading, path, node, _NODE_KEYS)
    ident, kind = node.get("id"), node.get("kind")
    if isinstance(ident, bool) or not isinstance(ident, int | str):
        reading.refuse(f"{path}.id", _shown(node, "id"), "a whole number or text")
        return
    if ident in reading.place:
        hint = f"it is that of nodes.{reading.place[ident]}"
        reading.refuse(f"{path}.id", repr(ident), "an id of its own", hint)
        return
    if kind not in KINDS:
        hint = nearest(kind, KINDS) if isinstance(kind, str) else ""
        reading.refuse(f"{path}.kind", _shown(node, "kind"), f"one of {', '.join(KINDS)}", hint)
        kind = "switch"
    name = node.get("name", str(ident))
    if not isinstance(name, str) or not 0 < len(name) <= 100:
        reading.refuse(f"{path}.name", name, "text of 1 to 100 characters")
        name = str(ident)[:100]
    elif name in reading.names:
        hint = f"it is that of nodes.{reading.names[name]}"
        reading.refuse(f"{path}.name", name, "a name of its own", hint)
    forwards = node.get("forwards", kind == "switch")
    if not isinstance(forwards, bool):
        reading.refuse(f"{path}.forwards", forwards, "true or false")
    reading.place[ident] = len(reading.graph.nodes)
    reading.names.setdefault(name, index)
    reading.graph.nodes.append(GraphNode(kind, name, bool(forwards)))


def _take_link(reading: _Reading, index: int, link: object, *, directed: bool, parallel: bool) -> None:
    path = f"links.{index}"
    if not isinstance(link, dict):
        reading.refuse(path, _kind_of(link), "a mapping with source, target and bandwidth")
        return
    _refuse_slips(reading, path, link, _LINK_KEYS)
    source, target = _end(reading, path, link, "source"), _end(reading, path, link, "target")
    bandwidth = _quantity(reading, path, link, "bandwidth", Quantity.BANDWIDTH)
    latency = _quantity(reading, path, link, "latency", Quantity.DURATION) if "latency" in link else None
    if source is None or target is None or bandwidth is None:
        return
    nodes = reading.graph.nodes
    if source == target:
        reading.refuse(path, f"a link from {nodes[source].name!r} to itself", "two nodes")
        return
    tier = link.get("tier", _tier(nodes[source].kind, nodes[target].kind))
    if not isinstance(tier, str) or not 0 < len(tier) <= 40:
        reading.refuse(f"{path}.tier", tier, "text of 1 to 40 characters")
        return
    for a, b in ((source, target),) if directed else ((source, target), (target, source)):
        name = f"{nodes[a].name} to {nodes[b].name}"
        count = reading.link_names[name] = reading.link_names.get(name, 0) + 1
        if count > 1 and not parallel:
            hint = 'for links side by side write `"multigraph": true`'
            reading.refuse(path, f"a second link from {name}", "one link between two nodes", hint)
            return
        label = name if count == 1 else f"{name} #{count}"
        reading.graph.links.append(GraphLink(label, a, b, bandwidth, latency, tier))


def _end(reading: _Reading, path: str, link: Mapping[str, Any], key: str) -> int | None:
    """Return the place of a node that a link names, None with the problem noted."""
    given = link.get(key)
    place = reading.place.get(given) if isinstance(given, int | str) else None
    if place is None:
        known = [ident for ident in reading.place if isinstance(ident, str)][:10_000]
        hint = nearest(given, known) if isinstance(given, str) and len(reading.problems) < _SHOWN else ""
        reading.refuse(f"{path}.{key}", _shown(link, key), "the id of a node", hint)
    return place


def _quantity(
    reading: _Reading, path: str, link: Mapping[str, Any], key: str, quantity: Quantity
) -> float | None:
    """Return a bandwidth > 0 or a latency >= 0 in SI, None with the problem noted."""
    if key not in link:
        reading.refuse(f"{path}.{key}", "missing", 'text with a unit ("400 Gbit/s"), or bytes/s')
        return None
    try:
        value = parse_quantity(link[key], quantity)
    except QuantityError as error:
        reading.refuse(f"{path}.{key}", error.got, error.expected, error.hint)
        return None
    most = _MOST[quantity]
    if not (0.0 <= value <= most and (value > 0.0 or quantity is Quantity.DURATION)):
        unit = "bytes/s" if quantity is Quantity.BANDWIDTH else "s"
        least = "> 0" if quantity is Quantity.BANDWIDTH else ">= 0"
        reading.refuse(f"{path}.{key}", link[key], f"{least} and <= {most:g} {unit}")
        return None
    return value


def _refuse_slips(reading: _Reading, path: str, record: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse keys that are nearly those we know; graphs carry other attributes, which are passed over."""
    for key in record:
        if key in known:
            continue
        close = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.75)
        if close and close[0] not in record:
            reading.refuse(f"{path}.{key}"[:100], "an unknown field", close[0], f"did you mean {close[0]!r}?")


def _tier(source: str, target: str) -> str:
    for kind in ("storage", "server"):
        if kind in {source, target}:
            return kind
    return "switch"


def _shown(record: Mapping[str, Any], key: str) -> str:
    return repr(record[key]) if key in record else "missing"


def _kind_of(value: object) -> str:
    kinds = ((dict, "a mapping"), (list, "a list"), (str, "text"), (bool, "true or false"))
    return next(
        (name for kind, name in kinds if isinstance(value, kind)), "nothing" if value is None else "a number"
    )
