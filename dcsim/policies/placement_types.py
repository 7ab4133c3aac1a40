"""Placement over unlike accelerators and unlike links: the fastest type, the least contended links."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.policies.base import PlacementPolicy
from dcsim.policies.gangs import fewest_servers, fill, on_one_server, tightest
from dcsim.policies.views import ClusterView, Placement, PlacementRequest

__all__ = ["FastestFirst", "LeastContended"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class FastestFirst(PlacementPolicy):
    """On the accelerator type on which the job runs fastest and that has room; there by best fit."""

    name: ClassVar[str] = "fastest_first"
    optimises: ClassVar[str] = "each job's own speed, greedily"
    source: ClassVar[str] = "the heterogeneity-aware FIFO baseline of Narayanan et al., Gavel, OSDI (2020)"
    needs: ClassVar[str] = "the job's speed on each accelerator type"
    complexity: ClassVar[str] = "O(servers * types)"
    weighs_types: ClassVar[bool] = True

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return the tightest server of the fastest type, else its fewest servers, else the next type."""
        room, need = view.room(request), max(1, request.accelerators)
        types = np.zeros_like(room) if view.accelerator_type is None else view.accelerator_type
        speed = np.ones(len(room)) if request.speed is None else request.speed
        for code in _by_speed(types, np.where(room > 0, speed, 0.0)):
            of_type = np.where(types == code, room, 0)
            server = tightest(of_type, need)
            if server >= 0:
                return on_one_server(server, request)
            placement = fewest_servers(of_type, request) if need > 1 else None
            if placement is not None:
                return placement
        return None


def _by_speed(types: Ints, speed: Floats) -> list[int]:
    """Return the codes of accelerator types, the fastest first, of equals the lower code.

    >>> _by_speed(np.array([0, 1, 1, 2]), np.array([0.5, 1.0, 1.0, 0.5]))
    [1, 0, 2]
    """
    codes, which = np.unique(types, return_inverse=True)
    fastest = np.zeros(len(codes))
    np.maximum.at(fastest, which.ravel(), speed)
    return [int(code) for code in codes[np.argsort(-fastest, kind="stable")]]


class LeastContended(PlacementPolicy):
    """On servers, or in the rack, whose links carry least now; the tightest of equals.

    A gang that one server holds needs links for its data alone; a wider one goes into the rack with
    the least loaded servers that hold it, else over the racks with the least loaded uplinks.
    """

    name: ClassVar[str] = "least_contended"
    optimises: ClassVar[str] = "the share of bandwidth that a new gang finds"
    source: ClassVar[str] = "Rajasekaran et al., CASSINI, NSDI (2024), section 2, without its phases"
    needs: ClassVar[str] = "load of each server's link and each rack's uplink"
    complexity: ClassVar[str] = "O(servers log servers)"
    knows_links: ClassVar[bool] = True

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return the least contended server that holds the gang, else rack, else racks."""
        room, need = view.room(request), max(1, request.accelerators)
        server_load, rack_load = _loads(view)
        fitting = np.flatnonzero(room >= need)
        if len(fitting):
            carried = np.maximum(server_load, rack_load[view.rack])[fitting]
            return on_one_server(int(fitting[np.lexsort((room[fitting], carried))[0]]), request)
        if need == 1 or request.max_servers == 1:
            return None
        inside = self._one_rack(request, view, room, server_load)
        return inside or self._over_racks(request, view, room, server_load, rack_load)

    @staticmethod
    def _one_rack(
        request: PlacementRequest, view: ClusterView, room: Ints, server_load: Floats
    ) -> Placement | None:
        """Return the placement inside a rack whose most loaded link is least loaded, or None."""
        best: tuple[float, int, Placement] | None = None
        by_rack = np.add.reduceat(room, view.rack_start)
        ends = np.append(view.rack_start[1:], len(room))
        for rack in np.flatnonzero(by_rack >= request.accelerators).tolist():
            start, end = int(view.rack_start[rack]), int(ends[rack])
            order = np.lexsort((-room[start:end], server_load[start:end]))
            order = order[room[start:end][order] > 0]
            found = fill(order, room[start:end], request) or fewest_servers(room[start:end], request)
            if found is None:
                continue
            placement = tuple((server + start, count) for server, count in found)
            load = max(float(server_load[server]) for server, _ in placement)
            if best is None or (load, int(by_rack[rack])) < best[:2]:
                best = (load, int(by_rack[rack]), placement)
        return best[2] if best else None

    @staticmethod
    def _over_racks(
        request: PlacementRequest, view: ClusterView, room: Ints, server_load: Floats, rack_load: Floats
    ) -> Placement | None:
        """Return the placement on the racks with the least loaded uplinks."""
        order = np.lexsort((-room, server_load, view.rack, rack_load[view.rack]))
        return fill(order[room[order] > 0], room, request) or fewest_servers(room, request)


def _loads(view: ClusterView) -> tuple[Floats, Floats]:
    """Return the loads of servers' links and racks' uplinks, 0 where nobody tells."""
    if view.link_loads is None:
        return np.zeros(len(view.rack)), np.zeros(len(view.rack_start))
    return view.link_loads()
