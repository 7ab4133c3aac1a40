"""Kinds of events: the order in which simultaneous ones happen, and their names in the log."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["EVENT_KINDS", "RELEASES", "LogKind", "Order"]


class Order(IntEnum):
    """At one instant, lower values happen first: what frees comes before what takes."""

    LINK = 0
    """A link fails, is degraded or repaired: what crosses it at that instant does so as it is from then on."""
    TRANSFER = 1
    """Bytes have arrived; a step or a checkpoint may be over with them."""
    STEP = 2
    """A part of a step that is told by itself is over."""
    FINISH = 3
    PHASE = 4
    """A restore or a checkpoint is over, or a checkpoint is due."""
    LIMIT = 5
    """A wall-time limit is reached: after FINISH, so that who is done in time is done."""
    AWAKE = 6
    SLEEP = 7
    CAP = 8
    """Power caps come into force, or are to be decided again."""
    HEAT = 9
    """Servers are as hot as they may be, or cool again."""
    ELIGIBLE = 10
    ARRIVE = 11
    ROUND = 12
    """A scheduling round begins: it sees all that happened at its instant."""


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
    PREEMPT = 8
    """A job was stopped and waits again, its resources are free [steps that count]."""
    KILL = 9
    """A job reached its wall-time limit, its resources are free [steps that count]."""
    RESTORE = 10
    """A job starts up, or loads its last checkpoint [s, how long that takes; NaN where it reads bytes]."""
    CHECKPOINT = 11
    """A job stops to write a checkpoint [s, how long that takes; NaN where it writes bytes]."""
    CANCEL = 12
    """A job will never start, for one it waits for was not completed [row of that job]."""
    LINK = 13
    """A link of the network, its number in place of the server, changed [part of its bandwidth it has now]."""
    DURABLE = 14
    """A checkpoint that was written while the job went on is safe [steps that a restart begins after]."""
    DISK_FULL = 15
    """There was no room for a checkpoint or a data set [bytes that did not fit]."""
    DATA_SERVER = 16
    """A data server of the file system failed, its number in place of the server [bytes to be rebuilt]."""
    REBUILT = 17
    """What a failed data server held is whole again on the others, its number in place of the server [bytes sent]."""
    CAP = 18
    """The power cap of a running job's accelerators changed [part of their peak power]."""
    OVERLOAD = 19
    """A node of the power tree, its number in place of the server, is above its rating [W]."""
    LOAD_OK = 20
    """That node is within its rating again [W]."""
    THROTTLE = 21
    """A server's hottest accelerator reached its limit: its jobs are held to a lower cap [degC]."""
    UNTHROTTLE = 22
    """It is cool again [degC]."""
    OVER_BUDGET = 23
    """A node of the power tree, its number in place of the server, or the hall (-1), is above its budget [W]."""
    BUDGET_OK = 24
    """It is within its budget again [W]."""


EVENT_KINDS = tuple(kind.name.lower() for kind in LogKind)
RELEASES = (LogKind.END, LogKind.PREEMPT, LogKind.KILL)
"""Rows after which a job holds nothing."""
