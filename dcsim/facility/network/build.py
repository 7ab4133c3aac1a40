"""From a network's description to its wiring: one builder a topology."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.facility.network.dragonfly import wire_dragonfly
from dcsim.facility.network.k_ary import wire_k_ary
from dcsim.facility.network.leaf_spine import wire_leaf_spine, wire_rails
from dcsim.facility.network.torus import wire_torus
from dcsim.facility.network.wiring import Wiring
from dcsim.spec.network import NetworkSpec, RailsSpec
from dcsim.spec.network_size import rails_per_server

__all__ = ["wire"]

Ints = npt.NDArray[np.int64]


def wire(
    spec: NetworkSpec, rack: Ints, *, base_dir: Path, names: Sequence[str], accelerators: int, file: str
) -> Wiring:
    """Return the links of any topology but the trees of bundles.

    Args:
        spec: which, and its bandwidths.
        rack: (S,) rack of each server, ascending.
        base_dir: folder of the scenario.
        names: (S,) of the servers, or none.
        accelerators: most that a server has.
        file: shown in problems.

    Raises:
        ScenarioError: the file of a graph cannot be used.
    """
    servers = len(rack)
    if spec.topology == "rail_optimised":
        return wire_rails(spec, spec.rails or RailsSpec(), servers, rails_per_server(spec, accelerators))
    if spec.k_ary is not None:
        return wire_k_ary(spec, spec.k_ary, servers)
    if spec.dragonfly is not None:
        return wire_dragonfly(spec, spec.dragonfly, servers)
    if spec.torus is not None:
        return wire_torus(spec, spec.torus, servers)
    if spec.graph is not None:
        from dcsim.facility.network.graph_file import wire_graph

        return wire_graph(spec, spec.graph, servers, base_dir=base_dir, names=names, file=file)
    return wire_leaf_spine(spec, rack)
