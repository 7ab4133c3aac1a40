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
from typing import Any

from dcsim.errors import GuardError
from dcsim.facility.sharing.flow import ELASTIC, FIXED, FREE, KEPT, FlowGroup, WatchedLink

__all__ = ["Wave"]

_SAME = 1.0 + 1e-14
"""Levels whose ratio is nearer to 1 are the same: what is left of rounding must not travel on."""
_ROUNDING = 1e-13
_NEVER = math.inf


class Wave:
    """Finds new rates, and says what it changed."""

    __slots__ = ("_groups", "_heap", "_level", "_links", "_open", "_overrun", "changed", "moved", "settled")

    def __init__(self) -> None:
        self.changed: list[FlowGroup] = []
        """Groups that the last run gave another rate."""
        self.moved: list[FlowGroup] = []
        """Groups that another link holds back than before, or none any more."""
        self.settled: list[WatchedLink] = []
        """Links whose level was worked out anew."""
        self._heap: list[tuple[float, int, Any]] = []
        """(level, link number or -1 - group ident, the link or group to be looked at there)."""
        self._level = 0.0
        """Where the filling is."""
        self._open = 0
        """Free groups and links that are due: what is still to be worked out."""
        self._links: list[WatchedLink] = []
        """All that were touched."""
        self._groups: list[FlowGroup] = []
        """All that are free or fixed."""
        self._overrun: dict[WatchedLink, None] = {}
        """Links with room to spare that got more than they have."""

    def run(self, masses: Mapping[FlowGroup, float], links: Iterable[WatchedLink]) -> None:
        """Bring rates up to date.

        Args:
            masses: groups whose mass may be another now, with what it was.
            links: whose capacity has changed.
        """
        self.forget()
        for group, mass in masses.items():
            if group.mass != mass:
                self._begin(group)
        for link in links:
            self._touch(link)
            if link.level == _NEVER:
                self._constrain(link)
        self._spread()
        if self._overrun:
            self._spread_again()
        self._reset()

    def forget(self) -> None:
        """Nothing has changed since."""
        self.changed, self.moved, self.settled = [], [], []

    def _spread(self) -> None:
        """Go up through the levels until all is worked out."""
        for link in list(self._links):
            self._requeue(link)
        heap = self._heap
        while self._open and heap:
            level, number, what = heappop(heap)
            self._level = level
            if number < 0:
                if what.state == FREE:
                    self._fix([what], level, None)
            elif level == what.queued and not what.settled:
                what.queued = _NEVER
                reached = level * _SAME
                if what.level <= level or (
                    (what.left <= reached * what.load and what.floor <= reached)
                    if what.load > 0.0
                    else what.left < 0.0
                ):
                    self._fill(what, level)
                else:
                    self._requeue(what)
        if self._open:
            raise GuardError(f"{self._open} links or flows were left without a rate")

    def _spread_again(self) -> None:
        """Work out what links do that were thought to have room to spare, until that is true."""
        pinned: list[WatchedLink] = []
        while self._overrun:
            overrun = self._overrun
            self._overrun = {}
            self._reset()
            for link in overrun:
                link.pinned = True
                pinned.append(link)
                if link.level == _NEVER:  # else it has been worked out since
                    self._constrain(link)
            self._spread()
        for link in pinned:
            link.pinned = False
        self._links += pinned
        self.changed = list(dict.fromkeys(self.changed))
        self.moved = list(dict.fromkeys(self.moved))
        self.settled = list(dict.fromkeys(self.settled))

    # -- what is touched first ---------------------------------------------------------------------

    def _begin(self, group: FlowGroup) -> None:
        """Enter a group's new mass in the accounts of its links; it is free."""
        mass, level = group.mass, group.level
        path = []
        for (link, before), (_, weight) in zip(group.path, group.uses, strict=True):
            on_link = weight * mass
            if group.bottleneck is link:
                link.load += on_link - before
            else:
                link.left += before * level
                link.load += on_link
            if mass:
                link.groups[group] = on_link
            else:
                del link.groups[group]
            link.exact = True
            self._touch(link)
            path.append((link, on_link))
        group.path = path
        if mass:
            self._set_free(group)

    def _constrain(self, link: WatchedLink) -> None:
        """A link that held nobody back has to, unless it is only rounding that it got too much."""
        used = [on_link * group.level for group, on_link in link.groups.items() if group.state != FREE]
        link.left = link.capacity - sum(used)
        link.exact = True
        if link.left < -_ROUNDING * link.capacity:
            self._touch(link)
            link.due = True
            self._open += 1

    def _touch(self, link: WatchedLink) -> None:
        """Note that a link is not as it was; one that is full will have to be looked at."""
        if not link.seen:
            link.seen = True
            self._links.append(link)
        if link.level < _NEVER and not link.due:
            link.due = True
            self._open += 1

    def _requeue(self, link: WatchedLink) -> None:
        """See to it that a link is looked at when it could fill, or no longer fills as it did."""
        load = link.load
        if load > 0.0:
            level = link.left / load
            if level < link.floor:  # noqa: PLR1730  here and below: max() and min() take thrice as long
                level = link.floor
        else:
            level = _NEVER if link.left >= 0.0 else link.floor
        if link.level < level:  # noqa: PLR1730
            level = link.level
        if level < link.queued:
            link.queued = level
            heappush(self._heap, (level, link.number, link))
        elif level == _NEVER and link.due:
            link.due = False
            self._open -= 1

    # -- links that fill, or no longer do ----------------------------------------------------------

    def _fill(self, link: WatchedLink, level: float) -> None:  # noqa: C901  the innermost loop
        """Settle a link if it fills before anything else happens; else let it be looked at again."""
        left, final = link.capacity, level * (2.0 - _SAME)
        held: list[FlowGroup] = []
        load, least = 0.0, _NEVER
        for group, on_link in link.groups.items():
            if group.bottleneck is link or group.state == FREE:
                bound = group.bound
            else:
                bound = group.level
                if bound < final or group.state == FIXED:
                    left -= on_link * bound
                    continue
            load += on_link
            held.append(group)
            if bound < least:  # noqa: PLR1730
                least = bound
        fills = _NEVER
        if held:
            fills = left / load if left > 0.0 else 0.0
            if least < fills:
                fills, left, load, held = _fill_bounded(link, left, held)
        heap = self._heap
        reached = heap[0][0] if heap else _NEVER
        if (
            fills <= (max(level, reached)) * _SAME
            and fills < _NEVER
            and (fills <= link.level * _SAME or (least >= fills and self._raise(link, fills, held)))
        ):
            if link.due:
                link.due = False
                self._open -= 1
            link.settled = True
            link.level, link.left, link.load = fills, left, load
            self.settled.append(link)
            self._fix(held, fills, link)
            return
        if link.level <= level:
            self._release(link)
        link.floor = fills
        if fills < _NEVER and not link.due:
            link.due = True
            self._open += 1
        self._requeue(link)

    def _raise(self, link: WatchedLink, fills: float, held: list[FlowGroup]) -> bool:
        """Return whether the groups that a link holds back fit everywhere else at its new level; then they are there.

        Where they do, nothing else needs to know that they were free for a while.
        """
        own = [group for group in held if group.bottleneck is link and group.state == KEPT]
        exact: list[WatchedLink] = []
        for place, group in enumerate(own):
            change = fills - group.level
            for other, on_link in group.path:
                if other is not link:
                    left = other.left = other.left - on_link * change
                    if left < fills * other.load or other.settled:
                        self._unraise(link, fills, own[: place + 1], other)
                        return False
                    if other.exact:
                        exact.append(other)
        for group in own:
            group.state = FIXED
            group.level = fills
        self._groups += own
        self.changed += own
        for other in exact:
            other.floor = 0.0
            if other.level < _NEVER and not other.due:
                self._touch(other)
            self._requeue(other)
        return True

    def _unraise(self, link: WatchedLink, fills: float, groups: list[FlowGroup], last: WatchedLink) -> None:
        """Take back what groups were given, up to the link on which the last of them did not fit."""
        for group in groups:
            change = fills - group.level
            for other, on_link in group.path:
                if other is not link:
                    other.left += on_link * change
                    if other is last and group is groups[-1]:
                        return

    def _release(self, link: WatchedLink) -> None:
        """A link does not fill at its old level: free the groups that it held back."""
        for group in link.groups:
            if group.bottleneck is link and group.state == KEPT:
                self._free(group)
        link.level = _NEVER
        if link.due:
            link.due = False
            self._open -= 1

    # -- groups that rise or sink ------------------------------------------------------------------

    def _set_free(self, group: FlowGroup) -> None:
        group.state = FREE
        self._open += 1
        self._groups.append(group)
        if group.bound < ELASTIC:
            heappush(self._heap, (group.bound, -1 - group.ident, group))

    def _free(self, group: FlowGroup) -> None:
        """Nothing holds a group any more: its other links may fill with it."""
        level, bottleneck = group.level, group.bottleneck
        for link, on_link in group.path:
            if not link.exact:
                # With room for the group's rate once more it will hardly fill; if it does, it is overrun.
                if link.left >= on_link * level or not self._enter(link):
                    continue
            elif link is bottleneck or link.settled:
                continue
            left = link.left = link.left + on_link * level
            load = link.load = link.load + on_link
            link.floor = 0.0
            if not link.seen:
                link.seen = True
                self._links.append(link)
            fills = left / load
            if link.level < fills:  # noqa: PLR1730
                fills = link.level
            if fills < link.queued:
                link.queued = fills
                heappush(self._heap, (fills, link.number, link))
        self._set_free(group)

    def _enter(self, link: WatchedLink) -> bool:
        """Let a link's account know of the groups on it that are free; returns whether it is in time for that."""
        left, load = link.left, 0.0
        for group, on_link in link.groups.items():
            if group.state == FREE:
                left += on_link * group.level
                load += on_link
        if left < self._level * load or left < 0.0:
            self._overrun[link] = None
            return False
        link.exact, link.left, link.load = True, left, load
        return True

    def _fix(  # noqa: C901, PLR0912  the innermost loop: a call for each link would double its time
        self, groups: list[FlowGroup], level: float, bottleneck: WatchedLink | None
    ) -> None:
        """Give groups their new level, and tell the links that they use."""
        same, unlike = level * _SAME, level * (2.0 - _SAME)
        for group in groups:
            before, was, state = group.level, group.bottleneck, group.state
            if state == FIXED:  # raised
                continue
            group.state = FIXED
            if was is not bottleneck:
                group.bottleneck = bottleneck
                self.moved.append(group)
            now, change = level, level - before
            if unlike <= before <= same and (was is None) is (bottleneck is None):
                now, change = before, 0.0
            else:
                group.level = level
                self.changed.append(group)
            if state == FREE:
                self._open -= 1
                for link, on_link in group.path:
                    if link.exact:
                        if not link.settled:
                            link.left -= on_link * now
                            link.load -= on_link
                            if change and link.level < _NEVER and not link.due:
                                self._disturb(link)
                    elif change:
                        left = link.left = link.left - on_link * change
                        if left < 0.0:
                            self._overrun[link] = None
            else:
                self._groups.append(group)
                for link, on_link in group.path:
                    if not link.exact:
                        link.left -= on_link * change
                    elif not link.settled:
                        if was is link:
                            link.left -= on_link * now
                            link.load -= on_link
                        else:
                            link.left -= on_link * change
                        if change and link.level < _NEVER and not link.due:
                            self._disturb(link)

    def _disturb(self, link: WatchedLink) -> None:
        """A full link gets less or more than before from one that it does not hold back."""
        self._touch(link)
        if link.level < link.queued:
            link.queued = link.level
            heappush(self._heap, (link.level, link.number, link))

    def _reset(self) -> None:
        """Make ready for another wave."""
        for group in self._groups:
            group.state = KEPT
        for link in self._links:
            if not link.groups:
                link.level = _NEVER
                link.left = link.capacity
            if link.level == _NEVER:
                link.load = 0.0
                link.exact = link.pinned
            link.due = link.settled = link.seen = False
            link.floor, link.queued = 0.0, _NEVER
        self._groups.clear()
        self._links.clear()
        self._heap.clear()
        self._level = 0.0


def _fill_bounded(
    link: WatchedLink, left: float, held: list[FlowGroup]
) -> tuple[float, float, float, list[FlowGroup]]:
    """Return (level, what is left at it, load, who is held back) where some are bounded below the others."""
    bounds = [
        (group.bound if group.state == FREE or group.bottleneck is link else group.level, place)
        for place, group in enumerate(held)
    ]
    bounds.sort()
    masses = [link.groups[held[place]] for _, place in bounds]
    # Sums from the far end, so that the last group's share is not a difference of large numbers.
    loads = list(accumulate(reversed(masses)))
    for place, (bound, _) in enumerate(bounds):
        load = loads[-1 - place]
        level = left / load if left > 0.0 else 0.0
        if bound >= level * (2.0 - _SAME):
            return level, left, load, [held[at] for _, at in bounds[place:]]
        left -= masses[place] * bound
    return _NEVER, left, 0.0, []
