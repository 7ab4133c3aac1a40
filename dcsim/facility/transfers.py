"""Completion times of transfers over shared links: a fluid simulation without an engine.

A transfer starts after its latency and then moves its bytes at the rate that max-min sharing gives it
(dcsim.facility.sharing). Between two instants at which a transfer starts or ends, or a link changes,
all rates are constant, so times are exact but for rounding. At one instant transfers end first, then
links change, then transfers start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import cast

from dcsim.facility.sharing import Flow, FlowGroup, SharedLinks

__all__ = ["LinkChange", "Moved", "Transfer", "finish_times_s", "move"]

_SAME_INSTANT_ULPS = 4
"""Times that are the same by arithmetic differ in their last bits."""

_PARTS = 2.0**60
"""Bytes are counted in whole parts: a clock that ran for long still knows a short transfer exactly."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes that move over links."""

    start_s: float
    """When it is asked for, >= 0."""
    size_bytes: float
    """>= 0; a transfer of nothing ends after its latency."""
    uses: Sequence[tuple[int, float]]
    """(link, bytes on it a byte of the transfer)."""
    cap_bytes_per_s: float = math.inf
    """It never moves faster; >= 0."""
    share: float = 1.0
    """At a common bottleneck rates stand as shares do; > 0."""
    latency_s: float = 0.0
    """Before its first byte moves; >= 0."""


@dataclass(frozen=True, slots=True)
class LinkChange:
    """A link gets another capacity; 0 while it is down."""

    time_s: float
    link: int
    capacity_bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of transfers, and what the links carried."""

    ends_s: list[float]
    """(N,) when each transfer's last byte has arrived; inf: never."""
    link_bytes: list[float]
    """(L,) integral of each link's traffic until the last instant at which anything happened."""


def finish_times_s(
    capacity_bytes_per_s: Sequence[float], transfers: Sequence[Transfer], changes: Iterable[LinkChange] = ()
) -> list[float]:
    """Return (N,) when each transfer ends; arguments and errors as for `move`.

    Two over one link: halves until the smaller is done.

    >>> both = [Transfer(0.0, 1e8, [(0, 1.0)]), Transfer(0.0, 3e8, [(0, 1.0)])]
    >>> finish_times_s([1e8], both)
    [2.0, 4.0]

    The link is down for a second:

    >>> finish_times_s([1e8], both, [LinkChange(1.0, 0, 0.0), LinkChange(2.0, 0, 1e8)])
    [3.0, 5.0]
    """
    return move(capacity_bytes_per_s, transfers, changes).ends_s


def move(
    capacity_bytes_per_s: Sequence[float], transfers: Sequence[Transfer], changes: Iterable[LinkChange] = ()
) -> Moved:
    """Move transfers to their ends.

    Args:
        capacity_bytes_per_s: (L,) of each link, >= 0.
        transfers: in any order.
        changes: of links, in any order; of those at one instant the last counts.

    Raises:
        ValueError: a time, a size, a cap or a share out of range, or a transfer without a cap over no link
            of finite capacity.
        IndexError: a link that is not there.
    """
    run = _Run(capacity_bytes_per_s, transfers, changes)
    while run.step():
        pass
    return Moved(run.ends_s, run.carried_bytes())


class _Lane:
    """Transfers that have one rate: those of a group of flows, or one that nothing holds back."""

    __slots__ = ("called_s", "count", "ends_s", "group", "moved", "queue", "rate", "sent", "since_s", "uses")

    def __init__(self, group: FlowGroup | None, uses: Sequence[tuple[int, float]], now_s: float) -> None:
        self.group = group
        self.uses = uses
        self.rate = 0.0
        self.since_s = now_s
        self.moved = 0
        """Parts that each transfer moved that has been in it all the time."""
        self.sent = 0
        """Parts that all its transfers moved in it."""
        self.count = 0
        self.queue: list[tuple[int, int]] = []
        """(what `moved` is when it ends, transfer), some of them long gone."""
        self.ends_s = math.inf
        self.called_s = math.inf
        """When the lane is looked at next."""

    def advance(self, now_s: float) -> None:
        """Move all bytes up to now at the old rate."""
        elapsed_s = now_s - self.since_s
        if elapsed_s > 0.0:
            step = int(self.rate * elapsed_s * _PARTS)
            self.moved += step
            self.sent += step * self.count
            self.since_s = now_s


