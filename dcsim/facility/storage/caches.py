"""What caches hold of which datasets while jobs come and go, and how often their reads hit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from dcsim.errors import GuardError
from dcsim.facility.storage.hit_rates import Reader, competing_lru_hit_rates, lru_occupancy_bytes
from dcsim.spec.storage import CacheSpec

__all__ = ["DatasetCaches"]

_LAST = 1e-3
"""Part of a dataset so small that it is brought in with what came before it."""
Readers = tuple[tuple[float, int, int], ...]
"""(epoch time, parts, how many such jobs) of the readers of one dataset, in order."""


@dataclass(slots=True)
class _Dataset:
    """What one cache knows of one dataset."""

    size: int
    held: int = 0
    readers: dict[object, tuple[float, int]] = field(default_factory=dict)
    """Job -> (epoch time, parts)."""
    left: int = 0
    """When its last reader left: a count, so that the one left longest ago goes first."""

    def classes(self) -> Readers:
        """Return equal readers as one with a count, in an order of their own."""
        counts: dict[tuple[float, int], int] = {}
        for reader in self.readers.values():
            counts[reader] = counts.get(reader, 0) + 1
        return tuple((*reader, count) for reader, count in sorted(counts.items()))

    def bytes_per_s(self) -> float:
        """Return what all its readers ask for together."""
        return sum(self.size / (epoch_s * parts) for epoch_s, parts in self.readers.values())


@dataclass(slots=True)
class _Cache:
    """One cache: of a server, or of the hall."""

    number: int
    capacity: int
    datasets: dict[str, _Dataset] = field(default_factory=dict)
    leavings: int = 0
    steady: dict[str, tuple[float, float]] | None = None
    """Dataset -> hit rate and bytes held in a steady LRU cache; None: to be worked out again."""

    def held(self) -> int:
        """Return the bytes in use."""
        return sum(entry.held for entry in self.datasets.values())


class DatasetCaches:
    """One cache a server, or one for all, with the datasets that jobs read through it.

    A job joins where it starts, tells what it has read when an epoch is over (`warmed`), and leaves. Its
    hit rate is constant in between, so a run needs one event an epoch until all is `settled`, none later:

    - cold, a dataset is held as far as it was read; a first epoch does not hit what it brings in itself.
    - no eviction: what is held stays while any job reads the dataset. First come, first held; the part of
      datasets that nobody reads any more is dropped when another needs the room, longest unread first.
    - LRU: of the datasets that are read each has what `lru_occupancy_bytes` says, and hits as
      `competing_lru_hit_rates` says; others are dropped as above.

    Methods that change something return the datasets of that cache of which reads hit, or are brought in, at
    another rate now.

    Args:
        spec: where, which policy, whether cold.
        servers: S.
        disk_bytes: of each server's disk that objects leave free, for node caches without a size.

    >>> caches = DatasetCaches(CacheSpec(capacity_bytes=65e9), servers=1, disk_bytes=10**12)
    >>> caches.join(0, "openimages", "job-1", 100 * 10**9, bytes_per_s=1e9)
    ()
    >>> caches.hit_fraction(0, "openimages")
    0.0
    >>> caches.warmed(0, "openimages", 100e9)
    ('openimages',)
    >>> caches.hit_fraction(0, "openimages")
    0.65
    """

    def __init__(self, spec: CacheSpec, servers: int, disk_bytes: int = 0) -> None:
        self.spec = spec
        self.servers = servers
        self.per_node = spec.where == "node"
        given = spec.capacity_bytes
        self._capacity = disk_bytes if given is None else int(given)
        self.yields = self.per_node and given is None
        """Whether each takes what objects leave free of its disk."""
        self._caches: dict[int, _Cache] = {}

    def join(
        self,
        server: int,
        dataset: str,
        job: object,
        size_bytes: int,
        bytes_per_s: float,
        parts: int = 1,
    ) -> tuple[str, ...]:
        """Let a job read a dataset on a server.

        Args:
            server: 0..S-1.
            dataset: jobs that name the same share what is held.
            job: whatever names the job.
            size_bytes: of the dataset, the same for all that name it, >= 1.
            bytes_per_s: what the job reads on this server unhindered, > 0.
            parts: servers that share each of its epochs, >= 1.

        Raises:
            GuardError: the job reads it already, or another size was said before.
        """
        cache = self._cache(server)
        entry = cache.datasets.setdefault(dataset, _Dataset(size_bytes))
        if entry.size != size_bytes or job in entry.readers:
            msg = f"{dataset} of {size_bytes} B for {job!r}: known with {entry.size} B"
            raise GuardError(msg)
        with self._changes(cache) as changed:
            entry.readers[job] = (size_bytes / (bytes_per_s * parts), parts)
            cache.steady = None
            if not self.spec.cold:
                self._bring_in(cache, entry, size_bytes)
        return tuple(name for name in changed if name != dataset or len(entry.readers) > 1)

    def leave(self, server: int, dataset: str, job: object) -> tuple[str, ...]:
        """Let a job read no longer; what it brought in stays until another dataset needs the room."""
        cache = self._cache(server)
        entry = cache.datasets[dataset]
        with self._changes(cache) as changed:
            del entry.readers[job]
            cache.steady = None
            if not entry.readers:
                cache.leavings += 1
                entry.left = cache.leavings
                if entry.held == 0:
                    del cache.datasets[dataset]
        return tuple(changed)

    def warmed(self, server: int, dataset: str, bytes_read: float) -> tuple[str, ...]:
        """Take in what a job read on a server since it joined or last told: an epoch's part, or less."""
        cache = self._cache(server)
        entry = cache.datasets[dataset]
        read = min(1.0, max(0.0, bytes_read / entry.size))
        missing = entry.size - entry.held
        # Of what was read, as much was missing as of the whole. What a server that reads a part of each
        # epoch still misses shrinks by a factor each time: the last thousandth is not waited for.
        wanted = missing if (1.0 - read) * missing < entry.size * _LAST else round(read * missing)
        with self._changes(cache) as changed:
            self._bring_in(cache, entry, wanted)
        return tuple(changed)

    def settled(self, server: int, dataset: str) -> bool:
        """Return whether one more epoch of a dataset there would bring in nothing."""
        cache = self._cache(server)
        entry = cache.datasets[dataset]
        return entry.held >= self._most(cache, entry)

    def resize(self, server: int, disk_bytes: int) -> tuple[str, ...]:
        """Give a node cache without a size of its own what objects now leave free of the disk."""
        if not self.yields:
            return ()
        cache = self._cache(server)
        with self._changes(cache) as changed:
            cache.capacity, cache.steady = disk_bytes, None
            self._make_room(cache, None, cache.held() - disk_bytes)
        return tuple(changed)

    def wipe(self, server: int) -> tuple[str, ...]:
        """Lose what a server's disk held; jobs that still read there are cold again."""
        if not self.per_node:
            return ()
        cache = self._cache(server)
        with self._changes(cache) as changed:
            for entry in cache.datasets.values():
                entry.held = 0
            cache.datasets = {name: entry for name, entry in cache.datasets.items() if entry.readers}
        return tuple(changed)

    def hit_fraction(self, server: int, dataset: str) -> float:
        """Return the part of the reads of a dataset there that hit, 0..1; the mean over its jobs."""
        cache = self._cache(server)
        entry = cache.datasets.get(dataset)
        if entry is None or entry.held == 0:
            return 0.0
        if self.spec.policy == "no_eviction" or not entry.readers:
            return entry.held / entry.size
        rate, held = _steady(cache)[dataset]
        return rate * min(1.0, entry.held / held) if held > 0.0 else 0.0

    def fill_fraction(self, server: int, dataset: str) -> float:
        """Return the bytes written into the cache for each byte read of a dataset there, 0..1.

        Without eviction what several jobs bring in side by side is written once.
        """
        cache = self._cache(server)
        entry = cache.datasets.get(dataset)
        if entry is None or cache.capacity == 0:
            return 0.0
        missed = 1.0 - self.hit_fraction(server, dataset)
        if self.spec.policy == "lru":
            return missed
        missing, taken = entry.size - entry.held, self._most(cache, entry) - entry.held
        if missing <= 0 or taken <= 0:
            return 0.0
        side_by_side = max(1.0, sum(1.0 / parts for _, parts in entry.readers.values()))
        return missed * (taken / missing) / side_by_side

    def held_bytes(self, server: int, dataset: str) -> int:
        """Return how many bytes of a dataset the cache of a server holds."""
        entry = self._cache(server).datasets.get(dataset)
        return 0 if entry is None else entry.held

    def used_bytes(self, server: int) -> int:
        """Return how many bytes the cache of a server holds in all."""
        return self._cache(server).held()

    def capacity_bytes(self, server: int) -> int:
        """Return how many bytes the cache of a server can hold."""
        return self._cache(server).capacity

    def check(self) -> None:
        """Prove that no cache holds more than it can, nor more of a dataset than there is.

        Raises:
            GuardError: one does.
        """
        for number, cache in self._caches.items():
            whole = all(0 <= entry.held <= entry.size for entry in cache.datasets.values())
            if cache.held() > cache.capacity or not whole:
                msg = f"cache {number}: {cache.held()} B held of {cache.capacity} B"
                raise GuardError(msg)

    def _cache(self, server: int) -> _Cache:
        number = server if self.per_node else 0
        cache = self._caches.get(number)
        if cache is None:
            cache = self._caches[number] = _Cache(number, self._capacity)
        return cache

    @contextmanager
    def _changes(self, cache: _Cache) -> Iterator[list[str]]:
        """Collect the datasets with readers that are hit or filled at another rate after the block."""
        before = {name: self._rates(cache, name) for name in cache.datasets}
        changed: list[str] = []
        yield changed
        changed += [
            name
            for name, entry in cache.datasets.items()
            if entry.readers and self._rates(cache, name) != before.get(name)
        ]

    def _rates(self, cache: _Cache, dataset: str) -> tuple[float, float]:
        return self.hit_fraction(cache.number, dataset), self.fill_fraction(cache.number, dataset)

    def _bring_in(self, cache: _Cache, entry: _Dataset, wanted: int) -> None:
        """Hold up to `wanted` more bytes of a dataset, as far as the policy lets it."""
        wanted = min(wanted, self._most(cache, entry) - entry.held)
        if wanted > 0:
            self._make_room(cache, entry, cache.held() + wanted - cache.capacity)
            entry.held += min(wanted, cache.capacity - cache.held())

    def _most(self, cache: _Cache, entry: _Dataset) -> int:
        """Return how many bytes of a dataset the cache will hold while all read on."""
        if self.spec.policy == "lru":
            return next(
                (int(h) for name, (_, h) in _steady(cache).items() if cache.datasets[name] is entry), 0
            )
        others = sum(other.held for other in cache.datasets.values() if other.readers and other is not entry)
        return min(entry.size, cache.capacity - others)

    def _make_room(self, cache: _Cache, keep: _Dataset | None, needed: int) -> None:
        """Drop up to `needed` bytes: of datasets without readers, longest unread first, then as the policy says."""
        if needed <= 0:
            return
        unread = [entry for entry in cache.datasets.values() if not entry.readers and entry is not keep]
        for entry in sorted(unread, key=lambda entry: entry.left):
            needed -= _drop(entry, needed)
        if self.spec.policy == "lru":
            for name, (_, share) in _steady(cache).items():
                entry = cache.datasets[name]
                if entry is not keep:
                    needed -= _drop(entry, min(needed, entry.held - int(share)))
        if keep is None:  # the cache itself has shrunk: what was brought in last goes
            for entry in reversed(cache.datasets.values()):
                needed -= _drop(entry, needed)
        for name in [name for name, entry in cache.datasets.items() if not entry.readers and not entry.held]:
            if cache.datasets[name] is not keep:
                del cache.datasets[name]


