"""What a scenario says of its tenants: what is due to each, and what is kept for it."""

from __future__ import annotations

from pydantic import Field

from dcsim.spec.model import SpecModel
from dcsim.spec.quantities import Name, Number

__all__ = ["TenantSpec"]


class TenantSpec(SpecModel):
    """One tenant under the fair-share policies; tenants not listed have the defaults."""

    name: Name
    """As the jobs say it."""
    weight: Number = Field(default=1.0, gt=0, le=1e9)
    """Its share of the cluster is this over the sum of the weights of all tenants with jobs."""
    guaranteed_accelerators: int = Field(default=0, ge=0, le=100_000_000, strict=True)
    """Devices it gets back at once when it wants them; others may borrow them meanwhile."""
    network_share: Number = Field(default=1.0, gt=0, le=1e6)
    """Of a full link, against 1 for each flow of other tenants: 2 gets twice as much where both wait for it."""
