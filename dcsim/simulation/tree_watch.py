"""Ratings and budgets of a run: which nodes of the power tree, and whether the hall, drew more than they should."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dcsim.engine import EventLog
from dcsim.facility.power import build_chain
from dcsim.facility.power_tree import PowerTree, RackLog, TreeEnergies, build_power_tree, tree_energies
from dcsim.facility.servers import Fleet
from dcsim.simulation.kinds import LogKind
from dcsim.simulation.rack_powers import RackPowers
from dcsim.simulation.stretches import Limit, Stretches
from dcsim.spec.scenario import Scenario

__all__ = ["HallWatch", "TreeWatch", "tree_of"]

Floats = npt.NDArray[np.float64]
_OVERLOAD, _LOAD_OK = int(LogKind.OVERLOAD), int(LogKind.LOAD_OK)
_OVER_BUDGET, _BUDGET_OK = int(LogKind.OVER_BUDGET), int(LogKind.BUDGET_OK)
_SHOWN = 10


def tree_of(scenario: Scenario, fleet: Fleet, other_w: float) -> PowerTree | None:
    """Return the power tree of a scenario, all racks idle; None where it has none.

    Args:
        scenario: whose `power.tree` it is.
        fleet: its servers.
        other_w: IT power outside the racks: switches, file system.
    """
    spec = scenario.power
    if spec.tree is None:
        return None
    peaks_w = _rack_peaks_w(fleet)
    return build_power_tree(
        spec.tree,
        [(rack.name, rack.count) for rack in scenario.cluster.racks],
        build_chain(spec, float(peaks_w.sum()) + other_w, 0.0),
        peaks_w.tolist(),
        other_w=other_w,
    )


def _rack_peaks_w(fleet: Fleet) -> Floats:
    """Return (R,) what each rack draws with every device and core busy."""
    peaks = [
        kind.spec.peak_power_w
        + (kind.spec.accelerators * kind.accelerator.peak_power_w if kind.accelerator else 0.0)
        for kind in fleet.types
    ]
    of_servers = np.array(peaks)[np.array(fleet.type_of)]
    return np.asarray(np.bincount(fleet.rack, weights=of_servers), dtype=np.float64)


class HallWatch:
    """The IT power of the whole hall against its budget, demand response included.

    Args:
        log: gets a row when it is exceeded, and when it no longer is; in place of the server stands -1.
    """

    def __init__(self, log: EventLog) -> None:
        self.stretches = Stretches(log, _OVER_BUDGET, _BUDGET_OK)

    def see(self, now_s: float, it_power_w: float, budget_w: float) -> None:
        """IT equipment draws `it_power_w` from now on, and may draw `budget_w`."""
        self.stretches.see(now_s, -1, it_power_w, budget_w)

    def close(self, end_s: float) -> None:
        """End the run."""
        self.stretches.close(end_s)

    def notes(self) -> list[str]:
        """Return in words how far the budget was exceeded."""
        return [
            f"power: all IT equipment was above its budget for {about.over_s:.0f} s in {about.times} stretches "
            f"(up to {about.worst_w:.0f} W, {about.over_j / 3.6e6:.3g} kWh above it)"
            for _, about in self.stretches.worst()
        ]


class TreeWatch:
    """Keeps a tree up with the racks.

    Args:
        tree: at idle racks, or at none.
        racks: their powers.
        log: gets a row when a rating or a budget is exceeded, and when it no longer is.
    """

    def __init__(self, tree: PowerTree, racks: RackPowers, log: EventLog) -> None:
        self.tree = tree
        self._racks = racks
        self.ratings = Stretches(log, _OVERLOAD, _LOAD_OK)
        self.budgets = Stretches(log, _OVER_BUDGET, _BUDGET_OK)
        self._rating_w, self._budget_w = tree.rating_w.tolist(), tree.budget_w.tolist()

    def settle(self, now_s: float, changed: list[int]) -> None:
        """At the end of an instant: take the racks that changed, and look at them and what feeds them."""
        tree, power_w = self.tree, self._racks.power_w
        nodes: dict[int, None] = {}
        for rack in changed:
            tree.set_rack(rack, float(power_w[rack]))
            node = rack
            while node != -1:
                nodes[node] = None
                node = tree.parent[node]
        for node in sorted(nodes):
            output_w = tree.output_w(node)
            if self._rating_w[node] < math.inf:
                carried_w = tree.rated_side_w(node)
                self.ratings.see(now_s, node, carried_w, self._rating_w[node])
            if self._budget_w[node] < math.inf:
                self.budgets.see(now_s, node, output_w, self._budget_w[node])

    def close(self, end_s: float) -> None:
        """End the run."""
        self.ratings.close(end_s)
        self.budgets.close(end_s)

    def notes(self) -> list[str]:
        """Return in words which nodes were above their ratings and budgets; the worst ten, then how many more."""
        return [
            *self._told(self.ratings.worst(), "rating"),
            *self._told(self.budgets.worst(), "budget"),
        ]

    def _told(self, worst: list[tuple[int, Limit]], what: str) -> list[str]:
        said = [
            f"power: {self.tree.names[node]} was above its {what} of {about.limit_w:.0f} W for "
            f"{about.over_s:.0f} s in {about.times} stretches (up to {about.worst_w:.0f} W)"
            for node, about in worst[:_SHOWN]
        ]
        if len(worst) > len(said):
            said.append(
                f"power: {len(worst) - len(said)} more nodes of the power tree were above their {what}s"
            )
        return said

    def energies(self, end_s: float) -> TreeEnergies:
        """Return the exact energies of all nodes of a finished run."""
        racks = self._racks
        log = RackLog(
            np.array(racks.log_time_s),
            np.array(racks.log_rack, dtype=np.int64),
            np.array(racks.log_power_w),
            end_s,
        )
        return tree_energies(self.tree, log)
