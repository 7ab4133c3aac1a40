"""Placement that leaves sleeping servers asleep while others have room."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from dcsim.policies.base import PlacementPolicy
from dcsim.policies.placement import BestFit
from dcsim.policies.views import ClusterView, Placement, PlacementRequest

__all__ = ["AwakeFirst"]


class AwakeFirst(PlacementPolicy):
    """As `best_fit` on servers that are awake, or waking; on all of them where the gang does not fit there.

    For energy policies that put servers to sleep: what is packed leaves others empty for longer, and a job does not
    wait for a server to wake while one stands ready.
    """

    name: ClassVar[str] = "awake_first"
    optimises: ClassVar[str] = "servers that can sleep, and jobs that need not wait for one to wake"
    source: ClassVar[str] = (
        "Gandhi et al., AutoScale, ACM TOCS 30 (2012), index packing, with the tightest fit"
    )
    needs: ClassVar[str] = "what is free on each server, and which of them sleep"

    def __init__(self) -> None:
        self._fit = BestFit()

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return the tightest fit among servers that are awake, or else among all."""
        if view.asleep.any():
            awake = ~view.asleep if request.allowed is None else request.allowed & ~view.asleep
            found = self._fit.place(replace(request, allowed=np.asarray(awake)), view)
            if found is not None:
                return found
        return self._fit.place(request, view)
