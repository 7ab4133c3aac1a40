"""The power tree of a run: told what racks draw, it writes down which ratings are exceeded, and for how long."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.engine import EventLog
from dcsim.facility.power import build_chain
from dcsim.facility.power_tree import PowerTree, RackLog, TreeEnergies, build_power_tree, tree_energies
from dcsim.facility.servers import Fleet
from dcsim.simulation.kinds import LogKind
from dcsim.simulation.rack_powers import RackPowers
from dcsim.spec.scenario import Scenario

__all__ = ["TreeWatch", "tree_of"]

Floats = npt.NDArray[np.float64]
_OVERLOAD, _LOAD_OK = int(LogKind.OVERLOAD), int(LogKind.LOAD_OK)


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
        hall_budget_w=spec.budget_w or np.inf,
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


class TreeWatch:
    """Keeps a tree up with the racks.

    Args:
        tree: at idle racks, or at none.
        racks: their powers.
        log: gets a row when a rating is exceeded, and when it is no longer.
    """

    def __init__(self, tree: PowerTree, racks: RackPowers, log: EventLog) -> None:
        self.tree = tree
        self._racks = racks
        self._log = log
        self._since_s: dict[int, float] = {}
        self._over_s = np.zeros(len(tree.names))
        self._times = np.zeros(len(tree.names), dtype=np.int64)
        self._worst_w = np.zeros(len(tree.names))
        self._any_since_s = 0.0
        self._any_over_s = 0.0

    def settle(self, now_s: float, changed: list[int]) -> None:
        """At the end of an instant: take the racks that changed."""
        tree, power_w = self.tree, self._racks.power_w
        for rack in changed:
            tree.set_rack(rack, float(power_w[rack]))
        for node, power, _, began in tree.crossings():
            self._log.add(now_s, _OVERLOAD if began else _LOAD_OK, -1, node, power)
            if began:
                if not self._since_s:
                    self._any_since_s = now_s
                self._since_s[node] = now_s
                self._times[node] += 1
            else:
                self._over_s[node] += now_s - self._since_s.pop(node)
                if not self._since_s:
                    self._any_over_s += now_s - self._any_since_s
        for node in self._since_s:
            self._worst_w[node] = max(self._worst_w[node], float(tree.power_w[node]))

    def close(self, end_s: float) -> None:
        """End the run: what is over its rating is so until now."""
        if self._since_s:
            self._any_over_s += end_s - self._any_since_s
        for node, since_s in self._since_s.items():
            self._over_s[node] += end_s - since_s
        self._since_s.clear()

    @property
    def seconds_above_rating(self) -> float:
        """For how long some node was above its rating."""
        return self._any_over_s

    def notes(self) -> list[str]:
        """Return in words which nodes were above their ratings; the worst ten, then how many more."""
        nodes = np.flatnonzero(self._times > 0)
        worst = nodes[np.argsort(-self._over_s[nodes], kind="stable")]
        said = [
            f"power: {self.tree.names[node]} was above its rating of {self.tree.rating_w[node]:.0f} W for "
            f"{self._over_s[node]:.0f} s in {self._times[node]} stretches (up to {self._worst_w[node]:.0f} W)"
            for node in worst[:10].tolist()
        ]
        if len(worst) > len(said):
            said.append(
                f"power: {len(worst) - len(said)} more nodes of the power tree were above their ratings"
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
