"""A flow, the group of equal flows it belongs to, and the account of a watched link."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["ELASTIC", "FIXED", "FREE", "KEPT", "Flow", "FlowGroup", "WatchedLink", "booked_uses"]

ELASTIC = 1 << 100
"""Bytes/s, beyond any link: the booking of a flow that takes whatever it gets. An integer, so that
sums of bookings stay exact."""


KEPT, FREE, FIXED = range(3)
"""What a wave of new rates knows of a group: its rate stands unless a link of its sinks below it; nothing
holds it at its old rate any more; its new rate is known."""


class FlowGroup:
    """Flows of equal demand and share over the same watched links: fairness gives them all one rate."""

    __slots__ = (
        "bottleneck",
        "bound",
        "count",
        "demand",
        "ident",
        "level",
        "mass",
        "path",
        "share",
        "state",
        "users",
        "uses",
    )

    def __init__(
        self,
        demand: float,
        share: float,
        uses: tuple[tuple[int, float], ...],
        links: Iterable[WatchedLink],
        ident: int,
    ) -> None:
        self.demand = demand
        self.share = share
        self.uses = uses
        """(link, weight) on watched links."""
        self.ident = ident
        self.count = 0
        self.users: dict[Any, None] = {}
        """Whoever wants to hear of a new rate."""
        self.mass = 0.0
        """Bytes/s of all its flows at level 1: count times share."""
        self.path = [(link, 0.0) for link in links]
        """(link, mass times weight) as links know it: the mass of the last wave."""
        self.level = 0.0
        """Rate over share."""
        self.bound = demand / share
        """The level at which it has its demand."""
        self.bottleneck: WatchedLink | None = None
        """The link that holds it back; None: it has its demand."""
        self.state = KEPT

    @property
    def rate(self) -> float:
        """Bytes/s of each flow, right after a `settle`."""
        return float(self.demand) if self.bottleneck is None else self.level * self.share

    def __repr__(self) -> str:
        links = ", ".join(str(link) for link, _ in self.uses)
        return f"<FlowGroup {self.ident} of {self.count} flows at {self.rate:g} B/s over links {links}>"


class WatchedLink:
    """The account of a link that is or was overbooked.

    Its level is that of the flows it holds back; no flow on it is above. `load` is the sum of masses
    times weights of the groups that it holds back or that are free, `left` what the others leave them,
    so that `left / load` is the least level at which it could fill up.
    """

    __slots__ = (
        "capacity",
        "due",
        "exact",
        "floor",
        "groups",
        "left",
        "level",
        "load",
        "number",
        "pinned",
        "queued",
        "seen",
        "settled",
        "user",
    )

    def __init__(self, number: int, capacity: float) -> None:
        self.number = number
        self.capacity = capacity
        self.groups: dict[FlowGroup, float] = {}
        """Groups on it with their masses times weights."""
        self.level = math.inf
        """Infinite: it holds nobody back."""
        self.left = capacity
        self.load = 0.0
        self.user: Any = None
        """Whoever wants to hear of a new level."""
        # Of the wave under way:
        self.due = False
        self.exact = False
        self.pinned = False
        self.floor = 0.0
        self.settled = False
        self.seen = False
        self.queued = math.inf

    def __repr__(self) -> str:
        return f"<WatchedLink {self.number} of {self.capacity:g} B/s at level {self.level:g}>"


class Flow:
    """One flow on a `SharedLinks`: its uses of links, its demand and the rate it gets now.

    Args:
        owner: whose it is; told to whoever hears of regrouped flows.
        demand: bytes/s, >= 0; infinite: elastic, it takes what it gets.
        uses: (link, weight, whole bytes/s on it at full demand, rounded up); the last counts for nothing
            where the flow is elastic.
        share: > 0; at a common bottleneck rates stand as shares do.

    Raises:
        ValueError: a share or a demand out of range.
    """

    __slots__ = ("demand", "group", "ident", "owner", "share", "uses")

    def __init__(
        self, owner: object, demand: float, uses: Sequence[tuple[int, float, int]], share: float = 1.0
    ) -> None:
        if not 0.0 < share < math.inf or not demand >= 0.0:
            raise ValueError(f"demand {demand} B/s, share {share} -> expected >= 0 and > 0, share finite")
        self.owner = owner
        self.share = share
        self.demand = demand
        if demand >= ELASTIC:
            self.demand = ELASTIC
            uses = [(link, weight, ELASTIC) for link, weight, _ in uses]
        self.uses = uses
        self.group: FlowGroup | None = None
        self.ident = -1

    @classmethod
    def over(
        cls, owner: object, demand: float, uses: Iterable[tuple[int, float]], share: float = 1.0
    ) -> Flow:
        """Return a flow over (link, weight); its bookings follow from them and its demand.

        >>> Flow.over("job 7", 0.5, [(3, 1.0)])
        <Flow of 'job 7' at 0.5 of 0.5 B/s over links 3>
        """
        return cls(owner, demand, booked_uses(demand, uses), share)

    @property
    def rate(self) -> float:
        """Bytes/s it gets, right after a `settle`."""
        return float(self.demand) if self.group is None else self.group.rate

    @property
    def elastic(self) -> bool:
        """Whether it takes whatever it gets."""
        return self.demand == ELASTIC

    def __repr__(self) -> str:
        links = ", ".join(str(link) for link, _, _ in self.uses)
        return f"<Flow of {self.owner!r} at {self.rate:g} of {self.demand:g} B/s over links {links}>"


def booked_uses(demand: float, uses: Iterable[tuple[int, float]]) -> list[tuple[int, float, int]]:
    """Return (link, weight, whole bytes/s booked on it), rounded up, for a demand in bytes/s."""
    if demand >= ELASTIC:
        return [(link, weight, ELASTIC) for link, weight in uses]
    return [(link, weight, math.ceil(weight * demand)) for link, weight in uses]
