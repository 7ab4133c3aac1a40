"""The network: topologies, routing, and the links that traffic crosses."""

from __future__ import annotations

from dcsim.facility.network.events import LinkEvent
from dcsim.facility.network.network import Network
from dcsim.facility.network.ring import ring_bytes
from dcsim.spec.network_size import RACKS_PER_SPINE

__all__ = ["RACKS_PER_SPINE", "LinkEvent", "Network", "ring_bytes"]
