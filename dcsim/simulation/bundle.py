"""A bundle: running jobs with the same plan over the same overbooked links, so with one rate.

When a file system starves a thousand readers, every arrival changes all their rates. Equal jobs
change alike, so the bundle keeps one clock of steps, one of energy and two of time lost for all of
them, and a job only remembers where these stood when it joined. A change of rate costs one update a
bundle, not one a job (virtual time, as in fair queueing: Demers, Keshav, Shenker, SIGCOMM 1989).
"""

from __future__ import annotations

import math
from heapq import heappop, heappush

from dcsim.facility.servers import quantised_w
from dcsim.facility.sharing import FlowGroup
from dcsim.simulation.costing import Plan
from dcsim.simulation.running import RunningJob

__all__ = ["Bundle"]


class Bundle:
    """Jobs with one plan, one CPU power and the same groups of flows."""

    __slots__ = (
        "_heap",
        "called_s",
        "count",
        "cpu_power_w",
        "data_stall_s",
        "energy_j",
        "feed",
        "finish_s",
        "held_by_feed",
        "ident",
        "key",
        "network",
        "network_stall_s",
        "plan",
        "power_w",
        "rate",
        "since_s",
        "steps",
    )

    def __init__(
        self,
        ident: int,
        key: tuple[object, ...],
        plan: Plan,
        cpu_power_w: float,
        feed: FlowGroup | None,
        network: FlowGroup | None,
        now_s: float,
    ) -> None:
        self.ident = ident
        self.key = key
        self.plan = plan
        self.cpu_power_w = cpu_power_w
        self.feed = feed
        self.network = network
        self.since_s = now_s
        self.steps = 0.0
        self.energy_j = 0.0
        self.network_stall_s = 0.0
        self.data_stall_s = 0.0
        self.held_by_feed = False
        """Whether it is its input, and not its exchange, that holds it back now."""
        self.rate = 0.0
        self.power_w = 0.0
        self.finish_s = math.inf
        self.called_s = math.inf  # when a call for its first finish is under way
        self.count = 0
        self._heap: list[tuple[float, int, RunningJob]] = []

    def advance(self, now_s: float) -> None:
        """Move all clocks to now at the old rate and power."""
        elapsed_s = now_s - self.since_s
        if elapsed_s > 0.0:
            self.steps += self.rate * elapsed_s
            self.energy_j += self.power_w * elapsed_s
            lost_s = elapsed_s * (1.0 - self.rate / self.plan.rate)
            if self.held_by_feed:
                self.data_stall_s += lost_s
            else:
                self.network_stall_s += lost_s
        self.since_s = now_s

    def join(self, running: RunningJob) -> None:
        """Take a job in; the bundle must stand at now."""
        running.bundle = self
        running.joined_steps = self.steps
        running.joined_energy_j = self.energy_j
        running.joined_network_stall_s = self.network_stall_s
        running.joined_data_stall_s = self.data_stall_s
        running.target_steps = self.steps + running.steps_left
        heappush(self._heap, (running.target_steps, running.index, running))
        self.count += 1

    def leave(self, running: RunningJob) -> None:
        """Let a job go with what it has done; the bundle must stand at now."""
        running.steps_left = max(0.0, running.target_steps - self.steps)
        running.energy_j += self.energy_j - running.joined_energy_j
        running.network_stall_s += self.network_stall_s - running.joined_network_stall_s
        running.data_stall_s += self.data_stall_s - running.joined_data_stall_s
        done = self.steps - running.joined_steps
        running.data_stall_s += running.feed_lag_s * done
        running.throttle_s += running.cap_lag_s * done
        running.since_s = self.since_s
        running.bundle = None
        self.count -= 1

    def first(self) -> RunningJob | None:
        """Return the job that finishes first, or None."""
        heap = self._heap
        while heap and (heap[0][2].bundle is not self or heap[0][0] != heap[0][2].target_steps):
            heappop(heap)
        return heap[0][2] if heap else None

    def members(self) -> list[RunningJob]:
        """Return its jobs, each once, in the order of their rows."""
        found = {entry[1]: entry[2] for entry in self._heap if entry[2].bundle is self}
        return [found[row] for row in sorted(found)]

    def set_rate(self) -> float:
        """Take the rate and power that the groups give now; returns the change of one job's power in W."""
        plan, network, feed = self.plan, self.network, self.feed
        rate = plan.rate
        if network is not None and network.rate < network.demand:
            rate = min(rate, network.rate / plan.network_bytes_per_step)
        self.held_by_feed = False
        if feed is not None and feed.rate < feed.demand:
            fed = feed.rate / plan.stream_bytes_per_step
            if fed < rate:
                rate, self.held_by_feed = fed, True
        self.rate = rate
        power_w = quantised_w(self.cpu_power_w + plan.busy_energy_per_step_j * rate)
        change_w = power_w - self.power_w
        self.power_w = power_w
        return change_w
