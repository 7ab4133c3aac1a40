"""A network from a file: node-link JSON as networkx writes it, or Slurm's topology.conf."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dcsim.errors import InputError, Problem, ScenarioError, SeriesError
from dcsim.facility.network.node_link import GraphLink, NodeLinkGraph, read_node_link
from dcsim.facility.network.slurm_tree import wire_slurm
from dcsim.facility.network.wiring import NO_LINK, Attachment, Wiring
from dcsim.facility.series_file import read_text
from dcsim.spec.names import nearest
from dcsim.spec.network import NetworkSpec

__all__ = ["wire_graph"]

_SHOWN = 20


def wire_graph(
    spec: NetworkSpec, graph: str, servers: int, *, base_dir: Path, names: Sequence[str], file: str
) -> Wiring:
    """Return the links of a file: JSON where its first character is a brace, else Slurm's.

    Server nodes of a JSON graph are those of the cluster that have their names; where no name is known, in
    their order. Servers and storage pass nothing on unless they say `forwards`.

    Args:
        spec: bandwidths, for a topology.conf.
        graph: path relative to the scenario.
        servers: S.
        base_dir: folder of the scenario.
        names: (S,) of the cluster's servers, or none.
        file: of the scenario, shown in problems.

    Raises:
        ScenarioError: the file cannot be read or used, with every problem found; servers or storage out of reach.
    """
    from dcsim.spec import resolve_data_path

    try:
        path = resolve_data_path(base_dir, graph)
    except InputError as error:
        raise ScenarioError(
            [Problem(file, None, "network.graph", p.got, p.expected, p.hint) for p in error.problems]
        ) from None
    try:
        text = read_text(path, what="a graph or a topology.conf")
    except SeriesError as error:
        raise ScenarioError(error.problems) from None
    if not text.lstrip().startswith(("{", "[")):
        return wire_slurm(spec, text, str(path), servers, file)
    if spec.level_oversubscription:
        place, hint = "network.level_oversubscription", "the file has a bandwidth for each link"
        raise ScenarioError([Problem(file, None, place, "given", "nothing with a JSON graph", hint)])
    read = read_node_link(text, str(path))
    problems = list(_unreached(read, str(path)))
    order = _servers(read, servers, names, str(path), problems)
    if problems:
        raise ScenarioError(problems[:_SHOWN])
    return _wired(spec, read, order)


def _servers(
    graph: NodeLinkGraph, servers: int, names: Sequence[str], path: str, problems: list[Problem]
) -> list[int]:
    """Return the node of each server of the cluster."""
    nodes = [place for place, node in enumerate(graph.nodes) if node.kind == "server"]
    place_of = {graph.nodes[place].name: place for place in nodes}
    if any(name in place_of for name in names):
        missing = [name for name in names if name not in place_of]
        for name in missing[:_SHOWN]:
            hint = nearest(name, list(place_of)[:10_000])
            problems.append(Problem(path, None, "nodes", f"no server {name!r}", "all of the cluster", hint))
        return [place_of.get(name, 0) for name in names]
    if len(nodes) != servers:
        got = f"{len(nodes):,} nodes of kind server"
        expected = f"as many as the cluster has servers ({servers:,})"
        hint = "or give nodes the names of servers (rack/0, rack/1, ...)"
        problems.append(Problem(path, None, "nodes", got, expected, hint))
    return nodes


def _unreached(graph: NodeLinkGraph, path: str) -> Iterable[Problem]:
    """Yield the servers and storage nodes that the others cannot reach, or that cannot reach them."""
    ends = [place for place, node in enumerate(graph.nodes) if node.kind != "switch"]
    kinds = [graph.nodes[place].kind for place in ends]
    for kind in ("server", "storage"):
        if kind not in kinds:
            hint = 'add {"id": ..., "kind": "storage"} and its links' if kind == "storage" else ""
            yield Problem(path, None, "nodes", f"no node of kind {kind}", "at least one", hint)
    if not ends:
        return
    start = next((place for place in ends if graph.nodes[place].kind == "server"), ends[0])
    inside = _in_reach(graph, ends, start)
    other = next((place for place in ends if place not in inside), start)
    inside = max(inside, _in_reach(graph, ends, other), key=len)  # the first server may be the odd one out
    outside = [place for place in ends if place not in inside]
    for index, place in enumerate(outside[:_SHOWN], start=1):
        node = graph.nodes[place]
        more = f", and {len(outside) - _SHOWN} more" if index == _SHOWN < len(outside) else ""
        got = f"{node.kind} {node.name!r} out of reach{more}"
        expected = f"a way to and from {graph.nodes[next(iter(inside))].name!r} over switches"
        hint = 'a node that passes traffic on says `"forwards": true`'
        yield Problem(path, None, f"nodes.{place}", got, expected, hint)


def _in_reach(graph: NodeLinkGraph, ends: Sequence[int], start: int) -> dict[int, None]:
    """Return those of the ends that one can send to and hear from."""
    both = _reach(graph, start, forwards=True) & _reach(graph, start, forwards=False)
    return dict.fromkeys(place for place in ends if place in both)


def _reach(graph: NodeLinkGraph, start: int, *, forwards: bool) -> set[int]:
    """Return the nodes that can be reached from one, or from which it can be."""
    following: list[list[int]] = [[] for _ in graph.nodes]
    for link in graph.links:
        a, b = (link.source, link.target) if forwards else (link.target, link.source)
        following[a].append(b)
    seen = {start}
    pending = [start]
    while pending:
        node = pending.pop()
        if node != start and not graph.nodes[node].forwards:
            continue
        fresh = [after for after in following[node] if after not in seen]
        seen.update(fresh)
        pending += fresh
    return seen


def _wired(spec: NetworkSpec, graph: NodeLinkGraph, order: Sequence[int]) -> Wiring:
    """Return the wiring: switches are routers, and so are other nodes that are joined with each other."""
    nodes = graph.nodes
    touching: list[list[tuple[int, GraphLink]]] = [[] for _ in nodes]
    for number, link in enumerate(graph.links):
        touching[link.source].append((number, link))
        touching[link.target].append((number, link))
    attached = {}
    for place, node in enumerate(nodes):
        if node.kind != "switch" and not node.forwards:
            attachments = _attachments(graph, place, touching[place])
            if attachments is not None:
                attached[place] = attachments
    router = {place: number for number, place in enumerate(p for p in range(len(nodes)) if p not in attached)}
    wiring = Wiring(len(router), sum(node.kind == "switch" for node in nodes))
    for place, number in router.items():
        wiring.transit[number] = nodes[place].forwards
    links = graph.links
    wiring.lay(
        [link.tier for link in links],
        [link.name for link in links],
        [link.bandwidth_bytes_per_s for link in links],
    )
    edges = [n for n, link in enumerate(links) if link.source in router and link.target in router]
    ends = [(router[links[n].source], router[links[n].target]) for n in edges]
    source, target = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    wiring.join(edges, source, target)
    if any(link.latency_s is not None for link in links):
        other = spec.hop_latency_s or 0.0
        wiring.latency_s = [other if link.latency_s is None else link.latency_s for link in links]

    def ends_of(place: int) -> tuple[Attachment, ...]:
        if place in attached:
            return tuple((router[at], up, down) for at, up, down in attached[place])
        return ((router[place], NO_LINK, NO_LINK),)

    wiring.planes = [[ends_of(place) for place in order]]
    wiring.storage = [ends_of(place) for place, node in enumerate(nodes) if node.kind == "storage"]
    return wiring


def _attachments(
    graph: NodeLinkGraph, place: int, touching: Sequence[tuple[int, GraphLink]]
) -> list[Attachment] | None:
    """Return (node, link to it, link from it) where a node has pairs of links to switches only; else None."""
    up: dict[int, list[int]] = {}
    down: dict[int, list[int]] = {}
    for number, link in touching:
        other = link.target if link.source == place else link.source
        if graph.nodes[other].kind != "switch":
            return None
        (up if link.source == place else down).setdefault(other, []).append(number)
    if {other: len(links) for other, links in up.items()} != {o: len(links) for o, links in down.items()}:
        return None
    return [(other, a, b) for other, links in up.items() for a, b in zip(links, down[other], strict=True)]
