"""What a scenario says of how a tier survives the loss of a data server."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dcsim.spec.model import SpecModel

__all__ = [
    "ErasureCodingSpec",
    "NoRedundancySpec",
    "RedundancySpec",
    "ReplicationSpec",
    "parts_per_stripe",
    "stored_per_byte",
]


class NoRedundancySpec(SpecModel):
    """Every byte is stored once; what a lost data server held is gone."""

    kind: Literal["none"] = "none"


class ReplicationSpec(SpecModel):
    """Every byte is stored so many times, each time on another data server."""

    kind: Literal["replication"] = "replication"
    copies: int = Field(default=3, ge=2, le=16, strict=True)
    """Of each byte, the first included."""


class ErasureCodingSpec(SpecModel):
    """Reed-Solomon k + m: any k of the k + m shards of a stripe give it back."""

    kind: Literal["erasure"] = "erasure"
    data_shards: int = Field(default=8, ge=1, le=256, strict=True)
    """k: parts a stripe is cut into."""
    parity_shards: int = Field(default=2, ge=1, le=64, strict=True)
    """m: parts computed from them; so many may be lost."""


RedundancySpec = Annotated[
    NoRedundancySpec | ReplicationSpec | ErasureCodingSpec, Field(discriminator="kind")
]


def parts_per_stripe(redundancy: RedundancySpec) -> int:
    """Return how many copies or shards there are of each stripe, each on another data server, >= 1.

    >>> parts_per_stripe(ReplicationSpec(copies=3)), parts_per_stripe(ErasureCodingSpec())
    (3, 10)
    """
    if isinstance(redundancy, ReplicationSpec):
        return redundancy.copies
    if isinstance(redundancy, ErasureCodingSpec):
        return redundancy.data_shards + redundancy.parity_shards
    return 1


def stored_per_byte(redundancy: RedundancySpec) -> float:
    """Return the bytes that data servers store, and write, for each byte of data, >= 1.

    n for n copies, (k + m) / k for erasure coding (Patterson, Gibson, Katz, RAID, SIGMOD 1988;
    Reed, Solomon, J. SIAM 8 (1960) 300).

    >>> stored_per_byte(ReplicationSpec(copies=3)), stored_per_byte(ErasureCodingSpec())
    (3.0, 1.25)
    """
    shards = redundancy.data_shards if isinstance(redundancy, ErasureCodingSpec) else 1
    return parts_per_stripe(redundancy) / shards
