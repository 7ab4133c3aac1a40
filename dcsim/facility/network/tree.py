"""Star and two-tier fat-tree as trees: the uplinks of a leaf are one bundle, so there is one way between two servers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from dcsim.facility.network.wiring import Wiring
from dcsim.spec.network import NetworkSpec
from dcsim.spec.network_size import spine_count

__all__ = ["Tree"]

Ints = npt.NDArray[np.int64]


class Tree:
    """Numbers of the links of a star or a fat-tree, and the ways over them.

    Args:
        spec: topology and bandwidths.
        rack: (S,) rack of each server, ascending.
        first_link: number of the first link.
    """

    def __init__(self, spec: NetworkSpec, rack: Ints, first_link: int) -> None:
        self._rack = rack.tolist()
        servers = len(rack)
        racks = int(rack[-1]) + 1 if spec.topology == "fat_tree" else 0
        self.server_up = range(first_link, first_link + servers)
        self.server_down = range(first_link + servers, first_link + 2 * servers)
        start = first_link + 2 * servers
        self.leaf_up = range(start, start + racks) if racks else range(0)
        self.leaf_down = range(start + racks, start + 2 * racks) if racks else range(0)
        self.wiring = Wiring(0, racks + spine_count(spec, racks) if racks else 1)
        bandwidth = spec.server_bandwidth_bytes_per_s
        self.wiring.lay("server", [f"server {s} up" for s in range(servers)], bandwidth)
        self.wiring.lay("server", [f"server {s} down" for s in range(servers)], bandwidth)
        if racks:
            uplink = (np.bincount(rack, minlength=racks) * bandwidth / spec.oversubscription).tolist()
            self.wiring.lay("leaf", [f"rack {r} up" for r in range(racks)], uplink)
            self.wiring.lay("leaf", [f"rack {r} down" for r in range(racks)], uplink)

    def uses(self, transfers: Iterable[tuple[int, int, float]]) -> list[tuple[int, float]]:
        """Return (link, weight) of transfers (source, target, weight), ascending by link."""
        up, down, rack = self.server_up.start, self.server_down.start, self._rack
        leaf_up, leaf_down, leaves = self.leaf_up.start, self.leaf_down.start, bool(self.leaf_up)
        total: dict[int, float] = {}
        get = total.get
        for source, target, weight in transfers:
            if source == target:
                continue
            total[up + source] = get(up + source, 0.0) + weight
            total[down + target] = get(down + target, 0.0) + weight
            if leaves and rack[source] != rack[target]:
                link = leaf_up + rack[source]
                total[link] = get(link, 0.0) + weight
                link = leaf_down + rack[target]
                total[link] = get(link, 0.0) + weight
        return sorted(total.items())

    def ring_uses(self, servers: Sequence[int]) -> list[tuple[int, float]]:
        """Return (link, weight) of a ring over `servers` (ascending): each sends to the next.

        Racks are contiguous in the order of servers, so the ring leaves and enters each rack once.
        """
        uses = [(self.server_up[s], 1.0) for s in servers]
        uses += [(self.server_down[s], 1.0) for s in servers]
        if self.leaf_up:
            racks = sorted({self._rack[s] for s in servers})
            if len(racks) > 1:
                uses += [(self.leaf_up[r], 1.0) for r in racks]
                uses += [(self.leaf_down[r], 1.0) for r in racks]
        return uses

    def storage_uses(self, streams: Iterable[tuple[int, float]], *, reads: bool) -> list[tuple[int, float]]:
        """Return (link, weight) from the storage at the top of the tree down to servers, or up to it.

        Args:
            streams: (server, weight of its stream).
            reads: whether from storage; else to it.
        """
        server_link = self.server_down if reads else self.server_up
        leaf_link = self.leaf_down if reads else self.leaf_up
        uses = []
        by_rack: dict[int, float] = {}
        for server, weight in streams:
            uses.append((server_link[server], weight))
            rack = self._rack[server]
            by_rack[rack] = by_rack.get(rack, 0.0) + weight
        if leaf_link:
            uses += [(leaf_link[r], weight) for r, weight in by_rack.items()]
        return uses
