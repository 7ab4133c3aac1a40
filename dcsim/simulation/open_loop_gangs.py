"""What the gangs of an open loop put on which links: worked out once for each pattern, laid out for all.

In a tree of bundles a gang's weights depend on its plan, on its devices server by server and on where in it
one rack ends and the next begins. One gang of each such pattern is asked what it exchanges
(`CostModel.exchange`, as in the event loop); the others of the pattern have the same weights on their links.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.policies.views import Placement
from dcsim.simulation.costing import Shape
from dcsim.simulation.inputs import RunInputs

__all__ = ["GangWeights", "gang_weights"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GangWeights:
    """Weights of the parts of gangs (R,), one row for each server of each gang; 0: no use."""

    server_up: Floats
    """Of the exchange between servers, on the way from the server."""
    server_down: Floats
    leaf_up: Floats
    """On the way from the rack, in the row of the gang's first server there."""
    leaf_down: Floats
    fabric: Floats
    """Of the exchange inside the server."""
    fabric_bytes_per_step: Floats
    """(G,) of each gang, on its busiest fabric."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """The weights of one pattern, server by server and rack by rack of a gang."""

    server_up: Floats
    server_down: Floats
    leaf_up: Floats
    leaf_down: Floats
    fabric: Floats
    fabric_bytes_per_step: float


def gang_weights(
    inputs: RunInputs, shapes: list[Shape], plan: Ints, first: Ints, server: Ints, count: Ints
) -> GangWeights:
    """Return the weights of all gangs.

    Args:
        inputs: of a run to which the open loop applies.
        shapes: of the plans, by number.
        plan: (G,) number of each gang's plan.
        first: (G + 1,) where each gang's rows begin.
        server: (R,) ascending within a gang.
        count: (R,) devices there.
    """
    rows, gangs = len(server), len(plan)
    out = {name: np.zeros(rows) for name in ("server_up", "server_down", "leaf_up", "leaf_down", "fabric")}
    fabric_bytes = np.zeros(gangs)
    rack = inputs.fleet.rack[server]
    sizes = np.diff(first)
    for members in _alike(plan, first, sizes, count, rack):
        one = int(members[0])
        part = slice(int(first[one]), int(first[one + 1]))
        placement = tuple(zip(server[part].tolist(), count[part].tolist(), strict=True))
        pattern = _pattern(inputs, shapes[int(plan[one])], placement)
        at = first[members][:, None] + np.arange(sizes[one])
        for name, column in out.items():
            column[at] = getattr(pattern, name)
        fabric_bytes[members] = pattern.fabric_bytes_per_step
    return GangWeights(**out, fabric_bytes_per_step=fabric_bytes)


def _alike(plan: Ints, first: Ints, sizes: Ints, count: Ints, rack: Ints) -> list[Ints]:
    """Return the gangs of each pattern: by plan alone on one server, else by devices and racks one after the other."""
    groups: list[Ints] = []
    single = np.flatnonzero(sizes == 1)
    if len(single):
        order = single[np.argsort(plan[single], kind="stable")]
        groups += np.split(order, np.flatnonzero(np.diff(plan[order])) + 1)
    found: dict[tuple[object, ...], list[int]] = {}
    for gang in np.flatnonzero(sizes > 1).tolist():
        part = slice(int(first[gang]), int(first[gang + 1]))
        racks = rack[part]
        key = (int(plan[gang]), count[part].tobytes(), (racks[1:] != racks[:-1]).tobytes())
        found.setdefault(key, []).append(gang)
    return groups + [np.array(members) for members in found.values()]


def _pattern(inputs: RunInputs, shape: Shape, placement: Placement) -> _Pattern:
    """Ask what one gang exchanges, and return its weights server by server."""
    servers = np.array([server for server, _ in placement])
    nothing = np.zeros(len(servers))
    exchange = inputs.costs.exchange(shape, placement, 0)
    if exchange is None:
        return _Pattern(nothing, nothing, nothing, nothing, nothing, 0.0)
    network, between = inputs.network, dict(exchange.together[0])
    inside, fabric_bytes = exchange.inside
    racks = inputs.fleet.rack[servers]
    begins = np.append(True, racks[1:] != racks[:-1])

    def of_servers(links: range) -> Floats:
        return np.array([between.get(links[s], 0.0) for s in servers.tolist()])

    def of_racks(links: range) -> Floats:
        if not links:
            return nothing
        weights = np.array([between.get(links[r], 0.0) for r in racks.tolist()])
        return np.where(begins, weights, 0.0)

    fabric = dict(inside)
    return _Pattern(
        of_servers(network.server_up),
        of_servers(network.server_down),
        of_racks(network.leaf_up),
        of_racks(network.leaf_down),
        np.array([fabric.get(network.inside_use(s), 0.0) if fabric else 0.0 for s in servers.tolist()]),
        fabric_bytes,
    )
