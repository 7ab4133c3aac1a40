"""Networks of flows to judge sharing by: random, star and two-tier, and a fluid loop over SharedLinks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dcsim.facility.network import Network
from dcsim.facility.sharing import Flow, SharedLinks
from dcsim.spec.network import NetworkSpec

__all__ = ["Transfers", "finish_times_s", "random_graph", "star", "two_tier"]


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


def _between_servers(draws: np.random.Generator, spec: NetworkSpec, servers: int, flows: int) -> Transfers:
    rack = np.arange(servers) // 8 if spec.topology == "fat_tree" else np.zeros(servers, dtype=np.int64)
    network = Network(spec, rack)
    routes = []
    for _ in range(flows):
        source, target = draws.choice(servers, size=2, replace=False).tolist()
        route = [network.server_up[source], network.server_down[target]]
        if network.tiers == 2 and rack[source] != rack[target]:
            route += [network.leaf_up[int(rack[source])], network.leaf_down[int(rack[target])]]
        routes.append(route)
    starts = np.cumsum(draws.exponential(0.02, flows))
    sizes = draws.exponential(1e9, flows).astype(np.int64) + 1
    return Transfers(list(network.capacity_bytes_per_s), routes, starts.tolist(), sizes.tolist())


def finish_times_s(transfers: Transfers) -> list[float]:
    """Return when each flow's last byte arrives, with rates from `SharedLinks` between events."""
    links = SharedLinks(transfers.capacity_bytes_per_s)
    unlimited = math.ceil(sum(transfers.capacity_bytes_per_s)) + 1
    to_start = sorted(range(len(transfers.routes)), key=lambda f: (transfers.start_s[f], f), reverse=True)
    flows = [
        Flow(f, unlimited, [(link, 1.0, unlimited) for link in r]) for f, r in enumerate(transfers.routes)
    ]
    left_bytes = [float(size) for size in transfers.size_bytes]
    active: dict[int, Flow] = {}
    ends_s = [math.nan] * len(flows)
    now_s = 0.0
    while to_start or active:
        links.settle()
        ends = {f: now_s + left_bytes[f] / flow.rate for f, flow in active.items()}
        first_end_s = min(ends.values(), default=math.inf)
        next_start_s = transfers.start_s[to_start[-1]] if to_start else math.inf
        next_s = min(first_end_s, next_start_s)
        for f, flow in active.items():
            left_bytes[f] -= flow.rate * (next_s - now_s)
        # Flows that end together by arithmetic differ in their last bits: take all of them.
        done = [f for f, end_s in ends.items() if end_s <= next_s * (1.0 + 1e-14)]
        now_s = next_s
        for f in done:
            ends_s[f] = now_s
            links.remove(active.pop(f))
        while to_start and transfers.start_s[to_start[-1]] <= now_s:
            f = to_start.pop()
            active[f] = flows[f]
            links.add(flows[f])
    return ends_s
