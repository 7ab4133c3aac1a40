"""What a scenario says of the network between servers: how they are wired, and how traffic finds its way."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.network_events import LinkEventSpec
from dcsim.spec.quantities import BandwidthBytesPerS, Count, DurationS, Number, PowerW
from dcsim.units import Quantity, format_quantity

__all__ = ["TOPOLOGIES", "DragonflySpec", "KArySpec", "NetworkSpec", "RailsSpec", "Routing", "TorusSpec"]

Routing = Literal["shortest", "ecmp", "spread"]
Oversubscription = Annotated[Number, Field(ge=1.0, le=64.0)]
Side = Annotated[int, Field(ge=1, le=1_000, strict=True)]

TOPOLOGIES = ("star", "fat_tree", "k_ary_fat_tree", "rail_optimised", "dragonfly", "torus", "graph")
"""All that `topology` may be."""

_DEFAULT_ROUTING: dict[str, Routing] = {
    "star": "spread",
    "fat_tree": "spread",
    "k_ary_fat_tree": "ecmp",
    "rail_optimised": "spread",
    "dragonfly": "shortest",
    "torus": "shortest",
    "graph": "ecmp",
}
_MAX_NODES = 1_000_000
"""Routers or servers of one network; more is a slip of the keyboard."""


class KArySpec(SpecModel):
    """A three-tier fat-tree of equal switches: k pods, each k/2 edge and k/2 aggregation switches, (k/2)^2 cores.

    Source: Al-Fares, Loukissas, Vahdat, A Scalable, Commodity Data Center Network Architecture, SIGCOMM 2008.
    """

    k: int = Field(ge=2, le=128, strict=True)
    """Ports of each switch, even; k^3 / 4 servers find room, k / 2 under each edge switch."""
    oversubscription: Oversubscription | None = None
    """Server bandwidth divided by the bandwidth of one link between switches; None: as `network.oversubscription`."""

    @field_validator("k")
    @classmethod
    def _even(cls, k: int) -> int:
        if k % 2:
            raise FieldError(FieldIssue(str(k), "an even number", f"half of the ports go up: write {k + 1}"))
        return k


class RailsSpec(SpecModel):
    """One network card for each accelerator index, and for each index (rail) a leaf switch of its own."""

    per_server: int | None = Field(default=None, ge=1, le=64, strict=True)
    """Rails, each one link of every server; None: as many as the most accelerators of a server."""
    servers_per_group: Count = 32
    """Servers under the same set of rail leaves (32: a scalable unit of the DGX SuperPOD, NVIDIA RA-11333)."""
    bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """One direction of one rail of a server; None: `server_bandwidth_bytes_per_s` divided by the rails."""
    oversubscription: Oversubscription | None = None
    """Bandwidth of the servers under a rail leaf divided by its uplinks; None: as `network.oversubscription`."""


class DragonflySpec(SpecModel):
    """Groups of routers, all to all inside a group, every two groups joined by as many links as there are ports.

    Source: Kim, Dally, Scott, Abts, Technology-Driven, Highly-Scalable Dragonfly Topology, ISCA 2008.
    """

    groups: int = Field(ge=1, le=10_000, strict=True)
    """Of routers."""
    routers_per_group: int = Field(ge=1, le=1_000, strict=True)
    """Each with a local link to every other one of its group."""
    servers_per_router: int = Field(ge=1, le=1_000, strict=True)
    """Most servers on one router; servers fill routers in their order."""
    global_links_per_router: int | None = Field(default=None, ge=1, le=10_000, strict=True)
    """To other groups; None: the least that joins every two groups."""
    arrangement: Literal["palmtree", "consecutive"] = "palmtree"
    """Which port of a group leads to which other group (Camarero, Vallejo, Beivide, ACM TACO 11 (2014))."""
    local_bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """One direction of a link inside a group; None: `server_bandwidth_bytes_per_s`."""
    global_bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """One direction of a link between groups; None: `server_bandwidth_bytes_per_s`."""

    @field_validator("global_links_per_router")
    @classmethod
    def _joins_all_groups(cls, links: int | None, info: ValidationInfo) -> int | None:
        groups, routers = info.data.get("groups"), info.data.get("routers_per_group")
        if links is None or groups is None or routers is None or links * routers >= groups - 1:
            return links
        least = -(-(groups - 1) // routers)
        expected = f"at least {least}, so that a group has a link to each of the {groups - 1} others"
        raise FieldError(FieldIssue(f"{links} a router", expected, "leave it out for the least"))


class TorusSpec(SpecModel):
    """A 2-D or 3-D torus: each server is a node with links to its neighbours in each dimension, ends joined."""

    shape: tuple[Side, ...] = Field(min_length=2, max_length=3)
    """Nodes along x, y and z; servers fill them in their order, x fastest. A side of 2 has one link, of 1 none."""
    link_bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """One direction of a link between neighbours; None: `server_bandwidth_bytes_per_s`."""

    @field_validator("shape")
    @classmethod
    def _countable(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        nodes = 1
        for side in shape:
            nodes *= side
        if nodes > _MAX_NODES:
            raise FieldError(FieldIssue(f"{nodes:,} nodes", f"at most {_MAX_NODES:,} nodes"))
        return shape


class NetworkSpec(SpecModel):
    """How servers are wired, how traffic finds its way, and when links fail."""

    topology: Literal[
        "star", "fat_tree", "k_ary_fat_tree", "rail_optimised", "dragonfly", "torus", "graph"
    ] = "fat_tree"
    """star: one non-blocking switch; fat_tree: a leaf a rack, spines above; k_ary_fat_tree: three tiers of equal
    switches; rail_optimised: a leaf for each accelerator index; dragonfly; torus; graph: read from a file."""
    server_bandwidth_bytes_per_s: BandwidthBytesPerS = Field(default=50e9, gt=0)
    """One direction of a server's link to its switch (400 Gbit/s); of all its rails together."""
    oversubscription: Number = Field(default=1.0, ge=1.0, le=64.0)
    """Bandwidth of the servers under a leaf divided by its uplink bandwidth (not in a star, torus or dragonfly)."""
    latency_s: DurationS = Field(default=5e-6, ge=0, le=10.0)
    """One way between two servers; enters the all-reduce as its alpha."""
    switch_power_w: PowerW = Field(default=600.0, ge=0)
    """Constant draw of each switch: one for a star, a leaf a rack plus a spine each eight racks for a fat-tree."""
    hop_latency_s: DurationS | None = Field(default=None, ge=0, le=10.0)
    """Of each link on the way, in place of `latency_s`; None: all servers are as far from each other."""
    spines: Count | None = None
    """Switches above the leaves (fat_tree and rail_optimised); None: one each eight leaves."""
    routing: Routing | None = None
    """shortest: one path, dimension by dimension in a torus; ecmp: one of the shortest, by a hash of source, target
    and flow; spread: all shortest at once, in equal parts at each hop. None: spread where a leaf's uplinks are one
    bundle (fat_tree, rail_optimised), ecmp for k_ary_fat_tree and graph, shortest for dragonfly and torus."""
    k_ary: KArySpec | None = None
    """Of topology: k_ary_fat_tree."""
    rails: RailsSpec | None = None
    """Of topology: rail_optimised."""
    dragonfly: DragonflySpec | None = None
    """Of topology: dragonfly."""
    torus: TorusSpec | None = None
    """Of topology: torus."""
    graph: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """Of topology: graph: path relative to the scenario of a node-link JSON file or of Slurm's topology.conf."""
    level_oversubscription: tuple[Oversubscription, ...] = Field(default=(), max_length=16)
    """With a topology.conf: bandwidth from below divided by the uplink, leaf switches first; a level left out has 1,
    the leaves `oversubscription`."""
    storage_link_bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """One direction of a server's separate link to storage (rail_optimised, dragonfly, torus); None:
    `server_bandwidth_bytes_per_s`."""
    events: tuple[LinkEventSpec, ...] = Field(default=(), max_length=100_000)
    """Links that fail, slow down and are mended at given times."""
    contention: bool = True
    """Whether flows share links; false: each has them to itself, and no link holds anybody back."""
    collective: Literal["auto", "ring", "tree", "hierarchical", "in_network"] = "hierarchical"
    """How gangs exchange gradients and the like. hierarchical: inside each server first, then rings between servers
    of the accelerators with equal index; ring: over all accelerators in turn; tree: a double binary tree of servers;
    in_network: switches add up; auto: of the first three what takes least time for each message and placement."""
    traffic: Literal["fluid", "steps"] = "fluid"
    """fluid: a job's average load lies on its links while it trains; steps: the flows of every single step."""
    steps_from_s: DurationS | None = Field(default=None, ge=0)
    """With traffic: steps: every step is followed from then on; None: from the start."""
    steps_until_s: DurationS | None = Field(default=None, gt=0)
    """With traffic: steps: until then; None: to the end."""

    @property
    def route(self) -> Routing:
        """The routing asked for, or what the topology has by default."""
        return self.routing or _DEFAULT_ROUTING[self.topology]

    @field_validator("k_ary", "rails", "dragonfly", "torus", "graph")
    @classmethod
    def _of_the_topology(cls, group: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  any of five groups
        """Refuse what describes another topology, and the topology that lacks its description."""
        topology, name = info.data.get("topology"), str(info.field_name)
        owner = _OWNER[name]
        if topology is None or (group is None and (topology != owner or name == "rails")):
            return group
        if group is None:
            raise FieldError(FieldIssue("missing", f"what {owner} needs", f"add `{name}: {_EXAMPLE[name]}`"))
        if topology != owner:
            raise FieldError(_foreign(name, topology, (owner,)))
        return group

    @field_validator("spines", "level_oversubscription", "storage_link_bandwidth_bytes_per_s")
    @classmethod
    def _of_some_topologies(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  any of three fields
        topology, name = info.data.get("topology"), str(info.field_name)
        owners = _OWNERS[name]
        if topology is not None and value not in {None, ()} and topology not in owners:
            raise FieldError(_foreign(name, topology, owners))
        return value

    @field_validator("steps_from_s", "steps_until_s")
    @classmethod
    def _window_of_steps(cls, time_s: float | None, info: ValidationInfo) -> float | None:
        if time_s is None or "traffic" not in info.data:
            return time_s
        shown = format_quantity(time_s, Quantity.DURATION)
        if info.data["traffic"] != "steps":
            hint = "add `traffic: steps`, or leave it out"
            raise FieldError(FieldIssue(shown, "nothing with traffic: fluid", hint))
        start_s = info.data.get("steps_from_s") if info.field_name == "steps_until_s" else None
        if start_s is not None and time_s <= start_s:
            after = format_quantity(start_s, Quantity.DURATION)
            raise FieldError(FieldIssue(shown, f"later than steps_from_s ({after})"))
        return time_s


_OWNER = {
    "k_ary": "k_ary_fat_tree",
    "rails": "rail_optimised",
    "dragonfly": "dragonfly",
    "torus": "torus",
    "graph": "graph",
}
_EXAMPLE = {
    "k_ary": "{k: 8}",
    "dragonfly": "{groups: 9, routers_per_group: 4, servers_per_router: 2}",
    "torus": "{shape: [4, 4, 4]}",
    "graph": "network.json",
}
_OWNERS = {
    "spines": ("fat_tree", "rail_optimised"),
    "level_oversubscription": ("graph",),
    "storage_link_bandwidth_bytes_per_s": ("rail_optimised", "dragonfly", "torus"),
}


def _foreign(name: str, topology: str, owners: tuple[str, ...]) -> FieldIssue:
    expected = f"nothing with topology: {topology}"
    return FieldIssue("given", expected, f"write `topology: {' or '.join(owners)}`, or leave `{name}` out")
