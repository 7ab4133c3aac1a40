"""Placement policies: which servers take a gang."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.policies.base import PlacementPolicy
from dcsim.policies.views import ClusterView, Placement, PlacementRequest

__all__ = ["BestFit", "FirstFit", "RackLocal", "Spread"]

Ints = npt.NDArray[np.int64]


def _single(server: int, request: PlacementRequest) -> Placement:
    return ((server, request.accelerators),)


def _greedy(servers: Ints, room: Ints, request: PlacementRequest) -> Placement | None:
    """Fill `servers` in the given order until the gang is complete; None if it does not fit."""
    limit = request.max_servers or len(servers)
    chosen = servers[:limit]
    filled = np.cumsum(room[chosen])
    if not len(filled) or filled[-1] < request.accelerators:
        return None
    last = int(np.searchsorted(filled, request.accelerators))
    counts = room[chosen[: last + 1]].copy()
    counts[-1] -= filled[last] - request.accelerators
    return tuple(sorted(zip(chosen[: last + 1].tolist(), counts.tolist(), strict=True)))


def _tightest(room: Ints, need: int) -> int:
    """Return the first server with the smallest sufficient room, or -1."""
    server = int(np.where(room >= need, room, np.iinfo(np.int64).max).argmin())
    return server if room[server] >= need else -1


def _fewest(room: Ints, request: PlacementRequest) -> Placement | None:
    """Place a gang wider than any server's room on as few servers as can hold it."""
    if request.max_servers == 1 or request.accelerators == 0:
        return None
    servers = np.flatnonzero(room)
    servers = servers[np.argsort(-room[servers], kind="stable")]
    placement = _greedy(servers, room, request)
    if placement is None or len(placement) == 1:
        return placement
    # The gang's rest goes where it leaves the least stranded room, by best fit.
    emptied = [server for server, count in placement if count == room[server]]
    rest = request.accelerators - int(room[emptied].sum())
    if rest == 0:
        return placement
    left = room.copy()
    left[emptied] = 0
    full = [(server, int(room[server])) for server in emptied]
    return tuple(sorted([*full, (_tightest(left, rest), rest)]))


class FirstFit(PlacementPolicy):
    """The lowest-numbered server that holds the gang, else the first servers with room."""

    name: ClassVar[str] = "first_fit"
    optimises: ClassVar[str] = "decision time"
    source: ClassVar[str] = "D. S. Johnson, Near-optimal bin packing algorithms, MIT (1973)"

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return the first fitting server or servers in index order."""
        need = max(1, request.accelerators)
        if view.only_accelerators_matter(request):
            found = [view.find_free(free) for free in range(need, view.largest_server + 1)]
            servers = [server for server in found if server >= 0]
            if servers:
                return _single(min(servers), request)
            if need == 1 or request.max_servers == 1:
                return None
        room = view.room(request)
        server = int((room >= need).argmax())
        if room[server] >= need:
            return _single(server, request)
        if request.max_servers == 1 or request.accelerators == 0:
            return None
        # Under a limit on servers the first ones can be too small where others would do.
        return _greedy(np.flatnonzero(room), room, request) or _fewest(room, request)


class BestFit(PlacementPolicy):
    """The server left with the least free room, else the fewest servers."""

    name: ClassVar[str] = "best_fit"
    optimises: ClassVar[str] = "room kept whole for wide gangs"
    source: ClassVar[str] = "D. S. Johnson, Near-optimal bin packing algorithms, MIT (1973)"

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return the tightest server, or the fewest servers with most room."""
        need = max(1, request.accelerators)
        if view.only_accelerators_matter(request):
            find_free = view.find_free
            for free in range(need, view.largest_server + 1):
                server = find_free(free)
                if server >= 0:
                    return ((server, need),)
            if need == 1 or request.max_servers == 1:
                return None
        room = view.room(request)
        server = _tightest(room, need)
        return _single(server, request) if server >= 0 else _fewest(room, request)


class Spread(PlacementPolicy):
    """As evenly as possible over the servers with most room: one accelerator each if it can be."""

    name: ClassVar[str] = "spread"
    optimises: ClassVar[str] = "heat and power density, storage bandwidth a job; costs network"
    source: ClassVar[str] = "Kubernetes' NodeResourcesFit LeastAllocated scoring, one pod an accelerator"

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return the gang spread over its allowed number of servers."""
        if request.accelerators <= 1 and view.only_accelerators_matter(request):
            find_free = view.find_free
            for free in range(view.largest_server, 0, -1):
                server = find_free(free)
                if server >= 0:
                    return ((server, 1),)
            return None
        room = view.room(request)
        if request.accelerators <= 1:
            server = int(room.argmax())
            return _single(server, request) if room[server] >= 1 else None
        limit = min(request.accelerators, request.max_servers or request.accelerators)
        servers = np.flatnonzero(room)
        servers = servers[np.argsort(-room[servers], kind="stable")][:limit]
        available = room[servers]
        if available.sum() < request.accelerators:
            return None
        counts = _level(available, request.accelerators)
        pairs = zip(servers.tolist(), counts.tolist(), strict=True)
        return tuple(sorted(pair for pair in pairs if pair[1] > 0))


def _level(available: Ints, total: int) -> Ints:
    """Split `total` over servers as evenly as their room allows; earlier ones take the remainder.

    `available` (K,) is non-increasing and sums to at least `total`.
    """
    # The height h is the largest with sum(min(available, h)) <= total.
    low, high = 0, int(available[0])
    while low < high:
        middle = (low + high + 1) // 2
        if np.minimum(available, middle).sum() <= total:
            low = middle
        else:
            high = middle - 1
    counts = np.minimum(available, low)
    open_servers = np.flatnonzero(available > low)[: total - int(counts.sum())]
    counts[open_servers] += 1
    return counts


class RackLocal(PlacementPolicy):
    """Inside the fullest rack that holds the gang, on its fewest servers; else the fewest racks."""

    name: ClassVar[str] = "rack_local"
    optimises: ClassVar[str] = "traffic above the leaf switches"
    source: ClassVar[str] = "Slurm's topology/tree plugin: fewest leaf switches, best fit among them"

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return a placement within one rack where one exists, else over as few racks as can be."""
        need = max(1, request.accelerators)
        room = view.room(request)
        if request.max_servers == 1 or request.accelerators <= 1:
            fitting = np.where(room >= need, room, 0)
        else:
            fitting = room
        by_rack = np.add.reduceat(fitting, view.rack_start)
        ends = np.append(view.rack_start[1:], len(room))
        for rack in self._by_fit(by_rack, need):
            start, end = int(view.rack_start[rack]), int(ends[rack])
            placement = self._inside(room[start:end], request)
            if placement is not None:
                return tuple((server + start, count) for server, count in placement)
        if request.max_servers == 1 or request.accelerators <= 1:
            return None
        # No single rack holds it: racks with most room first, servers with most room inside each.
        order = np.lexsort((np.arange(len(room)), -room, view.rack, -by_rack[view.rack]))
        return _greedy(order[room[order] > 0], room, request) or _fewest(room, request)

    @staticmethod
    def _by_fit(by_rack: Ints, need: int) -> list[int]:
        """Return the racks with room for `need`, the fullest first."""
        racks = np.flatnonzero(by_rack >= need)
        return [int(rack) for rack in racks[np.argsort(by_rack[racks], kind="stable")]]

    @staticmethod
    def _inside(room: Ints, request: PlacementRequest) -> Placement | None:
        server = _tightest(room, max(1, request.accelerators))
        return _single(server, request) if server >= 0 else _fewest(room, request)
