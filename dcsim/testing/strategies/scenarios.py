"""A strategy for whole scenarios."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from dcsim.policies import known_policies
from dcsim.spec.policy import PolicyChoice, PolicySpec
from dcsim.spec.preemption import PreemptionSpec
from dcsim.spec.room import AislesSpec, RoomSpec
from dcsim.spec.scenario import Scenario
from dcsim.testing.strategies.checkpointing import checkpoints
from dcsim.testing.strategies.facilities import (
    clusters,
    coolings,
    grids,
    networks,
    power_chains,
    storages,
    weathers,
)
from dcsim.testing.strategies.workloads import generated_workloads

__all__ = ["scenarios", "with_room_if_needed"]

_NOT_DRAWN = {"fifo_as_published"}
"""It promises types to gangs that they cannot hold, a slip it keeps on purpose: such a run deadlocks."""
_ROOM = RoomSpec(layout=AislesSpec(recirculation_fraction=0.001))


@st.composite
def scenarios(
    draw: st.DrawFn,
    *,
    max_servers: int = 6,
    max_jobs: int = 8,
    default_facility: bool = False,
    policies: bool = True,
    tiers: bool = False,
) -> Scenario:
    """Draw a whole scenario that `dcsim.simulate` can run, with the built-in cost profiles.

    Args:
        draw: given by Hypothesis.
        max_servers: most servers, >= 1.
        max_jobs: most jobs, >= 1.
        default_facility: power chain, cooling, weather, grid, network and storage by default.
        policies: draw policies from the registry; else fifo, first_fit, none.
        tiers: storage with data servers, an object store, caches and named data sets, and checkpoints as bytes
            on it.
    """
    cluster = draw(clusters(max_servers=max_servers))
    parts: dict[str, Any] = (
        {}
        if default_facility
        else {
            "network": draw(networks(starved=False)),
            "storage": draw(storages(starved=False)),
            "power": draw(power_chains()),
            "cooling": draw(coolings()),
            "weather": draw(weathers()),
            "grid": draw(grids()),
        }
    )
    if tiers:
        parts["storage"] = storage = draw(storages(starved=False, tiers=True))
        parts["checkpoints"] = draw(st.none() | checkpoints(storage))
        parts["preemption"] = PreemptionSpec(checkpoint_interval_s=draw(st.sampled_from((None, 3_600.0))))
    named = tuple(parts["storage"].datasets) if tiers else ()
    if policies:
        ordering, placement, energy = (
            PolicyChoice(name=draw(st.sampled_from(sorted(set(known_policies(kind)) - _NOT_DRAWN))))
            for kind in ("ordering", "placement", "energy")
        )
        rules, saver = known_policies("ordering")[ordering.name], known_policies("energy")[energy.name]
        if getattr(saver, "suspends", False) and not getattr(rules, "suspendable", True):
            energy = PolicyChoice(name="none")
        if ordering.name == "fifo":
            ordering = PolicyChoice(name="fifo", parameters={"skip": draw(st.integers(0, 3))})
        parts["policies"] = PolicySpec(ordering=ordering, placement=placement, energy=energy)
    scenario = Scenario(
        name="drawn",
        seed=draw(st.integers(0, 3)),
        cluster=cluster,
        workload=draw(generated_workloads(cluster, max_jobs=max_jobs, datasets=named)),
        **parts,
    )
    return with_room_if_needed(scenario)


def with_room_if_needed(scenario: Scenario) -> Scenario:
    """Return the scenario, in a room where its placement policy looks at the air of one.

    So little comes round in it that the smallest rack can breathe what its largest neighbour sends.
    """
    placement = known_policies("placement").get(scenario.policies.placement.name)
    if scenario.room is not None or not getattr(placement, "knows_heat", False):
        return scenario
    return scenario.model_copy(update={"room": _ROOM})
