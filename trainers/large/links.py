"""How long collectives take on the links of a cluster: latency, rounds and bytes."""

from __future__ import annotations

from dataclasses import dataclass

from dcsim.facility.hardware import Accelerator
from trainers.large.efficiency import Efficiency

__all__ = ["Cluster", "ring_s", "transfer_s"]


@dataclass(frozen=True, eq=False)
class Cluster:
    """Equal servers on one network.

    >>> from dcsim.facility.hardware import CATALOGUE
    >>> Cluster(CATALOGUE["A100-80"]).between_bytes_per_s
    200000000000.0
    """

    device: Accelerator
    server_devices: int = 8
    """Devices of a server."""
    between_bytes_per_s: float = 200e9
    """Of one server to the network, one direction: eight ports of 200 Gbit/s in a DGX A100 (NVIDIA 2020) [B/s]."""
    latency_s: float = 5e-6
    """Of one message between servers."""


def ring_s(
    size_bytes: float,
    members: int,
    cluster: Cluster,
    efficiency: Efficiency,
    *,
    inside: bool,
    sharing: int = 1,
) -> float:
    """Return how long a ring all-gather or reduce-scatter takes [s]; an all-reduce is one of each.

    t = call + (n - 1) round + (n - 1) / n m / B (Thakur, Rabenseifner, Gropp 2005).

    Args:
        size_bytes: m, of the gathered or the scattered message.
        members: n, in the ring.
        cluster: For the bandwidth.
        efficiency: For what is left of it.
        inside: Whether all are in one server.
        sharing: Rings that use the links of a server at once; between servers only.
    """
    if members <= 1:
        return 0.0
    rounds = members - 1
    part = rounds / members * size_bytes
    if inside:
        bandwidth = efficiency.inside_fraction * cluster.device.link_bandwidth_bytes_per_s
        return efficiency.inside_call_s + rounds * efficiency.inside_round_s + part / bandwidth
    bandwidth = efficiency.between_fraction * cluster.between_bytes_per_s / sharing
    latency_s = cluster.latency_s + efficiency.between_round_s
    return efficiency.inside_call_s + rounds * latency_s + part / bandwidth


def transfer_s(
    size_bytes: float, cluster: Cluster, efficiency: Efficiency, *, inside: bool, sharing: int = 1
) -> float:
    """Return how long one device takes to send a message to another [s]; see `ring_s`."""
    if inside:
        bandwidth = efficiency.inside_fraction * cluster.device.link_bandwidth_bytes_per_s
        return efficiency.inside_call_s + efficiency.inside_round_s + size_bytes / bandwidth
    bandwidth = efficiency.between_fraction * cluster.between_bytes_per_s / sharing
    return efficiency.inside_call_s + cluster.latency_s + efficiency.between_round_s + size_bytes / bandwidth
