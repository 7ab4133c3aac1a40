"""A running job: what it holds, what it has done, and the bundle of equals it moves with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcsim.facility.servers import Held
from dcsim.facility.sharing import Flow
from dcsim.simulation.costing import Plan

if TYPE_CHECKING:
    from dcsim.simulation.bundle import Bundle

__all__ = ["RunningJob"]


class RunningJob:
    """Progress is linear between changes of rate; energy is power times time between them.

    While a job shares an overbooked link it moves with a `Bundle`, and its own figures stand as
    they were when it joined.
    """

    __slots__ = (
        "bundle",
        "cpu_power_w",
        "energy_j",
        "feed",
        "finish_s",
        "held",
        "index",
        "joined_energy_j",
        "joined_steps",
        "network",
        "plan",
        "power_w",
        "rate",
        "since_s",
        "steps_left",
        "target_steps",
        "waking_servers",
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
        self.waking_servers = 0
        self.bundle: Bundle | None = None
        self.joined_steps = 0.0
        self.target_steps = 0.0
        self.joined_energy_j = 0.0

    def __repr__(self) -> str:
        return f"<RunningJob {self.index}: {self.steps_left:g} steps left at {self.rate:g}/s>"

    def advance(self, now_s: float) -> None:
        """Account for the time since the last change of its own rate."""
        elapsed_s = now_s - self.since_s
        if elapsed_s > 0.0:
            self.steps_left = max(0.0, self.steps_left - self.rate * elapsed_s)
            self.energy_j += self.power_w * elapsed_s
        self.since_s = now_s
