"""What a scenario says of storage: the parallel file system, local disks, object store, caches, datasets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.names import refuse_alike
from dcsim.spec.quantities import BandwidthBytesPerS, DurationS, Name, Number, PowerW, SizeBytes
from dcsim.spec.redundancy import NoRedundancySpec, RedundancySpec, parts_per_stripe, stored_per_byte
from dcsim.units import Quantity, format_quantity

__all__ = [
    "CacheSpec",
    "DataServerFailureSpec",
    "DatasetSpec",
    "LocalDiskSpec",
    "ObjectStoreSpec",
    "SharedFileSystemSpec",
    "StorageSpec",
]

MAX_DATA_SERVERS = 10_000
MAX_OPERATIONS_PER_S = 1e15
_TIERS = {"shared": "the file system", "object": "the object store", "local": "a local disk"}


def _size(size_bytes: float) -> str:
    """Return a size as people read it."""
    return format_quantity(size_bytes, Quantity.SIZE)


def _bandwidth(bandwidth_bytes_per_s: float) -> str:
    """Return a bandwidth as people read it."""
    return format_quantity(bandwidth_bytes_per_s, Quantity.BANDWIDTH)


class DataServerFailureSpec(SpecModel):
    """One data server of the file system is lost, and what it held is rebuilt on the others."""

    at_s: DurationS = Field(ge=0)
    """When."""
    data_server: int = Field(ge=0, lt=MAX_DATA_SERVERS, strict=True)
    """Which, counted from 0."""
    repair_s: DurationS | None = Field(default=None, gt=0)
    """From then until a new one stands in its place; None: not in this run."""


class SharedFileSystemSpec(SpecModel):
    """One parallel file system: data servers that files are striped over, and metadata servers."""

    bandwidth_bytes_per_s: BandwidthBytesPerS = Field(default=100e9, gt=0)
    """Read bandwidth of all data servers together."""
    write_bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """Write bandwidth of all data servers together, copies and parity included; None: reads and writes share
    `bandwidth_bytes_per_s`."""
    power_w: PowerW = Field(default=5_000.0, ge=0)
    """Constant draw, part of the IT power."""
    data_servers: int = Field(default=1, ge=1, le=MAX_DATA_SERVERS, strict=True)
    """Each with an equal part of the bandwidth; 1: they are one pool."""
    stripe_count: int | None = Field(default=None, ge=1, le=MAX_DATA_SERVERS, strict=True)
    """Data servers that one file is spread over; None: all."""
    metadata_operations_per_s: Number | None = Field(default=None, gt=0, le=MAX_OPERATIONS_PER_S)
    """Of all metadata servers together; None: no limit."""
    operations_per_file: Number = Field(default=2.0, ge=0, le=1e6)
    """Metadata operations for each file that is read: an open and a close."""
    file_bytes: SizeBytes | None = Field(default=None, ge=1)
    """Mean size of the files of datasets that do not say; None: so large that opening them costs nothing."""
    latency_s: DurationS = Field(default=0.0, ge=0, le=60)
    """From a request to its first byte."""
    client_bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """The most one server gets, by its client's software; None: no limit but the links."""
    capacity_bytes: SizeBytes | None = Field(default=None, gt=0)
    """Of all data servers together, copies and parity included; None: no limit."""
    redundancy: RedundancySpec = NoRedundancySpec()
    """What is stored besides the data."""
    rebuild_bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """The most a rebuild writes; None: what max-min sharing gives it beside the jobs, like any transfer."""
    failures: tuple[DataServerFailureSpec, ...] = Field(default=(), max_length=10_000)
    """Data servers that are lost during the run."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        issues = [*self._widths(), *self._losses()]
        if issues:
            raise FieldError(*issues)
        return self

    def _widths(self) -> Iterator[FieldIssue]:
        """Yield what is spread wider than there are data servers."""
        most = f"at most the {self.data_servers} data servers"
        if self.stripe_count is not None and self.stripe_count > self.data_servers:
            hint = "raise `data_servers`"
            yield FieldIssue(f"{self.stripe_count}", most, hint, at=("stripe_count",))
        width = parts_per_stripe(self.redundancy)
        if width > self.data_servers > 1:
            hint = "each copy or shard lies on a data server of its own"
            yield FieldIssue(f"{width} copies or shards", most, hint, at=("redundancy",))

    def _losses(self) -> Iterator[FieldIssue]:
        """Yield failures that cannot be: of no data server, of one that is down, or of the only copy."""
        if not self.failures:
            return
        if isinstance(self.redundancy, NoRedundancySpec):
            hint = "give `redundancy`, else the data are gone"
            yield FieldIssue("failures without redundancy", "none, or redundancy", hint, at=("failures",))
        down: dict[int, float] = {}
        for i in sorted(range(len(self.failures)), key=lambda i: (self.failures[i].at_s, i)):
            failure = self.failures[i]
            if failure.data_server >= self.data_servers:
                expected = f"one of the {self.data_servers} data servers, counted from 0"
                hint = "" if self.data_servers > 1 else "give `data_servers`"
                yield FieldIssue(f"{failure.data_server}", expected, hint, at=("failures", i, "data_server"))
                continue
            if failure.at_s < down.get(failure.data_server, 0.0):
                got = f"data server {failure.data_server} fails while it is down"
                yield FieldIssue(
                    got, "a later time", "give `repair_s` of the earlier one", at=("failures", i)
                )
            until_s = math.inf if failure.repair_s is None else failure.at_s + failure.repair_s
            down[failure.data_server] = until_s
            if sum(end_s > failure.at_s for end_s in down.values()) >= self.data_servers:
                got = f"data server {failure.data_server} fails as the last of {self.data_servers}"
                hint = "give `repair_s` of earlier ones, or more `data_servers`"
                yield FieldIssue(got, "at least one that is up", hint, at=("failures", i))
                return


class LocalDiskSpec(SpecModel):
    """One NVMe disk a server."""

    bandwidth_bytes_per_s: BandwidthBytesPerS = Field(default=6e9, gt=0)
    """Read bandwidth of one disk."""
    write_bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """Write bandwidth of one disk; None: reads and writes share `bandwidth_bytes_per_s`."""
    read_operations_per_s: Number | None = Field(default=None, gt=0, le=MAX_OPERATIONS_PER_S)
    """Reads of one disk; None: no limit."""
    write_operations_per_s: Number | None = Field(default=None, gt=0, le=MAX_OPERATIONS_PER_S)
    """Writes of one disk; None: no limit."""
    request_bytes: SizeBytes = Field(default=131_072.0, ge=1)
    """Read or written by one operation, where files are no smaller."""
    latency_s: DurationS = Field(default=0.0, ge=0, le=60)
    """From a request to its first byte."""
    capacity_bytes: SizeBytes = Field(default=4e12, ge=0)
    """Of one disk. Under `feed: cached` it holds up to this much of a job's dataset (no eviction)."""


