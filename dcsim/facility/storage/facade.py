"""Storage as links that reads and writes cross: tiers, stripes, caches, redundancy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from dcsim.facility.storage.links import StorageLinks
from dcsim.facility.storage.loading import read_ahead_bytes_per_s
from dcsim.facility.storage.redundancy import stripe_width
from dcsim.facility.storage.stripes import covered_data_servers, stripe_data_servers
from dcsim.facility.storage.volumes import Place
from dcsim.spec.redundancy import stored_per_byte
from dcsim.spec.storage import StorageSpec

__all__ = ["FeedNetwork", "ReadWriteNetwork", "Storage", "cached_fraction"]

Streams = Sequence[tuple[int, float]]
Uses = list[tuple[int, float]]
_ROUNDING = 1e-12
"""Of a weight: less than this is nothing."""


class FeedNetwork(Protocol):
    """A network that carries feeds from the storage to the servers."""

    def feed_uses(self, streams: Streams, /) -> Uses:
        """Return (link, weight) from the storage down to servers."""


class ReadWriteNetwork(Protocol):
    """A network that carries bytes between the storage and the servers, and between servers."""

    def read_uses(self, streams: Streams, /) -> Uses:
        """Return (link, weight) from the storage down to servers."""

    def write_uses(self, streams: Streams, /) -> Uses:
        """Return (link, weight) from servers up to the storage."""

    def uses(self, transfers: Sequence[tuple[int, int, float]], /) -> Uses:
        """Return (link, weight) of (source server, target server, weight)."""


def cached_fraction(capacity_bytes: float, dataset_bytes: float) -> float:
    """Return the part of a dataset that a cache without eviction serves, 0..1.

    Reshuffled every epoch, a cache that holds c of the dataset and evicts nothing hits with
    probability c (Mohan et al., Analyzing and Mitigating Data Stalls in DNN Training, VLDB 2021).

    >>> cached_fraction(4e12, 8e12)
    0.5
    """
    return 1.0 if dataset_bytes <= capacity_bytes else capacity_bytes / dataset_bytes


class Storage:
    """One shared file system, one disk a server, perhaps an object store and a cache for all.

    Link 0 is the file system, then comes one link a disk; what else is limited follows (`StorageLinks`).
    A flow of x bytes/s uses weight * x of each of its links: bytes/s, or operations/s where the weight is
    operations a byte.

    Args:
        spec: what a scenario says.
        servers: S.
    """

    def __init__(self, spec: StorageSpec, servers: int) -> None:
        self.spec = spec
        cache = spec.cache
        self.cache = None if cache is None or cache.where == "none" else cache
        """What is read through a cache with a state; None: nothing (`feed: cached` alone has none)."""
        self.links = StorageLinks(spec, servers, self.cache)
        self.shared_link = self.links.shared_read[0]
        self.disk_links = self.links.disk_read
        self.capacity_bytes_per_s = self.links.capacity
        """(L,) of each link; operations/s where `link_units` says so."""
        self.link_names = self.links.names
        self.link_tiers = self.links.tiers
        self.link_units = self.links.units
        self.prefetch_bytes = None if cache is None else cache.prefetch_bytes
        """How far each server reads ahead; None: as far as helps."""
        self.power_w = spec.power_w

    # -- today's feeds: one cached fraction a job, whatever others cache ------------------------------

    def local_fraction(self, dataset_bytes: float) -> float:
        """Return the part of a job's input that comes from its servers' own disks, 0..1."""
        if self.spec.feed == "shared":
            return 0.0
        if self.spec.feed == "local":
            return 1.0
        return cached_fraction(self.spec.local.capacity_bytes, dataset_bytes)

    def feed_uses(self, network: FeedNetwork, streams: Streams, local: float) -> Uses:
        """Return (link, weight) of a feed whose servers read in lockstep.

        Args:
            network: carries the shared part from the file system to the servers.
            streams: (server, weight): a server's stream relative to the fastest one's.
            local: fraction read from the servers' own disks.
        """
        uses: Uses = []
        if local > 0.0:
            uses += [(self.disk_links[s], weight * local) for s, weight in streams]
        if local < 1.0:
            shared = 1.0 - local
            uses.append((self.shared_link, shared * sum(weight for _, weight in streams)))
            uses += [(link, weight * shared) for link, weight in network.feed_uses(streams)]
        return uses

    @property
    def is_plain(self) -> bool:
        """Whether all is said by one bandwidth of the file system, one of each disk, and `local_fraction`."""
        spec = self.spec
        return (
            len(self.link_names) == 1 + len(self.disk_links)
            and spec.cache is None
            and not spec.datasets
            and not spec.shared.failures
            and spec.shared.client_bandwidth_bytes_per_s is None
        )

    # -- what reads and writes cross ------------------------------------------------------------------

    def read_uses(
        self,
        network: ReadWriteNetwork,
        streams: Streams,
        place: Place,
        dataset_key: str = "",
        local: float | Sequence[float] = 0.0,
        filled: float | Sequence[float] = 0.0,
    ) -> Uses:
        """Return (link, weight) of servers that read a dataset in lockstep.

        Args:
            network: carries what comes from outside the servers.
            streams: (server, weight): a server's stream relative to the flow's rate.
            place: where the dataset is stored.
            dataset_key: its name in the scenario; of others nothing is known but that they are many files.
            local: part that hits the cache, for all streams or for each, 0..1.
            filled: part of what is read that is written into the cache meanwhile, likewise.
        """
        uses: dict[int, float] = {}
        if place == "local":
            self._disk_uses(uses, streams, self._file_bytes(dataset_key), write=False)
            return list(uses.items())
        hit, fill = _weighed(streams, local), _weighed(streams, filled)
        missed = [(s, w - h) for (s, w), (_, h) in zip(streams, hit, strict=True) if w > h]
        size = self._file_bytes(dataset_key)
        carried: Streams = missed
        if self.links.shared_cache:
            through = sum(w for _, w in hit) + sum(w for _, w in fill)
            _add(uses, self.links.shared_cache[0], through)
            carried = streams
        else:
            self._disk_uses(uses, hit, size, write=False)
            self._disk_uses(uses, fill, size, write=True)
        total = sum(weight for _, weight in missed)
        if place == "object":
            self._object_uses(uses, total, size, write=False)
        else:
            self._shared_reads(uses, total, dataset_key)
        if carried:
            _merge(uses, network.read_uses(carried))
        return list(uses.items())

    def write_uses(
        self,
        network: ReadWriteNetwork,
        streams: Streams,
        place: Place,
        object_key: str,
    ) -> Uses:
        """Return (link, weight) of servers that write the parts of one object, a checkpoint.

        Args:
            network: carries what leaves the servers.
            streams: (server, weight): its part of the flow's rate.
            place: where to.
            object_key: name of the object; its parts are files of their own, striped by their names.
        """
        uses = self._object_parts(streams, place, object_key, write=True)
        if place != "local":
            _merge(uses, network.write_uses(streams))
        return list(uses.items())

    def restore_uses(
        self,
        network: ReadWriteNetwork,
        streams: Streams,
        place: Place,
        object_key: str,
        sources: Streams = (),
    ) -> Uses:
        """Return (link, weight) of servers that read back the parts of one object.

        Args:
            network: carries what reaches the servers.
            streams: (server, weight): its part of the flow's rate.
            place: where from.
            object_key: name of the object.
            sources: (server, weight) of who wrote its parts, with the same sum. Under "local" they lie on these
                servers' disks, and what a server does not hold itself it reads from the others', over the network.
                Nothing: each wrote its own.
        """
        if place != "local":
            uses = self._object_parts(sources or streams, place, object_key, write=False)
            _merge(uses, network.read_uses(streams))
        else:
            uses = self._object_parts(sources or streams, place, object_key, write=False)
            moved = _moved(sources or streams, streams)
            if moved:
                _merge(uses, network.uses(moved))
        return list(uses.items())

    def stream_cap_bytes_per_s(
        self, place: Place, streams: Streams, *, write: bool = False, reads_ahead: bool = True
    ) -> float:
        """Return the most that a flow over these streams can get, however idle all links are; inf: no limit.

        Each server gets at most what its client software does, and of a latency at most what it has on its
        way (`prefetch_bytes`); stripes on some data servers are limited by these, through their links.

        Args:
            place: where the data lie.
            streams: (server, weight).
            write: of writes, which are not read ahead.
            reads_ahead: of a dataset's reads; False: of a restore, with as much on its way as it takes.
        """
        client = None
        if place == "shared":
            client = self.spec.shared.client_bandwidth_bytes_per_s
        elif place == "object" and self.spec.object_store is not None:
            client = self.spec.object_store.client_bandwidth_bytes_per_s
        cap = math.inf if client is None else client
        if reads_ahead and not write:
            cap = min(cap, read_ahead_bytes_per_s(self.prefetch_bytes, self.latency_s(place)))
        widest = max((weight for _, weight in streams), default=0.0)
        return cap / widest if widest > 0.0 else math.inf

    def latency_s(self, place: Place) -> float:
        """Return the time from a request to its first byte."""
        if place == "shared":
            return self.spec.shared.latency_s
        if place == "local":
            return self.spec.local.latency_s
        return self.spec.object_store.latency_s if self.spec.object_store is not None else 0.0

    # -- the parts of a use ---------------------------------------------------------------------------

    def _object_parts(self, streams: Streams, place: Place, key: str, *, write: bool) -> dict[int, float]:
        """Return link -> weight of the parts of one object, each a large file of its own."""
        uses: dict[int, float] = {}
        if place == "local":
            self._disk_uses(uses, streams, None, write=write)
            return uses
        total = sum(weight for _, weight in streams)
        if place == "object":
            self._object_uses(uses, total, None, write=write)
        else:
            shared, links = self.spec.shared, self.links
            factor = stored_per_byte(shared.redundancy) if write else 1.0
            _add(uses, links.shared_write[0] if write else links.shared_read[0], factor * total)
            for number, (_, weight) in enumerate(streams):
                name = f"{key}.{number}" if len(streams) > 1 else key
                self._stripe_uses(uses, name, 1, factor * weight, write=write)
        return uses

    def _shared_reads(self, uses: dict[int, float], total: float, dataset_key: str) -> None:
        """Read a dataset's files from the file system."""
        if total <= 0.0:
            return
        links, shared = self.links, self.spec.shared
        _add(uses, links.shared_read[0], total)
        size = self._file_bytes(dataset_key)
        if links.metadata and size is not None:
            _add(uses, links.metadata[0], total * shared.operations_per_file / size)
        if links.data_server_read:
            self._stripe_uses(uses, dataset_key, self._files(dataset_key), total, write=False)

    def _stripe_uses(
        self, uses: dict[int, float], key: str, files: int, total: float, *, write: bool
    ) -> None:
        """Spread bytes over the data servers that some files lie on; for writes `total` holds the copies."""
        links = self.links.data_server_write if write else self.links.data_server_read
        if not links:
            return
        count, stripes = self.spec.shared.data_servers, self.spec.shared.stripe_count or 1
        width = min(count, stripe_width(self.spec.shared.redundancy, stripes)) if write else stripes
        covered = covered_data_servers(files, width, count)
        for server in stripe_data_servers(key, covered, count):
            _add(uses, links[server], total / covered)

    def _object_uses(
        self, uses: dict[int, float], total: float, file_bytes: float | None, *, write: bool
    ) -> None:
        """Read or write so much of the object store, and the requests it takes."""
        store = self.spec.object_store
        if store is None or total <= 0.0:
            return
        link = self.links.object_write if write else self.links.object_read
        _add(uses, link[0], total * (stored_per_byte(store.redundancy) if write else 1.0))
        if self.links.requests:
            _add(uses, self.links.requests[0], total * _operations_per_byte(store.request_bytes, file_bytes))

    def _disk_uses(
        self, uses: dict[int, float], streams: Streams, file_bytes: float | None, *, write: bool
    ) -> None:
        """Read or write the servers' own disks."""
        links = self.links
        bandwidth = links.disk_write if write else links.disk_read
        operations = links.disk_write_operations if write else links.disk_read_operations
        each = _operations_per_byte(self.spec.local.request_bytes, file_bytes)
        for server, weight in streams:
            _add(uses, bandwidth[server], weight)
            if operations:
                _add(uses, operations[server], weight * each)

    def _file_bytes(self, dataset_key: str) -> float | None:
        """Return the mean size of a dataset's files; None: large."""
        dataset = self.spec.datasets.get(dataset_key)
        given = None if dataset is None else dataset.file_bytes
        if given is None:
            given = self.spec.shared.file_bytes
        return given if given is None or dataset is None else min(given, dataset.size_bytes)

    def _files(self, dataset_key: str) -> int:
        """Return how many files a dataset has; where it is not known, enough to be everywhere."""
        dataset, size = self.spec.datasets.get(dataset_key), self._file_bytes(dataset_key)
        if dataset is None:
            return self.spec.shared.data_servers
        return 1 if size is None else math.ceil(dataset.size_bytes / size)


