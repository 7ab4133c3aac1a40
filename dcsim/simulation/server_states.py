"""Servers' power states: idle ones fall asleep, granted ones wake, and what all of them draw."""

from __future__ import annotations

from collections.abc import Callable

from dcsim.engine import Engine, EventLog
from dcsim.facility.servers import Fleet, quantised_w
from dcsim.simulation.kinds import LogKind, Order
from dcsim.simulation.running import RunningJob

__all__ = ["ServerStates"]

_SLEEP, _WAKE, _AWAKE = int(LogKind.SLEEP), int(LogKind.WAKE), int(LogKind.AWAKE)


class ServerStates:
    """Who sleeps, who wakes, and the power of servers without jobs.

    Args:
        engine: for the time and the calls.
        fleet: whose `asleep` column is kept here.
        log: gets a row for each change.
        base_w: drawn besides the servers, quantised.
        sleep_after_s: idle time before sleep; None: never.
        on_sleep: called when a server falls asleep.
        on_awake: called with each job all of whose servers are awake now.
    """

    def __init__(
        self,
        engine: Engine,
        fleet: Fleet,
        log: EventLog,
        *,
        base_w: float,
        sleep_after_s: float | None,
        on_sleep: Callable[[], object],
        on_awake: Callable[[RunningJob], object],
    ) -> None:
        self._engine = engine
        self._fleet = fleet
        self._log = log
        self._sleep_after_s = sleep_after_s
        self._on_sleep = on_sleep
        self._on_awake = on_awake
        self._waking: dict[int, list[RunningJob]] = {}
        self._idle_since = [0.0] * len(fleet)
        self.power_w = base_w + float(fleet.idle_power_w.sum())
        """Of all servers without their jobs, and of what they share."""
        self.on_power: Callable[[int, float], object] | None = None
        """Told (server, change in W) of each server that comes to draw more or less without a job."""
        self.reserve = 0
        """Servers without a job that are kept awake."""
        self.idle_awake = len(fleet)
        """Servers awake, or waking, without a job."""
        self.asleep: dict[int, None] = {}
        self._falling: dict[int, float] = {}
        """Servers that were told to sleep, and when they do; until then they draw as idle ones."""
        idle_w, types = fleet.idle_power_w.tolist(), [fleet.type(server).spec for server in range(len(fleet))]
        self._boot_w = [
            idle_w[server] if spec.boot_power_w is None else quantised_w(spec.boot_power_w)
            for server, spec in enumerate(types)
        ]
        self._kept: dict[int, float] = {}
        """Servers that would sleep but for the reserve, and since when they have been idle."""

    def start(self) -> None:
        """Every server is idle from now on."""
        if self._sleep_after_s is not None:
            for server in range(len(self._fleet)):
                self._sleep_later(server)

    # -- falling asleep ------------------------------------------------------------------------------

    def idle(self, server: int) -> None:
        """A server has lost its last job: it may fall asleep in a while."""
        self.idle_awake += 1
        if self._sleep_after_s is not None:
            self._sleep_later(server)

    def _sleep_later(self, server: int) -> None:
        now_s = self._engine.now
        self._idle_since[server] = now_s
        after_s = self._sleep_after_s or 0.0
        self._engine.call_at(now_s + after_s, Order.SLEEP, server, self._sleep, (server, now_s))

    def _sleep(self, idle: tuple[int, float]) -> None:
        server, since_s = idle
        fleet = self._fleet
        if fleet.jobs_on[server] or fleet.asleep[server] or self._idle_since[server] != since_s:
            return
        if server in self._waking:  # nobody wants it any more, but it has to be awake to fall asleep
            return
        if self.idle_awake <= self.reserve:
            self._kept[server] = since_s
            return
        fleet.asleep[server] = True
        self.asleep[server] = None
        self.idle_awake -= 1
        now_s, latency_s = self._engine.now, fleet.type(server).spec.sleep_latency_s
        self._log.add(now_s, _SLEEP, -1, server, float(fleet.sleep_power_w[server]))
        if latency_s > 0.0:
            self._falling[server] = now_s + latency_s
            self._engine.call_at(now_s + latency_s, Order.SLEEP, server, self._fallen, server)
        else:
            self._draw(server, float(fleet.sleep_power_w[server] - fleet.idle_power_w[server]))
        self._on_sleep()

    def _fallen(self, server: int) -> None:
        """A server that was told to sleep does; if it was told to wake meanwhile, it boots at once."""
        fleet = self._fleet
        del self._falling[server]
        if fleet.asleep[server]:
            self._draw(server, float(fleet.sleep_power_w[server] - fleet.idle_power_w[server]))
        else:
            self._draw(server, self._boot_w[server] - float(fleet.idle_power_w[server]))

    def _draw(self, server: int, change_w: float) -> None:
        self.power_w += change_w
        if self.on_power is not None and change_w != 0.0:
            self.on_power(server, change_w)

    # -- waking --------------------------------------------------------------------------------------

    def granted(self, server: int, running: RunningJob) -> None:
        """A job was granted part of a server: wake it if need be, and let the job wait for that."""
        if self._fleet.asleep[server]:
            self._wake(server)
        if self._fleet.jobs_on[server] == 1:
            self.idle_awake -= 1
        waking = self._waking.get(server)
        if waking is not None:
            waking.append(running)
            running.waking_servers += 1

    def forget(self, running: RunningJob) -> None:
        """A job that waits for servers to wake was stopped; they wake all the same."""
        if running.waking_servers:
            for jobs in self._waking.values():
                if running in jobs:
                    jobs.remove(running)
            running.waking_servers = 0

    def _wake(self, server: int) -> None:
        fleet, now_s = self._fleet, self._engine.now
        fleet.asleep[server] = False
        del self.asleep[server]
        self.idle_awake += 1
        latency_s = fleet.type(server).spec.wake_latency_s
        if server in self._falling:
            latency_s += self._falling[server] - now_s
        else:
            self._draw(server, self._boot_w[server] - float(fleet.sleep_power_w[server]))
        self._log.add(now_s, _WAKE, -1, server, latency_s)
        self._waking[server] = []
        self._engine.call_at(now_s + latency_s, Order.AWAKE, server, self._awake, server)

    def _awake(self, server: int) -> None:
        self._log.add(self._engine.now, _AWAKE, -1, server, 0.0)
        self._draw(server, float(self._fleet.idle_power_w[server]) - self._boot_w[server])
        for running in self._waking.pop(server):
            running.waking_servers -= 1
            if not running.waking_servers:
                self._on_awake(running)
        if not self._fleet.jobs_on[server] and self._sleep_after_s is not None:
            self._sleep_later(server)  # whoever it was woken for was stopped meanwhile, or nobody yet

    def keep(self, reserve: int) -> None:
        """Keep that many servers without jobs awake: wake some, or let those sleep that were kept from it."""
        self.reserve = reserve
        for server in list(self.asleep):
            if self.idle_awake >= reserve:
                break
            self._wake(server)
        for server, since_s in list(self._kept.items()):
            if self.idle_awake <= reserve:
                break
            del self._kept[server]
            self._sleep((server, since_s))
