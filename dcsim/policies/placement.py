"""Placement policies: which servers take a gang."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.policies.base import PlacementPolicy
from dcsim.policies.gangs import fewest_servers, fill, on_one_server, tightest
from dcsim.policies.views import ClusterView, Placement, PlacementRequest

__all__ = ["BestFit", "FirstFit", "RackLocal", "Spread", "WorstFit"]

Ints = npt.NDArray[np.int64]


class FirstFit(PlacementPolicy):
    """The lowest-numbered server that holds the gang, else the first servers with room."""

    name: ClassVar[str] = "first_fit"
    optimises: ClassVar[str] = "decision time"
    source: ClassVar[str] = "D. S. Johnson, Near-optimal bin packing algorithms, MIT (1973)"
    needs: ClassVar[str] = "free accelerators of each server"
    complexity: ClassVar[str] = "O(accelerators of a server), else O(servers)"

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return the first fitting server or servers in index order."""
        need = max(1, request.accelerators)
        if view.only_accelerators_matter(request):
            found = [view.find_free(free) for free in range(need, view.largest_server + 1)]
            servers = [server for server in found if server >= 0]
            if servers:
                return on_one_server(min(servers), request)
            if need == 1 or request.max_servers == 1:
                return None
        room = view.room(request)
        server = int((room >= need).argmax())
        if room[server] >= need:
            return on_one_server(server, request)
        if request.max_servers == 1 or request.accelerators == 0:
            return None
        # Under a limit on servers the first ones can be too small where others would do.
        return fill(np.flatnonzero(room), room, request) or fewest_servers(room, request)


class BestFit(PlacementPolicy):
    """The server left with the least free room, else the fewest servers."""

    name: ClassVar[str] = "best_fit"
    optimises: ClassVar[str] = "room kept whole for wide gangs"
    source: ClassVar[str] = "D. S. Johnson, Near-optimal bin packing algorithms, MIT (1973)"
    needs: ClassVar[str] = "free accelerators of each server"
    complexity: ClassVar[str] = "O(accelerators of a server), else O(servers)"

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
        server = tightest(room, need)
        return on_one_server(server, request) if server >= 0 else fewest_servers(room, request)


class WorstFit(PlacementPolicy):
    """The server with the most free room; a wider gang takes all there is on one such after another."""

    name: ClassVar[str] = "worst_fit"
    optimises: ClassVar[str] = "even load over servers, jobs left whole"
    source: ClassVar[str] = "D. S. Johnson, Near-optimal bin packing algorithms, MIT (1973)"
    needs: ClassVar[str] = "free accelerators of each server"
    complexity: ClassVar[str] = "O(accelerators of a server), else O(servers)"

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return the roomiest server or servers, the first of equals."""
        need = max(1, request.accelerators)
        if view.only_accelerators_matter(request):
            for free in range(view.largest_server, need - 1, -1):
                server = view.find_free(free)
                if server >= 0:
                    return ((server, need),)
            if need == 1 or request.max_servers == 1:
                return None
        room = view.room(request)
        if request.accelerators == 0:
            # Without accelerators to compare, the most free cores.
            server = int(np.where(room >= need, view.free_cpu_cores, -1.0).argmax())
        elif request.accelerator_share < 1.0:
            server = int(np.where(room >= need, view.units().sum(axis=1, dtype=np.int64), -1).argmax())
        else:
            server = int(room.argmax())
        if room[server] >= need:
            return on_one_server(server, request)
        if request.max_servers == 1 or request.accelerators == 0:
            return None
        return fill(np.argsort(-room, kind="stable"), room, request)


class Spread(PlacementPolicy):
    """As evenly as possible over the servers with most room: one accelerator each if it can be."""

    name: ClassVar[str] = "spread"
    optimises: ClassVar[str] = "heat and power density, storage bandwidth a job; costs network"
    source: ClassVar[str] = "Kubernetes' NodeResourcesFit LeastAllocated scoring, one pod an accelerator"
    needs: ClassVar[str] = "free accelerators of each server"
    complexity: ClassVar[str] = "O(servers log servers)"

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
            return on_one_server(server, request) if room[server] >= 1 else None
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
    needs: ClassVar[str] = "free accelerators and racks of the servers"
    complexity: ClassVar[str] = "O(servers log servers)"

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
        return fill(order[room[order] > 0], room, request) or fewest_servers(room, request)

    @staticmethod
    def _by_fit(by_rack: Ints, need: int) -> list[int]:
        """Return the racks with room for `need`, the fullest first."""
        racks = np.flatnonzero(by_rack >= need)
        return [int(rack) for rack in racks[np.argsort(by_rack[racks], kind="stable")]]

    @staticmethod
    def _inside(room: Ints, request: PlacementRequest) -> Placement | None:
        server = tightest(room, max(1, request.accelerators))
        return on_one_server(server, request) if server >= 0 else fewest_servers(room, request)
