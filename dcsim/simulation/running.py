"""A running job: what it holds, what it has done, and the bundle of equals it moves with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from dcsim.facility.servers import Held
from dcsim.facility.sharing import Flow
from dcsim.policies.views import Placement
from dcsim.simulation.costing import Plan

if TYPE_CHECKING:
    from dcsim.simulation.bundle import Bundle
    from dcsim.simulation.exchange import Exchange

__all__ = ["Phase", "RunningJob"]


class Phase(IntEnum):
    """What a job that holds its servers does."""

    WAIT = 0
    """For servers to wake."""
    RESTORE = 1
    RUN = 2
    CHECKPOINT = 3
    LEAVE = 4
    """Writing the checkpoint with which it goes."""
    IDLE = 5
    """Done with its steps of a scheduling round, waiting for the next."""


class RunningJob:
    """One attempt at a job, from the grant of its gang until it is freed.

    Progress is linear between changes of rate; energy is power times time between them.
    While a job shares an overbooked link it moves with a `Bundle`, and its own figures stand as
    they were when it joined.
    """

    __slots__ = (
        "all_steps",
        "alone",
        "ample",
        "bundle",
        "cap_lag_s",
        "checkpointed",
        "cpu_power_w",
        "data_stall_s",
        "durable_left",
        "energy_j",
        "exchange",
        "feed",
        "feed_cap_bytes_per_s",
        "feed_lag_s",
        "feed_uses",
        "finish_s",
        "granted_s",
        "held",
        "index",
        "joined_data_stall_s",
        "joined_energy_j",
        "joined_network_stall_s",
        "joined_steps",
        "later_steps",
        "left_at_grant",
        "network",
        "network_stall_s",
        "own",
        "phase",
        "phase_s",
        "placement",
        "plan",
        "power_w",
        "prepared_s",
        "rate",
        "run_s",
        "share",
        "since_s",
        "step_ratio",
        "steps_left",
        "stretch_s",
        "target_steps",
        "tenant",
        "throttle_s",
        "told",
        "told_uses",
        "turn",
        "unsaved",
        "waking_servers",
        "width",
        "working",
    )

    def __init__(
        self,
        index: int,
        plan: Plan,
        steps_left: float,
        held: tuple[Held, ...],
        cpu_power_w: float,
        now_s: float,
        placement: Placement,
        width: int,
    ) -> None:
        self.index = index
        self.plan = plan
        self.alone = self.own = plan
        """What it costs with nobody beside it: its own rate; `own` is that under the cap in force, where caps change."""
        self.ample = plan
        """What it costs with all the input it wants; `plan` is slower where nothing but its own feed limits it."""
        self.steps_left = steps_left
        """Of the stretch it is in: until its work, or the first reading of its data set, is done."""
        self.later_steps = 0.0
        """After that stretch."""
        self.left_at_grant = self.all_steps = steps_left
        self.durable_left = steps_left
        """Steps that a restart from the last checkpoint would have to do."""
        self.held = held
        self.placement = placement
        self.width = width
        self.cpu_power_w = cpu_power_w
        self.granted_s = now_s
        self.rate = self.power_w = self.energy_j = 0.0
        self.since_s = now_s
        self.finish_s = -1.0
        self._on_no_links(now_s)
        self.waking_servers = 0
        self.phase = Phase.WAIT
        self.phase_s = now_s
        """Since when it is in its phase."""
        self.prepared_s = math.inf
        """When its programs have started up; infinity: not before its servers are awake."""
        self.run_s = 0.0
        """Spent in phase RUN, up to the last change of phase."""
        self.turn = 0
        """Counts the changes of phase: a call made for an older one is stale."""
        self.unsaved = False
        """Whether there was no room for the checkpoint it was to write."""
        self.checkpointed = False
        """Whether its first periodic checkpoint has been thought of."""
        self.working = False
        self.bundle: Bundle | None = None
        self.joined_steps = 0.0
        self.network_stall_s = 0.0
        """Lost to shared links while it ran."""
        self.data_stall_s = 0.0
        """Lost to input slower than its steps."""
        self.target_steps = 0.0

    def _on_no_links(self, now_s: float) -> None:
        self.joined_network_stall_s = self.joined_data_stall_s = self.joined_energy_j = 0.0
        self.network: Flow | None = None
        self.feed: Flow | None = None
        self.exchange: Exchange | None = None
        """What a step of it exchanges where it is; None: nothing."""
        self.feed_uses: Sequence[tuple[int, float]] = ()
        """(link, weight) of its input, of each byte that its busiest server reads."""
        self.share = 1.0
        """Of full links, against other flows of share 1."""
        self.tenant = 0
        self.step_ratio = 1.0
        """Steps of its own width in one of those its work is counted in: not 1 where an elastic gang is resized."""
        self.told: Sequence[tuple[int, float]] = ()
        """(uses as the log of traffic knows them, bytes a step) of its flows."""
        self.told_uses: list[tuple[Sequence[tuple[int, float]], int]] = []
        """(uses, their number there) of late."""
        self.stretch_s = now_s
        """Since when it goes alone or with its bundle."""
        self.feed_cap_bytes_per_s = math.inf
        """The most that its busiest server can read, whatever links have room."""
        self.feed_lag_s = 0.0
        """Of each step, by which `plan` is slower than `ample`."""
        self.cap_lag_s = 0.0
        """Of each step, by which the cap in force makes it slower than `alone`."""
        self.throttle_s = 0.0
        """Lost to caps that change, so far in this attempt."""

    def __repr__(self) -> str:
        return f"<RunningJob {self.index}: {self.steps_left:g} steps left at {self.rate:g}/s>"

    def total_left(self) -> float:
        """Return the steps it has left in all, as of its last account."""
        return self.steps_left + self.later_steps

    def startup_left_s(self, startup_s: float, now_s: float) -> float:
        """Return the part left of a start-up of a length; the whole of it where it goes, to start anew [s]."""
        if self.phase is Phase.LEAVE:
            return startup_s
        return min(startup_s, max(0.0, self.prepared_s - now_s))

    def advance(self, now_s: float) -> None:
        """Account for the time since the last change of its own rate."""
        elapsed_s = now_s - self.since_s
        if elapsed_s > 0.0:
            steps = min(self.steps_left, self.rate * elapsed_s)
            self.steps_left -= steps
            self.data_stall_s += steps * self.feed_lag_s
            self.throttle_s += steps * self.cap_lag_s
            self.energy_j += self.power_w * elapsed_s
        self.since_s = now_s
