"""Kinds of events: the order in which simultaneous ones happen, and their names in the log."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["EVENT_KINDS", "LogKind", "Order"]


class Order(IntEnum):
    """At one instant, lower values happen first: what frees comes before what takes."""

    FINISH = 0
    AWAKE = 1
    SLEEP = 2
    ELIGIBLE = 3
    ARRIVE = 4


class LogKind(IntEnum):
    """What a row of the event log says; `value` in brackets."""

    SUBMIT = 0
    """A job arrived [accelerators asked for]."""
    HOLD = 1
    """The energy policy holds a job back [s, the instant it becomes eligible]."""
    GRANT = 2
    """A server's part of a gang was granted [accelerators there]."""
    RATE = 3
    """A running job no longer shares an overbooked link and is back at its own rate [steps/s]; what it got
    meanwhile is not logged."""
    END = 4
    """A job's work is done, its resources are free [steps done]."""
    SLEEP = 5
    """A server went to sleep [W, its draw now]."""
    WAKE = 6
    """A sleeping server was told to wake [s, how long that takes]."""
    AWAKE = 7
    """A server is awake and its jobs start to work [0]."""


EVENT_KINDS = tuple(kind.name.lower() for kind in LogKind)
