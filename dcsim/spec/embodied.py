"""What a scenario says of embodied carbon: what it took to make the hardware, and how long that lasts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dcsim.spec.model import SpecModel
from dcsim.spec.quantities import DurationS, Name, Number

__all__ = ["EmbodiedSpec"]

_DAY_S = 86_400.0
_YEAR_S = 365.25 * _DAY_S


class EmbodiedSpec(SpecModel):
    """Emissions from cradle to gate, kgCO2e, spread evenly over the time in service (ISO/IEC 21031)."""

    accelerator_kg: dict[Name, Annotated[Number, Field(ge=0, le=1e6)]] = Field(default={})
    """Of one device, by model; models left out have the catalogue's figure, or the default of 150 kg."""
    server_kg: Number = Field(default=2_500.0, ge=0, le=1e6)
    """Of one server without its accelerators."""
    accelerator_lifetime_s: DurationS = Field(default=6 * _YEAR_S, ge=_DAY_S)
    """Time in service of an accelerator."""
    server_lifetime_s: DurationS = Field(default=6 * _YEAR_S, ge=_DAY_S)
    """Time in service of a server."""
