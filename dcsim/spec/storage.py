"""What a scenario says of the shared file system and the node-local disks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dcsim.spec.model import SpecModel
from dcsim.spec.quantities import BandwidthBytesPerS, PowerW, SizeBytes

__all__ = ["LocalDiskSpec", "SharedFileSystemSpec", "StorageSpec"]


class SharedFileSystemSpec(SpecModel):
    """One parallel file system, its read bandwidth shared max-min by all feeds."""

    bandwidth_bytes_per_s: BandwidthBytesPerS = Field(default=100e9, gt=0)
    """Read bandwidth of the whole file system."""
    power_w: PowerW = Field(default=5_000.0, ge=0)
    """Constant draw, part of the IT power."""


class LocalDiskSpec(SpecModel):
    """One NVMe disk a server."""

    bandwidth_bytes_per_s: BandwidthBytesPerS = Field(default=6e9, gt=0)
    """Read bandwidth of one disk."""
    capacity_bytes: SizeBytes = Field(default=4e12, ge=0)
    """Of the cache: it holds up to this much of a job's dataset (no eviction)."""


class StorageSpec(SpecModel):
    """Where jobs read their input."""

    shared: SharedFileSystemSpec = SharedFileSystemSpec()
    """One for the whole hall."""
    local: LocalDiskSpec = LocalDiskSpec()
    """One in each server."""
    feed: Literal["shared", "local", "cached"] = "shared"
    """shared: all input from the file system; local: all from the server's disk;
    cached: the part of the dataset that fits the local disk is read there, the rest shared."""
