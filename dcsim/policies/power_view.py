"""What an energy policy may see of the power of running jobs, and of the servers without any."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["IdleView", "KindNotes", "PowerView"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
KindNotes = dict[str, tuple[Hashable, Any]]
"""By the name of who keeps it: (what it was worked out for, what came out)."""


@dataclass(frozen=True, slots=True)
class PowerView:
    """The K jobs that compute on accelerators now, as columns (K,) in order of `row`; R racks."""

    now_s: float
    row: Ints
    """Into `JobsView`."""
    width: Ints
    """Accelerators held."""
    cap_fraction: Floats
    """In force, over peak power, (0, 1]."""
    floor_fraction: Floats
    """Lowest cap that the job's accelerators can hold."""
    power_w: Floats
    """Drawn by the job above idle servers, now."""
    progress_fraction: Floats
    """Its rate now over its own rate at the cap in force: below 1 its input, its exchange or others hold it back."""
    speed_at: Callable[[Floats], Floats]
    """(K,) caps -> (K,) each job's own rate (exchange included) over that without a cap, (0, 1]."""
    power_at: Callable[[Floats], Floats]
    """(K,) caps -> (K,) W above idle servers when it goes at its own rate."""
    rack: Ints
    """Rack of its first server."""
    it_power_w: float
    budget_w: float
    """Of all IT equipment now, demand response included; infinity: none."""
    budget_changes_s: float
    """When `budget_w` is next different; infinity: never."""
    rack_power_w: Floats
    """(R,) of the servers of each rack."""
    rack_budget_w: Floats
    """(R,) infinity: none."""
    pdu_of_rack: Ints
    """(R,) PDU that feeds each rack; -1: the hall does, or there is no power tree."""
    pdu_power_w: Floats
    """(P,) of the servers that each PDU feeds."""
    pdu_budget_w: Floats
    """(P,) that these servers may draw within its budget, losses on the way counted; infinity: none."""
    thermal_cap_fraction: Floats
    """(K,) that thermal throttling imposes now, 1: none."""
    parts: tuple[Ints, Ints, Floats] | None = None
    """(Q,) columns (position among the K jobs, rack, part of its power): where jobs draw that lie over several racks;
    the parts of a job add up to 1. None: all of each in its `rack`."""
    kind_notes: tuple[KindNotes, ...] | None = None
    """(K,) jobs of one kind, which have the same curves, floor and width, have the same notes, for as long as such
    jobs run: policies may keep there what follows from these alone. None: kinds are not told."""

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class IdleView:
    """Servers without jobs, and how jobs have come so far, for a policy that keeps some awake."""

    now_s: float
    idle_awake: int
    """Servers awake, or waking, without a job."""
    asleep: int
    wake_latency_s: float
    """Longest of the fleet."""
    servers: int
    arrivals_s: Floats
    """(A,) submit times of the jobs so far, ascending."""
    arrived_accelerators: Ints
    """(A,) their widths."""
    accelerators_per_server: float
    """Mean over the servers that have some."""
