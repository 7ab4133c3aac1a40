"""The three-tier fat-tree of equal switches with k ports (Al-Fares et al., SIGCOMM 2008), every link its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.facility.network.wiring import NO_LINK, Wiring
from dcsim.spec.network import KArySpec, NetworkSpec

__all__ = ["wire_k_ary"]

Ints = npt.NDArray[np.int64]


def wire_k_ary(spec: NetworkSpec, k_ary: KArySpec, servers: int) -> Wiring:
    """Return the links of servers in their order under k^2/2 edge switches, k^2/2 aggregation and k^2/4 core switches.

    Edge and aggregation switches of a pod are joined all to all; aggregation switch j of each pod leads to
    cores j k/2 up to (j + 1) k/2. Storage is behind all cores. A link between switches carries a server's
    bandwidth divided by the oversubscription.

    Args:
        spec: bandwidths.
        k_ary: size.
        servers: S, at most k^3/4.
    """
    half = k_ary.k // 2
    edges, cores = k_ary.k * half, half * half
    storage = 2 * edges + cores
    wiring = Wiring(storage + 1, 2 * edges + cores)
    bandwidth = spec.server_bandwidth_bytes_per_s
    between = bandwidth / (k_ary.oversubscription or spec.oversubscription)
    up = wiring.lay("server", [f"server {s} up" for s in range(servers)], bandwidth)
    down = wiring.lay("server", [f"server {s} down" for s in range(servers)], bandwidth)
    wiring.attach((np.arange(servers) // half).tolist(), up, down)

    edge = np.repeat(np.arange(edges), half)
    aggregation = edge // half * half + np.tile(np.arange(half), edges)
    _both_ways(wiring, "edge", ("edge", edge, 0), ("aggregation", aggregation, edges), between)
    lower = np.repeat(np.arange(edges), half)
    core = lower % half * half + np.tile(np.arange(half), edges)
    _both_ways(wiring, "aggregation", ("aggregation", lower, edges), ("core", core, 2 * edges), between)

    above = np.arange(2 * edges, storage)
    behind = np.full(cores, storage)
    wiring.join(None, above, behind)
    wiring.join(None, behind, above)
    wiring.transit[storage] = False
    wiring.storage = [((storage, NO_LINK, NO_LINK),)]
    wiring.hashes_storage = True

    pod = np.concatenate([np.arange(2 * edges) % edges // half, np.full(cores + 1, -1)])
    above = np.repeat([0, 1, 2, 3], [edges, edges, cores, 1])

    def distance(target: int) -> Ints | None:
        """Up to a switch that has the pod's servers below it, and down; from storage by any core."""
        if target >= edges:
            return None
        hops = np.select([above >= 2, pod == target // half], [above, 2 - above], 4 - above)
        hops[target] = 0
        return hops

    wiring.distance = distance
    return wiring


def _both_ways(
    wiring: Wiring,
    tier: str,
    low: tuple[str, Ints, int],
    high: tuple[str, Ints, int],
    bandwidth: float,
) -> None:
    """Lay the links up, then the links down, between switches (kind, number of each, first router of the kind)."""
    for (name, at, first), (other, to, start) in ((low, high), (high, low)):
        names = [f"{name} {a} to {other} {b}" for a, b in zip(at.tolist(), to.tolist(), strict=True)]
        wiring.join(wiring.lay(tier, names, bandwidth), first + at, start + to)
