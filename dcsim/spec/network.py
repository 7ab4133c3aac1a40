"""What a scenario says of the network between servers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dcsim.spec.model import SpecModel
from dcsim.spec.quantities import BandwidthBytesPerS, DurationS, Number, PowerW

__all__ = ["NetworkSpec"]


class NetworkSpec(SpecModel):
    """A star (one non-blocking switch) or a two-tier fat-tree (a leaf a rack, spines above)."""

    topology: Literal["star", "fat_tree"] = "fat_tree"
    """How the servers are wired."""
    server_bandwidth_bytes_per_s: BandwidthBytesPerS = Field(default=50e9, gt=0)
    """One direction of a server's link to its switch (400 Gbit/s)."""
    oversubscription: Number = Field(default=1.0, ge=1.0, le=64.0)
    """Server bandwidth of a rack divided by its uplink bandwidth (fat_tree only)."""
    latency_s: DurationS = Field(default=5e-6, ge=0, le=10.0)
    """One way between two servers; enters the all-reduce as its alpha."""
    switch_power_w: PowerW = Field(default=600.0, ge=0)
    """Constant draw of each switch: one for a star, a leaf a rack plus a spine each eight racks."""
