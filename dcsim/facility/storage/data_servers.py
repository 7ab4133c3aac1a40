"""Data servers of the file system that are lost, rebuilt and replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dcsim.errors import GuardError
from dcsim.facility.storage.links import StorageLinks
from dcsim.facility.storage.redundancy import rebuild_traffic, tolerated_losses
from dcsim.spec.storage import SharedFileSystemSpec

__all__ = ["DataServers", "Rebuild"]

Uses = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A transfer that makes up for a data server; its rate is that of the bytes written."""

    data_server: int
    size_bytes: float
    """To be written; 0 where nothing was stored."""
    uses: tuple[tuple[int, float], ...]
    """(link, weight a byte written)."""
    cap_bytes_per_s: float
    """The most it may write a second."""
    data_lost: bool
    """More data servers were down at once than the redundancy makes up for: some data are gone."""


class DataServers:
    """Which data servers are up, and what the file system gives meanwhile.

    Data lie evenly on all (declustered), so that with f of d down the others give (d - f) / d of the
    bandwidth, and all of them take part in a rebuild at once. Large reads take any k of a stripe's
    k + m shards, so they move no more bytes for a missing one.

    Its capacity in bytes stays: space for what is rebuilt is taken to be held back.

    Args:
        spec: the file system.
        links: of storage.
    """

    def __init__(self, spec: SharedFileSystemSpec, links: StorageLinks) -> None:
        self._spec = spec
        self._links = links
        self._down: dict[int, None] = {}
        """Data servers that are not there."""
        self._missing: dict[int, None] = {}
        """Those whose data are not yet whole again on others."""
        self.data_lost = False
        """Whether ever more were lost at once than the redundancy makes up for."""

    @property
    def down(self) -> tuple[int, ...]:
        """Data servers that are not there, ascending."""
        return tuple(sorted(self._down))

    def fail(self, data_server: int, stored_bytes: float) -> Rebuild:
        """Lose a data server.

        Args:
            data_server: 0..d-1, of those that are up.
            stored_bytes: on the whole file system, copies and parity included.

        Raises:
            GuardError: it is not up.
        """
        up = self._spec.data_servers - len(self._down)
        if data_server in self._down or not 0 <= data_server < self._spec.data_servers or up < 2:
            msg = f"data server {data_server} fails -> expected one of {up} that are up, and not the last"
            raise GuardError(msg)
        # What is being rebuilt already is not on those that are up.
        share = stored_bytes / (up + len(self._missing))
        self._down[data_server] = self._missing[data_server] = None
        lost = len(self._missing) > tolerated_losses(self._spec.redundancy)
        self.data_lost = self.data_lost or lost
        size = 0.0 if lost else share
        cap = self._spec.rebuild_bandwidth_bytes_per_s
        return Rebuild(
            data_server=data_server,
            size_bytes=size,
            uses=tuple(self._uses()) if size > 0.0 else (),
            cap_bytes_per_s=self._spec.bandwidth_bytes_per_s if cap is None else cap,
            data_lost=lost,
        )

    def rebuilt(self, data_server: int) -> None:
        """What a lost data server held is whole again on the others."""
        self._missing.pop(data_server, None)

    def replaced(self, data_server: int) -> None:
        """A new data server stands where one was lost."""
        self._down.pop(data_server, None)

    def capacities(self) -> Uses:
        """Return (link, bytes/s or 1/s) of the links that depend on which data servers are up."""
        part = 1.0 - len(self._down) / self._spec.data_servers
        read, write = self._links.shared_read[0], self._links.shared_write[0]
        links: Sequence[int] = (read,) if read == write else (read, write)
        return [(link, part * self._links.capacity[link]) for link in links]

    def _uses(self) -> Uses:
        """Return (link, weight) a byte that is rebuilt: what is read for it, and itself."""
        traffic = rebuild_traffic(self._spec.redundancy, 1.0)
        uses: dict[int, float] = {}
        links = self._links
        pairs = ((links.shared_read, links.data_server_read), (links.shared_write, links.data_server_write))
        for (pool, servers), weight in zip(pairs, (traffic.read_bytes, traffic.written_bytes), strict=True):
            uses[pool[0]] = uses.get(pool[0], 0.0) + weight
            for link in servers:
                uses[link] = uses.get(link, 0.0) + weight / len(servers)
        return list(uses.items())
