"""All links of a hall: those of storage, those of the network, and what gangs exchange over them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcsim.facility.network import Network
from dcsim.facility.servers import Fleet, ServerType
from dcsim.facility.storage import Storage
from dcsim.simulation.exchange import Exchanges
from dcsim.simulation.ways import Ways
from dcsim.spec.scenario import Scenario

__all__ = ["HallLinks", "build_links"]


@dataclass(frozen=True, slots=True)
class HallLinks:
    """Numbered one after the other: storage, network, and last a dead end for who is cut off."""

    storage: Storage
    network: Network
    ways: Ways
    """That traffic takes over the network."""
    exchanges: Exchanges
    bandwidths: tuple[float, ...]
    """(L,) what each link gives as it was built, bytes/s or operations/s."""
    fabric_bound: tuple[bool, ...]
    """(S,) whether the inside of a server gives less than its devices can ask for together."""

    @property
    def names(self) -> list[str]:
        """(L,) names."""
        return [*self.storage.link_names, *self.network.link_names, "no way left"]

    @property
    def operations(self) -> list[bool]:
        """(L,) whether a link counts operations in place of bytes."""
        rest = len(self.bandwidths) - len(self.storage.link_units)
        return [unit != "B/s" for unit in self.storage.link_units] + [False] * rest

    @property
    def tiers(self) -> list[str]:
        """(L,) what kind of link each is."""
        return [*self.storage.link_tiers, *self.network.link_tiers, "no way left"]


def build_links(scenario: Scenario, fleet: Fleet, base_dir: Path) -> HallLinks:
    """Build storage and network of a scenario.

    Args:
        scenario: what they are.
        fleet: the servers they join.
        base_dir: folder that relative paths of the scenario start from.

    Raises:
        ScenarioError: as `Network`.
    """
    storage = Storage(scenario.storage, len(fleet))
    first = len(storage.capacity_bytes_per_s)
    inside = np.array([_fabric_bytes_per_s(kind) for kind in fleet.types])
    network = Network(
        scenario.network,
        fleet.rack,
        first,
        base_dir=base_dir,
        names=fleet.names,
        fabric=inside[np.array(fleet.type_of)],
        accelerators=int(fleet.total.max(initial=0)),
        file=scenario.name,
    )
    ways = Ways(network, first + len(network.capacity_bytes_per_s))
    bound = [_own_bytes_per_s(kind) > _fabric_bytes_per_s(kind) for kind in fleet.types]
    fabric_bound = tuple([bound[kind] for kind in fleet.type_of])
    return HallLinks(
        storage=storage,
        network=network,
        ways=ways,
        exchanges=Exchanges(ways, scenario.network.collective, fabric_bound),
        bandwidths=(*storage.capacity_bytes_per_s, *network.capacity_bytes_per_s, 0.0),
        fabric_bound=fabric_bound,
    )


def _own_bytes_per_s(kind: ServerType) -> float:
    """Return what the devices of a server can send to each other together."""
    if kind.accelerator is None:
        return 0.0
    return kind.spec.accelerators * kind.accelerator.link_bandwidth_bytes_per_s


def _fabric_bytes_per_s(kind: ServerType) -> float:
    """Return what the inside of a server carries in all; 0 without accelerators."""
    given = kind.spec.fabric_bandwidth_bytes_per_s
    own = _own_bytes_per_s(kind)
    return own if given is None or not own else given
