"""How long a pattern of transfers takes, alone on its links, and the algorithm that takes least.

The alpha-beta model: a message of m bytes takes alpha + m / B (Hockney 1994,
doi:10.1016/S0167-8191(06)80021-9; for collectives Thakur, Rabenseifner, Gropp 2005,
doi:10.1177/1094342005051521). What contention does to it is the simulator's to say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dcsim.workload.collectives import Algorithm, Collective, Pattern, collective_pattern

__all__ = ["AlgorithmChoice", "Links", "choose_algorithm", "pattern_time_s"]

AlgorithmChoice = Algorithm | Literal["auto"]


@dataclass(frozen=True, slots=True)
class Links:
    """What the links of a gang give when nobody else uses them."""

    inside_bandwidth_bytes_per_s: float
    """Of one device to the others of its server, one direction; > 0."""
    between_bandwidth_bytes_per_s: float
    """Of one server to the network, one direction; > 0."""
    inside_latency_s: float = 0.0
    """Of one message inside a server; >= 0."""
    between_latency_s: float = 0.0
    """Of one message between servers; >= 0."""
    pair_bandwidth_bytes_per_s: float = math.inf
    """Of two servers to each other, both directions together, where all they exchange is one flow of a tunnel or of
    a virtual network; > 0; inf: no limit but that of the servers."""
    switch_reduction: bool = False
    """Whether the switches between servers can add up, so that `auto` may choose in_network."""

    @property
    def algorithms(self) -> tuple[Algorithm, ...]:
        """What `auto` chooses from, the simplest first."""
        plain: tuple[Algorithm, ...] = ("ring", "tree", "hierarchical")
        return (*plain, "in_network") if self.switch_reduction else plain


def pattern_time_s(pattern: Pattern, links: Links) -> float:
    """Return how long a pattern takes [s].

    Its rounds of latency, and the bytes of the busiest device inside a server and of the busiest server (or pair of
    servers) over their bandwidths: the sum where they follow each other, the longer where they run in a pipeline.

    >>> links = Links(100.0, 10.0, inside_latency_s=0.01, between_latency_s=0.1)
    >>> ring = collective_pattern("all_reduce", "ring", [(0, 2), (1, 2)], 40.0)  # 60 B by each, 6 rounds
    >>> round(pattern_time_s(ring, links), 9)
    6.6
    >>> rings = collective_pattern("all_reduce", "hierarchical", [(0, 2), (1, 2)], 40.0)
    >>> round(pattern_time_s(rings, links), 9)  # 40 B and 2 rounds inside, 40 B and 2 rounds between
    4.62
    """
    inside_s = pattern.device_bytes / links.inside_bandwidth_bytes_per_s
    between_s = pattern.busiest_bytes / links.between_bandwidth_bytes_per_s
    if links.pair_bandwidth_bytes_per_s < math.inf:
        between_s = max(between_s, pattern.pair_bytes / links.pair_bandwidth_bytes_per_s)
    latency_s = (
        pattern.rounds_inside * links.inside_latency_s + pattern.rounds_between * links.between_latency_s
    )
    return latency_s + (inside_s + between_s if pattern.sequential else max(inside_s, between_s))


def choose_algorithm(
    collective: Collective, placement: Sequence[tuple[int, int]], message_bytes: float, links: Links
) -> Algorithm:
    """Return the algorithm that takes least time by `pattern_time_s`.

    Of equals the first of ring, tree, hierarchical, in_network; the last only where the switches can add up.

    >>> links = Links(1e9, 1e9, between_latency_s=1e-3)
    >>> servers = [(server, 1) for server in range(8)]
    >>> [choose_algorithm("all_reduce", servers, size, links) for size in (1e3, 1e9)]
    ['tree', 'ring']
    """
    patterns = [
        (name, collective_pattern(collective, name, placement, message_bytes)) for name in links.algorithms
    ]
    return min(patterns, key=lambda found: pattern_time_s(found[1], links))[0]
