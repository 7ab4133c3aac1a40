"""A running job: where it is, how far it has come, and at which rate and power it goes on."""

from __future__ import annotations

from dcsim.facility.servers import Held
from dcsim.facility.sharing import Flow
from dcsim.simulation.costing import Plan

__all__ = ["RunningJob"]


class RunningJob:
    """Progress is linear between changes of rate; energy is power times time between them."""

    __slots__ = (
        "awake_servers_needed",
        "cpu_power_w",
        "energy_j",
        "feed",
        "finish_s",
        "held",
        "index",
        "network",
        "plan",
        "power_w",
        "rate",
        "since_s",
        "steps_left",
    )

    def __init__(
        self, index: int, plan: Plan, steps: float, held: tuple[Held, ...], cpu_power_w: float, now_s: float
    ) -> None:
        self.index = index
        self.plan = plan
        self.steps_left = steps
        self.held = held
        self.cpu_power_w = cpu_power_w
        self.rate = 0.0
        self.power_w = 0.0
        self.energy_j = 0.0
        self.since_s = now_s
        self.finish_s = -1.0
        self.network: Flow | None = None
        self.feed: Flow | None = None
        self.awake_servers_needed = 0

    def __repr__(self) -> str:
        return f"<RunningJob {self.index}: {self.steps_left:g} steps left at {self.rate:g}/s>"

    def advance(self, now_s: float) -> None:
        """Account for the time since the last change."""
        elapsed_s = now_s - self.since_s
        if elapsed_s > 0.0:
            self.steps_left = max(0.0, self.steps_left - self.rate * elapsed_s)
            self.energy_j += self.power_w * elapsed_s
        self.since_s = now_s

    def shared_rate(self) -> float:
        """Return the rate in steps/s that its flows allow now; 0 while a server is waking."""
        if self.awake_servers_needed:
            return 0.0
        plan = self.plan
        rate = plan.rate
        network, feed = self.network, self.feed
        if network is not None and network.rate < network.demand:
            rate = min(rate, network.rate / plan.network_bytes_per_step)
        if feed is not None and feed.rate < feed.demand:
            rate = min(rate, feed.rate / plan.stream_bytes_per_step)
        return rate
