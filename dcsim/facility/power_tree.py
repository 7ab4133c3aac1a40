"""The power tree: racks, PDUs, hall; powers kept up change by change, ratings watched, energies exact at each node."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.facility.power import ChainStage
from dcsim.spec.power_tree import PowerTreeSpec, numbered, pdu_of_racks

__all__ = ["PowerTree", "RackLog", "TreeEnergies", "build_power_tree", "tree_energies"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SUM_AGAIN = 65_536
"""Changes after which sums are made anew, so that rounding does not add up."""
_ROUNDING = 1.0 + 1e-9

_Losses = tuple[tuple[float, float, float, float], ...]
"""(rated W, c0, c1, c2) of each stage at a node, from the servers up."""


class PowerTree:
    """Nodes in the order racks, PDUs, hall: R + P + 1 of them.

    What a rack draws passes its own stages, then those of its PDU, then the hall; a rack without a PDU
    is fed by the hall. A rack is rated at its input (its breaker), PDUs and hall at their output.

    >>> tree = build_power_tree(PowerTreeSpec(rack_breaker_w=100.0), [("a", 2)])
    >>> tree.set_rack(1, 90.0)
    >>> tree.crossings()
    [(1, 90.0, 80.0, True)]
    >>> tree.names, tree.power_w.tolist()
    (('a-0', 'a-1', 'hall'), [0.0, 90.0, 90.0])
    """

    def __init__(
        self,
        names: Sequence[str],
        parent: Sequence[int],
        rating_w: Sequence[float],
        budget_w: Sequence[float],
        losses: Sequence[_Losses],
        other_w: float = 0.0,
    ) -> None:
        """Take nodes as struct of arrays, the parent of each (-1: the hall's), and what only the hall feeds."""
        self.names = tuple(names)
        self.parent = tuple(parent)
        self.rating_w = np.asarray(rating_w, dtype=np.float64)
        """(R + P + 1,) that a node may carry for ever; infinity: not watched."""
        self.budget_w = np.asarray(budget_w, dtype=np.float64)
        """(R + P + 1,) that policies keep it to; infinity: none."""
        self.losses = tuple(losses)
        self.other_w = other_w
        self.racks = _count_racks(self.parent)
        self._rating = self.rating_w.tolist()
        self._out = [0.0] * len(names)
        self._in = [_input_w(stages, 0.0) for stages in self.losses]
        self._over = [False] * len(names)
        self._touched: dict[int, None] = {}
        self._changes = 0
        self._sum_again()

    @property
    def power_w(self) -> Floats:
        """(R + P + 1,) output of each node now, W; a rack's is what its servers draw."""
        return np.array(self._out)

    @property
    def input_w(self) -> Floats:
        """(R + P + 1,) input of each node now, W: output and losses of the stages that stand there."""
        return np.array(self._in)

    def output_w(self, node: int) -> float:
        """Return what a node delivers now, W; a rack to its servers."""
        return self._out[node]

    def rated_side_w(self, node: int) -> float:
        """Return what a node's rating looks at now, W: a rack's input, the output of others."""
        return self._in[node] if node < self.racks else self._out[node]

    def pdu_limits(self) -> tuple[Floats, Floats]:
        """Return (P,) what the servers below each PDU draw, and what they may draw within its budget, W.

        What they may draw is a safe guess: more load is taken to lose what the full load of a rack's stages loses
        at the margin, less load to save no losses.
        """
        racks, hall = self.racks, len(self.names) - 1
        drawn = [0.0] * (hall - racks)
        steepest = [1.0] * (hall - racks)
        for rack in range(racks):
            pdu = self.parent[rack] - racks
            if self.parent[rack] < hall:
                drawn[pdu] += self._out[rack]
                margin = math.prod(1.0 + c1 + 2.0 * c2 for _, _, c1, c2 in self.losses[rack])
                steepest[pdu] = max(steepest[pdu], margin)
        spare = self.budget_w[racks:hall] - np.array(self._out[racks:hall])
        slope = np.where(spare > 0.0, steepest, 1.0)
        return np.array(drawn), np.array(drawn) + spare / slope

    def set_rack(self, rack: int, power_w: float) -> None:
        """Note that the servers of a rack now draw `power_w` (>= 0); O(levels)."""
        self._changes += 1
        if self._changes % _SUM_AGAIN == 0:
            self._sum_again()
        self.change(rack, power_w - self._out[rack])
        self._out[rack] = power_w

    def change(self, rack: int, delta_w: float) -> None:
        """Note that the servers of a rack draw `delta_w` more; O(levels)."""
        node = rack
        while node != -1 and delta_w != 0.0:
            self._out[node] += delta_w
            before = self._in[node]
            self._in[node] = _input_w(self.losses[node], self._out[node])
            delta_w = self._in[node] - before
            self._touched[node] = None
            node = self.parent[node]

    def crossings(self) -> list[tuple[int, float, float, bool]]:
        """Return (node, power W, rating W, began) of each rating newly exceeded, or no longer, since the last call.

        The state at the time of the call counts, so that powers set one after the other at an instant are one.
        """
        found = []
        for node in sorted(self._touched):
            rating_w = self._rating[node]
            power_w = self._in[node] if node < self.racks else self._out[node]
            over = power_w > rating_w * _ROUNDING
            if over != self._over[node]:
                self._over[node] = over
                found.append((node, power_w, rating_w, over))
        self._touched.clear()
        return found

    def over_budget(self) -> Ints:
        """Return the nodes whose output is over their budget now, ascending; for a rack what its servers draw."""
        return np.flatnonzero(self.power_w > self.budget_w * _ROUNDING)

    def _sum_again(self) -> None:
        """Sum all nodes from the racks up."""
        sums: list[list[float]] = [[] for _ in self.names]
        for node in range(len(self.names)):
            if node >= self.racks:
                self._out[node] = math.fsum(sums[node])
            self._in[node] = _input_w(self.losses[node], self._out[node])
            if self.parent[node] != -1:
                sums[self.parent[node]].append(self._in[node])
        self._out[-1] += self.other_w
        self._in[-1] = _input_w(self.losses[-1], self._out[-1])


def _count_racks(parent: Sequence[int]) -> int:
    """Return how many nodes feed none: racks come first."""
    return min((above for above in parent if above != -1), default=len(parent) - 1)


def _input_w(stages: _Losses, output_w: float) -> float:
    """Return what a node draws to deliver `output_w` through its stages."""
    for rated_w, c0, c1, c2 in stages:
        load = output_w / rated_w
        output_w += rated_w * (c0 + load * (c1 + load * c2))
    return output_w


def build_power_tree(
    spec: PowerTreeSpec,
    groups: Sequence[tuple[str, int]],
    stages: Sequence[ChainStage] = (),
    rack_peak_w: Sequence[float] | None = None,
    *,
    hall_budget_w: float = math.inf,
    other_w: float = 0.0,
) -> PowerTree:
    """Return the tree of a valid scenario, all racks at 0 W.

    Stages of the chain (`power.build_chain`) at level rack or pdu are split over the nodes there in
    proportion to the peak power they feed, so that evenly loaded nodes lose together what the chain says.

    Args:
        spec: `power.tree`.
        groups: (name, count) of `cluster.racks`, in order.
        stages: of the power chain.
        rack_peak_w: (R,) largest draw of each rack; None: all alike.
        hall_budget_w: of all racks and `other_w` together (`power.budget_w`).
        other_w: constant IT power outside the racks (switches, file system), fed by the hall.
    """
    racks = tuple(label for name, count in groups for label in numbered(name, count))
    peak_w = np.ones(len(racks)) if rack_peak_w is None else np.asarray(rack_peak_w, dtype=np.float64)
    pdus, feeds = pdu_of_racks(spec, groups)
    hall = len(racks) + len(pdus)
    parent = [len(racks) + pdu if pdu >= 0 else hall for pdu in feeds] + [hall] * len(pdus) + [-1]
    fed = np.array(feeds, dtype=np.int64)
    pdu_peak_w = np.bincount(fed[fed >= 0], weights=peak_w[fed >= 0], minlength=len(pdus))
    total_w = float(peak_w.sum())
    losses = [
        _split([stage for stage in stages if stage.level == level], part / total_w if total_w > 0.0 else 0.0)
        for level, parts in (("rack", peak_w), ("pdu", pdu_peak_w))
        for part in parts.tolist()
    ]
    breaker_w = math.inf if spec.rack_breaker_w is None else spec.continuous_fraction * spec.rack_breaker_w
    pdu_rated = [pdu.rated_power_w or math.inf for pdu in spec.pdus for _ in range(pdu.count)]
    pdu_budget = [
        pdu.budget_w or pdu.rated_power_w or math.inf for pdu in spec.pdus for _ in range(pdu.count)
    ]
    return PowerTree(
        (*racks, *pdus, "hall"),
        parent,
        [*[breaker_w] * len(racks), *pdu_rated, spec.hall_rated_power_w or math.inf],
        [*_rack_budgets_w(spec.rack_budget_w, breaker_w, losses[: len(racks)]), *pdu_budget, hall_budget_w],
        [*losses, ()],
        other_w,
    )


def _rack_budgets_w(told_w: float | None, breaker_w: float, losses: Sequence[_Losses]) -> list[float]:
    """Return what the servers of each rack are kept to: as told, else what loads its breaker to its rating."""
    if told_w is not None or breaker_w == math.inf:
        return [told_w or breaker_w] * len(losses)
    known: dict[_Losses, float] = {}
    for stages in losses:
        if stages not in known:
            known[stages] = _output_w(stages, breaker_w)
    return [known[stages] for stages in losses]


def _output_w(stages: _Losses, input_w: float) -> float:
    """Return the most that stages deliver while they draw no more than `input_w`; 0 where losses take all of it."""
    low, high = 0.0, input_w
    for _ in range(60):
        middle = 0.5 * (low + high)
        if _input_w(stages, middle) <= input_w:
            low = middle
        else:
            high = middle
    return low


def _split(stages: Sequence[ChainStage], share: float) -> _Losses:
    """Return a node's part of stages; none for a node that feeds nothing."""
    return tuple((stage.rated_w * share, stage.c0, stage.c1, stage.c2) for stage in stages if share > 0.0)


@dataclass(frozen=True, slots=True)
class RackLog:
    """What the servers of each rack draw: from its time on, until the rack's next entry."""

    time_s: Floats
    """(M,) non-decreasing, >= 0."""
    rack: Ints
    """(M,)."""
    power_w: Floats
    """(M,) >= 0; a rack without an entry draws nothing."""
    end_s: float


@dataclass(frozen=True, slots=True)
class TreeEnergies:
    """Energy at each node over a run, in the order of the tree's nodes; (R + P + 1,)."""

    in_j: Floats
    out_j: Floats
    loss_j: Floats
    """in = out + loss."""
    peak_w: Floats
    """Largest output."""
    time_s: Floats
    """(T,) when the losses of racks and PDUs change."""
    loss_w: Floats
    """(T,) those losses, all nodes together, from then on."""


def tree_energies(tree: PowerTree, log: RackLog) -> TreeEnergies:
    """Return the exact energies of all nodes over [0, log.end_s]; O(M log M).

    The output of a PDU or of the hall is the sum of the inputs of what it feeds, at every change.
    """
    hall = len(tree.names) - 1
    sums = _Sums(tree, log.end_s)
    # Everything draws its no-load losses from the start.
    level = _sorted(
        np.concatenate([np.zeros(tree.racks), log.time_s]),
        np.concatenate([np.arange(tree.racks), log.rack]),
        np.concatenate([np.zeros(tree.racks), log.power_w]),
    )
    steps = sums.add(level)
    parent = np.array(tree.parent)[level.node]
    below = parent < hall
    fed = [(level.time_s[~below], steps[~below])]
    if below.any():
        pdus = _courses(_sorted(level.time_s[below], parent[below], steps[below]))
        fed.append((pdus.time_s, sums.add(pdus)))
    time_s, change_w = (np.concatenate(parts) for parts in zip(*fed, strict=True))
    time_s, change_w = np.append(time_s, 0.0), np.append(change_w, tree.other_w)
    sums.add(_courses(_sorted(time_s, np.full(len(time_s), hall, dtype=np.int64), change_w)))
    lost_time, lost_change = (np.concatenate(parts) for parts in zip(*sums.lost[:-1], strict=True))
    order = np.argsort(lost_time, kind="stable")
    lost_time, lost_w = lost_time[order], np.cumsum(lost_change[order])
    last = np.append(np.diff(lost_time) > 0.0, True)
    return TreeEnergies(
        sums.in_j,
        sums.out_j,
        sums.loss_j,
        sums.peak_w,
        lost_time[last],
        np.maximum(lost_w[last], 0.0),
    )


@dataclass(frozen=True, slots=True)
class _Level:
    """Events of nodes, by node and then by time: (E,) each."""

    time_s: Floats
    node: Ints
    value: Floats
    """Power from then on, or its change."""


def _sorted(time_s: Floats, node: Ints, value: Floats) -> _Level:
    order = np.lexsort((time_s, node))
    return _Level(time_s[order], node[order], value[order])


def _courses(changes: _Level) -> _Level:
    """Return powers from changes of power, summed node by node so that rounding stays within one."""
    starts = np.flatnonzero(np.diff(changes.node, prepend=-1))
    parts = [np.cumsum(part) for part in np.split(changes.value, starts[1:])]
    return _Level(changes.time_s, changes.node, np.maximum(np.concatenate(parts), 0.0))


class _Sums:
    """Integrals and peaks of nodes, level by level."""

    def __init__(self, tree: PowerTree, end_s: float) -> None:
        count = len(tree.names)
        self.tree = tree
        self.end_s = end_s
        self.in_j, self.out_j, self.loss_j = np.zeros(count), np.zeros(count), np.zeros(count)
        self.peak_w = np.zeros(count)
        self.lost: list[tuple[Floats, Floats]] = []
        """(time, change of loss) of each level."""

    def add(self, level: _Level) -> Floats:
        """Add a level whose `value` is output power; returns the changes of input power."""
        count = len(self.in_j)
        same = np.append(level.node[1:] == level.node[:-1], [False])
        until = np.where(same, np.append(level.time_s[1:], self.end_s), self.end_s)
        duration_s = np.maximum(np.minimum(until, self.end_s) - level.time_s, 0.0)
        input_w = self._inputs_w(level)
        self.out_j += np.bincount(level.node, weights=level.value * duration_s, minlength=count)
        self.in_j += np.bincount(level.node, weights=input_w * duration_s, minlength=count)
        loss_w = input_w - level.value
        self.loss_j += np.bincount(level.node, weights=loss_w * duration_s, minlength=count)
        lasting = duration_s > 0.0
        np.maximum.at(self.peak_w, level.node[lasting], level.value[lasting])
        first = np.append([True], ~same[:-1])
        self.lost.append((level.time_s, _changes(loss_w, first)))
        return _changes(input_w, first)

    def _inputs_w(self, level: _Level) -> Floats:
        """Return what nodes draw while they deliver `value`, stage by stage."""
        stages = self.tree.losses
        depth = max((len(stages[node]) for node in np.unique(level.node).tolist()), default=0)
        power_w = level.value
        for place in range(depth):
            table = np.array([own[place] if place < len(own) else (1.0, 0.0, 0.0, 0.0) for own in stages])
            rated_w, c0, c1, c2 = table[level.node].T
            load = power_w / rated_w
            power_w = power_w + rated_w * (c0 + load * (c1 + load * c2))
        return power_w


def _changes(power_w: Floats, first: npt.NDArray[np.bool_]) -> Floats:
    """Return by how much each value differs from the one before it of the same node; the first from 0."""
    return np.asarray(power_w - np.where(first, 0.0, np.append([0.0], power_w[:-1])), dtype=np.float64)
