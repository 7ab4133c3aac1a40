"""Stretches of time in which nodes draw more than they should: when each began, how long they were, how far it went."""

from __future__ import annotations

from dataclasses import dataclass

from dcsim.engine import EventLog

__all__ = ["Limit", "Stretches"]

_ROUNDING = 1.0 + 1e-9


@dataclass(slots=True)
class Limit:
    """One node against its limit."""

    limit_w: float
    since_s: float = -1.0
    """When it was last found above; < 0: it is not."""
    over_s: float = 0.0
    over_j: float = 0.0
    times: int = 0
    worst_w: float = 0.0
    power_w: float = 0.0
    seen_s: float = 0.0


class Stretches:
    """Watches some nodes; each is told when its power may have changed.

    Args:
        log: gets a row when a limit is exceeded, and when it no longer is.
        began: kind of the first row.
        ended: kind of the second.
    """

    def __init__(self, log: EventLog, began: int, ended: int) -> None:
        self._log = log
        self._began, self._ended = began, ended
        self.limits: dict[int, Limit] = {}
        """By node."""
        self._over = 0
        self._any_since_s = 0.0
        self.any_s = 0.0
        """For how long some node was above its limit."""

    def see(self, now_s: float, node: int, power_w: float, limit_w: float) -> None:
        """A node draws `power_w` from now on, and may draw `limit_w`."""
        about = self.limits.get(node)
        if about is None:
            about = self.limits[node] = Limit(limit_w)
        self._account(about, now_s)
        about.limit_w, about.power_w = limit_w, power_w
        over = power_w > limit_w * _ROUNDING
        if over:
            about.worst_w = max(about.worst_w, power_w)
        if over == (about.since_s >= 0.0):
            return
        self._log.add(now_s, self._began if over else self._ended, -1, node, power_w)
        if over:
            about.since_s, about.times = now_s, about.times + 1
            if not self._over:
                self._any_since_s = now_s
            self._over += 1
        else:
            about.since_s = -1.0
            self._over -= 1
            if not self._over:
                self.any_s += now_s - self._any_since_s

    @staticmethod
    def _account(about: Limit, now_s: float) -> None:
        if about.since_s >= 0.0:
            elapsed_s = now_s - about.seen_s
            about.over_s += elapsed_s
            about.over_j += (about.power_w - about.limit_w) * elapsed_s
        about.seen_s = now_s

    def close(self, end_s: float) -> None:
        """End the run: what is above its limit is so until now."""
        if self._over:
            self.any_s += end_s - self._any_since_s
            self._any_since_s = end_s
        for about in self.limits.values():
            self._account(about, end_s)

    def worst(self) -> list[tuple[int, Limit]]:
        """Return the nodes that were above their limits, the longest first."""
        found = [(node, about) for node, about in self.limits.items() if about.times]
        return sorted(found, key=lambda pair: (-pair[1].over_s, pair[0]))
