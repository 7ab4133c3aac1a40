"""Clock, order of events, guards and the event log: the only room that imports SimPy."""

from __future__ import annotations

from dcsim.engine.clock import Engine
from dcsim.engine.event_log import EventLog

__all__ = ["Engine", "EventLog"]
