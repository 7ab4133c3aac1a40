"""Storage: the shared file system and the local disks as links that data feeds cross."""

from __future__ import annotations

from collections.abc import Sequence

from dcsim.facility.network import Network
from dcsim.spec.storage import StorageSpec

__all__ = ["Storage", "cached_fraction"]


def cached_fraction(capacity_bytes: float, dataset_bytes: float) -> float:
    """Return the part of a dataset that a cache without eviction serves, 0..1.

    Reshuffled every epoch, a cache that holds c of the dataset and evicts nothing hits with
    probability c (Mohan et al., Analyzing and Mitigating Data Stalls in DNN Training, VLDB 2021).

    >>> cached_fraction(4e12, 8e12)
    0.5
    """
    return 1.0 if dataset_bytes <= capacity_bytes else capacity_bytes / dataset_bytes


class Storage:
    """One shared file system and one disk a server; link 0 is the file system.

    Args:
        spec: bandwidths and where jobs read.
        servers: S.
    """

    def __init__(self, spec: StorageSpec, servers: int) -> None:
        self.spec = spec
        self.shared_link = 0
        self.disk_links = range(1, 1 + servers)
        self.capacity_bytes_per_s = [spec.shared.bandwidth_bytes_per_s]
        self.capacity_bytes_per_s += [spec.local.bandwidth_bytes_per_s] * servers
        self.link_names = ["shared file system", *(f"server {s} disk" for s in range(servers))]
        self.power_w = spec.shared.power_w

    def local_fraction(self, dataset_bytes: float) -> float:
        """Return the part of a job's input that comes from its servers' own disks, 0..1."""
        if self.spec.feed == "shared":
            return 0.0
        if self.spec.feed == "local":
            return 1.0
        return cached_fraction(self.spec.local.capacity_bytes, dataset_bytes)

    def feed_uses(
        self, network: Network, streams: Sequence[tuple[int, float]], local: float
    ) -> list[tuple[int, float]]:
        """Return (link, weight) of a feed whose servers read in lockstep.

        Args:
            network: carries the shared part from the file system to the servers.
            streams: (server, weight): a server's stream relative to the fastest one's.
            local: fraction read from the servers' own disks.
        """
        uses: list[tuple[int, float]] = []
        if local > 0.0:
            uses += [(self.disk_links[s], weight * local) for s, weight in streams]
        if local < 1.0:
            shared = 1.0 - local
            uses.append((self.shared_link, shared * sum(weight for _, weight in streams)))
            uses += [(link, weight * shared) for link, weight in network.feed_uses(streams)]
        return uses
