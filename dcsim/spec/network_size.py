"""How many servers a topology has room for, and how many switches it takes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dcsim.spec.model import FieldIssue
from dcsim.spec.network import NetworkSpec

__all__ = ["RACKS_PER_SPINE", "rails_per_server", "room_issues", "spine_count", "switch_count"]

RACKS_PER_SPINE = 8
"""Leaf switches served by one spine, where a scenario does not say."""


def spine_count(network: NetworkSpec, leaves: int) -> int:
    """Return the number of spines above so many leaves.

    >>> spine_count(NetworkSpec(), 9), spine_count(NetworkSpec(spines=4), 9)
    (2, 4)
    """
    return network.spines or math.ceil(leaves / RACKS_PER_SPINE)


def rails_per_server(network: NetworkSpec, accelerators: int) -> int:
    """Return the rails of each server of a rail-optimised network.

    Args:
        network: any.
        accelerators: most that a server has; one rail where it is 0 and nothing else is said.
    """
    given = network.rails.per_server if network.rails is not None else None
    return given or max(1, accelerators)


def switch_count(network: NetworkSpec, servers: int, racks: int, accelerators: int) -> int:
    """Return the number of switches; those of a graph are counted once its file is read, here 0.

    Args:
        network: any topology.
        servers: of the cluster.
        racks: of the cluster.
        accelerators: most that a server has.
    """
    if network.topology == "star":
        return 1
    if network.topology == "fat_tree":
        return racks + spine_count(network, racks)
    if network.k_ary is not None:  # k^2/2 edge, k^2/2 aggregation, k^2/4 core
        return 5 * network.k_ary.k**2 // 4
    if network.topology == "rail_optimised":
        each = network.rails.servers_per_group if network.rails is not None else 32
        groups = math.ceil(servers / each)
        leaves = groups * rails_per_server(network, accelerators)
        return leaves + (spine_count(network, leaves) if groups > 1 else 0)
    if network.dragonfly is not None:
        return network.dragonfly.groups * network.dragonfly.routers_per_group
    return 0  # the nodes of a torus are the servers


def room_issues(network: NetworkSpec, servers: int) -> Iterator[FieldIssue]:
    """Yield what is wrong with so many servers on a network whose size is given.

    >>> spec = NetworkSpec(topology="k_ary_fat_tree", k_ary={"k": 4})
    >>> [str(issue.expected) for issue in room_issues(spec, 17)]
    ['at most 16 servers (k^3 / 4)']
    """
    got = f"{servers:,} servers"
    if network.k_ary is not None:
        room = network.k_ary.k**3 // 4
        if servers > room:
            k = 2 * math.ceil((4 * servers) ** (1 / 3) / 2)
            k += 2 * (k**3 // 4 < servers)
            yield FieldIssue(got, f"at most {room:,} servers (k^3 / 4)", f"write `k: {k}`", ("k_ary", "k"))
    if network.dragonfly is not None:
        given = network.dragonfly
        room = given.groups * given.routers_per_group * given.servers_per_router
        if servers > room:
            expected = f"at most {room:,} servers (groups x routers_per_group x servers_per_router)"
            yield FieldIssue(got, expected, "add groups, or servers to a router", ("dragonfly", "groups"))
    if network.torus is not None:
        room = math.prod(network.torus.shape)
        if servers > room:
            shape = " x ".join(map(str, network.torus.shape))
            hint = "a torus has one node a server: enlarge a side"
            yield FieldIssue(got, f"at most {room:,} servers ({shape})", hint, ("torus", "shape"))
