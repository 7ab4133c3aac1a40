"""What looks unlikely in the network of a scenario, though it is possible."""

from __future__ import annotations

from collections.abc import Iterator

from dcsim.spec.scenario import Scenario

__all__ = ["network_doubts"]

_NO_OVERSUBSCRIPTION = ("star", "torus", "dragonfly")


def network_doubts(scenario: Scenario) -> Iterator[str]:
    """Yield a warning for each field of the network without effect, and for racks that straddle switches."""
    network, given = scenario.network, scenario.network.model_fields_set
    if "oversubscription" in given and network.topology in _NO_OVERSUBSCRIPTION:
        yield f"network.oversubscription: has no effect in a {network.topology}"
    if network.hop_latency_s is not None and "latency_s" in given:
        yield "network.latency_s: has no effect beside hop_latency_s"
    horizon_s = scenario.horizon_s
    late = [i for i, event in enumerate(network.events) if horizon_s is not None and event.at_s > horizon_s]
    if late:
        yield f"network.events.{late[0]}: after the horizon ({len(late)} such)"
    yield from _straddling(scenario)


def _straddling(scenario: Scenario) -> Iterator[str]:
    """Yield a warning where servers of one rack are not all under the same switch, though they would fit."""
    network = scenario.network
    if network.k_ary is not None:
        each, what = network.k_ary.k // 2, "edge switch (k / 2)"
    elif network.topology == "rail_optimised":
        each, what = network.rails.servers_per_group if network.rails is not None else 32, "group of rails"
    elif network.dragonfly is not None:
        each = network.dragonfly.routers_per_group * network.dragonfly.servers_per_router
        what = "group of routers"
    else:
        return
    start = 0
    for i, rack in enumerate(scenario.cluster.racks):
        size = sum(group.count for group in rack.servers)
        # After `each` racks of the same size the pattern repeats.
        for _ in range(min(rack.count, each)):
            if start // each != (start + size - 1) // each:
                yield (
                    f"cluster.racks.{i}: racks of {size} straddle switches, with {each} servers to each {what}: "
                    "policies that keep a gang in a rack do not keep it under one switch"
                )
                return
            start += size
        start += size * (rack.count - min(rack.count, each))
