"""A network of one link up and one down a server, and flows over storage's links and its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.facility.sharing import max_min_rates
from dcsim.facility.storage import Storage

__all__ = ["StarOfServers", "rates"]

Streams = Sequence[tuple[int, float]]
Uses = list[tuple[int, float]]


class StarOfServers:
    """Storage hangs on the switch: down links first, then up links."""

    def __init__(self, storage: Storage, servers: int, bandwidth_bytes_per_s: float = 1e15) -> None:
        first = len(storage.capacity_bytes_per_s)
        self.down = range(first, first + servers)
        self.up = range(first + servers, first + 2 * servers)
        self.capacity_bytes_per_s = [bandwidth_bytes_per_s] * (2 * servers)

    def read_uses(self, streams: Streams, /) -> Uses:
        return [(self.down[server], weight) for server, weight in streams]

    feed_uses = read_uses

    def write_uses(self, streams: Streams, /) -> Uses:
        return [(self.up[server], weight) for server, weight in streams]

    def uses(self, transfers: Sequence[tuple[int, int, float]], /) -> Uses:
        return [
            use
            for source, target, weight in transfers
            for use in ((self.up[source], weight), (self.down[target], weight))
        ]


def rates(
    storage: Storage, network: StarOfServers, flows: Sequence[Uses], demand: float = np.inf
) -> list[float]:
    """Return the max-min rate of each flow, bytes/s."""
    capacity = np.array([*storage.capacity_bytes_per_s, *network.capacity_bytes_per_s])
    uses = [(number, link, weight) for number, flow in enumerate(flows) for link, weight in flow]
    return max_min_rates(
        capacity,
        np.full(len(flows), demand),
        np.array([use[0] for use in uses], dtype=np.int64),
        np.array([use[1] for use in uses], dtype=np.int64),
        np.array([use[2] for use in uses]),
    ).tolist()
