"""The network: its links, and the links that a gang's ring and a data feed cross."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dcsim.spec.network import NetworkSpec

__all__ = ["RACKS_PER_SPINE", "Network", "ring_bytes"]

RACKS_PER_SPINE = 8
"""Leaf switches served by one spine, for the count of switches that draw power."""


def ring_bytes(members: int, message_bytes: float) -> float:
    """Return the bytes each member of a ring all-reduce sends: 2 (n - 1) / n * m.

    Source: Patarasuk, Yuan, J. Parallel Distrib. Comput. 69 (2009) 117-124 (bandwidth optimal).

    >>> ring_bytes(4, 100.0)
    150.0
    """
    return 2.0 * (members - 1) / members * message_bytes


class Network:
    """Full-duplex links of a star or a two-tier fat-tree; every link is two directed ones.

    The uplinks of a leaf are one bundle: traffic is spread over all of them (ideal ECMP).

    Args:
        spec: topology and bandwidths.
        rack: (S,) rack of each server, ascending.
        first_link: number of the first link, where other rooms' links come before.
    """

    def __init__(self, spec: NetworkSpec, rack: npt.NDArray[np.int64], first_link: int = 0) -> None:
        self.spec = spec
        self._rack = rack.tolist()
        servers = len(rack)
        racks = int(rack[-1]) + 1
        self.tiers = 1 if spec.topology == "star" else 2
        self.server_up = range(first_link, first_link + servers)
        self.server_down = range(first_link + servers, first_link + 2 * servers)
        bandwidth = spec.server_bandwidth_bytes_per_s
        self.capacity_bytes_per_s = [bandwidth] * (2 * servers)
        self.link_names = [f"server {s} up" for s in range(servers)]
        self.link_names += [f"server {s} down" for s in range(servers)]
        self.leaf_up = self.leaf_down = range(0)
        if self.tiers == 2:
            start = first_link + 2 * servers
            self.leaf_up = range(start, start + racks)
            self.leaf_down = range(start + racks, start + 2 * racks)
            sizes = np.bincount(rack, minlength=racks)
            uplink = (sizes * bandwidth / spec.oversubscription).tolist()
            self.capacity_bytes_per_s += uplink + uplink
            self.link_names += [f"rack {r} up" for r in range(racks)]
            self.link_names += [f"rack {r} down" for r in range(racks)]
        self.switches = 1 if self.tiers == 1 else racks + math.ceil(racks / RACKS_PER_SPINE)
        self.power_w = self.switches * spec.switch_power_w

    def ring_uses(self, servers: Sequence[int]) -> list[tuple[int, float]]:
        """Return (link, weight) of a ring over `servers` (ascending): each sends to the next.

        Racks are contiguous in the order of servers, so the ring leaves and enters each rack once.
        """
        uses = [(self.server_up[s], 1.0) for s in servers]
        uses += [(self.server_down[s], 1.0) for s in servers]
        if self.tiers == 2:
            racks = sorted({self._rack[s] for s in servers})
            if len(racks) > 1:
                uses += [(self.leaf_up[r], 1.0) for r in racks]
                uses += [(self.leaf_down[r], 1.0) for r in racks]
        return uses

    def feed_uses(self, streams: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
        """Return (link, weight) from the storage at the top of the tree down to servers.

        Args:
            streams: (server, weight of its stream).
        """
        uses = [(self.server_down[s], weight) for s, weight in streams]
        if self.tiers == 2:
            by_rack: dict[int, float] = {}
            for server, weight in streams:
                rack = self._rack[server]
                by_rack[rack] = by_rack.get(rack, 0.0) + weight
            uses += [(self.leaf_down[r], weight) for r, weight in by_rack.items()]
        return uses