class ObjectStoreSpec(SpecModel):
    """An object store: slow to answer, paid by the request."""

    bandwidth_bytes_per_s: BandwidthBytesPerS = Field(default=20e9, gt=0)
    """Read bandwidth of the whole store."""
    write_bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """Write bandwidth, copies and parity included; None: reads and writes share `bandwidth_bytes_per_s`."""
    requests_per_s: Number | None = Field(default=None, gt=0, le=MAX_OPERATIONS_PER_S)
    """GET and PUT together; None: no limit."""
    request_bytes: SizeBytes = Field(default=8_388_608.0, ge=1)
    """Of one request, where objects are no smaller: 8 MiB ranges."""
    latency_s: DurationS = Field(default=0.03, ge=0, le=60)
    """From a request to its first byte."""
    client_bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """The most one server gets; None: no limit but the links."""
    capacity_bytes: SizeBytes | None = Field(default=None, gt=0)
    """Copies and parity included; None: no limit."""
    redundancy: RedundancySpec = NoRedundancySpec()
    """What is stored besides the data."""
    power_w: PowerW = Field(default=0.0, ge=0)
    """Constant draw, part of the IT power; 0 where it stands elsewhere."""


class CacheSpec(SpecModel):
    """What keeps parts of datasets nearer to the jobs than they are stored."""

    where: Literal["none", "node", "shared"] = "node"
    """none: nowhere; node: on each server's disk; shared: one cache for the whole hall, before the storage."""
    policy: Literal["no_eviction", "lru"] = "no_eviction"
    """no_eviction: what is in stays while a job reads it; lru: the least recently used goes."""
    capacity_bytes: SizeBytes | None = Field(default=None, gt=0)
    """Of each cache; None: what objects leave free of the disk (node only)."""
    bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """Of a shared cache, reads and fills together; None: 100 GB/s."""
    prefetch_bytes: SizeBytes | None = Field(default=None, ge=0)
    """How far each server reads ahead of its job; 0: not at all, it computes or waits for input; None: as far as helps."""
    cold: bool = True
    """Whether a dataset has to be read once before it hits; else it was read before the run."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        issues = []
        if self.where != "shared" and self.bandwidth_bytes_per_s is not None:
            hint = "a node cache is as fast as the disk" if self.where == "node" else ""
            got = _bandwidth(self.bandwidth_bytes_per_s)
            issues.append(FieldIssue(got, "none, or where: shared", hint, at=("bandwidth_bytes_per_s",)))
        if self.where == "shared" and self.capacity_bytes is None:
            issues.append(FieldIssue("nothing", "the size of the shared cache", at=("capacity_bytes",)))
        if self.where == "none" and self.capacity_bytes is not None:
            got = _size(self.capacity_bytes)
            issues.append(FieldIssue(got, "none, or where: node or shared", at=("capacity_bytes",)))
        if issues:
            raise FieldError(*issues)
        return self


class DatasetSpec(SpecModel):
    """One dataset that kinds of jobs can name; jobs that name the same share what caches hold of it."""

    size_bytes: SizeBytes = Field(ge=1)
    """All of it, as one epoch reads it."""
    file_bytes: SizeBytes | None = Field(default=None, ge=1)
    """Mean size of its files; None: as the file system says."""
    place: Literal["shared", "object", "local"] = "shared"
    """Where it is stored; local: a copy on each server's disk."""

    @model_validator(mode="after")
    def _files_fit(self) -> Self:
        if self.file_bytes is not None and self.file_bytes > self.size_bytes:
            expected = f"at most the dataset's {_size(self.size_bytes)}"
            raise FieldError(FieldIssue(_size(self.file_bytes), expected, at=("file_bytes",)))
        return self


