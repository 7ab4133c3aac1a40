"""Leaves and spines: a leaf a rack, or a leaf for each accelerator index of a group of servers (rails)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.facility.network.wiring import NO_LINK, Wiring
from dcsim.spec.network import NetworkSpec, RailsSpec
from dcsim.spec.network_size import spine_count

__all__ = ["wire_leaf_spine", "wire_rails"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def wire_leaf_spine(spec: NetworkSpec, rack: Ints) -> Wiring:
    """Return a leaf a rack, each with one link to every spine, all uplinks of a leaf equal.

    Args:
        spec: bandwidths; a leaf's uplinks carry its servers' bandwidth divided by `oversubscription`.
        rack: (S,) rack of each server, ascending.
    """
    servers, racks = len(rack), int(rack[-1]) + 1
    spines = spine_count(spec, racks)
    wiring = Wiring(racks + spines + 1, racks + spines)
    bandwidth = spec.server_bandwidth_bytes_per_s
    up = wiring.lay("server", [f"server {s} up" for s in range(servers)], bandwidth)
    down = wiring.lay("server", [f"server {s} down" for s in range(servers)], bandwidth)
    wiring.attach(rack.tolist(), up, down)
    sizes = np.bincount(rack, minlength=racks).astype(np.float64)
    uplink = sizes * (bandwidth / (spec.oversubscription * spines))
    _uplinks(wiring, [f"rack {r}" for r in range(racks)], uplink, spines)
    _storage_above(wiring, racks, spines)
    _give_distances(wiring, racks, spines)
    return wiring


def wire_rails(spec: NetworkSpec, rails: RailsSpec, servers: int, per_server: int) -> Wiring:
    """Return a rail-optimised network: rail i of every server leads to leaf i of its group, spines above.

    With `spread` the uplinks of a leaf are one bundle to all that is above, else each leaf has one link to
    every spine. Each server has a front-end link to storage besides.

    Args:
        spec: bandwidths and routing.
        rails: sizes.
        servers: S.
        per_server: rails, >= 1.
    """
    group = np.arange(servers) // rails.servers_per_group
    groups = int(group[-1]) + 1
    leaves = groups * per_server
    spines = spine_count(spec, leaves) if groups > 1 else 0
    above = min(1, spines) if spec.route == "spread" else spines
    wiring = Wiring(leaves + above, leaves + spines)
    bandwidth = rails.bandwidth_bytes_per_s or spec.server_bandwidth_bytes_per_s / per_server
    names = [f"server {s} rail {rail}" for s in range(servers) for rail in range(per_server)]
    up = wiring.lay("rail", [f"{name} up" for name in names], bandwidth)
    down = wiring.lay("rail", [f"{name} down" for name in names], bandwidth)
    for rail in range(per_server):
        leaf = (group * per_server + rail).tolist()
        wiring.attach(leaf, up[rail::per_server], down[rail::per_server])
    if above:
        sizes = np.repeat(np.bincount(group).astype(np.float64), per_server)
        uplink = sizes * (bandwidth / ((rails.oversubscription or spec.oversubscription) * above))
        labels = [f"group {g} rail {rail}" for g in range(groups) for rail in range(per_server)]
        _uplinks(wiring, labels, uplink, above, bundle=spec.route == "spread")
    _give_distances(wiring, leaves, above)
    return wiring


def _uplinks(wiring: Wiring, labels: list[str], uplink: Floats, spines: int, *, bundle: bool = False) -> None:
    """Lay the links from each leaf to each router above, then those back; `bundle`: named as one link."""
    leaves = len(labels)
    leaf = np.repeat(np.arange(leaves), spines)
    spine = np.tile(np.arange(spines), leaves)
    capacity = np.repeat(uplink, spines).tolist()
    pairs = list(zip(leaf.tolist(), spine.tolist(), strict=True))
    ups = [f"{labels[a]} up" if bundle else f"{labels[a]} to spine {b}" for a, b in pairs]
    downs = [f"{labels[a]} down" if bundle else f"spine {b} to {labels[a]}" for a, b in pairs]
    wiring.join(wiring.lay("leaf", ups, capacity), leaf, leaves + spine)
    wiring.join(wiring.lay("leaf", downs, capacity), leaves + spine, leaf)


def _storage_above(wiring: Wiring, first: int, spines: int) -> None:
    """Attach storage to all spines."""
    storage = first + spines
    above, behind = np.arange(first, storage), np.full(spines, storage)
    wiring.join(None, above, behind)
    wiring.join(None, behind, above)
    wiring.transit[storage] = False
    wiring.storage = [((storage, NO_LINK, NO_LINK),)]
    wiring.hashes_storage = True


def _give_distances(wiring: Wiring, leaves: int, above: int) -> None:
    """Tell how far it is to a leaf: one hop from what is above it, two from other leaves and from storage."""
    hops = np.full(wiring.routers, 2)
    hops[leaves : leaves + above] = 1

    def distance(target: int) -> Ints | None:
        if target >= leaves or not above:
            return None
        to_target = hops.copy()
        to_target[target] = 0
        return to_target

    wiring.distance = distance