def _operations_per_byte(request_bytes: float, file_bytes: float | None) -> float:
    """Return the requests a byte: whole ones for each file, one a request where files are large.

    >>> _operations_per_byte(131_072.0, None) * 131_072, _operations_per_byte(100.0, 250.0) * 250
    (1.0, 3.0)
    """
    if file_bytes is None:
        return 1.0 / request_bytes
    return math.ceil(file_bytes / request_bytes) / file_bytes


def _moved(sources: Streams, targets: Streams) -> list[tuple[int, int, float]]:
    """Return (source, target, weight) of what servers do not hold themselves, matched one after the other.

    >>> _moved([(0, 0.5), (1, 0.5)], [(1, 0.5), (2, 0.25), (3, 0.25)])
    [(0, 2, 0.25), (0, 3, 0.25)]
    """
    own, wanted = dict(sources), dict(targets)
    give = [(server, weight - wanted.get(server, 0.0)) for server, weight in sources]
    give = [(server, left) for server, left in give if left > _ROUNDING]
    moved = []
    for target, weight in targets:
        missing = weight - own.get(target, 0.0)
        while missing > _ROUNDING and give:
            source, left = give.pop()
            part = min(left, missing)
            moved.append((source, target, part))
            missing -= part
            if left - part > _ROUNDING:
                give.append((source, left - part))
    return moved


def _weighed(streams: Streams, part: float | Sequence[float]) -> list[tuple[int, float]]:
    """Return the streams times a part that is one for all, or one for each."""
    if isinstance(part, int | float):
        return [(server, weight * part) for server, weight in streams]
    return [(server, weight * each) for (server, weight), each in zip(streams, part, strict=True)]


def _add(uses: dict[int, float], link: int, weight: float) -> None:
    """Use a link more: a flow names each of its links once."""
    if weight > 0.0:
        uses[link] = uses.get(link, 0.0) + weight


def _merge(uses: dict[int, float], more: Uses) -> None:
    """Use all these links more."""
    for link, weight in more:
        _add(uses, link, weight)
