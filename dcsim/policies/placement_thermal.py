"""Placement policies that look at the air of the hall: where a job's heat is breathed in least.

All of them take the server (or the servers, one after the other) of the node that costs least; of one node the
first server that holds the whole gang. A gang wider than any server goes over the nodes in the order of their
costs.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import PlacementPolicy
from dcsim.policies.gangs import fewest_servers, fill, on_one_server
from dcsim.policies.heat_view import HeatView
from dcsim.policies.views import ClusterView, Placement, PlacementRequest

__all__ = ["CoolestInlet", "LeastRecirculation", "MinimalHottest", "ThermalPolicy"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_AT_ONCE = 256
"""Nodes that are weighed at once."""
_TIE = 1e-6
_ROUNDS = 256
"""Choices, at most, for a gang over several servers."""
_MOORE = "Moore, Chase, Ranganathan, Sharma, USENIX ATC (2005)"


class ThermalPolicy(PlacementPolicy):
    """The server of the node that costs least, the first of equals."""

    knows_heat: ClassVar[bool] = True

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return a server of the node that costs least, or servers of the cheapest nodes.

        Raises:
            PolicyError: the view tells nothing of heat: the scenario has no `room`.
        """
        heat = view.heat
        if heat is None:
            msg = f"{self.name}: a hall without recirculation -> expected a scenario with a `room`: it needs a room"
            raise PolicyError(msg)
        room = view.room(request)
        whole = np.flatnonzero(room >= max(1, request.accelerators))
        if len(whole):
            cost = self.costs(heat, heat.node[whole], _added_w(request, heat, whole))
            return on_one_server(int(whole[cost.argmin()]), request)
        if request.max_servers == 1 or request.accelerators <= 1:
            return None
        servers = np.flatnonzero(room)
        most = np.sort(room[servers])[::-1][: request.max_servers or len(servers)]
        if most.sum() < request.accelerators:
            return None
        servers = servers[self.ranking(request, heat, room, servers)]
        # Under a limit on servers the cheap ones can be too small where others would do.
        return fill(servers, room, request) or fewest_servers(room, request)

    @abstractmethod
    def costs(self, heat: HeatView, node: Ints, added_w: Floats) -> Floats:
        """Return (K,) what it costs to draw `added_w` (K,) more at `node` (K,); less is better."""

    def ranking(self, request: PlacementRequest, heat: HeatView, room: Ints, servers: Ints) -> Ints:
        """Return (K,) the order in which a gang over several servers takes them: by cost, most room first."""
        devices = np.minimum(room[servers], request.accelerators)
        cost = self.costs(heat, heat.node[servers], devices * heat.busy_power_w[servers])
        return np.lexsort((-room[servers], cost))


def _added_w(request: PlacementRequest, heat: HeatView, servers: Ints) -> Floats:
    """Return (K,) what a whole gang adds to each of these servers."""
    if request.accelerators == 0:
        return np.asarray(request.cpu_cores * heat.core_power_w[servers])
    return np.asarray(request.accelerators * request.accelerator_share * heat.busy_power_w[servers])


class CoolestInlet(ThermalPolicy):
    """Where the coolest air is breathed; weighed with what a server's own heat makes of it, the coolest outlet."""

    name: ClassVar[str] = "coolest_inlet"
    optimises: ClassVar[str] = "the hottest inlet, by sensors alone"
    source: ClassVar[str] = (
        f"the coolest-inlet baseline of Tang et al., TPDS 19 (2008); uniform outlet: {_MOORE}, Sharma et al., IEEE"
        " Internet Computing 9 (2005)"
    )
    needs: ClassVar[str] = "inlet temperatures; for outlets, powers and air flows of racks"

    def __init__(self, *, outlet_weight: float = 0.0) -> None:
        """Take `outlet_weight`: 0 for the coolest inlet, 1 for the coolest outlet (uniform outlet profile).

        Raises:
            PolicyError: outside [0, 1].
        """
        if not 0.0 <= outlet_weight <= 1.0:
            msg = f"coolest_inlet.outlet_weight: {outlet_weight} -> expected a number in [0, 1]"
            raise PolicyError(msg)
        self.outlet_weight = float(outlet_weight)

    def costs(self, heat: HeatView, node: Ints, added_w: Floats) -> Floats:
        """Return the inlet temperature, or what the outlet's will be."""
        inlet = heat.inlet_deg_c()[node]
        if self.outlet_weight == 0.0:
            return inlet
        own = (heat.power_w()[node] + added_w) / heat.heat_rate_w_per_k[node]
        return np.asarray(inlet + self.outlet_weight * own)