class _Run:
    """The state of one simulation: what is to start, who moves at which rate, who ends next."""

    def __init__(
        self,
        capacity_bytes_per_s: Sequence[float],
        transfers: Sequence[Transfer],
        changes: Iterable[LinkChange],
    ) -> None:
        for number, transfer in enumerate(transfers):
            _check(number, transfer)
        self._transfers = transfers
        self._links = SharedLinks(capacity_bytes_per_s)
        self._now_s = 0.0
        self.ends_s = [math.inf] * len(transfers)
        starts = [(t.start_s + t.latency_s, number) for number, t in enumerate(transfers)]
        self._starts = sorted(starts, reverse=True)
        self._changes = sorted(changes, key=lambda change: change.time_s)[::-1]
        self._flows: dict[int, Flow] = {}
        self._target = [0] * len(transfers)
        """Of those in a lane: what the lane will have moved when they end."""
        self._lane: list[_Lane | None] = [None] * len(transfers)
        self._lanes: dict[FlowGroup, _Lane] = {}
        self._stale: dict[_Lane, None] = {}
        """Lanes to be planned anew at the end of the instant."""
        self._calls: list[tuple[float, int, _Lane]] = []
        self._serial = 0
        self._carried = [0.0] * len(self._links.capacity)

    def step(self) -> bool:
        """Go to the next instant at which anything happens; returns False when nothing will."""
        starts, changes, calls = self._starts, self._changes, self._calls
        now_s = calls[0][0] if calls else math.inf
        if starts and starts[-1][0] < now_s:
            now_s = starts[-1][0]
        if changes and changes[-1].time_s < now_s:
            now_s = changes[-1].time_s
        if now_s == math.inf:
            return False
        self._now_s = now_s
        until_s = now_s + _SAME_INSTANT_ULPS * math.ulp(now_s)
        while calls and calls[0][0] <= until_s:
            self._call(until_s)
        while changes and changes[-1].time_s <= until_s:
            change = changes.pop()
            self._links.set_capacity(change.link, change.capacity_bytes_per_s)
        started = []
        while starts and starts[-1][0] <= until_s:
            start_s, number = starts.pop()
            if self._transfers[number].size_bytes > 0.0:
                started.append(self._start(number))
            else:
                self.ends_s[number] = start_s
        self._settle(started)
        return True

    def _start(self, number: int) -> Flow:
        transfer = self._transfers[number]
        flow = Flow.over(number, transfer.cap_bytes_per_s, transfer.uses, transfer.share)
        self._flows[number] = flow
        self._links.add(flow)
        self._target[number] = int(transfer.size_bytes * _PARTS)
        return flow

    def _settle(self, started: list[Flow]) -> None:
        """Share the links anew and plan whom that concerns."""
        regrouped, changed = self._links.settle()
        for flow in started:
            self._put(flow)
        for flow in regrouped:
            self._put(flow)
        stale, lanes = self._stale, self._lanes
        for group in changed:
            lane = lanes.get(group)
            if lane is not None:
                stale[lane] = None
        for lane in stale:
            self._plan(lane)
        stale.clear()

    def _put(self, flow: Flow) -> None:
        """Put a transfer in the lane of its flow's group."""
        number = cast("int", flow.owner)
        group, old, now_s = flow.group, self._lane[number], self._now_s
        if old is not None:
            if old.group is group:
                return
            old.advance(now_s)
            self._target[number] -= old.moved
            self._leave(old)
        lane = self._lanes.get(group) if group is not None else None
        if lane is None:
            lane = _Lane(group, self._transfers[number].uses, now_s)
            if group is None:
                lane.rate = flow.rate
            else:
                self._lanes[group] = lane
        lane.advance(now_s)
        self._lane[number] = lane
        self._target[number] += lane.moved
        heappush(lane.queue, (self._target[number], number))
        lane.count += 1
        self._stale[lane] = None

    def _leave(self, lane: _Lane) -> None:
        """Take one transfer out of a lane that stands at now."""
        lane.count -= 1
        if lane.count:
            self._stale[lane] = None
            return
        if lane.group is not None:
            del self._lanes[lane.group]
        self._stale.pop(lane, None)
        lane.called_s = math.inf
        sent_bytes = lane.sent / _PARTS
        for link, weight in lane.uses:
            self._carried[link] += weight * sent_bytes

    def _first(self, lane: _Lane) -> tuple[int, int]:
        """Return (what the lane has moved then, transfer) of the next end; the lane is not empty."""
        queue = lane.queue
        while self._lane[queue[0][1]] is not lane or self._target[queue[0][1]] != queue[0][0]:
            heappop(queue)
        return queue[0]

    def _plan(self, lane: _Lane) -> None:
        """Take the rate a lane has now, and have it called when its first transfer ends."""
        lane.advance(self._now_s)
        if lane.group is not None:
            lane.rate = lane.group.rate
        if lane.rate <= 0.0:
            lane.ends_s = math.inf
            return
        left = max(0, self._first(lane)[0] - lane.moved) / _PARTS
        lane.ends_s = self._now_s + left / lane.rate
        if lane.ends_s < lane.called_s:
            self._push(lane)

    def _push(self, lane: _Lane) -> None:
        lane.called_s = lane.ends_s
        self._serial += 1
        heappush(self._calls, (lane.called_s, self._serial, lane))

    def _call(self, until_s: float) -> None:
        """Look at the lane that is called next: its first transfer ends, or its rate has fallen since."""
        called_s, _, lane = heappop(self._calls)
        if called_s != lane.called_s:
            return
        lane.called_s = math.inf
        if lane.ends_s > until_s:
            if lane.ends_s < math.inf:
                self._push(lane)
            return
        lane.advance(self._now_s)
        together = lane.moved + int(lane.rate * (until_s - self._now_s) * _PARTS)
        number = self._first(lane)[1]
        while True:
            self.ends_s[number] = lane.ends_s
            self._lane[number] = None
            self._links.remove(self._flows.pop(number))
            self._leave(lane)
            if not lane.count:
                return
            target, number = self._first(lane)
            if target > together:
                return

    def carried_bytes(self) -> list[float]:
        """Return (L,) what each link carried until now."""
        carried = list(self._carried)
        open_lanes = {lane: None for lane in self._lane if lane is not None}
        for lane in open_lanes:
            lane.advance(self._now_s)
            for link, weight in lane.uses:
                carried[link] += weight * (lane.sent / _PARTS)
        return carried


def _check(number: int, transfer: Transfer) -> None:
    finite = math.isfinite(transfer.start_s) and math.isfinite(transfer.latency_s)
    if not finite or transfer.start_s < 0.0 or transfer.latency_s < 0.0:
        raise ValueError(f"transfer {number}: {transfer} -> expected a start and a latency >= 0 s")
    if not 0.0 <= transfer.size_bytes < math.inf:
        raise ValueError(f"transfer {number}: {transfer.size_bytes} bytes -> expected >= 0, finite")
