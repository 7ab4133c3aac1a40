"""What storage holds during a run: objects, caches, data servers, checkpoints."""

from __future__ import annotations

from dcsim.errors import GuardError
from dcsim.facility.storage.caches import DatasetCaches
from dcsim.facility.storage.checkpoint_store import CheckpointStore
from dcsim.facility.storage.data_servers import DataServers
from dcsim.facility.storage.facade import Storage
from dcsim.facility.storage.volumes import NO_SERVER, Full, Volumes
from dcsim.spec.checkpoints import CheckpointSpec

__all__ = ["StorageState"]


class StorageState:
    """The state of one run's storage, with the scenario's datasets in their places.

    What objects take of a disk a node cache without a size of its own gives up, and gets back.

    Args:
        storage: its links and what the scenario says.
        servers: S.
        checkpoints: as the scenario says; None: none are stored.

    Raises:
        GuardError: the datasets do not fit (a scenario with that is refused).
    """

    def __init__(self, storage: Storage, servers: int, checkpoints: CheckpointSpec | None = None) -> None:
        spec = storage.spec
        self.volumes = Volumes(spec, servers, on_disk=self._disk_changed)
        self.caches: DatasetCaches | None = None
        """None: nothing is cached."""
        self.checkpoints = None if checkpoints is None else CheckpointStore(checkpoints, self.volumes)
        """None: checkpoints are no objects."""
        self.data_servers = DataServers(spec.shared, storage.links)
        self.recached: dict[int, tuple[str, ...]] = {}
        """Server whose cache gave room to objects, or got it back -> datasets whose hit rate changed by that; who
        reads it clears it."""
        for name, dataset in spec.datasets.items():
            on = range(servers) if dataset.place == "local" else (NO_SERVER,)
            for server in on:
                answer = self.volumes.put(dataset.place, f"dataset/{name}", int(dataset.size_bytes), server)
                if isinstance(answer, Full):
                    raise GuardError(str(answer))
        if storage.cache is not None:
            free = self.volumes.free_bytes("local", 0) or 0
            self.caches = DatasetCaches(storage.cache, servers, disk_bytes=free)

    def check(self) -> None:
        """Prove that nothing holds more than it can.

        Raises:
            GuardError: something does.
        """
        self.volumes.check()
        if self.caches is not None:
            self.caches.check()

    def _disk_changed(self, server: int, free_bytes: int) -> None:
        if self.caches is None or not self.caches.yields:
            return
        changed = self.caches.resize(server, free_bytes)
        before = self.recached.get(server, ())
        self.recached[server] = (*before, *(name for name in changed if name not in before))
