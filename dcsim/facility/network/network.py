"""The network: its links, and which of them traffic crosses between servers, and to and from storage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, ScenarioError, UnreachableError
from dcsim.facility.network.build import wire
from dcsim.facility.network.events import LinkEvent, link_events
from dcsim.facility.network.routing import Route, Routes, flow_hash
from dcsim.facility.network.tree import Tree
from dcsim.facility.network.wiring import Attachment, Wiring
from dcsim.spec.network import NetworkSpec, Routing
from dcsim.spec.network_size import room_issues

__all__ = ["Network"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_TIERS = {"star": 1, "fat_tree": 2, "k_ary_fat_tree": 3, "rail_optimised": 2, "dragonfly": 2, "torus": 1}
_STORAGE = -1
"""Stands for storage in the hash of a flow."""
_ITEMS_KEPT = 2_000_000
"""Links in all routes kept."""


class Network:
    """Full-duplex links of one topology; every link is two directed ones.

    Args:
        spec: topology and bandwidths.
        rack: (S,) rack of each server, ascending.
        first_link: number of the first link, where other rooms' links come before.
        base_dir: folder of the scenario, for the file of a graph.
        names: (S,) of the servers, for messages and for a graph that names them; empty: "server 0", ...
        fabric: (S,) bytes/s that the inside of each server carries in all, 0: none; None: no such links.
        accelerators: most that a server has, for the number of rails.
        file: shown in problems.

    Raises:
        ScenarioError: the network has no room for the servers, its file cannot be used, or its events name no link.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        rack: Ints,
        first_link: int = 0,
        *,
        base_dir: Path = Path(),
        names: Sequence[str] = (),
        fabric: Floats | None = None,
        accelerators: int = 0,
        file: str = "scenario",
    ) -> None:
        self.spec = spec
        self.first_link = first_link
        self._names = names
        servers = len(rack)
        _refuse_too_many(spec, servers, file)
        self._tree: Tree | None = None
        self._routes: Routes | None = None
        if spec.topology == "star" or (spec.topology == "fat_tree" and spec.route == "spread"):
            self._tree = Tree(spec, rack, first_link)
            wiring = self._tree.wiring
        else:
            wiring = wire(spec, rack, base_dir=base_dir, names=names, accelerators=accelerators, file=file)
            self._routes = Routes(wiring, spec.route)
        self._wiring = wiring
        self.tiers = _TIERS.get(spec.topology, 0)
        self._name_ranges(servers)
        self.switches = wiring.switches
        self.power_w = self.switches * spec.switch_power_w
        self._routed = len(wiring.names)
        self._add_links_of_servers(servers, fabric)
        self.link_names = wiring.names
        self.link_tiers = wiring.tiers
        self.capacity_bytes_per_s = wiring.capacity_bytes_per_s
        """(L,) of each link as it is now: less where it is degraded, 0 where it has failed."""
        self._built_bytes_per_s = list(self.capacity_bytes_per_s)
        self._changed: dict[int, None] = {}
        self.routes_version = 0
        """Rises whenever routes may have changed."""
        self._kept: dict[tuple[int, int, int], Route] = {}
        self._items = 0
        self.nominal_bandwidth_bytes_per_s = self._nominal(servers)
        """What one server can send to others while nobody else does [bytes/s]; the least over servers."""
        self.events: list[LinkEvent] = link_events(spec.events, self.link_names, first_link, file)
        """Changes of links that the scenario foresees, in the order of time."""

    def _name_ranges(self, servers: int) -> None:
        """Set the numbers of the links of servers and leaves, where they are numbered one after the other."""
        tree = self._tree
        single = (
            tree is None and len(self._wiring.planes) == 1 and self.spec.topology not in {"torus", "graph"}
        )
        start = self.first_link
        self.server_up = tree.server_up if tree else range(start, start + servers * single)
        self.server_down = (
            tree.server_down if tree else range(start + servers, start + servers + servers * single)
        )
        self.leaf_up = tree.leaf_up if tree else range(0)
        self.leaf_down = tree.leaf_down if tree else range(0)

    def _add_links_of_servers(self, servers: int, fabric: Floats | None) -> None:
        """Add what is numbered last: front-end links, then the inside of each server."""
        wiring, spec = self._wiring, self.spec
        if self._routes is not None and not wiring.storage:
            bandwidth = spec.storage_link_bandwidth_bytes_per_s or spec.server_bandwidth_bytes_per_s
            names = [f"server {s} front end" for s in range(servers)]
            wiring.front_up = wiring.lay("front end", [f"{name} up" for name in names], bandwidth)
            wiring.front_down = wiring.lay("front end", [f"{name} down" for name in names], bandwidth)
        self._inside = [-1] * servers
        if fabric is not None:
            inside = np.flatnonzero(fabric > 0.0)
            names = [f"server {s} fabric" for s in inside.tolist()]
            links = wiring.lay("fabric", names, np.asarray(fabric)[inside].tolist())
            for server, link in zip(inside.tolist(), links, strict=True):
                self._inside[server] = self.first_link + link

    def _nominal(self, servers: int) -> float:
        """Return what one server can send, from its own links."""
        spec, wiring, capacity = self.spec, self._wiring, self.capacity_bytes_per_s
        if self._tree is not None or spec.topology in {"k_ary_fat_tree", "fat_tree", "dragonfly"}:
            return spec.server_bandwidth_bytes_per_s
        if spec.topology == "torus" and spec.torus is not None:
            return spec.torus.link_bandwidth_bytes_per_s or spec.server_bandwidth_bytes_per_s
        together = sum if spec.route == "spread" or len(wiring.planes) > 1 else max
        first = self.first_link
        own = [[capacity[up - first] for up, _ in self.own_links(s)] for s in range(servers)]
        return min((together(mine) for mine in own if mine), default=spec.server_bandwidth_bytes_per_s)

    def own_links(self, server: int) -> list[tuple[int, int]]:
        """Return (link out, link in) for each pair of links that joins a server to others, but for storage.

        One pair in most topologies, one a rail, one a neighbour in a torus.
        """
        if self._tree is not None:
            return [(self.server_up[server], self.server_down[server])]
        first = self.first_link
        pairs = []
        for plane in self._wiring.planes:
            for router, up, down in plane[server]:
                if up >= 0:
                    pairs.append((first + up, first + down))
                elif self._routes is not None:
                    pairs += [(first + out, first + back) for out, back in self._routes.pairs_of(router)]
        return pairs

    @property
    def is_tree(self) -> bool:
        """Whether this is a star or a fat-tree of bundles: one way between two servers, whatever fails."""
        return self._tree is not None

    # -- what traffic crosses ------------------------------------------------------------------------

    def uses(self, transfers: Iterable[tuple[int, int, float]], key: int = 0) -> list[tuple[int, float]]:
        """Return (link, weight) of transfers, ascending by link: the bytes on each a byte of weight 1.

        Args:
            transfers: (source server, target server, weight); what a server sends to itself crosses nothing.
            key: of the flow; under `ecmp` flows of different keys may take different ways.

        Raises:
            UnreachableError: a failure has left no way for some of them.
        """
        if self._tree is not None:
            return self._tree.uses(transfers)
        kept = self._kept
        routes: list[tuple[Route, float]] = []
        cut: dict[tuple[int, int], None] = {}
        for source, target, weight in transfers:
            if source == target:
                continue
            route = kept.get((source, target, key))
            if route is None:
                route = self._route(source, target, key)
                if route is None:
                    cut[source, target] = None
                    continue
            routes.append((route, weight))
        if cut:
            raise self._unreachable(cut)
        return _merged(routes)

    def ring_uses(self, servers: Sequence[int], key: int = 0) -> list[tuple[int, float]]:
        """Return (link, weight) of a ring over `servers` (ascending): each sends to the next.

        Raises:
            UnreachableError: as `uses`.
        """
        if self._tree is not None:
            return self._tree.ring_uses(servers)
        following = (*servers[1:], *servers[:1])
        return self.uses([(s, t, 1.0) for s, t in zip(servers, following, strict=True)], key)

    def feed_uses(self, streams: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
        """Return (link, weight) from storage down to servers; as `read_uses`, in any order.

        Args:
            streams: (server, weight of its stream).
        """
        if self._tree is not None:
            return self._tree.storage_uses(streams, reads=True)
        return self.read_uses(streams)

    def read_uses(self, streams: Iterable[tuple[int, float]], key: int = 0) -> list[tuple[int, float]]:
        """Return (link, weight) of streams from storage to servers, ascending by link.

        Storage is at the top of a tree, behind the cores of a k-ary one and the spines of hashed leaves, at its
        own nodes in a graph, and elsewhere at the end of a separate link of each server.

        Args:
            streams: (server, weight).
            key: as for `uses`.

        Raises:
            UnreachableError: as `uses`.
        """
        return self._storage_uses(streams, key, reads=True)

    def write_uses(self, streams: Iterable[tuple[int, float]], key: int = 0) -> list[tuple[int, float]]:
        """Return (link, weight) of streams from servers to storage, ascending by link; as `read_uses`."""
        return self._storage_uses(streams, key, reads=False)

    def _storage_uses(
        self, streams: Iterable[tuple[int, float]], key: int, *, reads: bool
    ) -> list[tuple[int, float]]:
        if self._tree is not None:
            return sorted(self._tree.storage_uses(streams, reads=reads))
        wiring = self._wiring
        if not wiring.storage:
            links, first = wiring.front_down if reads else wiring.front_up, self.first_link
            return sorted((first + links[server], weight) for server, weight in streams)
        routes: list[tuple[Route, float]] = []
        cut: dict[tuple[int, int], None] = {}
        for server, weight in streams:
            ends = (_STORAGE, server) if reads else (server, _STORAGE)
            route = self._kept.get((*ends, key)) or self._route(*ends, key)
            if route is None:
                cut[server, server] = None
                continue
            routes.append((route, weight))
        if cut:
            raise self._unreachable(cut)
        return _merged(routes)

    def has_inside(self, server: int) -> bool:
        """Return whether there is a link for the inside of a server."""
        return self._inside[server] >= 0

    def inside_use(self, server: int) -> int:
        """Return the link that stands for the inside of a server: what joins its accelerators.

        Raises:
            ValueError: it has no accelerators, or no such links were asked for.
        """
        link = self._inside[server]
        if link < 0:
            msg = f"{self._called(server)} has no fabric"
            raise ValueError(msg)
        return link

    # -- routes --------------------------------------------------------------------------------------

    def _route(self, source: int, target: int, key: int) -> Route | None:
        """Find a route and keep it; None: there is no way."""
        route = self._routed_way(source, target, key)
        if route is None:
            return None
        if self._items > _ITEMS_KEPT:
            self._kept.clear()
            self._items = 0
        self._kept[source, target, key] = route
        self._items += 4 + len(route)
        return route

    def _routed_way(self, source: int, target: int, key: int) -> Route | None:
        """Return the parts of the traffic on each link, evenly over planes, or over storage points."""
        routes, wiring = self._routes, self._wiring
        if routes is None:
            return None
        method: Routing | None = None
        if _STORAGE in {source, target}:
            method = "ecmp" if wiring.hashes_storage and routes.method == "shortest" else None
            server = wiring.planes[0][target if source == _STORAGE else source]
            points = wiring.storage
            pairs = [(at, server) if source == _STORAGE else (server, at) for at in points]
        else:
            pairs = [(plane[source], plane[target]) for plane in wiring.planes]
        found = [
            routes.find(*pair, flow_hash(source, target, key, i), method) for i, pair in enumerate(pairs)
        ]
        ways = [route for route in found if route is not None]
        if not ways and len(wiring.planes) > 1:  # no plane is whole: in by one, out by another
            ends = (_all_planes(wiring, source), _all_planes(wiring, target))
            ways = [
                route for route in [routes.find(*ends, flow_hash(source, target, key))] if route is not None
            ]
        if not ways or (_STORAGE in {source, target} and len(ways) < len(pairs)):
            return None
        return _evenly(ways, self.first_link)

    def _unreachable(self, pairs: Iterable[tuple[int, int]]) -> UnreachableError:
        """Return the error of pairs without a way: those of them that have lost all links of their own, else both."""
        ends = list(dict.fromkeys(server for pair in pairs for server in pair))
        routes, planes = self._routes, self._wiring.planes
        alone = [
            server
            for server in ends
            if routes is not None
            and not all(
                any(routes.works(links[way]) for plane in planes for links in plane[server]) for way in (1, 2)
            )
        ]
        cut = tuple(sorted(alone or ends))
        shown = ", ".join(self._called(server) for server in cut[:10])
        more = f" and {len(cut) - 10} more" if len(cut) > 10 else ""
        return UnreachableError(f"failed links leave no way to or from {shown}{more}", cut)

    def _called(self, server: int) -> str:
        return f"server {server} ({self._names[server]})" if self._names else f"server {server}"

    # -- bandwidth and latency -----------------------------------------------------------------------

    def built_bandwidth_bytes_per_s(self, link: int) -> float:
        """Return what a link was built for, whatever has become of it [bytes/s]."""
        return self._built_bytes_per_s[link - self.first_link]

    def drain_s_per_byte(self, uses: Iterable[tuple[int, float]]) -> float:
        """Return how long the busiest link takes for its part of one byte, alone: max weight / capacity [s/byte].

        0 where nothing is used; infinite over a failed link.
        """
        first, capacity = self.first_link, self.capacity_bytes_per_s
        slowest = 0.0
        for link, weight in uses:
            left = capacity[link - first]
            slowest = max(slowest, weight / left if left > 0.0 else math.inf)
        return slowest

    def latency_s(self, source: int, target: int) -> float:
        """Return the latency of a message from one server to another [s]; 0 inside a server.

        `network.latency_s`, or where links have latencies of their own their sum over the way (the mean over
        all ways that are taken at once).

        Raises:
            UnreachableError: as `uses`.
        """
        if source == target:
            return 0.0
        each, hop = self._wiring.latency_s, self.spec.hop_latency_s
        if each is None and hop is None:
            return self.spec.latency_s
        route = self.uses([(source, target, 1.0)])
        if each is not None:
            return math.fsum(part * each[link - self.first_link] for link, part in route)
        return math.fsum(part for _, part in route) * (hop or 0.0)

    # -- failures ------------------------------------------------------------------------------------

    @property
    def is_whole(self) -> bool:
        """Whether traffic takes the ways that it took when all was built."""
        return self._routes is None or self._routes.all_work

    def as_built(self) -> Network:
        """Return this network, its links and their numbers, as if nothing had failed or been degraded."""
        if self._routes is None:
            return self
        other = copy(self)
        other.capacity_bytes_per_s = list(self._built_bytes_per_s)
        other._routes = Routes(self._wiring, self.spec.route)  # noqa: SLF001  a copy of this class
        other._changed, other._kept, other._items = {}, {}, 0  # noqa: SLF001
        return other

    def set_link(self, link: int, fraction: float) -> float:
        """Let a link have a part of its bandwidth from now on, and return that bandwidth [bytes/s].

        Without any (0) it has failed, and from then on `uses` takes other ways; where it has none because
        links are bundles (`is_tree`) or belong to one server alone (fabric, front end) it goes on to name the link.

        Args:
            link: its number.
            fraction: 0..1; 1 repairs it.
        """
        place = link - self.first_link
        if not (0 <= place < len(self.link_names) and 0.0 <= fraction <= 1.0):
            msg = f"link {link} at {fraction} -> expected a link of the network and a fraction of 0..1"
            raise ValueError(msg)
        capacity = self._built_bytes_per_s[place] * fraction
        self.capacity_bytes_per_s[place] = capacity
        self._changed[place] = None
        if (
            self._routes is not None
            and place < self._routed
            and self._routes.works(place) != (fraction > 0.0)
        ):
            self._routes.set_working(place, works=fraction > 0.0)
            self._kept.clear()
            self._items = 0
            self.routes_version += 1
        return capacity

    def repair_all(self) -> None:
        """Make all links as they were built."""
        for place in list(self._changed):
            self.set_link(self.first_link + place, 1.0)
        self._changed.clear()


def _refuse_too_many(spec: NetworkSpec, servers: int, file: str) -> None:
    problems = [
        Problem(file, None, ".".join(("network", *map(str, issue.at))), issue.got, issue.expected, issue.hint)
        for issue in room_issues(spec, servers)
    ]
    if problems:
        raise ScenarioError(problems)


def _merged(routes: Sequence[tuple[Route, float]]) -> list[tuple[int, float]]:
    """Return the sum of routes, each times its weight, ascending by link."""
    if len(routes) == 1:
        route, weight = routes[0]
        return list(route) if weight == 1.0 else [(link, part * weight) for link, part in route]
    total: dict[int, float] = {}
    for route, weight in routes:
        for link, part in route:
            total[link] = total.get(link, 0.0) + part * weight
    return sorted(total.items())


def _all_planes(wiring: Wiring, server: int) -> tuple[Attachment, ...]:
    return tuple(attachment for plane in wiring.planes for attachment in plane[server])


def _evenly(ways: Sequence[Route], first_link: int) -> Route:
    """Return the mean of several ways, with the numbers that all rooms use."""
    if len(ways) == 1:
        return tuple([(first_link + link, part) for link, part in ways[0]])
    total: dict[int, float] = {}
    for way in ways:
        for link, part in way:
            total[link] = total.get(link, 0.0) + part / len(ways)
    return tuple([(first_link + link, part) for link, part in sorted(total.items())])
