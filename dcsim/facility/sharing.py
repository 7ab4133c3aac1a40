"""Max-min fair sharing of links: the allocation, its certificate, and its incremental upkeep.

A flow is a set of streams in lockstep at one rate x (bytes/s); on link l it uses weight_l * x.
It never gets more than its demand. The allocation is max-min fair in x (Bertsekas, Gallager, Data
Networks, 2nd ed. 1992, section 6.5.2): no flow can get more without another, no faster one, getting
less. Equivalently every flow below its demand has a bottleneck: a saturated link on which no other
flow is faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import GuardError

__all__ = ["Flow", "FlowGroup", "SharedLinks", "max_min_rates", "unfair_flows"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_UNWATCH_BELOW = 0.9
"""A link stops being watched when its demands fall below this part of its capacity: hysteresis, so
that a link at its limit does not regroup all its flows at every event."""


def max_min_rates(capacity: Floats, demand: Floats, flow: Ints, link: Ints, weight: Floats) -> Floats:
    """Return (F,) max-min fair rates by progressive filling.

    Args:
        capacity: (L,) bytes/s, > 0.
        demand: (F,) bytes/s, >= 0; may be inf.
        flow: (E,) flow of each use of a link.
        link: (E,) link of each use.
        weight: (E,) bytes on the link a byte of the flow's rate, > 0.

    Raises:
        ValueError: a flow with infinite demand uses no link.

    The parking lot: one flow over both links, one over each; everyone gets half.

    >>> max_min_rates(np.array([1.0, 1.0]), np.full(3, np.inf), np.array([0, 0, 1, 2]),
    ...               np.array([0, 1, 0, 1]), np.ones(4)).tolist()
    [0.5, 0.5, 0.5]
    """
    flows, links = len(demand), len(capacity)
    rate = np.array(demand, dtype=np.float64)
    left = np.array(capacity, dtype=np.float64)
    fixed = np.zeros(flows, dtype=bool)
    if np.isinf(demand[np.bincount(flow, minlength=flows) == 0]).any():
        msg = "a flow with infinite demand uses no link"
        raise ValueError(msg)
    active = np.ones(len(flow), dtype=bool)
    lowest = 0.0
    while not fixed.all():
        load = np.bincount(link[active], weights=weight[active], minlength=links)
        level = np.full(links, np.inf)
        np.divide(np.maximum(left, 0.0), load, out=level, where=load > 0.0)
        # The level never falls; rounding must not make it.
        lowest = max(lowest, float(level.min())) if links else np.inf
        # Flows that want no more than the lowest level get it whole: the level can only rise.
        content = ~fixed & (demand <= lowest)
        if content.any():
            newly = content
        else:
            newly = np.zeros(flows, dtype=bool)
            newly[flow[active & (level[link] <= lowest)]] = True
            newly &= ~fixed
            rate[newly] = lowest
        fixed |= newly
        spent = active & newly[flow]
        left -= np.bincount(link[spent], weights=weight[spent] * rate[flow[spent]], minlength=links)
        active &= ~newly[flow]
    return rate


def unfair_flows(
    capacity: Floats,
    demand: Floats,
    flow: Ints,
    link: Ints,
    weight: Floats,
    rate: Floats,
    tolerance: float = 1e-9,
) -> Ints:
    """Return the flows without a certificate of max-min fairness, and those on overfull links.

    A flow is certified when it has its demand, or a saturated link on which no flow is faster.
    """
    used = np.bincount(link, weights=weight * rate[flow], minlength=len(capacity))
    fastest = np.zeros(len(capacity))
    np.maximum.at(fastest, link, rate[flow])
    saturated = used >= capacity * (1.0 - tolerance)
    bottleneck = saturated[link] & (rate[flow] >= fastest[link] * (1.0 - tolerance))
    certified = rate >= demand * (1.0 - tolerance)
    certified[flow[bottleneck]] = True
    certified[flow[used[link] > capacity[link] * (1.0 + tolerance)]] = False
    return np.flatnonzero(~certified)


@dataclass(eq=False, slots=True)
class FlowGroup:
    """Flows of equal demand over the same watched links: fairness gives them all the same rate."""

    demand: int
    uses: tuple[tuple[int, float], ...]
    """(link, weight) on watched links."""
    ident: int
    rate: float
    count: int = 0
    users: dict[Any, None] = field(default_factory=dict)
    """Whoever wants to hear of a new rate."""


class Flow:
    """One flow on a `SharedLinks`: its uses of links, its demand and the rate it gets now."""

    __slots__ = ("demand", "group", "ident", "owner", "uses")

    def __init__(self, owner: object, demand: int, uses: Sequence[tuple[int, float, int]]) -> None:
        """Take the demand in whole bytes/s and (link, weight, whole bytes/s on it at full demand)."""
        self.owner = owner
        self.demand = demand
        self.uses = uses
        self.group: FlowGroup | None = None
        self.ident = -1

    @property
    def rate(self) -> float:
        """Bytes/s it gets, right after a `settle`."""
        return float(self.demand) if self.group is None else self.group.rate

    def __repr__(self) -> str:
        links = ", ".join(str(link) for link, _, _ in self.uses)
        return f"<Flow of {self.owner!r} at {self.rate:g} of {self.demand} B/s over links {links}>"


class SharedLinks:
    """Links and the flows on them; rates are recomputed only where a change can reach.

    A link whose demands fit its capacity is nobody's bottleneck, so it does not connect flows, and
    while no link is overbooked a change costs nothing but its bookkeeping. Links that have been
    overbooked are watched; flows with the same demand over the same watched links form a group and
    share one rate, so a file system with thousands of starved readers is a handful of groups.
    Demands are whole bytes/s: their sums stay exact over any number of additions and removals.
    """

    def __init__(self, capacity_bytes_per_s: Sequence[float]) -> None:
        self.capacity = [float(value) for value in capacity_bytes_per_s]
        self.booked = [0] * len(self.capacity)
        """Sum of demands on each link."""
        self._members: list[dict[Flow, float]] = [{} for _ in self.capacity]
        self._watched: dict[int, dict[FlowGroup, float]] = {}
        """Watched link -> groups on it with their weights."""
        self._groups: dict[tuple[int, tuple[tuple[int, float], ...]], FlowGroup] = {}
        self._flips: dict[int, None] = {}
        """Links to be watched, or no longer."""
        self._new: dict[Flow, None] = {}
        self._dirty: dict[FlowGroup, None] = {}
        self._idents = count()
        self._group_idents = count()

    def add(self, flow: Flow) -> None:
        """Let a flow in; its rate is right after the next `settle`."""
        flow.ident = next(self._idents)
        booked, capacity, members = self.booked, self.capacity, self._members
        for link, weight, usage in flow.uses:
            members[link][flow] = weight
            total = booked[link] + usage
            booked[link] = total
            if total > capacity[link] and link not in self._watched:
                self._flips[link] = None
        if self._watched:
            self._new[flow] = None

    def remove(self, flow: Flow) -> None:
        """Take a flow out."""
        booked, members = self.booked, self._members
        for link, _, usage in flow.uses:
            del members[link][flow]
            before = booked[link]
            booked[link] = before - usage
            if link in self._watched:
                if booked[link] < _UNWATCH_BELOW * self.capacity[link]:
                    self._flips[link] = None
                if booked[link] <= self.capacity[link] < before:
                    # It held its flows back and no longer does; nothing else leads to them.
                    self._dirty.update(dict.fromkeys(self._watched[link]))
        if flow.group is not None:
            self._leave(flow.group)
            flow.group = None
        self._new.pop(flow, None)

    def settle(self) -> tuple[list[Flow], list[FlowGroup]]:
        """Bring all rates up to date.

        Returns:
            The flows that came into, left or changed a group, and the groups with a new rate.
        """
        if not (self._flips or self._dirty or self._new):
            return [], []
        touched = dict(self._new)
        self._new.clear()
        for link in sorted(self._flips):
            touched.update(dict.fromkeys(self._flip(link)))
        self._flips.clear()
        regrouped = [flow for flow in touched if self._regroup(flow)]
        changed = []
        for groups, links in self._components():
            changed += _share(groups, links, self.capacity)
        self._dirty.clear()
        return regrouped, changed

    def _flip(self, link: int) -> Iterable[Flow]:
        """Watch a link, or stop to; returns the flows that may change their group."""
        if link not in self._watched and self.booked[link] > self.capacity[link]:
            self._watched[link] = {}
        elif link in self._watched and self.booked[link] < _UNWATCH_BELOW * self.capacity[link]:
            # Groups on it are dirty: without this link they may split or get more.
            self._dirty.update(dict.fromkeys(self._watched.pop(link)))
        else:
            return ()
        return self._members[link]

    def _regroup(self, flow: Flow) -> bool:
        """Put a flow in the group it belongs to; returns whether that is another one."""
        watched = self._watched
        uses = tuple((link, weight) for link, weight, _ in flow.uses if link in watched)
        old = flow.group
        if old is not None and old.uses == uses:
            return False
        if old is not None:
            self._leave(old)
        flow.group = self._join(flow.demand, uses) if uses else None
        return not (old is None and flow.group is None)

    def _join(self, demand: int, uses: tuple[tuple[int, float], ...]) -> FlowGroup:
        group = self._groups.get((demand, uses))
        if group is None:
            group = FlowGroup(demand, uses, next(self._group_idents), float(demand))
            self._groups[demand, uses] = group
            for link, weight in uses:
                self._watched[link][group] = weight
        group.count += 1
        self._dirty[group] = None
        return group

    def _leave(self, group: FlowGroup) -> None:
        group.count -= 1
        self._dirty[group] = None
        if group.count == 0:
            del self._groups[group.demand, group.uses]
            for link, _ in group.uses:
                if link in self._watched:
                    del self._watched[link][group]

    def _components(self) -> Iterable[tuple[list[FlowGroup], list[int]]]:
        """Yield (groups, links) of each part connected over overbooked links that has a dirty group."""
        seen: dict[FlowGroup, None] = {}
        for start in self._dirty:
            if start in seen:
                continue
            links: dict[int, None] = {}
            groups: list[FlowGroup] = []
            pending = [start]
            seen[start] = None
            while pending:
                group = pending.pop()
                if group.count:
                    groups.append(group)
                for link, _ in group.uses:
                    if link in links or self.booked[link] <= self.capacity[link]:
                        continue
                    links[link] = None
                    fresh = [other for other in self._watched[link] if other not in seen]
                    seen.update(dict.fromkeys(fresh))
                    pending += fresh
            if groups:
                yield sorted(groups, key=lambda g: g.ident), sorted(links)

    def flows(self) -> list[Flow]:
        """Return all flows, oldest first."""
        found = {flow: None for members in self._members for flow in members}
        return sorted(found, key=lambda flow: flow.ident)

    def check(self) -> None:
        """Prove the whole allocation max-min fair.

        Raises:
            GuardError: some flow has no bottleneck, or a link carries more than its capacity.
        """
        flows = self.flows()
        uses = [(i, use[0], use[1]) for i, flow in enumerate(flows) for use in flow.uses]
        if not uses:
            return
        bad = unfair_flows(
            np.array(self.capacity),
            np.array([flow.demand for flow in flows], dtype=np.float64),
            np.array([use[0] for use in uses], dtype=np.int64),
            np.array([use[1] for use in uses], dtype=np.int64),
            np.array([use[2] for use in uses]),
            np.array([flow.rate for flow in flows]),
        )
        if len(bad):
            msg = f"{len(bad)} flows are not max-min fair, first {flows[int(bad[0])]!r}"
            raise GuardError(msg)


def _share(groups: list[FlowGroup], links: list[int], capacity: Sequence[float]) -> list[FlowGroup]:
    """Set the rates of one connected part over its overbooked links; returns the groups with a new rate."""
    if not links:
        rates = [float(group.demand) for group in groups]
    elif len(links) == 1:
        rates = _share_one_link(groups, links[0], capacity[links[0]])
    else:
        position = {link: i for i, link in enumerate(links)}
        uses = [
            (i, position[link], weight * group.count)
            for i, group in enumerate(groups)
            for link, weight in group.uses
            if link in position
        ]
        rates = max_min_rates(
            np.array([capacity[link] for link in links]),
            np.array([group.demand for group in groups], dtype=np.float64),
            np.array([use[0] for use in uses], dtype=np.int64),
            np.array([use[1] for use in uses], dtype=np.int64),
            np.array([use[2] for use in uses]),
        ).tolist()
    changed = []
    for group, rate in zip(groups, rates, strict=True):
        if rate != group.rate:
            group.rate = rate
            changed.append(group)
    return changed


def _share_one_link(groups: list[FlowGroup], link: int, capacity: float) -> list[float]:
    """Return the rates on a single link: small demands whole, the rest equal."""
    load = [sum(weight for at, weight in group.uses if at == link) * group.count for group in groups]
    left = capacity
    rates = [0.0] * len(groups)
    order = sorted(range(len(groups)), key=lambda i: groups[i].demand)
    # Sums from the far end, so that the last group's share is not a difference of large numbers.
    weights = list(accumulate(load[i] for i in reversed(order)))
    for place, i in enumerate(order):
        level = left / weights[-1 - place]
        if groups[i].demand > level:
            for other in order[place:]:
                rates[other] = level
            break
        rates[i] = float(groups[i].demand)
        left = max(0.0, left - rates[i] * load[i])
    return rates
