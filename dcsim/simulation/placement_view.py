"""What the placement policy of a run sees: the fleet, and what it says it needs besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, ScenarioError
from dcsim.facility.servers import Fleet
from dcsim.facility.sharing import SharedLinks
from dcsim.policies.demand import demand_of
from dcsim.policies.heat_view import HeatView
from dcsim.policies.views import ClusterView, DemandView, FindFree
from dcsim.simulation.inputs import RunInputs

__all__ = ["HeatOfHall", "any_type_masks", "make_cluster_view"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class HeatOfHall(Protocol):
    """What knows the air of the hall while a run goes on."""

    def view(self, fleet: Fleet) -> HeatView:
        """Return the live view for a policy that places jobs on `fleet`."""


def any_type_masks(inputs: RunInputs, *, one_type: bool) -> tuple[Bools | None, ...]:
    """Return, for each type constraint and last for none, the servers of any type that suits; None: all.

    Args:
        inputs: of the run.
        one_type: whether every server has accelerators of the same type.
    """
    nowhere = np.zeros(len(inputs.fleet), dtype=bool)
    masks = [np.logical_or.reduce([nowhere, *of_type]) for of_type in inputs.allowed]
    for mask in masks:
        mask.flags.writeable = False
    return (*masks[:-1], None if one_type else masks[-1])


def make_cluster_view(
    inputs: RunInputs, links: SharedLinks | None, heat: HeatOfHall | None, *, one_type: bool
) -> ClusterView:
    """Return the live view of the cluster for the run's placement policy.

    Args:
        inputs: of the run.
        links: of the run; None: loads are not told.
        heat: of the hall; None: its scenario has no room.
        one_type: whether every server has accelerators of the same type.

    Raises:
        ScenarioError: the policy looks at heat, and there is no room.
    """
    fleet, policy = inputs.fleet, inputs.policies.placement
    if policy.knows_heat and heat is None:
        hint = "add `room: {}` for rows with open aisles"
        raise ScenarioError(
            [Problem(inputs.scenario.name, None, "room", "none", f"a room: {policy.name} needs it", hint)]
        )
    return ClusterView(
        **fleet.columns(),
        largest_server=int(fleet.total.max(initial=0)),
        cpu_memory_binding=inputs.cpu_memory_binding,
        find_free=cast("FindFree", fleet.free_bytes.find),
        demand=_demand(inputs, one_type=one_type) if policy.knows_demand and len(inputs.jobs) else None,
        link_loads=_loads_of(inputs, links) if policy.knows_links and links is not None else None,
        heat=heat.view(fleet) if policy.knows_heat and heat is not None else None,
    )


def _demand(inputs: RunInputs, *, one_type: bool) -> DemandView:
    jobs = inputs.jobs
    return demand_of(
        jobs.accelerators,
        jobs.accelerator_share,
        jobs.cpu_cores,
        jobs.memory_bytes,
        jobs.accelerator_types,
        any_type_masks(inputs, one_type=one_type),
    )


def _loads_of(inputs: RunInputs, links: SharedLinks) -> Callable[[], tuple[Floats, Floats]]:
    """Return what gives the load now of each server's links and each rack's uplink, 0..1.

    Of several links of a server (rails, neighbours in a torus) the busiest counts; racks have an uplink of
    their own in a fat-tree of bundles only.
    """
    network, servers, racks = inputs.network, len(inputs.fleet), len(inputs.fleet.rack_start)
    own = [(server, *pair) for server in range(servers) for pair in network.own_links(server)]
    owner, out, into = np.array(own, dtype=np.int64).reshape(-1, 3).T
    of_leaves = np.array([network.leaf_up, network.leaf_down], dtype=np.int64)

    def loads() -> tuple[Floats, Floats]:
        booked, capacity = np.array(links.booked, dtype=np.float64), np.array(links.capacity)
        # A link that has failed is full, one without a limit is empty.
        carried = np.where(capacity > 0.0, 0.0, 1.0)
        np.divide(booked, capacity, out=carried, where=np.isfinite(capacity) & (capacity > 0.0))
        carried = np.minimum(1.0, carried)
        of_servers = np.zeros(servers)
        np.maximum.at(of_servers, owner, np.maximum(carried[out], carried[into]))
        uplinks = carried[of_leaves].max(axis=0) if network.leaf_up else np.zeros(racks)
        return of_servers, uplinks

    return loads