class LeastRecirculation(ThermalPolicy):
    """Where least of a job's heat is breathed in again, anywhere: MinHR."""

    name: ClassVar[str] = "min_hr"
    optimises: ClassVar[str] = "heat that recirculates in all"
    source: ClassVar[str] = f"MinHR: {_MOORE}"
    needs: ClassVar[str] = "recirculation factors of racks, measured once"

    def costs(self, heat: HeatView, node: Ints, added_w: Floats) -> Floats:
        """Return the heat that comes back."""
        return np.asarray(heat.recirculation_factor[node] * added_w)


class MinimalHottest(ThermalPolicy):
    """Where the hottest inlet of the hall gets least hot: XInt, one job at a time."""

    name: ClassVar[str] = "xint"
    optimises: ClassVar[str] = "the hottest inlet, and so the supply temperature"
    source: ClassVar[str] = "XInt: Tang, Gupta, Varsamopoulos, IEEE TPDS 19 (11), 1458-1472 (2008), greedily"
    needs: ClassVar[str] = "the matrix of heat distribution, and powers of racks"
    complexity: ClassVar[str] = "O(racks^2), for a gang over several servers so often as it has servers"

    def costs(self, heat: HeatView, node: Ints, added_w: Floats) -> Floats:
        """Return the hottest rise over supply there will be; of equals, less heat that comes back goes first."""
        rise = heat.rise_k_per_w @ heat.power_w()
        return _hottest(heat, rise, node, added_w)

    def ranking(self, request: PlacementRequest, heat: HeatView, room: Ints, servers: Ints) -> Ints:
        """Return the order in which servers are chosen, each with what those before it add.

        A gang that takes some `_ROUNDS` servers or more takes several at once, of the best nodes first.
        """
        rise = heat.rise_k_per_w @ heat.power_w()
        by_node = np.lexsort((-room[servers], heat.node[servers]))
        nodes, first, count = np.unique(heat.node[servers][by_node], return_index=True, return_counts=True)
        last = first + count
        order: list[int] = []
        left = request.accelerators
        at_once = -(-left // (_ROUNDS * int(room[servers].max())))
        while left > 0 and len(nodes):
            candidates = by_node[first]
            at_once = -(-left // (_ROUNDS * int(room[servers[candidates]].max())))
            added_w = np.minimum(room[servers[candidates]], left) * heat.busy_power_w[servers[candidates]]
            best = np.argsort(_weighed(heat, rise, nodes, added_w), kind="stable")[:at_once]
            each = -(-at_once // len(best))
            for place in best.tolist():
                chosen = by_node[first[place] : min(first[place] + each, last[place])]
                order += chosen.tolist()
                first[place] += len(chosen)
                left -= int(room[servers[chosen]].sum())
                watts = float(room[servers[chosen]] @ heat.busy_power_w[servers[chosen]])
                rise = rise + heat.rise_k_per_w[:, nodes[place]] * watts
            still = first < last
            nodes, first, last = nodes[still], first[still], last[still]
        rest = np.setdiff1d(np.arange(len(servers)), order)
        return np.concatenate([np.array(order, dtype=np.int64), rest])


def _hottest(heat: HeatView, rise: Floats, node: Ints, added_w: Floats) -> Floats:
    """Return (K,) the hottest inlet over supply, K, with `added_w` (K,) more at `node` (K,).

    Equal nodes and powers are told once.
    """
    pairs, back = np.unique(np.column_stack([node, added_w]), axis=0, return_inverse=True)
    return _weighed(heat, rise, pairs[:, 0].astype(np.int64), pairs[:, 1])[back.reshape(-1)]


def _weighed(heat: HeatView, rise: Floats, node: Ints, added_w: Floats) -> Floats:
    """Return the same for distinct nodes; a hair of the heat that comes back breaks ties."""
    hottest = np.empty(len(node))
    for start in range(0, len(node), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        added = heat.rise_k_per_w[:, node[part]] * added_w[part]
        hottest[part] = (rise[:, None] + added).max(axis=0)
    comes_back = heat.recirculation_factor[node] * added_w / float(heat.heat_rate_w_per_k.sum())
    return np.asarray(hottest + _TIE * comes_back)
