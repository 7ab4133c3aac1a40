"""What a data-parallel step costs on more devices: computing, and the exchange of gradients that it cannot hide.

    t(n) = t_compute + max(0, t_exchange(n) - f t_compute)

t_exchange is the alpha-beta time of an all-reduce laid on servers and links (`dcsim.workload.collectives`), f the part of
computing behind which it may hide (`dcsim.workload.overlap`): the same equations that the simulator uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dcsim.workload.collective_cost import AlgorithmChoice, Links, choose_algorithm, pattern_time_s
from dcsim.workload.collectives import collective_pattern
from dcsim.workload.overlap import exposed_communication_s

__all__ = ["INSIDE_LATENCY_S", "Network", "ScaledStep", "all_reduce_s", "fit_network", "scaled_step"]

INSIDE_LATENCY_S = 1.9e-6
"""Of one message of a ring inside a server: what NCCL's own choice of algorithms reckons with on NVLink (protocol LL128)."""


@dataclass(frozen=True)
class Network:
    """Equal servers and what joins them."""

    bandwidth_bytes_per_s: float
    """Of one server to the network, one direction; > 0."""
    latency_s: float = 0.0
    """Of one message between servers; >= 0."""
    devices_per_server: int = 1
    inside_bandwidth_bytes_per_s: float = float("inf")
    """Of one device to the others of its server, one direction; > 0."""
    inside_latency_s: float = 0.0

    @property
    def links(self) -> Links:
        """The same as the simulator's own cost of patterns takes it."""
        return Links(
            self.inside_bandwidth_bytes_per_s,
            self.bandwidth_bytes_per_s,
            self.inside_latency_s,
            self.latency_s,
        )

    def placement(self, devices: int) -> list[tuple[int, int]]:
        """Return (server, devices on it) of so many devices: full servers first.

        >>> Network(1e9, devices_per_server=8).placement(20)
        [(0, 8), (1, 8), (2, 4)]
        """
        full, rest = divmod(devices, self.devices_per_server)
        counts = [self.devices_per_server] * full + [rest] * bool(rest)
        return list(enumerate(counts))


class ScaledStep(NamedTuple):
    """One step on some devices [s]."""

    compute_s: float
    exchange_s: float
    """Of the gradients, hidden or not."""
    exposed_s: float
    """Part of it that the step waits for."""

    @property
    def step_s(self) -> float:
        """All of it."""
        return self.compute_s + self.exposed_s


def all_reduce_s(
    size_bytes: float, devices: int, network: Network, algorithm: AlgorithmChoice = "ring"
) -> float:
    """Return how long an all-reduce takes that nobody disturbs [s].

    On a ring of n servers with one device each 2 (n - 1) alpha + 2 (n - 1) / n m / B.

    Args:
        size_bytes: m, what each device holds; >= 0.
        devices: n, >= 1.
        network: what joins them.
        algorithm: as `dcsim.workload.collectives` names it, or auto for the quickest.

    >>> all_reduce_s(100.0, 4, Network(bandwidth_bytes_per_s=10.0, latency_s=1.0))
    21.0
    """
    placement = network.placement(devices)
    if algorithm == "auto":
        algorithm = choose_algorithm("all_reduce", placement, size_bytes, network.links)
    return pattern_time_s(collective_pattern("all_reduce", algorithm, placement, size_bytes), network.links)


def scaled_step(
    compute_s: float,
    size_bytes: float,
    devices: int,
    network: Network,
    *,
    overlap_fraction: float = 0.0,
    algorithm: AlgorithmChoice = "ring",
) -> ScaledStep:
    """Return a step of `devices` that each compute for `compute_s` and all-reduce `size_bytes`.

    >>> scaled_step(10.0, 100.0, 4, Network(10.0, 1.0), overlap_fraction=0.5)
    ScaledStep(compute_s=10.0, exchange_s=21.0, exposed_s=16.0)
    """
    alone = devices == 1 or size_bytes == 0.0
    exchange_s = 0.0 if alone else all_reduce_s(size_bytes, devices, network, algorithm)
    exposed_s = exposed_communication_s([(exchange_s, overlap_fraction)], compute_s)
    return ScaledStep(compute_s, exchange_s, exposed_s)


def fit_network(extra_s: Sequence[tuple[int, float]], size_bytes: float) -> Network:
    """Return the network on which a ring explains what more devices cost, one device a server.

    Least squares in 2 (n - 1) alpha + 2 (n - 1) / n m / B, neither below 0 (Lawson and Hanson 1974); what a single
    number of devices cannot tell apart is all put down to the bandwidth.

    Args:
        extra_s: (n, step time on n devices less that on one [s]) of equal batches a device, n >= 2.
        size_bytes: m, what a step all-reduces; > 0.

    Raises:
        ValueError: without measurements, or of one device.

    >>> network = fit_network([(2, 6.0), (4, 12.0)], 40.0)
    >>> round(network.bandwidth_bytes_per_s, 6), round(network.latency_s, 6)
    (10.0, 1.0)
    """
    import numpy as np
    from scipy.optimize import nnls

    if not extra_s or min(devices for devices, _ in extra_s) < 2:
        raise ValueError(f"{list(extra_s)[:4]} -> expected measurements on two devices or more")
    counts = np.array([devices for devices, _ in extra_s], dtype=float)
    times_s = np.maximum(0.0, [time_s for _, time_s in extra_s])
    rounds, passes_bytes = 2.0 * (counts - 1.0), 2.0 * (counts - 1.0) / counts * size_bytes
    alone = Network(bandwidth_bytes_per_s=float("inf"))
    if len(np.unique(counts)) == 1:
        seconds_per_byte = float(times_s.mean() / passes_bytes[0])
        return replace(alone, bandwidth_bytes_per_s=_inverse(seconds_per_byte))
    columns = np.column_stack([rounds / rounds.max(), passes_bytes / passes_bytes.max()])
    (latency, transfer), _ = nnls(columns, times_s)
    return replace(
        alone,
        bandwidth_bytes_per_s=_inverse(float(transfer / passes_bytes.max())),
        latency_s=float(latency / rounds.max()),
    )


def _inverse(seconds_per_byte: float) -> float:
    return 1.0 / seconds_per_byte if seconds_per_byte > 0.0 else float("inf")
