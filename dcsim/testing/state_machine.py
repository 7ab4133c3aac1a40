"""A state machine over the scheduler: random histories of a fleet under a placement policy.

class Machine(PolicyStateMachine):
policy = MyPlacement

TestMine = Machine.TestCase
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dcsim.facility.hardware import CATALOGUE
from dcsim.facility.servers import SHARE_UNITS, Fleet, Held, share_units
from dcsim.policies.base import PlacementPolicy
from dcsim.policies.placement import FirstFit
from dcsim.policies.views import ClusterView, FindFree, PlacementRequest
from dcsim.spec.cluster import ClusterSpec
from dcsim.testing.contracts import ContractError
from dcsim.testing.strategies.facilities import clusters

__all__ = ["PolicyStateMachine"]

_CORES, _BYTES = 0.5, 2.0**20
"""Asked for by each job on each of its servers: little, so that accelerators decide."""


class PolicyStateMachine(RuleBasedStateMachine):
    """Submits, finishes, and puts to sleep; a model of its own keeps count of what must be free."""

    policy: ClassVar[type[PlacementPolicy] | PlacementPolicy] = FirstFit
    """The class under test, or an instance."""
    max_servers: ClassVar[int] = 6
    """Most servers of the fleet."""

    def __init__(self) -> None:
        super().__init__()
        chosen = self.policy
        self._decider = chosen() if isinstance(chosen, type) else chosen
        self._fleet: Any = None
        self._jobs: list[tuple[tuple[Held, ...], int]] = []
        self._used: list[int] = []
        """Thousandths of devices in use on each server, by the model."""

    @initialize(data=st.data())
    def build(self, data: st.DataObject) -> None:
        """Build an idle fleet and the view that stays with it."""
        cluster: ClusterSpec = data.draw(clusters(max_servers=self.max_servers))
        self._fleet = Fleet(cluster, CATALOGUE)
        self._fleet.has_shares = self._fleet.track_cpu_memory = True
        self._used = [0] * len(self._fleet)
        self._view = _view_of(self._fleet)

    @rule(width=st.integers(1, 12), span=st.integers(0, 3), part=st.sampled_from((1.0, 1.0, 0.5, 0.3)))
    def submit(self, width: int, span: int, part: float) -> None:
        """Ask for a gang, or for a part of one accelerator; take what the policy names."""
        wanted = 1 if part < 1.0 else width
        first_type = np.array([self._fleet.type(s).accelerator.name for s in range(len(self._fleet))])
        allowed = first_type == first_type[0]
        request = PlacementRequest(wanted, part, span, _CORES * wanted, _BYTES * wanted, allowed)
        placement = self._decider.place(request, self._view)
        if placement is None:
            self._must_wait(request)
            return
        if sum(count for _, count in placement) != wanted or (span and len(placement) > span):
            msg = f"{placement} for a gang of {wanted} over at most {span or 'all'} servers"
            raise ContractError(msg)
        self._take(placement, part)

    def _must_wait(self, request: PlacementRequest) -> None:
        """Refuse a policy that lets a gang wait beside an empty server that holds it."""
        fleet = self._fleet
        for server in range(len(fleet)):
            fits = not self._used[server] and fleet.total[server] >= request.accelerators
            if fits and request.allowed is not None and request.allowed[server]:
                msg = f"a gang of {request.accelerators} waits beside the empty server {server}"
                raise ContractError(msg)

    def _take(self, placement: tuple[tuple[int, int], ...], part: float) -> None:
        held, units = [], share_units(part)
        for server, count in placement:
            more = units if part < 1.0 else count * SHARE_UNITS
            if self._used[server] + more > self._fleet.total[server] * SHARE_UNITS:
                msg = f"server {server} has less than {count} accelerators free"
                raise ContractError(msg)
            self._used[server] += more
            if part < 1.0:
                held.append(self._fleet.take_share(server, units, _CORES, _BYTES))
            else:
                held.append(self._fleet.take(server, count, _CORES * count, _BYTES * count))
            self._fleet.asleep[server] = False
        self._jobs.append((tuple(held), units))

    @precondition(lambda self: self._jobs)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """Let one of the running jobs end."""
        held_by_job, units = self._jobs.pop(data.draw(st.integers(0, len(self._jobs) - 1)))
        for held in held_by_job:
            server, devices, slot = held
            self._used[server] -= units if slot >= 0 else devices * SHARE_UNITS
            self._fleet.give_back(held, units, _CORES * max(1, devices), _BYTES * max(1, devices))

    @precondition(lambda self: self._fleet is not None)
    @rule(data=st.data(), asleep=st.booleans())
    def turn(self, data: st.DataObject, *, asleep: bool) -> None:
        """Put an idle server to sleep, or wake it."""
        server = data.draw(st.integers(0, len(self._fleet) - 1))
        if not self._used[server]:
            self._fleet.asleep[server] = asleep

    @invariant()
    def fleet_agrees_with_the_model(self) -> None:
        """Capacities hold, and what is in use is what the model says."""
        if self._fleet is None:
            return
        self._fleet.check()
        used = self._fleet.used_units().tolist()
        if used != self._used:
            msg = f"the fleet has {used} thousandths in use, the model {self._used}"
            raise ContractError(msg)

    @invariant()
    def servers_without_jobs_are_whole(self) -> None:
        """An empty server has all its devices, cores and memory."""
        if self._fleet is None:
            return
        fleet = self._fleet
        for server, used in enumerate(self._used):
            whole = (
                fleet.free[server] == fleet.total[server]
                and fleet.free_cpu[server] == fleet.cpu_cores[server]
                and fleet.free_memory[server] == fleet.memory_bytes[server]
                and fleet.jobs_on[server] == 0
            )
            if not used and not whole:
                msg = f"server {server} is empty and not whole"
                raise ContractError(msg)

    @invariant()
    def nobody_sleeps_at_work(self) -> None:
        """A sleeping server holds no job."""
        if self._fleet is not None and any(
            used and asleep for used, asleep in zip(self._used, self._fleet.asleep, strict=True)
        ):
            msg = "a sleeping server holds a job"
            raise ContractError(msg)


def _view_of(fleet: Fleet) -> ClusterView:
    """Return the live view of a fleet, as the simulator makes it."""
    columns = {
        "total_accelerators": fleet.total,
        "rack": fleet.rack,
        "rack_start": fleet.rack_start,
        "free_accelerators": fleet.free,
        "asleep": fleet.asleep,
        "free_cpu_cores": fleet.free_cpu,
        "free_memory_bytes": fleet.free_memory,
        "largest_free_share": fleet.largest_share,
    }
    views: dict[str, Any] = {name: column.view() for name, column in columns.items()}
    for view in views.values():
        view.flags.writeable = False
    return ClusterView(
        **views,
        largest_server=int(fleet.total.max()),
        cpu_memory_binding=True,
        find_free=cast("FindFree", fleet.free_bytes.find),
    )
