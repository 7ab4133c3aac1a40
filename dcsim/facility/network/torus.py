"""The torus in two or three dimensions: servers are the nodes, each joined to its neighbours along each dimension."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.facility.network.wiring import NO_LINK, Wiring
from dcsim.spec.network import NetworkSpec, TorusSpec

__all__ = ["wire_torus"]

Ints = npt.NDArray[np.int64]


def wire_torus(spec: NetworkSpec, torus: TorusSpec, servers: int) -> Wiring:
    """Return the links of all nodes along x, then y, then z, upwards before downwards.

    In this order the first of the shortest ways is the dimension-ordered one (Dally, Seitz, IEEE Trans.
    Computers 36 (1987) 547-553). The ends of a dimension are joined where it has more than two nodes. Nodes
    without a server pass traffic on. Each server has a front-end link to storage besides.

    Args:
        spec: bandwidths.
        torus: shape.
        servers: S, at most the number of nodes.
    """
    nodes = int(np.prod(torus.shape))
    wiring = Wiring(nodes, 0)
    bandwidth = torus.link_bandwidth_bytes_per_s or spec.server_bandwidth_bytes_per_s
    node = np.arange(nodes)
    stride = 1
    for axis, side in zip("xyz", torus.shape, strict=False):
        place = node // stride % side
        for step, sign in ((1, "+"), (-1, "-")):
            inner = place + step
            has = node if side > 2 else node[(inner >= 0) & (inner < side)]
            to = has + ((inner[has] % side) - place[has]) * stride
            names = [f"node {n} {axis}{sign}" for n in has.tolist()]
            wiring.join(wiring.lay(f"torus {axis}", names, bandwidth), has, to)
        stride *= side
    none = [NO_LINK] * servers
    wiring.attach(range(servers), none, none)
    shape = torus.shape

    def distance(target: int) -> Ints:
        """Each dimension the shorter way round: the sum over all nodes, x fastest."""
        hops = np.zeros(1, dtype=np.int64)
        for side in shape:
            round_ring = np.abs(np.arange(side) - target % side)
            hops = np.add.outer(np.minimum(round_ring, side - round_ring), hops).ravel()
            target //= side
        return hops

    wiring.distance = distance
    return wiring
