"""What a scenario says of checkpoints as objects: how large, where to, how written, how many are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.quantities import BandwidthBytesPerS, DurationS, Number
from dcsim.spec.storage import StorageSpec
from dcsim.units import Quantity, format_quantity

__all__ = ["CheckpointSpec", "checkpoint_issues"]


class CheckpointSpec(SpecModel):
    """Checkpoints written and read as bytes over the links that others use.

    When they are due is said by `preemption` (its `checkpoint_interval_s`, and each stop under
    `on_preempt: checkpoint`).
    """

    target: Literal["shared", "object", "local"] = "shared"
    """The file system, the object store, or the disks of the servers that write."""
    mode: Literal["synchronous", "asynchronous"] = "synchronous"
    """synchronous: the job waits until all is written; asynchronous: only while its state is copied to the
    servers' memory, and the rest is written while it goes on."""
    sharded: bool = True
    """Whether each server writes the part that its accelerators hold; else the first writes all."""
    keep: int = Field(default=1, ge=1, le=10_000, strict=True)
    """Complete checkpoints of a job that stay; an older one goes once a newer one is complete."""
    stagger_s: DurationS = Field(default=0.0, ge=0)
    """Jobs put off their periodic checkpoints by different times below this, each always by the same."""
    snapshot_bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """Of each accelerator to the server's memory, in asynchronous mode; None: 20 GB/s."""
    bytes_per_parameter: Number | None = Field(default=None, gt=0, le=1_000)
    """State a parameter; None: as the profile measured it, else 14 (bf16 weights, fp32 copy, two Adam moments)."""
    on_full: Literal["skip", "evict_oldest"] = "skip"
    """Where there is no room: skip this checkpoint, or first remove the oldest ones, of any job, that are not
    their job's last."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        given = self.snapshot_bandwidth_bytes_per_s
        if given is not None and self.mode == "synchronous":
            got = format_quantity(given, Quantity.BANDWIDTH)
            hint = "a synchronous checkpoint takes no snapshot"
            at = ("snapshot_bandwidth_bytes_per_s",)
            raise FieldError(FieldIssue(got, "none, or mode: asynchronous", hint, at=at))
        return self


def checkpoint_issues(checkpoints: CheckpointSpec, storage: StorageSpec) -> Iterator[FieldIssue]:
    """Yield what of the checkpoints cannot be on this storage.

    >>> [str(issue.expected) for issue in checkpoint_issues(CheckpointSpec(target="object"), StorageSpec())]
    ['shared or local']
    """
    if checkpoints.target == "object" and storage.object_store is None:
        yield FieldIssue("object", "shared or local", "describe `storage.object_store`", at=("target",))
    if checkpoints.target == "local" and storage.local.capacity_bytes <= 0.0:
        yield FieldIssue("local", "shared or object", "the local disks have no capacity", at=("target",))
