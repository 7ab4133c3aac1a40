"""What a scenario says of jobs that share a device, or a server: how much each slows the other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dcsim.spec.model import SpecModel
from dcsim.spec.quantities import Name, Number

__all__ = ["ColocationSpec"]

Speed = Annotated[Number, Field(gt=0, le=1)]


class ColocationSpec(SpecModel):
    """Two kinds of jobs measured at the same time, on one device or on devices of one server."""

    profiles: tuple[Name, Name]
    """The two cost profiles; the same one twice for two equal jobs."""
    relative_throughput: tuple[Speed, Speed]
    """Of each, in that order: its rate beside the other over its rate alone on the whole device."""
    sharing: Literal["device", "server"] = "device"
    """device: both on one device; server: each on devices of its own, beside the other in one server."""