class StorageSpec(SpecModel):
    """Where jobs read their input, and where they write their state."""

    shared: SharedFileSystemSpec = SharedFileSystemSpec()
    """One for the whole hall."""
    local: LocalDiskSpec = LocalDiskSpec()
    """One in each server."""
    object_store: ObjectStoreSpec | None = None
    """One for the whole hall, reached where the file system is; None: there is none."""
    feed: Literal["shared", "local", "cached"] = "shared"
    """For jobs that name no dataset. shared: all input from the file system; local: all from the server's disk;
    cached: the part of the dataset that fits the local disk is read there, the rest shared (or as `cache` says)."""
    cache: CacheSpec | None = None
    """For datasets that are named, and under `feed: cached` for all; None: none but that of the feed."""
    datasets: dict[Name, DatasetSpec] = Field(default={})
    """Datasets by name."""

    @property
    def power_w(self) -> float:
        """Constant draw of the file system and the object store."""
        return self.shared.power_w + (self.object_store.power_w if self.object_store is not None else 0.0)

    @field_validator("datasets")
    @classmethod
    def _distinct_names(cls, datasets: dict[str, DatasetSpec]) -> dict[str, DatasetSpec]:
        refuse_alike(tuple(datasets), "a name of its own")
        return datasets

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        issues = [*self._places(), *self._rooms(), *self._caching(), *self._metadata()]
        if issues:
            raise FieldError(*issues)
        return self

    def _places(self) -> Iterator[FieldIssue]:
        """Yield datasets in a store that is not there."""
        for name, dataset in self.datasets.items():
            if dataset.place == "object" and self.object_store is None:
                hint = "describe `object_store`"
                yield FieldIssue("object", "shared or local", hint, at=("datasets", name, "place"))

    def _rooms(self) -> Iterator[FieldIssue]:
        """Yield places too small for what lies there from the start."""
        stored = {"shared": 0.0, "object": 0.0, "local": 0.0}
        for dataset in self.datasets.values():
            stored[dataset.place] += dataset.size_bytes
        store = self.object_store
        rooms = [("shared", self.shared.capacity_bytes, stored_per_byte(self.shared.redundancy))]
        if store is not None:
            rooms.append(("object", store.capacity_bytes, stored_per_byte(store.redundancy)))
        rooms.append(("local", self.local.capacity_bytes, 1.0))
        for place, capacity, expansion in rooms:
            used = stored[place] * expansion
            if capacity is not None and used > capacity:
                expected = f"at most the {_size(capacity)} of {_TIERS[place]}"
                hint = "" if expansion == 1.0 else f"each byte takes {expansion:g} with its redundancy"
                yield FieldIssue(f"datasets of {_size(used)} on {place}", expected, hint, at=("datasets",))
        cache = self.cache
        if cache is not None and cache.where == "node" and cache.capacity_bytes is not None:
            free = self.local.capacity_bytes - stored["local"]
            if cache.capacity_bytes > free:
                expected = f"at most the {_size(max(free, 0.0))} that datasets leave of the local disk"
                yield FieldIssue(_size(cache.capacity_bytes), expected, at=("cache", "capacity_bytes"))

    def _caching(self) -> Iterator[FieldIssue]:
        """Yield caches that nothing is read through, and feeds through a cache that is nowhere."""
        where = "node" if self.cache is None else self.cache.where
        if self.feed == "cached" and where == "none":
            yield FieldIssue("none", "node or shared under feed: cached", at=("cache", "where"))
        elsewhere = [dataset for dataset in self.datasets.values() if dataset.place != "local"]
        if self.cache is not None and where != "none" and self.feed != "cached" and not elsewhere:
            hint = "name `datasets`, or write feed: cached"
            yield FieldIssue("a cache that nothing is read through", "none", hint, at=("cache",))

    def _metadata(self) -> Iterator[FieldIssue]:
        """Yield a limit of metadata operations where no file has a size."""
        limit = self.shared.metadata_operations_per_s
        sizes = [self.shared.file_bytes, *(dataset.file_bytes for dataset in self.datasets.values())]
        if limit is not None and all(size is None for size in sizes):
            hint = "give `file_bytes` here or in `datasets`"
            yield FieldIssue(
                f"{limit:g}/s without effect", "a mean file size", hint,
                at=("shared", "metadata_operations_per_s"),
            )  # fmt: skip
