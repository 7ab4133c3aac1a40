"""Max-min fair sharing of links: the allocation, its certificate, and its incremental upkeep.

A flow is a set of streams in lockstep at one rate x (bytes/s); on link l it uses weight_l * x.
It never gets more than its demand. The allocation is max-min fair in x (Bertsekas, Gallager, Data
Networks, 2nd ed. 1992, section 6.5.2): no flow can get more without another, no faster one, getting
less. Equivalently every flow below its demand has a bottleneck: a saturated link on which no other
flow is faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
import numpy.typing as npt

from dcsim.errors import GuardError

__all__ = ["Flow", "SharedLinks", "max_min_rates", "unfair_flows"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


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


class Flow:
    """One flow on a `SharedLinks`: its uses of links, its demand and the rate it gets now."""

    __slots__ = ("demand", "ident", "owner", "rate", "uses")

    def __init__(self, owner: object, demand: int, uses: Sequence[tuple[int, float, int]]) -> None:
        """Take the demand in whole bytes/s and (link, weight, whole bytes/s on it at full demand)."""
        self.owner = owner
        self.demand = demand
        self.uses = uses
        self.rate = float(demand)
        self.ident = -1

    def __repr__(self) -> str:
        links = ", ".join(str(link) for link, _, _ in self.uses)
        return f"<Flow of {self.owner!r} at {self.rate:g} of {self.demand} B/s over links {links}>"


class SharedLinks:
    """Links and the flows on them; rates are recomputed only where a change can reach.

    A link whose demands fit its capacity cannot be anybody's bottleneck, so it does not connect
    flows. A change therefore touches just the flows connected to it over overbooked links, and
    none at all while nothing is overbooked. Demands are whole bytes/s, so that the sums stay exact
    over any number of additions and removals.
    """

    def __init__(self, capacity_bytes_per_s: Sequence[float]) -> None:
        self.capacity = [float(value) for value in capacity_bytes_per_s]
        self.booked = [0] * len(self.capacity)
        """Sum of demands on each link."""
        self._members: list[dict[Flow, float]] = [{} for _ in self.capacity]
        self._dirty: dict[int, None] = {}
        self._idents = count()

    def add(self, flow: Flow) -> None:
        """Let a flow in; its rate is right after the next `settle`."""
        flow.ident = next(self._idents)
        booked, capacity, members = self.booked, self.capacity, self._members
        for link, weight, usage in flow.uses:
            members[link][flow] = weight
            total = booked[link] + usage
            booked[link] = total
            if total > capacity[link]:
                self._dirty[link] = None

    def remove(self, flow: Flow) -> None:
        """Take a flow out."""
        booked, capacity, members = self.booked, self.capacity, self._members
        for link, _, usage in flow.uses:
            del members[link][flow]
            if booked[link] > capacity[link]:
                self._dirty[link] = None
            booked[link] -= usage

    def settle(self) -> list[Flow]:
        """Bring all rates up to date; returns the flows whose rate changed, oldest first."""
        if not self._dirty:
            return []
        flows = self._reachable()
        self._dirty.clear()
        if not flows:
            return []
        overbooked: dict[int, int] = {}
        index: list[tuple[int, int, float]] = []
        for position, flow in enumerate(flows):
            for link, weight, _ in flow.uses:
                if self.booked[link] > self.capacity[link]:
                    index.append((position, overbooked.setdefault(link, len(overbooked)), weight))
        demand = np.array([flow.demand for flow in flows], dtype=np.float64)
        rates = max_min_rates(
            np.array([self.capacity[link] for link in overbooked]),
            demand,
            np.array([entry[0] for entry in index], dtype=np.int64),
            np.array([entry[1] for entry in index], dtype=np.int64),
            np.array([entry[2] for entry in index]),
        ).tolist()
        changed = []
        for flow, rate in zip(flows, rates, strict=True):
            if rate != flow.rate:
                flow.rate = rate
                changed.append(flow)
        return changed

    def _reachable(self) -> list[Flow]:
        """Return the flows on dirty links and those connected to them over overbooked links."""
        seen_links = dict(self._dirty)
        pending = list(self._dirty)
        flows: dict[Flow, None] = {}
        while pending:
            for flow in self._members[pending.pop()]:
                if flow in flows:
                    continue
                flows[flow] = None
                for link, _, _ in flow.uses:
                    if link not in seen_links and self.booked[link] > self.capacity[link]:
                        seen_links[link] = None
                        pending.append(link)
        return sorted(flows, key=lambda flow: flow.ident)

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
