"""Placement by topology: servers in racks, racks in pods; a gang crosses as few of them as it can."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import PlacementPolicy
from dcsim.policies.gangs import fewest_servers, on_one_server, tightest
from dcsim.policies.views import ClusterView, Placement, PlacementRequest

__all__ = ["Consolidated", "TopologyAware"]

Ints = npt.NDArray[np.int64]

_RACKS_PER_POD = 8
_MOST_RACKS = 1_000_000


class _InPods(PlacementPolicy):
    """Policies that know pods: so many racks in a row, those under one spine."""

    needs: ClassVar[str] = "free accelerators, racks and pods of the servers"
    complexity: ClassVar[str] = "O(servers log servers)"

    def __init__(self, *, racks_per_pod: float = _RACKS_PER_POD) -> None:
        if not (1 <= racks_per_pod <= _MOST_RACKS and racks_per_pod == int(racks_per_pod)):
            msg = f"{self.name}.racks_per_pod: {racks_per_pod!r} -> expected a whole number in [1, {_MOST_RACKS}]"
            raise PolicyError(msg)
        self.racks_per_pod = int(racks_per_pod)

    def _within(self, room: Ints, view: ClusterView, group: Ints, need: int, limit: int) -> Iterator[Ints]:
        """Yield the room inside each group of servers that holds the gang on `limit` servers, tightest first."""
        best = _best_of(room, group, limit)
        holding = np.flatnonzero(best >= need)
        total = np.bincount(group, weights=room, minlength=len(best))
        for number in holding[np.lexsort((holding, total[holding]))].tolist():
            yield np.where(group == number, room, 0)


def _best_of(room: Ints, group: Ints, limit: int) -> Ints:
    """Return (groups,) how much fits the `limit` servers with most room of each group.

    >>> _best_of(np.array([3, 1, 2, 8]), np.array([0, 0, 0, 1]), 2).tolist()
    [5, 8]
    """
    order = np.lexsort((-room, group))
    starts = np.searchsorted(group[order], np.arange(int(group.max(initial=-1)) + 1))
    place = np.arange(len(room)) - starts[group[order]]
    counted = np.where(place < limit, room[order], 0)
    return np.bincount(group[order], weights=counted).astype(np.int64)


def _least_servers(room: Ints, request: PlacementRequest) -> int:
    """Return the fewest servers that hold the gang, 0 where none do or too many would be needed."""
    filled = np.cumsum(np.sort(room)[::-1])
    if not len(filled) or filled[-1] < request.accelerators:
        return 0
    count = int(np.searchsorted(filled, request.accelerators)) + 1
    return count if not request.max_servers or count <= request.max_servers else 0


class Consolidated(_InPods):
    """On the fewest servers; of those ways on the fewest racks, then pods; the tightest of equals.

    Where no one rack holds the gang on that few servers, racks are added by what their best servers
    hold, inside one pod if one can.

    Args:
        racks_per_pod: racks in a row that make a pod.
    """

    name: ClassVar[str] = "consolidated"
    optimises: ClassVar[str] = "network traffic between servers, racks and pods"
    source: ClassVar[str] = "Gu et al., Tiresias, NSDI (2019), section 3.3; Xiao et al., Gandiva, OSDI (2018)"

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return one server if it can be, else the fewest, close to each other."""
        room, need = view.room(request), max(1, request.accelerators)
        server = tightest(room, need)
        if server >= 0:
            return on_one_server(server, request)
        servers = _least_servers(room, request) if need > 1 else 0
        if servers <= 1:
            return None
        for inside in self._within(room, view, view.rack, need, servers):
            return fewest_servers(inside, request)
        pod = view.rack // self.racks_per_pod
        for inside in self._within(room, view, pod, need, servers):
            return fewest_servers(_few_racks(inside, view.rack, need, servers), request)
        return fewest_servers(_few_racks(room, view.rack, need, servers), request)


def _few_racks(room: Ints, rack: Ints, need: int, servers: int) -> Ints:
    """Return the room of few racks whose `servers` roomiest servers hold the gang; 0 elsewhere.

    Racks are added by what their roomiest servers hold, until those of all added do.
    """
    order = np.argsort(-_best_of(room, rack, servers), kind="stable")
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    added_at = position[rack]
    low, high = 1, len(order)
    while low < high:
        middle = (low + high) // 2
        best = np.sort(np.where(added_at < middle, room, 0))[::-1][:servers].sum()
        low, high = (low, middle) if best >= need else (middle + 1, high)
    return np.where(added_at < low, room, 0)


class TopologyAware(_InPods):
    """Inside the smallest of server, rack, pod and hall that holds the gang, the tightest of its kind.

    Unlike `consolidated` it takes more servers if that keeps the gang under one leaf or one spine.

    Args:
        racks_per_pod: racks in a row that make a pod.
    """

    name: ClassVar[str] = "topology_aware"
    optimises: ClassVar[str] = "the highest switch that a gang's traffic crosses"
    source: ClassVar[str] = "Amaral et al., Topology-aware GPU scheduling, SC (2017); Slurm's topology/tree"

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return a placement in the tightest server, else rack, else pod, else anywhere."""
        room, need = view.room(request), max(1, request.accelerators)
        server = tightest(room, need)
        if server >= 0:
            return on_one_server(server, request)
        if need == 1 or request.max_servers == 1:
            return None
        limit = request.max_servers or len(room)
        for group in (view.rack, view.rack // self.racks_per_pod):
            for inside in self._within(room, view, group, need, limit):
                few = _few_racks(inside, view.rack, need, limit)
                return fewest_servers(few, request)
        return fewest_servers(_few_racks(room, view.rack, need, limit), request)
