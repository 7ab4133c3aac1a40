"""The clock: SimPy's environment with its measured hazards closed.

SimPy accepts a NaN delay (and then fires events out of order), lets `now` reach infinity, orders
simultaneous events by the accident of their creation, and returns silently while processes still
wait. Here every time is finite and never in the past, simultaneous events have a declared order
(kind, then id), and running dry while something waits is an error that says what.

Besides SimPy's processes, which work unchanged, the engine takes plain calls (`call_at`): one heap
entry and no Event object, because a run of a million jobs makes several million of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, cast

import simpy
from simpy.core import EmptySchedule
from simpy.events import Event

from dcsim.errors import ClockError, DeadlockError

__all__ = ["ID_LIMIT", "Engine"]

ID_LIMIT = 1 << 40
"""Ids of simultaneous events of one kind lie in [0, ID_LIMIT)."""
_FIRST_KIND_ORDER = 2 * ID_LIMIT  # after SimPy's own priorities, 0 (urgent) and 1 (normal)
_CALL_LENGTH = 5  # (time, order, sequence, function, argument); SimPy's own entries have 4


class Engine(simpy.Environment):
    """A simulation clock that starts at 0 s.

    Args:
        settle: called once after the last event of each instant, before time moves on. It may
            schedule further events, at this instant too (it is then called again).

    >>> engine = Engine()
    >>> seen = []
    >>> engine.call_at(2.0, 1, 0, seen.append, "second kind")
    >>> engine.call_at(2.0, 0, 7, seen.append, "first kind, id 7")
    >>> engine.call_at(2.0, 0, 3, seen.append, "first kind, id 3")
    >>> engine.run_calls()
    >>> seen
    ['first kind, id 3', 'first kind, id 7', 'second kind']
    """

    def __init__(self, settle: Callable[[], object] | None = None) -> None:
        super().__init__(0.0)
        self._settle = settle

    @property
    def now(self) -> float:
        """Current time in seconds."""
        return self._now

    def call_at(
        self, time_s: float, kind: int, ident: int, function: Callable[[Any], object], argument: object
    ) -> None:
        """Call `function(argument)` at `time_s`; simultaneous calls run by (kind, ident).

        Raises:
            ClockError: the time is NaN, infinite or in the past.
        """
        if not self._now <= time_s < math.inf:
            msg = f"a call of kind {kind}, id {ident} at {time_s} s, now {self._now} s"
            raise ClockError(msg)
        order = _FIRST_KIND_ORDER + kind * ID_LIMIT + ident
        heappush(self._queue, (time_s, order, next(self._eid), function, argument))  # type: ignore[misc]

    def schedule(self, event: Event, priority: int = 1, delay: float = 0.0) -> None:
        """Put a SimPy event on the queue, refusing NaN, infinite and negative delays."""
        time_s = self._now + delay
        if not (delay >= 0.0 and time_s < math.inf):
            msg = f"a delay of {delay} s for {event!r}"
            raise ClockError(msg)
        heappush(self._queue, (time_s, int(priority), next(self._eid), event))  # type: ignore[misc]

    def clear(self) -> None:
        """Forget everything that was still to happen."""
        self._queue.clear()

    def step(self) -> None:
        """Process the next event or call."""
        try:
            entry: tuple[Any, ...] = heappop(self._queue)
        except IndexError:
            raise EmptySchedule from None
        if not entry[0] >= self._now:
            msg = f"an event at {entry[0]} s after {self._now} s"
            raise ClockError(msg)
        self._now = entry[0]
        if len(entry) == _CALL_LENGTH:
            entry[3](entry[4])
        else:
            self._process(entry[3])

    @staticmethod
    def _process(event: Event) -> None:
        """Run the callbacks of a SimPy event; an unhandled failure surfaces."""
        callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
        for callback in callbacks:
            callback(event)
        if not event.ok and not event.defused:
            raise cast("Exception", event.value)

    def run_calls(self, until_s: float | None = None, waiting: Callable[[], Sequence[str]] = tuple) -> None:
        """Run until the queue is empty, or through all events at or before `until_s`.

        Args:
            until_s: last instant processed; the clock then stands there.
            waiting: names what still waits, and why; asked when the queue runs dry.

        Raises:
            DeadlockError: nothing can happen any more and something still waits.
        """
        queue = self._queue
        limit = math.inf if until_s is None else until_s
        if math.isnan(limit):
            msg = "the end of the run is NaN"
            raise ClockError(msg)
        settle, step = self._settle, self.step
        while queue and queue[0][0] <= limit:
            step()
            if settle is not None and (not queue or queue[0][0] != self._now):
                settle()
        if not queue and (names := waiting()):
            shown = "; ".join(names[:10]) + (f"; and {len(names) - 10} more" if len(names) > 10 else "")
            msg = f"nothing can happen after {self._now} s while {len(names)} wait: {shown}"
            raise DeadlockError(msg)
        if until_s is not None:
            self._now = max(self._now, limit)
