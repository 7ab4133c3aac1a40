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
from heapq import heappop, heappush, heapreplace
from typing import cast

from dcsim.facility.sharing import Flow, FlowGroup, SharedLinks, WatchedLink

__all__ = ["LinkChange", "Moved", "Transfer", "finish_times_s", "move"]

_SAME_INSTANT_ULPS = 4
"""Times that are the same by arithmetic differ in their last bits."""

_PART, _PARTS = 2.0**-60, 2.0**60
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
    return Moved(run.ends_s, run.link_bytes())


class _Move:
    """A transfer under way."""

    __slots__ = ("flow", "group", "joined", "lane", "moved_bytes", "number", "share", "target")

    def __init__(self, number: int, transfer: Transfer) -> None:
        self.number = number
        self.share = transfer.share
        self.flow = Flow.over(self, transfer.cap_bytes_per_s, transfer.uses, transfer.share)
        self.group: FlowGroup | None = None
        """Whose user it is."""
        self.lane: _Lane | None = None
        self.joined = 0
        """Where the clock of its lane stood when it came into it."""
        self.target = int(transfer.size_bytes / transfer.share * _PARTS)
        """Where the clock of its lane will stand when it ends."""
        self.moved_bytes = 0.0
        """In the lanes that it has left."""


class _Lane:
    """Transfers that one link holds back, or one that moves at its cap: rate over share is the same for all.

    A lane keeps one clock for all of them (virtual time: Demers, Keshav, Shenker, SIGCOMM 1989); a transfer
    only knows where the clock will stand when it ends.
    """

    __slots__ = ("called_s", "clock", "count", "ends_s", "level", "link", "queue", "since_s")

    def __init__(self, link: WatchedLink | None, level: float, now_s: float) -> None:
        self.link = link
        self.level = level
        """Bytes/s a share."""
        self.since_s = now_s
        self.clock = 0
        """Parts that a transfer of share 1 moved that has been in it all the time."""
        self.count = 0
        self.queue: list[tuple[int, int, _Move]] = []
        """(clock when it ends, number, transfer), some of them long gone."""
        self.ends_s = math.inf
        self.called_s = math.inf
        """When the lane is looked at next."""

    def advance(self, now_s: float) -> None:
        """Move all bytes up to now at the old level."""
        elapsed_s = now_s - self.since_s
        if elapsed_s > 0.0:
            self.clock += int(self.level * elapsed_s * _PARTS)
            self.since_s = now_s

    def first(self) -> tuple[int, int, _Move]:
        """Return (clock then, number, transfer) of the next end; the lane is not empty."""
        queue = self.queue
        while True:
            target, _, move = queue[0]
            if move.lane is self and move.target == target:
                return queue[0]
            heappop(queue)


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
        self.moved_bytes = [0.0] * len(transfers)
        starts = [(t.start_s + t.latency_s, number) for number, t in enumerate(transfers)]
        self._starts = sorted(starts, reverse=True)
        self._changes = sorted(changes, key=lambda change: change.time_s)[::-1]
        self._moves: dict[_Move, None] = {}
        self._started: list[_Move] = []
        """At this instant."""
        self._stale: dict[_Lane, None] = {}
        """Lanes to be planned anew at the end of the instant."""
        self._calls: list[tuple[float, int, _Lane]] = []
        self._serial = 0

    # -- instants ----------------------------------------------------------------------------------

    def step(self) -> bool:
        """Go to the next instant at which anything happens; returns False when nothing will."""
        starts, changes = self._starts, self._changes
        now_s = self._first_end_s()
        if starts and starts[-1][0] < now_s:
            now_s = starts[-1][0]
        if changes and changes[-1].time_s < now_s:
            now_s = changes[-1].time_s
        if now_s == math.inf:
            return False
        self._now_s = now_s
        until_s = now_s + _SAME_INSTANT_ULPS * math.ulp(now_s)
        while self._first_end_s() <= until_s:
            self._end(heappop(self._calls)[2], until_s)
        while changes and changes[-1].time_s <= until_s:
            change = changes.pop()
            self._links.set_capacity(change.link, change.capacity_bytes_per_s)
        while starts and starts[-1][0] <= until_s:
            self._start(*starts.pop())
        self._settle()
        return True

    def _first_end_s(self) -> float:
        """Return when the next transfer ends; lanes that slowed down since they were called are called again."""
        calls = self._calls
        while calls:
            called_s, serial, lane = calls[0]
            if called_s == lane.ends_s:
                return called_s
            if called_s == lane.called_s and lane.ends_s < math.inf:
                lane.called_s = lane.ends_s
                heapreplace(calls, (lane.ends_s, serial, lane))
            else:
                if called_s == lane.called_s:
                    lane.called_s = math.inf
                heappop(calls)
        return math.inf

    def _start(self, start_s: float, number: int) -> None:
        transfer = self._transfers[number]
        if transfer.size_bytes <= 0.0:
            self.ends_s[number] = start_s
            return
        move = _Move(number, transfer)
        self._links.add(move.flow)
        self._moves[move] = None
        self._started.append(move)

    def _end(self, lane: _Lane, until_s: float) -> None:
        """Take out the first transfer of a lane, and all that end with it."""
        lane.called_s = math.inf
        lane.advance(self._now_s)
        together = lane.clock + int(lane.level * (until_s - self._now_s) * _PARTS)
        _, number, move = lane.first()
        ends_s = lane.ends_s
        while True:
            self.ends_s[number] = ends_s
            if move.group is not None:
                del move.group.users[move]
            self._links.remove(move.flow)
            self._leave(move, lane)
            self.moved_bytes[number] = move.moved_bytes
            del self._moves[move]
            if not lane.count:
                break
            target, number, move = lane.first()
            if target > together:
                break
        lane.ends_s = math.inf

    def _settle(self) -> None:
        """Share the links anew and plan whom that concerns."""
        regrouped, _ = self._links.settle()
        for move in self._started:
            if move.flow.group is None:
                self._put(move)
        self._started.clear()
        for flow in regrouped:
            self._put(cast("_Move", flow.owner))
        wave, stale = self._links.wave, self._stale
        for group in wave.moved:
            for move in group.users:
                self._put(move)
        for link in wave.settled:
            if link.user is not None:
                stale[link.user] = None
        for lane in stale:
            self._plan(lane)
        stale.clear()

    # -- lanes -------------------------------------------------------------------------------------

    def _put(self, move: _Move) -> None:
        """Put a transfer in the lane of whatever holds it back now."""
        flow, old = move.flow, move.lane
        group = flow.group
        if group is not move.group:
            if move.group is not None:
                del move.group.users[move]
            if group is not None:
                group.users[move] = None
            move.group = group
        link = None if group is None else group.bottleneck
        if old is not None:
            if old.link is link:
                return
            old.advance(self._now_s)
            move.target -= old.clock
            self._leave(move, old)
        lane = None if link is None else link.user
        if lane is None:
            lane = _Lane(link, flow.rate / flow.share, self._now_s)
            if link is not None:
                link.user = lane
        else:
            lane.advance(self._now_s)
        lane.count += 1
        self._stale[lane] = None
        move.lane = lane
        move.joined = lane.clock
        move.target += lane.clock
        heappush(lane.queue, (move.target, move.number, move))

    def _leave(self, move: _Move, lane: _Lane) -> None:
        """Take a transfer out of a lane that stands at now."""
        move.moved_bytes += (lane.clock - move.joined) * _PART * move.share
        move.lane = None
        lane.count -= 1
        if lane.count:
            self._stale[lane] = None
            return
        if lane.link is not None:
            lane.link.user = None
        self._stale.pop(lane, None)
        lane.ends_s = math.inf

    def _plan(self, lane: _Lane) -> None:
        """Take the level a lane has now, and have it called when its first transfer ends."""
        now_s = self._now_s
        elapsed_s = now_s - lane.since_s
        if elapsed_s > 0.0:
            lane.clock += int(lane.level * elapsed_s * _PARTS)
            lane.since_s = now_s
        if lane.link is not None:
            lane.level = lane.link.level
        if lane.level <= 0.0:
            lane.ends_s = math.inf
            return
        target, _, move = lane.queue[0]
        if move.lane is not lane or move.target != target:
            target = lane.first()[0]
        left = target - lane.clock
        lane.ends_s = ends_s = now_s + left * _PART / lane.level if left > 0 else now_s
        if ends_s < lane.called_s:
            lane.called_s = ends_s
            self._serial += 1
            heappush(self._calls, (ends_s, self._serial, lane))

    # -- what was moved ----------------------------------------------------------------------------

    def link_bytes(self) -> list[float]:
        """Return (L,) what each link carried until now."""
        for move in self._moves:
            if move.lane is not None:
                move.lane.advance(self._now_s)
                so_far = (move.lane.clock - move.joined) * _PART * move.share
                self.moved_bytes[move.number] = move.moved_bytes + so_far
        carried = [0.0] * len(self._links.capacity)
        for transfer, moved_bytes in zip(self._transfers, self.moved_bytes, strict=True):
            for link, weight in transfer.uses:
                carried[link] += weight * moved_bytes
        return carried


def _check(number: int, transfer: Transfer) -> None:
    finite = math.isfinite(transfer.start_s) and math.isfinite(transfer.latency_s)
    if not finite or transfer.start_s < 0.0 or transfer.latency_s < 0.0:
        raise ValueError(f"transfer {number}: {transfer} -> expected a start and a latency >= 0 s")
    if not 0.0 <= transfer.size_bytes < math.inf:
        raise ValueError(f"transfer {number}: {transfer.size_bytes} bytes -> expected >= 0, finite")
