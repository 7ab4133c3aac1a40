"""The dragonfly (Kim et al., ISCA 2008): groups of routers, all to all inside, joined two by two by global links."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.facility.network.wiring import Wiring
from dcsim.spec.network import DragonflySpec, NetworkSpec

__all__ = ["global_links", "wire_dragonfly"]

Ints = npt.NDArray[np.int64]

_GLOBAL_COST = 3
"""Of one hop between groups, a local one costing 1: local-global-local (5) comes before two global hops (6)."""


def wire_dragonfly(spec: NetworkSpec, dragonfly: DragonflySpec, servers: int) -> Wiring:
    """Return the links of servers in their order on routers, local links, then global ones.

    Minimal routing has at most one global hop: it weighs as much as three local ones. Each server has a
    front-end link to storage besides.

    Args:
        spec: bandwidths.
        dragonfly: sizes.
        servers: S, at most groups x routers x servers a router.
    """
    groups, size = dragonfly.groups, dragonfly.routers_per_group
    wiring = Wiring(groups * size, groups * size)
    bandwidth = spec.server_bandwidth_bytes_per_s
    up = wiring.lay("server", [f"server {s} up" for s in range(servers)], bandwidth)
    down = wiring.lay("server", [f"server {s} down" for s in range(servers)], bandwidth)
    wiring.attach((np.arange(servers) // dragonfly.servers_per_router).tolist(), up, down)

    source, target = (part.ravel() for part in np.indices((size, size)))
    apart = source != target
    first = np.repeat(np.arange(groups) * size, size * (size - 1))
    local = (first + np.tile(source[apart], groups), first + np.tile(target[apart], groups))
    _lay(wiring, "local", local, dragonfly.local_bandwidth_bytes_per_s or bandwidth, 1)
    between = global_links(dragonfly)
    _lay(wiring, "global", between, dragonfly.global_bandwidth_bytes_per_s or bandwidth, _GLOBAL_COST)
    return wiring


def global_links(dragonfly: DragonflySpec) -> tuple[Ints, Ints]:
    """Return (router, router at the other end) of each global link in each direction, by group and port.

    Port j of a group is on router j // h, h global links a router. With g groups the first g - 1 ports
    lead each to another group, and so do the next, as long as all get one more. In a palmtree, port j of group i
    leads to group i - j - 1 (mod g); in the consecutive arrangement the groups are gone through in their order.
    Source: Camarero, Vallejo, Beivide, Topological Characterization of Hamming and Dragonfly Networks and
    Its Implications on Routing, ACM TACO 11 (2014) 39, doi:10.1145/2677038.
    """
    groups, size = dragonfly.groups, dragonfly.routers_per_group
    others = groups - 1
    if others == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    per_router = dragonfly.global_links_per_router or -(-others // size)
    rounds = size * per_router // others
    group = np.repeat(np.arange(groups), others * rounds)
    port = np.tile(np.arange(others * rounds), groups)
    turn, place = port // others, port % others
    if dragonfly.arrangement == "palmtree":
        other = (group - place - 1) % groups
        back = others - 1 - place
    else:
        other = np.where(place < group, place, place + 1)
        back = np.where(group < other, group, group - 1)
    return group * size + port // per_router, other * size + (turn * others + back) // per_router


def _lay(wiring: Wiring, tier: str, pairs: tuple[Ints, Ints], bandwidth: float, cost: int) -> None:
    """Lay links between pairs of routers; a second link of the same pair is numbered in its name."""
    seen: dict[str, int] = {}
    names = []
    for source, target in zip(*(part.tolist() for part in pairs), strict=True):
        name = f"router {source} to router {target}"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    wiring.join(wiring.lay(tier, names, bandwidth), *pairs, cost)
