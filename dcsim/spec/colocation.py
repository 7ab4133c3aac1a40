"""What a scenario says of jobs that share a device: how much each slows the other."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dcsim.spec.model import SpecModel
from dcsim.spec.quantities import Name, Number

__all__ = ["ColocationSpec"]

Speed = Annotated[Number, Field(gt=0, le=1)]


class ColocationSpec(SpecModel):
    """Two kinds of jobs measured on one device at the same time."""

    profiles: tuple[Name, Name]
    """The two cost profiles; the same one twice for two equal jobs."""
    relative_throughput: tuple[Speed, Speed]
    """Of each, in that order: its rate beside the other over its rate alone on the whole device."""
