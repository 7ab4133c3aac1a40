"""The links of storage: everything that is limited a second, numbered for `SharedLinks`."""

from __future__ import annotations

from collections.abc import Sequence

from dcsim.spec.storage import CacheSpec, StorageSpec

__all__ = ["SHARED_CACHE_BYTES_PER_S", "StorageLinks"]

SHARED_CACHE_BYTES_PER_S = 100e9
"""Of a shared cache that says none."""


class StorageLinks:
    """Numbers, names, tiers, units and capacities of storage's links.

    Link 0 is the shared file system (its reads, and its writes unless they have a bandwidth of their
    own), then comes one disk a server; then, in one block, only what the scenario limits. A range is
    empty where there is no such limit. Where writes share the bandwidth of reads, their links are the same.

    Args:
        spec: what is limited.
        servers: S.
        cache: as it is in effect.
    """

    def __init__(self, spec: StorageSpec, servers: int, cache: CacheSpec | None) -> None:
        self.capacity: list[float] = []
        self.names: list[str] = []
        self.tiers: list[str] = []
        """What kind of thing each link is."""
        self.units: list[str] = []
        """"B/s", or "1/s" for operations and requests."""
        shared, local, store = spec.shared, spec.local, spec.object_store
        disks = [f"server {s} disk" for s in range(servers)]
        self.shared_read = self._one("shared file system", shared.bandwidth_bytes_per_s)
        self.disk_read = self._many("local disk", disks, local.bandwidth_bytes_per_s)
        self.shared_write = self.shared_read
        if shared.write_bandwidth_bytes_per_s is not None:
            self.shared_write = self._one(
                "shared file system", shared.write_bandwidth_bytes_per_s, "shared file system write"
            )
        self._data_servers(spec)
        self.metadata = self._limit("metadata servers", shared.metadata_operations_per_s)
        self.disk_write = self.disk_read
        if local.write_bandwidth_bytes_per_s is not None:
            names = [f"{name} write" for name in disks]
            self.disk_write = self._many("local disk", names, local.write_bandwidth_bytes_per_s)
        self.disk_read_operations = self._operations(disks, "read", local.read_operations_per_s)
        self.disk_write_operations = self._operations(disks, "write", local.write_operations_per_s)
        self.object_read = self.object_write = self.requests = range(0)
        if store is not None:
            self.object_read = self.object_write = self._one("object store", store.bandwidth_bytes_per_s)
            if store.write_bandwidth_bytes_per_s is not None:
                self.object_write = self._one(
                    "object store", store.write_bandwidth_bytes_per_s, "object store write"
                )
            self.requests = self._limit("object store requests", store.requests_per_s)
        self.shared_cache = range(0)
        if cache is not None and cache.where == "shared":
            bandwidth = cache.bandwidth_bytes_per_s
            self.shared_cache = self._one(
                "shared cache", SHARED_CACHE_BYTES_PER_S if bandwidth is None else bandwidth
            )

    def _data_servers(self, spec: StorageSpec) -> None:
        """Give each data server a link where files lie on some of them only; else link 0 says it all."""
        shared = spec.shared
        count, stripes = shared.data_servers, shared.stripe_count
        self.data_server_read = self.data_server_write = range(0)
        if stripes is None or stripes >= count:
            return
        names = [f"data server {n}" for n in range(count)]
        self.data_server_read = self._many("data servers", names, shared.bandwidth_bytes_per_s / count)
        self.data_server_write = self.data_server_read
        if shared.write_bandwidth_bytes_per_s is not None:
            self.data_server_write = self._many(
                "data servers",
                [f"{name} write" for name in names],
                shared.write_bandwidth_bytes_per_s / count,
            )

    def _operations(self, disks: Sequence[str], what: str, limit: float | None) -> range:
        """Add the operations a second of each disk, where they are limited."""
        if limit is None:
            return range(0)
        return self._many("local disk operations", [f"{name} {what}s" for name in disks], limit, "1/s")

    def _limit(self, name: str, limit: float | None) -> range:
        """Add operations a second of something there is one of, where they are limited."""
        return range(0) if limit is None else self._many(name, [name], limit, "1/s")

    def _one(self, tier: str, capacity: float, name: str = "") -> range:
        """Add one bandwidth."""
        return self._many(tier, [name or tier], capacity)

    def _many(self, tier: str, names: Sequence[str], capacity: float, unit: str = "B/s") -> range:
        """Add links of equal capacity; returns their numbers."""
        first = len(self.names)
        self.names += names
        self.tiers += [tier] * len(names)
        self.units += [unit] * len(names)
        self.capacity += [float(capacity)] * len(names)
        return range(first, len(self.names))
