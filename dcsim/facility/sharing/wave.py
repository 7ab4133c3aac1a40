"""A wave of new rates: after a change, only those links and groups are visited whose rates can differ.

Progressive filling raises one level for all flows; links fill up at their levels, one after the other.
A wave replays that with what is known from before: a link that nothing has touched fills at its old
level and need not be looked at. It goes through levels upwards, with a heap of the links that are touched:

- a touched link is visited at the least level at which it could fill; where it does fill, the groups
  on it that nothing else holds get that level;
- where a link does not fill at its old level any more, the groups it held back are free to rise beyond;
- a group that gets another level than before touches the other links it uses.

All that fill at lower levels are final by then, so each touched link is settled once, and the result is
max-min fair: every group has its demand, or a full link on which nobody is above it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from itertools import accumulate
from operator import itemgetter

from dcsim.facility.sharing.flow import ELASTIC, FIXED, FREE, KEPT, FlowGroup, WatchedLink

__all__ = ["Wave"]

_ROUNDING = 1e-14
"""Levels that differ by less are the same: what is left of rounding must not travel on."""
_bound = itemgetter(0)


class Wave:
    """Finds new rates; its lists are kept from wave to wave."""

    __slots__ = ("_groups", "_heap", "_links", "_news", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, FlowGroup | WatchedLink]] = []
        self._serial = 0
        self._links: list[WatchedLink] = []
        self._groups: list[FlowGroup] = []
        self._news: list[FlowGroup] = []

    def run(self, masses: Mapping[FlowGroup, float], links: Iterable[WatchedLink]) -> list[FlowGroup]:
        """Bring rates up to date.

        Args:
            masses: groups whose mass is another now, with what it was; those that are gone are off their
                links already.
            links: whose capacity has changed.

        Returns:
            The groups with a new rate.
        """
        for group, mass in masses.items():
            if group.mass != mass:
                self._begin(group, mass)
        for link in links:
            self._touch(link)
        for link in self._links:
            self._queue(link)
        heap = self._heap
        while heap:
            level, _, what = heappop(heap)
            if isinstance(what, WatchedLink):
                self._visit(what, level)
            elif what.state == FREE:
                self._fix(what, what.bound, None)
        return self._end()

    def _begin(self, group: FlowGroup, before: float) -> None:
        """Enter a group's new mass in the accounts of its links; it is free."""
        mass, level = group.mass, group.level
        for link, weight in group.path:
            if group.bottleneck is link:
                link.load += weight * mass - weight * before
            else:
                link.left += weight * before * level
                link.load += weight * mass
                if mass:
                    link.free += 1
            self._touch(link)
        if mass:
            self._set_free(group)

    def _touch(self, link: WatchedLink) -> None:
        link.changed = True
        if not link.seen:
            link.seen = True
            self._links.append(link)

    def _set_free(self, group: FlowGroup) -> None:
        group.state = FREE
        self._groups.append(group)
        if group.bound < ELASTIC:
            self._serial += 1
            heappush(self._heap, (group.bound, self._serial, group))

    def _queue(self, link: WatchedLink) -> None:
        """See to it that a link is visited when it could fill, or no longer fills as it did."""
        left, load = link.left, link.load
        if load > 0.0:
            level = left / load if left > 0.0 else 0.0
        else:
            level = math.inf if left >= 0.0 else 0.0
        if link.level < level:
            level = link.level
        if level < link.queued:
            link.queued = level
            self._serial += 1
            heappush(self._heap, (level, self._serial, link))

    def _visit(self, link: WatchedLink, level: float) -> None:
        """The filling has come to a level at which a link may fill up, or did before."""
        if level != link.queued or link.settled:
            return
        link.queued = math.inf
        if not (link.changed or link.free):
            return
        if link.load > 0.0:
            could = link.left / link.load if link.left > 0.0 else 0.0
        else:
            could = math.inf if link.left >= 0.0 else 0.0
        if could <= level * (1.0 + _ROUNDING):
            self._fill(link, level)
            return
        if link.level <= level:
            self._release(link)
        self._queue(link)

    def _release(self, link: WatchedLink) -> None:
        """A link does not fill at its old level: free the groups that it held back."""
        for group in link.groups:
            if group.bottleneck is not link or group.state != KEPT:
                continue
            level, mass = group.level, group.mass
            for other, weight in group.path:
                if other is link or other.settled:
                    continue
                other.left += weight * mass * level
                other.load += weight * mass
                other.free += 1
                if not other.seen:
                    other.seen = True
                    self._links.append(other)
                self._queue(other)
            self._set_free(group)
        link.level = math.inf

    def _fill(self, link: WatchedLink, level: float) -> None:
        """Work out at which level a link fills; settle it if the filling is there."""
        left, final = link.capacity, level * (1.0 - _ROUNDING)
        held: list[tuple[float, float, FlowGroup]] = []
        load = least = 0.0
        least = math.inf
        for group, weight in link.groups.items():
            state = group.state
            if state == FIXED:
                left -= weight * group.mass * group.level
                continue
            if state == FREE or group.bottleneck is link:
                bound = group.bound
            else:
                bound = group.level
                if bound < final:
                    left -= weight * group.mass * bound
                    continue
            mass = weight * group.mass
            load += mass
            least = min(least, bound)
            held.append((bound, mass, group))
        fills = math.inf
        if held:
            fills = left / load if left > 0.0 else 0.0
            if least < fills:
                fills, left, load, held = _fill_bounded(left, held)
        heap = self._heap
        reached = heap[0][0] if heap and heap[0][0] > level else level
        if not heap:
            reached = math.inf
        if link.level < reached:
            reached = max(level, link.level)
        if fills <= reached * (1.0 + _ROUNDING) and fills < math.inf:
            link.settled = True
            link.level = fills
            link.left = left
            link.load = load
            for _, _, group in held:
                self._fix(group, fills, link)
            return
        if link.level <= level:
            self._release(link)
        fills = min(fills, link.level)
        if fills < math.inf:
            link.queued = fills
            self._serial += 1
            heappush(heap, (fills, self._serial, link))

    def _fix(self, group: FlowGroup, level: float, bottleneck: WatchedLink | None) -> None:
        """Give a group its new level, and tell the links that it uses."""
        before, was, free = group.level, group.bottleneck, group.state == FREE
        if not free:
            self._groups.append(group)
        group.state = FIXED
        group.bottleneck = bottleneck
        if level != before:
            if abs(level - before) <= _ROUNDING * before:
                level = before
            else:
                group.level = level
                group.rate = level * group.share if bottleneck is not None else float(group.demand)
                self._news.append(group)
        mass = group.mass
        for link, weight in group.path:
            if link.settled:
                continue
            on_link = weight * mass
            if free or was is link:
                link.left -= on_link * level
                link.load -= on_link
                if was is not link:
                    link.free -= 1
            else:
                link.left += on_link * (before - level)
            if level != before:
                if not link.seen:
                    link.seen = True
                    self._links.append(link)
                link.changed = True
                if link.level < link.queued:
                    link.queued = link.level
                    self._serial += 1
                    heappush(self._heap, (link.level, self._serial, link))

    def _end(self) -> list[FlowGroup]:
        for group in self._groups:
            group.state = KEPT
        self._groups.clear()
        for link in self._links:
            if link.level == math.inf:
                link.load = 0.0
            if not link.groups:
                link.level = math.inf
                link.left, link.load = link.capacity, 0.0
            link.changed = link.settled = link.seen = False
            link.free = 0
            link.queued = math.inf
        self._links.clear()
        news = self._news
        self._news = []
        return news


def _fill_bounded(
    left: float, held: list[tuple[float, float, FlowGroup]]
) -> tuple[float, float, float, list[tuple[float, float, FlowGroup]]]:
    """Return (level, what is left at it, load, who is held back) where some are bounded below the others."""
    held = sorted(held, key=_bound)
    # Sums from the far end, so that the last group's share is not a difference of large numbers.
    loads = list(accumulate(mass for _, mass, _ in reversed(held)))
    for place, (bound, mass, _) in enumerate(held):
        load = loads[-1 - place]
        level = left / load if left > 0.0 else 0.0
        if bound >= level * (1.0 - _ROUNDING):
            return level, left, load, held[place:]
        left -= mass * bound
    return math.inf, left, 0.0, []
