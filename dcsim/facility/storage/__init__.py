"""Storage: tiers as links, what is stored where, caches, data servers, checkpoints.

| module | what it holds |
|---|---|
| facade, links | `Storage`: the links, and which of them a read or a write uses by what weight |
| stripes, redundancy | data servers of a file; copies, parity, rebuild traffic |
| hit_rates, loading, checkpoint_times | pure functions: hit rates, stalls, sizes and times of checkpoints |
| volumes, caches, data_servers, checkpoint_store, state | what changes during a run |
"""

from __future__ import annotations

from dcsim.facility.storage.caches import DatasetCaches
from dcsim.facility.storage.checkpoint_store import Checkpoint, CheckpointStore
from dcsim.facility.storage.data_servers import DataServers, Rebuild
from dcsim.facility.storage.facade import Storage, cached_fraction
from dcsim.facility.storage.state import StorageState
from dcsim.facility.storage.volumes import NO_SERVER, Full, Place, Stored, Volumes

__all__ = [
    "NO_SERVER",
    "Checkpoint",
    "CheckpointStore",
    "DataServers",
    "DatasetCaches",
    "Full",
    "Place",
    "Rebuild",
    "Storage",
    "StorageState",
    "Stored",
    "Volumes",
    "cached_fraction",
]
