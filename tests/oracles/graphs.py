"""Networks of flows to judge sharing by: random, star, two-tier and three-tier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcsim.facility.network import Network
from dcsim.facility.transfers import Transfer
from dcsim.facility.transfers import finish_times_s as finish
from dcsim.spec.network import NetworkSpec

__all__ = ["Transfers", "finish_times_s", "random_graph", "star", "three_tier", "two_tier"]


@dataclass(frozen=True)
class Transfers:
    """Flows of fixed size over fixed routes, starting at given times."""

    capacity_bytes_per_s: list[float]
    routes: list[list[int]]
    """Links that each flow crosses."""
    start_s: list[float]
    size_bytes: list[int]


def random_graph(draws: np.random.Generator) -> Transfers:
    """Return up to 12 flows over up to 8 links of whole capacities, some starting at the same time."""
    links = int(draws.integers(1, 9))
    flows = int(draws.integers(1, 13))
    capacity = [float(c) for c in draws.integers(1, 20, links) * 10**8]
    routes = [
        sorted(draws.choice(links, size=int(draws.integers(1, min(links, 4) + 1)), replace=False).tolist())
        for _ in range(flows)
    ]
    starts = np.round(draws.uniform(0.0, 8.0, flows), 3) * draws.integers(0, 2, flows)
    sizes = draws.integers(10**7, 4 * 10**9, flows)
    return Transfers(capacity, routes, starts.tolist(), sizes.tolist())


def star(draws: np.random.Generator, flows: int = 200) -> Transfers:
    """Return transfers between 32 servers of a star, by the links that dcsim's network lays."""
    return _between_servers(
        draws, NetworkSpec(topology="star", server_bandwidth_bytes_per_s=1.25e9), 32, flows
    )


def two_tier(draws: np.random.Generator, flows: int = 200) -> Transfers:
    """Return transfers between 32 servers under 4 leaves, uplinks oversubscribed threefold."""
    spec = NetworkSpec(topology="fat_tree", server_bandwidth_bytes_per_s=1.25e9, oversubscription=3.0)
    return _between_servers(draws, spec, 32, flows)


def three_tier(draws: np.random.Generator, flows: int = 300, k: int = 8) -> Transfers:
    """Return transfers between the k^3 / 4 servers of a k-ary fat-tree, each over one of its equal paths by a hash."""
    spec = NetworkSpec.model_validate(
        {"topology": "k_ary_fat_tree", "k_ary": {"k": k}, "server_bandwidth_bytes_per_s": 1.25e9}
    )
    return _between_servers(draws, spec, k**3 // 4, flows)


def _between_servers(draws: np.random.Generator, spec: NetworkSpec, servers: int, flows: int) -> Transfers:
    rack = np.arange(servers) // 8 if spec.topology == "fat_tree" else np.zeros(servers, dtype=np.int64)
    network = Network(spec, rack)
    routes = []
    for _ in range(flows):
        source, target = draws.choice(servers, size=2, replace=False).tolist()
        route = network.uses([(source, target, 1.0)])
        assert all(weight == 1.0 for _, weight in route)
        routes.append([link for link, _ in route])
    starts = np.cumsum(draws.exponential(0.64 / servers, flows))
    sizes = draws.exponential(1e9, flows).astype(np.int64) + 1
    return Transfers(list(network.capacity_bytes_per_s), routes, starts.tolist(), sizes.tolist())


def finish_times_s(transfers: Transfers) -> list[float]:
    """Return when each flow's last byte arrives, by dcsim."""
    rows = zip(transfers.start_s, transfers.size_bytes, transfers.routes, strict=True)
    return finish(
        transfers.capacity_bytes_per_s,
        [Transfer(start_s, float(size), [(link, 1.0) for link in route]) for start_s, size, route in rows],
    )
