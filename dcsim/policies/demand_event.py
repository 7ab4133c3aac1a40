"""An event of demand response, as policies know it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DemandEvent"]


@dataclass(frozen=True, slots=True)
class DemandEvent:
    """A window in which the grid asks for less; of those notified and not over yet."""

    start_s: float
    end_s: float
    it_limit_w: float
    """What all IT equipment may draw; infinity: as otherwise."""
    import_limit_w: float
    """What may be imported at the meter; infinity: as otherwise."""
