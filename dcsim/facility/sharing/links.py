"""Links and the flows on them: who is booked where, who is grouped with whom, and what each gets now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

import numpy as np

from dcsim.errors import GuardError
from dcsim.facility.sharing.filling import unfair_flows
from dcsim.facility.sharing.flow import Flow, FlowGroup, WatchedLink, booked_uses
from dcsim.facility.sharing.wave import Wave

__all__ = ["SharedLinks"]

_UNWATCH_BELOW = 0.9
"""A link stops being watched when its demands fall below this part of its capacity: hysteresis, so
that a link at its limit does not regroup all its flows at every event."""

_Uses = tuple[tuple[int, float], ...]


class SharedLinks:
    """Links and the flows on them; rates are recomputed only where a change makes a difference.

    A link whose demands fit its capacity is nobody's bottleneck, so it does not connect flows, and
    while no link is overbooked a change costs nothing but its bookkeeping. Links that have been
    overbooked are watched; flows with the same demand and share over the same watched links form a
    group and get one rate, so a file system with thousands of starved readers is a handful of groups.
    Bookings are whole bytes/s: their sums stay exact over any number of additions and removals.

    Args:
        capacity_bytes_per_s: (L,) >= 0, may be infinite; 0 is a link that is down.

    Two flows over one link, one of twice the share, and then twice the link:

    >>> links = SharedLinks([9.0])
    >>> one, two = (Flow.over(share, float("inf"), [(0, 1.0)], share) for share in (1.0, 2.0))
    >>> links.add(one); links.add(two); _ = links.settle()
    >>> one.rate, two.rate
    (3.0, 6.0)
    >>> links.set_capacity(0, 18.0); _ = links.settle()
    >>> one.rate, two.rate
    (6.0, 12.0)
    """

    def __init__(self, capacity_bytes_per_s: Sequence[float]) -> None:
        self.capacity = [float(value) for value in capacity_bytes_per_s]
        self.booked = [0] * len(self.capacity)
        """Sum of demands on each link; an elastic flow books more than any link has."""
        self._members: list[dict[Flow, float]] = [{} for _ in self.capacity]
        self._watched: dict[int, WatchedLink] = {}
        self._groups: dict[tuple[float, float, _Uses], FlowGroup] = {}
        self._flips: dict[int, None] = {}
        """Links to be watched, or no longer."""
        self._new: dict[Flow, None] = {}
        self._rerouted: dict[Flow, None] = {}
        self._masses: dict[FlowGroup, float] = {}
        """Groups that flows joined or left, with what their mass was."""
        self._resized: dict[WatchedLink, None] = {}
        self.wave = Wave()
        """What the last `settle` changed, link by link."""
        self._idents = count()
        self._group_idents = count()

    # -- changes -----------------------------------------------------------------------------------

    def add(self, flow: Flow) -> None:
        """Let a flow in; its rate is right after the next `settle`.

        Raises:
            ValueError: an elastic flow over no link of finite capacity.
        """
        flow.ident = next(self._idents)
        self._book(flow)

    def remove(self, flow: Flow) -> None:
        """Take a flow out."""
        booked, members = self.booked, self._members
        for link, _, usage in flow.uses:
            del members[link][flow]
            booked[link] -= usage
            if link in self._watched and booked[link] < _UNWATCH_BELOW * self.capacity[link]:
                self._flips[link] = None
        if flow.group is not None:
            self._leave(flow.group)
            flow.group = None
        self._new.pop(flow, None)
        self._rerouted.pop(flow, None)

    def reroute(self, flow: Flow, uses: Iterable[tuple[int, float]]) -> None:
        """Move a flow to other (link, weight); it keeps its owner, demand and share.

        Raises:
            ValueError: an elastic flow over no link of finite capacity.
        """
        self.remove(flow)
        flow.uses = booked_uses(flow.demand, uses)
        self._book(flow)
        self._rerouted[flow] = None

    def set_capacity(self, link: int, bytes_per_s: float) -> None:
        """Give a link another capacity; 0: it is down, and its flows stand still.

        Raises:
            ValueError: a capacity below 0 or NaN.
        """
        if not bytes_per_s >= 0.0:
            raise ValueError(f"link {link}: {bytes_per_s} B/s -> expected >= 0")
        self.capacity[link] = float(bytes_per_s)
        watched = self._watched.get(link)
        if watched is not None:
            watched.capacity = float(bytes_per_s)
            others = [
                on * group.level for group, on in watched.groups.items() if group.bottleneck is not watched
            ]
            watched.left = watched.capacity - sum(others)
            self._resized[watched] = None
        if self.booked[link] > bytes_per_s or self.booked[link] < _UNWATCH_BELOW * bytes_per_s:
            self._flips[link] = None

    def settle(self) -> tuple[list[Flow], list[FlowGroup]]:
        """Bring all rates up to date.

        Returns:
            The flows that came into, left or changed a group or were rerouted, and the groups with a new
            rate.
        """
        if not (self._flips or self._masses or self._new or self._resized or self._rerouted):
            self.wave.forget()
            return [], []
        touched = self._new
        self._new = {}
        for link in sorted(self._flips):
            touched.update(dict.fromkeys(self._flip(link)))
        self._flips.clear()
        regrouped = [flow for flow in touched if self._regroup(flow)]
        if self._rerouted:
            regrouped = list(dict.fromkeys([*regrouped, *self._rerouted]))
            self._rerouted.clear()
        for group in self._masses:
            if group.count == 0:
                del self._groups[group.demand, group.share, group.uses]
        self.wave.run(self._masses, self._resized)
        self._masses.clear()
        self._resized.clear()
        return regrouped, self.wave.changed

    # -- bookings and groups -----------------------------------------------------------------------

    def _book(self, flow: Flow) -> None:
        booked, capacity, members, watched = self.booked, self.capacity, self._members, self._watched
        limited = False
        for link, weight, usage in flow.uses:
            members[link][flow] = weight
            total = booked[link] + usage
            booked[link] = total
            if total > capacity[link]:
                limited = True
                if link not in watched:
                    self._flips[link] = None
        if watched:
            self._new[flow] = None
        if not limited and flow.elastic:
            self.remove(flow)
            raise ValueError(f"{flow!r} is elastic -> expected a link of finite capacity")

    def _flip(self, link: int) -> Iterable[Flow]:
        """Watch a link, or stop to; returns the flows that may change their group."""
        if link not in self._watched and self.booked[link] > self.capacity[link]:
            self._watched[link] = WatchedLink(link, self.capacity[link])
        elif link in self._watched and self.booked[link] < _UNWATCH_BELOW * self.capacity[link]:
            del self._watched[link]
        else:
            return ()
        return self._members[link]

    def _regroup(self, flow: Flow) -> bool:
        """Put a flow in the group it belongs to; returns whether that is another one."""
        watched = self._watched
        uses = tuple([(link, weight) for link, weight, _ in flow.uses if link in watched])
        old = flow.group
        if old is not None and old.uses == uses:
            return False
        if old is not None:
            self._leave(old)
        flow.group = self._join(flow.demand, flow.share, uses) if uses else None
        return not (old is None and flow.group is None)

    def _join(self, demand: float, share: float, uses: _Uses) -> FlowGroup:
        key = (demand, share, uses)
        group = self._groups.get(key)
        if group is None:
            watched = self._watched
            path = [watched[link] for link, _ in uses]
            group = self._groups[key] = FlowGroup(demand, share, uses, path, next(self._group_idents))
        self._masses.setdefault(group, group.mass)
        group.count += 1
        group.mass = group.count * share
        return group

    def _leave(self, group: FlowGroup) -> None:
        self._masses.setdefault(group, group.mass)
        group.count -= 1
        group.mass = group.count * group.share

    # -- what is there -----------------------------------------------------------------------------

    def flows(self) -> list[Flow]:
        """Return all flows, oldest first."""
        found = {flow: None for members in self._members for flow in members}
        return sorted(found, key=lambda flow: flow.ident)

    def on(self, link: int) -> Mapping[Flow, float]:
        """Return the flows on a link with their weights, in the order in which they came."""
        return self._members[link]

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
            share=np.array([flow.share for flow in flows]),
        )
        if len(bad):
            msg = f"{len(bad)} flows are not max-min fair, first {flows[int(bad[0])]!r}"
            raise GuardError(msg)
