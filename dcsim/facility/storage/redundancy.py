"""Replication and erasure coding: what they store, survive, and move to be whole again."""

from __future__ import annotations

from dataclasses import dataclass

from dcsim.spec.redundancy import ErasureCodingSpec, RedundancySpec, ReplicationSpec, parts_per_stripe

__all__ = [
    "RebuildTraffic",
    "rebuild_traffic",
    "stored_bytes",
    "stripe_width",
    "tolerated_losses",
]


@dataclass(frozen=True, slots=True)
class RebuildTraffic:
    """What the data servers that are left move to make up for what one held."""

    read_bytes: float
    written_bytes: float


def stored_bytes(redundancy: RedundancySpec, size_bytes: int) -> int:
    """Return the whole bytes that `size_bytes` of data take, copies and parity included.

    >>> stored_bytes(ErasureCodingSpec(data_shards=3, parity_shards=1), 100)
    134
    """
    shards = redundancy.data_shards if isinstance(redundancy, ErasureCodingSpec) else 1
    return -(-size_bytes * parts_per_stripe(redundancy) // shards)


def stripe_width(redundancy: RedundancySpec, stripe_count: int) -> int:
    """Return on how many data servers one file lies that is striped over `stripe_count`, redundancy included.

    >>> stripe_width(ReplicationSpec(copies=2), 4), stripe_width(ErasureCodingSpec(), 4)
    (8, 10)
    """
    if isinstance(redundancy, ErasureCodingSpec):
        return max(stripe_count, parts_per_stripe(redundancy))
    return stripe_count * parts_per_stripe(redundancy)


def tolerated_losses(redundancy: RedundancySpec) -> int:
    """Return how many data servers may be lost at once with all data still there.

    >>> tolerated_losses(ReplicationSpec(copies=3)), tolerated_losses(ErasureCodingSpec())
    (2, 2)
    """
    if isinstance(redundancy, ReplicationSpec):
        return redundancy.copies - 1
    if isinstance(redundancy, ErasureCodingSpec):
        return redundancy.parity_shards
    return 0


def rebuild_traffic(redundancy: RedundancySpec, lost_bytes: float) -> RebuildTraffic:
    """Return what is moved to rebuild `lost_bytes` of stored data.

    A lost copy is read once from another and written once; a lost shard is computed from k others
    (Rashmi et al., A Solution to the Network Challenges of Data Recovery in Erasure-coded Distributed
    Storage Systems, HotStorage 2013: Reed-Solomon reads k times what it rebuilds).

    Raises:
        ValueError: without redundancy there is nothing to rebuild from.

    >>> rebuild_traffic(ErasureCodingSpec(data_shards=8, parity_shards=2), 1e12)
    RebuildTraffic(read_bytes=8000000000000.0, written_bytes=1000000000000.0)
    """
    if isinstance(redundancy, ReplicationSpec):
        return RebuildTraffic(lost_bytes, lost_bytes)
    if isinstance(redundancy, ErasureCodingSpec):
        return RebuildTraffic(redundancy.data_shards * lost_bytes, lost_bytes)
    msg = "data stored once cannot be rebuilt"
    raise ValueError(msg)
