"""Servers kept awake without jobs: an energy policy says how many, whenever jobs come, start or end."""

from __future__ import annotations

import math

import numpy as np

from dcsim.engine import Engine
from dcsim.errors import PolicyError
from dcsim.policies.power_view import IdleView
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.kinds import Order
from dcsim.simulation.server_states import ServerStates

__all__ = ["Reserving"]


class Reserving:
    """Asks the policy for its reserve, and has servers woken for it.

    Args:
        engine: for the time and the calls.
        inputs: of the run.
        servers: that sleep and wake.
    """

    def __init__(self, engine: Engine, inputs: RunInputs, servers: ServerStates) -> None:
        self._engine = engine
        self._servers = servers
        self._policy = inputs.policies.energy
        self._view = inputs.view
        self._submit_s, self._width = inputs.jobs.submit_s, inputs.jobs.accelerators
        fleet = inputs.fleet
        self._count = len(fleet)
        self._wake_latency_s = max((kind.spec.wake_latency_s for kind in fleet.types), default=0.0)
        with_devices = fleet.total[fleet.total > 0]
        self._per_server = float(np.mean(with_devices)) if len(with_devices) else 0.0
        self.arrived = 0
        """Jobs so far: the first rows."""
        self._seen: tuple[int, int, int] | None = None
        self._again = 0

    def settle(self) -> None:
        """At the end of an instant: ask if jobs came, started or ended, or servers fell asleep."""
        servers = self._servers
        seen = (self.arrived, servers.idle_awake, len(servers.asleep))
        if seen == self._seen:
            return
        view = IdleView(
            now_s=self._engine.now,
            idle_awake=servers.idle_awake,
            asleep=len(servers.asleep),
            wake_latency_s=self._wake_latency_s,
            servers=self._count,
            arrivals_s=self._submit_s[: self.arrived],
            arrived_accelerators=self._width[: self.arrived],
            accelerators_per_server=self._per_server,
        )
        reserve, again_s = self._policy.awake_reserve(view)
        if not 0 <= reserve <= self._count:
            msg = f"{self._policy.name}: reserve of {reserve} servers -> expected 0..{self._count}"
            raise PolicyError(msg)
        servers.keep(int(reserve))
        self._seen = (self.arrived, servers.idle_awake, len(servers.asleep))
        if self._engine.now < again_s < math.inf:
            self._again += 1
            self._engine.call_at(again_s, Order.CAP, 1, self._ask_again, self._again)

    def _ask_again(self, number: int) -> None:
        if number == self._again:
            self._seen = None