def _drop(entry: _Dataset, bytes_: int) -> int:
    """Drop up to so many bytes of a dataset; returns how many."""
    dropped = max(0, min(bytes_, entry.held))
    entry.held -= dropped
    return dropped


def _steady(cache: _Cache) -> dict[str, tuple[float, float]]:
    """Return what each dataset that is read would have in a steady LRU cache: hit rate, bytes held."""
    if cache.steady is None:
        read = {name: entry for name, entry in cache.datasets.items() if entry.readers}
        rates, held = _lru(tuple((entry.size, entry.classes()) for entry in read.values()), cache.capacity)
        cache.steady = dict(zip(read, zip(rates, held, strict=True), strict=True))
    return cache.steady


@lru_cache(maxsize=4_096)
def _lru(
    state: tuple[tuple[int, Readers], ...], capacity: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the hit rate and the bytes held of each dataset in a steady LRU cache."""
    sizes = [float(size) for size, _ in state]
    readers = [
        Reader(number, epoch_s, parts, count)
        for number, (_, classes) in enumerate(state)
        for epoch_s, parts, count in classes
    ]
    if not readers:
        return (0.0,) * len(state), (0.0,) * len(state)
    rates = competing_lru_hit_rates(sizes, readers, float(capacity))
    held = lru_occupancy_bytes(sizes, readers, float(capacity))
    asked, hit = [0.0] * len(state), [0.0] * len(state)
    for reader, rate in zip(readers, rates, strict=True):
        weight = reader.count * sizes[reader.dataset] / (reader.epoch_s * reader.parts)
        asked[reader.dataset] += weight
        hit[reader.dataset] += weight * rate
    means = (h / a if a > 0.0 else 0.0 for h, a in zip(hit, asked, strict=True))
    return tuple(means), tuple(held)
