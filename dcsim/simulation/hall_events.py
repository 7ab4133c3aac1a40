"""What happens to links and data servers at times that the scenario says, and when steps are told one by one."""

from __future__ import annotations

from collections.abc import Callable

from dcsim.engine import Engine
from dcsim.facility.network import LinkEvent
from dcsim.facility.sharing import SharedLinks
from dcsim.facility.storage import StorageState
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.kinds import LogKind, Order
from dcsim.simulation.record import RunRecord
from dcsim.spec.storage import DataServerFailureSpec

__all__ = ["HallEvents"]

_LINK, _DATA_SERVER, _REBUILT = (int(kind) for kind in (LogKind.LINK, LogKind.DATA_SERVER, LogKind.REBUILT))


class HallEvents:
    """Puts the events of a scenario on the clock, and does what they say.

    Args:
        engine: for the time and the calls.
        record: gets log rows and notes.
        links: whose capacities change.
        storage: what is stored where.
        attempts: jobs whose traffic changes.
    """

    def __init__(
        self,
        engine: Engine,
        record: RunRecord,
        links: SharedLinks,
        storage: StorageState,
        attempts: Attempts,
    ) -> None:
        self._engine = engine
        self._record = record
        self._links = links
        self._storage = storage
        self._attempts = attempts
        self._inputs = record.inputs
        self._numbers = 0
        self._rerouted_s = -1.0
        """When routes changed last."""

    def start(self) -> None:
        """Put everything on the clock."""
        network, scenario = self._inputs.network, self._inputs.scenario
        for event in network.events:
            self._at(event.time_s, self._change_link, event)
            self._attempts.last_event_s = event.time_s  # they are in the order of time
        for failure in scenario.storage.shared.failures:
            self._at(failure.at_s, self._lose_data_server, failure)
            if failure.repair_s is not None:
                self._at(failure.at_s + failure.repair_s, self._replace_data_server, failure)
        spec = scenario.network
        if spec.traffic == "steps":
            self._at(spec.steps_from_s or 0.0, self._attempts.step_by_step, True)
            if spec.steps_until_s is not None:
                self._at(spec.steps_until_s, self._attempts.step_by_step, False)

    def _at(self, time_s: float, function: Callable[..., object], argument: object) -> None:
        self._engine.call_at(time_s, Order.LINK, self._numbers, function, argument)
        self._numbers += 1

    def _change_link(self, event: LinkEvent) -> None:
        network, now_s = self._inputs.network, self._engine.now
        before = network.routes_version
        self._links.set_capacity(event.link, network.set_link(event.link, event.fraction))
        self._record.log.add(now_s, _LINK, -1, event.link, event.fraction)
        if network.routes_version != before and self._rerouted_s != now_s:
            # Once for all that happens at this instant, after it.
            self._rerouted_s = now_s
            self._at(now_s, self._reroute, None)

    def _reroute(self, _: None) -> None:
        self._attempts.reroute()

    def _lose_data_server(self, failure: DataServerFailureSpec) -> None:
        number, servers = failure.data_server, self._storage.data_servers
        stored = self._storage.volumes.used_bytes("shared")
        rebuild = servers.fail(number, float(stored))
        self._set_capacities()
        self._record.log.add(self._engine.now, _DATA_SERVER, -1, number, rebuild.size_bytes)
        if rebuild.data_lost:
            self._record.notes.append(
                f"storage: data were lost with data server {number} at {self._engine.now:g} s; "
                "jobs go on as if they were still there"
            )
            return
        self._attempts.work.transfers.begin(
            rebuild.size_bytes,
            rebuild.uses,
            lambda _: self._rebuilt(number, rebuild.size_bytes),
            cap_bytes_per_s=rebuild.cap_bytes_per_s,
            told=self._record.traffic.uses(rebuild.uses, -1),
        )

    def _rebuilt(self, number: int, size_bytes: float) -> None:
        self._storage.data_servers.rebuilt(number)
        self._record.log.add(self._engine.now, _REBUILT, -1, number, size_bytes)

    def _replace_data_server(self, failure: DataServerFailureSpec) -> None:
        self._storage.data_servers.replaced(failure.data_server)
        self._set_capacities()

    def _set_capacities(self) -> None:
        for link, capacity in self._storage.data_servers.capacities():
            self._links.set_capacity(link, capacity)
