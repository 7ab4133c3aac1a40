"""Routes over routers: distances to a target, found when first asked for, and three ways to choose among the shortest.

    shortest   the first link of the shortest at each hop, in the order laid
    ecmp       one of them at each hop, by a hash of (source, target, flow), as switches do
               (Thaler, Hopps, RFC 2991; Al-Fares et al., NSDI 2010, on what collides)
    spread     all of them in equal parts at each hop, as switches that spray packets do
               (Dixit et al., On the Impact of Packet Spraying in Data Center Networks, INFOCOM 2013)

Nothing is kept for all pairs: 10,000 servers have 100 million. A tree of distances is kept for each target asked
for, up to a bound, and dropped when a link between routers fails or is repaired.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dcsim.facility.network.wiring import NO_LINK, Attachment, Wiring
from dcsim.spec.network import Routing

__all__ = ["Route", "Routes", "flow_hash", "mixed"]

Ints = npt.NDArray[np.int64]

Route = tuple[tuple[int, float], ...]
"""(link, part of the traffic that it carries), ascending by link."""

_FAR = 2**40
"""Further than any sum of costs, and small enough to add to."""
_TREE_ITEMS = 8_000_000
"""Distances kept in all trees together."""
_M64 = 2**64 - 1


def flow_hash(source: int, target: int, key: int, plane: int = 0) -> int:
    """Return 64 bits that say which of equal ways a flow takes: the same on every machine and in every process.

    CRC-32 of the numbers, then mixed, because a CRC is linear: its last digits at two hops would go together.

    >>> flow_hash(1, 2, 0) == flow_hash(1, 2, 0), flow_hash(1, 2, 0) == flow_hash(2, 1, 0)
    (True, False)
    """
    return mixed(zlib.crc32(b"%d %d %d %d" % (source, target, key, plane)))


def mixed(word: int) -> int:
    """Return the first number of SplitMix64 from a seed of 64 bits.

    Source: Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014,
    doi:10.1145/2714064.2660195.

    >>> mixed(1234567)
    6457827717110365317
    """
    word = word + 0x9E3779B97F4A7C15 & _M64
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & _M64
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & _M64
    return word ^ (word >> 31)


_Hop = tuple[int, int, int]
"""(link, router that it leads to, distance from there to the end)."""


class _Tree:
    """Distances of all routers to a set of targets, and the next hops found so far."""

    __slots__ = ("distance", "hops")

    def __init__(self, distance: Ints) -> None:
        self.distance = distance
        self.hops: dict[int, tuple[_Hop, ...]] = {}


class Routes:
    """Finds routes between attachments over the links that work.

    Args:
        wiring: all that there is.
        method: how to choose among shortest ways.
    """

    def __init__(self, wiring: Wiring, method: Routing) -> None:
        self.method = method
        self._routers = wiring.routers
        self._transit = wiring.transit
        self._link, self._source, self._target, self._cost = wiring.edges()
        self._uniform = bool((self._cost == 1).all())
        self._works = np.ones(len(wiring.names) + 1, dtype=bool)  # the last one stands for NO_LINK
        self._failed = 0
        self._trees: dict[tuple[int, ...], _Tree] = {}
        self._most_trees = max(64, _TREE_ITEMS // max(1, wiring.routers))
        self._formula = wiring.distance
        self._index()

    def _index(self) -> None:
        """Sort the edges that work by source and by target."""
        works = np.flatnonzero(self._works[self._link])
        self._all_work = len(works) == len(self._link)
        edges = np.arange(self._routers + 1)
        by_source = works[np.argsort(self._source[works], kind="stable")]
        self._by_source = by_source
        self._source_start = np.searchsorted(self._source[by_source], edges)
        by_target = works[np.argsort(self._target[works], kind="stable")]
        self._in_source, self._in_cost = self._source[by_target], self._cost[by_target]
        self._in_start = np.searchsorted(self._target[by_target], edges)

    def set_working(self, link: int, *, works: bool) -> None:
        """Take a link out of all routes from now on, or back in."""
        self._failed += int(self._works[link]) - int(works)
        self._works[link] = works
        self._trees.clear()
        self._index()

    def works(self, link: int) -> bool:
        """Return whether a link is in routes; `NO_LINK` always is."""
        return bool(self._works[link])

    @property
    def all_work(self) -> bool:
        """Whether no link is out of routes."""
        return self._failed == 0

    def pairs_of(self, router: int) -> list[tuple[int, int]]:
        """Return (link out, link in) for each neighbour that a router has links to and from."""
        out = np.flatnonzero((self._source == router) & (self._link != NO_LINK))
        back = np.flatnonzero((self._target == router) & (self._link != NO_LINK))
        incoming: dict[int, list[int]] = {}
        for source, link in zip(self._source[back].tolist(), self._link[back].tolist(), strict=True):
            incoming.setdefault(source, []).append(link)
        pairs = []
        for target, link in zip(self._target[out].tolist(), self._link[out].tolist(), strict=True):
            if incoming.get(target):
                pairs.append((link, incoming[target].pop(0)))
        return pairs

    def find(
        self,
        sources: Sequence[Attachment],
        targets: Sequence[Attachment],
        word: int,
        method: Routing | None = None,
    ) -> Route | None:
        """Return what part of the traffic from one end to another each link carries; None: there is no way.

        Args:
            sources: attachments of the sender.
            targets: of the receiver.
            word: 64 bits of `flow_hash`, looked at by ecmp only.
            method: None: that of all.
        """
        method = method or self.method
        works = self._works
        last: dict[int, list[int]] = {}
        for router, _, down in targets:
            if works[down]:
                last.setdefault(router, []).append(down)
        first = [(router, up) for router, up, _ in sources if works[up]]
        if not first or not last:
            return None
        tree = self._tree(tuple(sorted(last)))
        away = [int(tree.distance[router]) for router, _ in first]
        nearest = min(away)
        if nearest == _FAR:
            return None
        starts = [end for end, distance in zip(first, away, strict=True) if distance == nearest]
        if method == "spread":
            return self._spread(tree, starts, last, nearest)
        return self._walk(tree, starts, last, nearest, word if method == "ecmp" else 0)

    def _walk(
        self,
        tree: _Tree,
        starts: Sequence[tuple[int, int]],
        last: dict[int, list[int]],
        nearest: int,
        word: int,
    ) -> Route:
        """Return one way: at each hop the digit of `word` says which of the equal links; 0 always the first."""
        word, choice = divmod(word, len(starts))
        router, up = starts[choice]
        links, left = [up], nearest
        while left:
            hops = tree.hops.get(router) or self._hops(tree, router)
            word, choice = divmod(word, len(hops))
            link, router, left = hops[choice]
            links.append(link)
        down = last[router]
        links.append(down[word % len(down)])
        return tuple([(link, 1.0) for link in sorted(links) if link != NO_LINK])

    def _spread(
        self, tree: _Tree, starts: Sequence[tuple[int, int]], last: dict[int, list[int]], nearest: int
    ) -> Route:
        """Return all shortest ways, each router passing on equal parts over its next links."""
        carried: dict[int, float] = {}
        waiting: dict[int, dict[int, float]] = {nearest: {}}
        for router, up in starts:
            carried[up] = carried.get(up, 0.0) + 1.0 / len(starts)
            waiting[nearest][router] = waiting[nearest].get(router, 0.0) + 1.0 / len(starts)
        for left in range(nearest, 0, -1):
            for router, part in waiting.pop(left, {}).items():
                hops = tree.hops.get(router) or self._hops(tree, router)
                each = part / len(hops)
                for link, after, then in hops:
                    carried[link] = carried.get(link, 0.0) + each
                    there = waiting.setdefault(then, {})
                    there[after] = there.get(after, 0.0) + each
        for router, part in waiting.get(0, {}).items():
            for down in last[router]:
                carried[down] = carried.get(down, 0.0) + part / len(last[router])
        carried.pop(NO_LINK, None)
        return tuple(sorted(carried.items()))

    def _hops(self, tree: _Tree, router: int) -> tuple[_Hop, ...]:
        """Return the edges that lead a router's traffic nearer by what they cost, at least one."""
        mine = self._by_source[self._source_start[router] : self._source_start[router + 1]]
        target = self._target[mine]
        left = tree.distance[target]
        nearer = (left + self._cost[mine] == tree.distance[router]) & (self._transit[target] | (left == 0))
        parts = (self._link[mine[nearer]], target[nearer], left[nearer])
        hops = tuple(zip(*(part.tolist() for part in parts), strict=True))
        tree.hops[router] = hops
        return hops

    def _tree(self, targets: tuple[int, ...]) -> _Tree:
        tree = self._trees.get(targets)
        if tree is None:
            if len(self._trees) >= self._most_trees:
                self._trees.clear()
            formula = self._formula if len(targets) == 1 and self._all_work else None
            distance = formula(targets[0]) if formula is not None else None
            tree = _Tree(self._distances(targets) if distance is None else distance)
            self._trees[targets] = tree
        return tree

    def _distances(self, targets: Sequence[int]) -> Ints:
        """Return (R,) least cost from each router to the nearest target; `_FAR` where there is no way.

        Breadth first; where hops differ in cost, in the order of distance (Dial, Comm. ACM 12 (1969) 632).
        """
        distance = np.full(self._routers, _FAR, dtype=np.int64)
        distance[list(targets)] = 0
        frontier = np.array(targets, dtype=np.int64)
        level = 0
        while True:
            first = self._in_start[frontier]
            count = self._in_start[frontier + 1] - first
            offset = np.cumsum(count)
            total = int(offset[-1]) if len(offset) else 0
            edge = np.arange(total) + np.repeat(first - offset + count, count)
            source = self._in_source[edge]
            if self._uniform:
                distance[source[distance[source] == _FAR]] = level + 1
                level += 1
            else:
                np.minimum.at(distance, source, level + self._in_cost[edge])
                later = distance[(distance > level) & (distance < _FAR)]
                level = int(later.min()) if len(later) else level + 1
            frontier = np.flatnonzero(distance == level)
            if not len(frontier):
                return distance
            frontier = frontier[self._transit[frontier]]
