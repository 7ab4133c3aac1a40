"""What a log or a trace does not say of the run that it was taken of."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Run"]


class Run(NamedTuple):
    """What a log or a trace does not say of its run; None: nobody does."""

    devices: int
    batch_per_device: int
    model: str | None = None
    device: str | None = None
    """Catalogue name."""
    parameters: int | None = None
    warm_up: int = 2
    """Step times left out at the beginning."""
