"""Collectives run rank by rank and piece by piece, counting every byte: an independent answer for the formulas."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from itertools import chain

from dcsim.workload.double_tree import double_tree

SWITCH = -1

Rings = list[tuple[list[int], list[list[int]]]]
"""(ranks in order, the group of pieces that each of them keeps), of rings that run at once."""


class RankMachine:
    """Ranks with pieces of a message; each piece knows whose contributions it holds.

    Args:
        counts: devices on each server; ranks follow the servers.
    """

    def __init__(self, counts: tuple[int, ...]) -> None:
        self.counts = counts
        self.ranks = sum(counts)
        self.server = [i for i, g in enumerate(counts) for _ in range(g)]
        self.of_server = [[r for r in range(self.ranks) if self.server[r] == i] for i in range(len(counts))]
        self.held: dict[tuple[int, int], frozenset[int]] = {}
        self.bytes: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
        self.rounds = [0, 0]  # inside, between

    def fill(self, pieces: int) -> None:
        """Give every rank its own contribution to every piece."""
        self.pieces = pieces
        self.held = {(rank, p): frozenset({rank}) for rank in range(self.ranks) for p in range(pieces)}

    def round(self, messages: list[tuple[int, int, int]], *, adds: bool) -> None:
        """Send (source, target, piece) at once; what comes in is added up or takes the old one's place."""
        sent = [(target, piece, self.held[source, piece]) for source, target, piece in messages]
        for source, target, _ in messages:
            self.bytes[source, target] += Fraction(1, self.pieces)
        for target, piece, value in sent:
            old = self.held.get((target, piece), frozenset()) if adds else frozenset()
            assert not old & value, "a contribution would be added twice"
            self.held[target, piece] = old | value
        servers = [(self.home(a), self.home(b)) for a, b, _ in messages]
        self.rounds[any(a != b for a, b in servers)] += bool(messages)

    def home(self, rank: int) -> int:
        return SWITCH if rank == SWITCH else self.server[rank]

    def reduce_scatter(self, rings: Rings) -> None:
        """In each ring at once, member i ends with the sums of the i-th group of pieces."""
        for t in range(max(len(members) for members, _ in rings) - 1):
            messages = []
            for members, groups in rings:
                k = len(members)
                if t < k - 1:
                    messages += [
                        (members[i], members[(i + 1) % k], piece)
                        for i in range(k)
                        for piece in groups[(i - 1 - t) % k]
                    ]
            self.round(messages, adds=True)

    def all_gather(self, rings: Rings) -> None:
        """In each ring at once, every member gets the i-th group of pieces from member i."""
        for t in range(max(len(members) for members, _ in rings) - 1):
            messages = []
            for members, groups in rings:
                k = len(members)
                if t < k - 1:
                    messages += [
                        (members[i], members[(i + 1) % k], piece)
                        for i in range(k)
                        for piece in groups[(i - t) % k]
                    ]
            self.round(messages, adds=False)

    def between_servers(self) -> dict[tuple[int, int], Fraction]:
        """Bytes of each pair of servers that differ."""
        found: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
        for (source, target), size in self.bytes.items():
            pair = self.home(source), self.home(target)
            if pair[0] != pair[1]:
                found[pair] += size
        return dict(found)

    def inside_servers(self) -> dict[int, Fraction]:
        """Bytes sent inside each server."""
        found: dict[int, Fraction] = defaultdict(Fraction)
        for (source, target), size in self.bytes.items():
            if self.home(source) == self.home(target):
                found[self.home(source)] += size
        return dict(found)

    def busiest_device(self) -> Fraction:
        """Bytes sent inside its server by the device that sends most there."""
        found: dict[int, Fraction] = defaultdict(Fraction)
        for (source, target), size in self.bytes.items():
            if self.home(source) == self.home(target):
                found[source] += size
        return max(found.values(), default=Fraction(0))

    def check_summed(self) -> None:
        everyone = frozenset(range(self.ranks))
        assert all(
            self.held[rank, piece] == everyone for rank in range(self.ranks) for piece in range(self.pieces)
        )

    def check_scattered(self) -> None:
        """Each rank has the complete sums of 1 / n of the pieces, and together they have all, once."""
        everyone = frozenset(range(self.ranks))
        complete = [(rank, piece) for (rank, piece), value in self.held.items() if value == everyone]
        ranks = [rank for rank, _ in complete if rank != SWITCH]
        pieces = sorted(piece for rank, piece in complete if rank != SWITCH)
        assert pieces == list(range(self.pieces))
        assert [ranks.count(rank) for rank in range(self.ranks)] == [self.pieces // self.ranks] * self.ranks


def ring(machine: RankMachine, collective: str) -> None:
    """A flat ring over the ranks in order, the message cut into n pieces."""
    n = machine.ranks
    machine.fill(n)
    rings = [(list(range(n)), [[piece] for piece in range(n)])]
    if collective in {"all_reduce", "reduce_scatter"}:
        machine.reduce_scatter(rings)
        machine.check_scattered()
    else:
        _only_keepers(machine, rings)
    if collective != "reduce_scatter":
        machine.all_gather(rings)
        machine.check_summed()


def broadcast(machine: RankMachine) -> None:
    """Rank 0 to 1 to 2 and so on, in one piece."""
    machine.fill(1)
    for rank in range(machine.ranks - 1):
        machine.round([(rank, rank + 1, 0)], adds=False)
    assert all(machine.held[rank, 0] == frozenset({0}) for rank in range(machine.ranks))


def all_to_all(machine: RankMachine) -> None:
    """Round t: rank r sends its piece for rank r + t straight there."""
    n = machine.ranks
    machine.fill(n)
    for t in range(1, n):
        machine.round([(r, (r + t) % n, (r + t) % n) for r in range(n)], adds=True)
    for rank in range(n):
        assert machine.held[rank, rank] == frozenset(range(n))


def tree(machine: RankMachine) -> None:
    """Two halves: each up a chain in every server and a tree of the servers, and down again."""
    machine.fill(2)
    steps = max(machine.counts) - 1
    for i in reversed(range(steps)):
        machine.round([(b, a, half) for a, b, half in _links(machine, i)], adds=True)
    heads = [ranks[0] for ranks in machine.of_server]
    by_height: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for half, edges in enumerate(double_tree(len(heads))):
        parent = dict(edges)
        for child, above in edges:
            by_height[_height(child, parent)].append((heads[child], heads[above], half))
    for height in sorted(by_height):
        machine.round(by_height[height], adds=True)
    for height in sorted(by_height, reverse=True):
        machine.round([(above, child, half) for child, above, half in by_height[height]], adds=False)
    for i in range(steps):
        machine.round(_links(machine, i), adds=False)
    machine.check_summed()


def _links(machine: RankMachine, i: int) -> list[tuple[int, int, int]]:
    """(device i, device i + 1, half) of every server that has both."""
    chains = [ranks for ranks in machine.of_server if i + 1 < len(ranks)]
    return [(ranks[i], ranks[i + 1], half) for ranks in chains for half in (0, 1)]


def _height(node: int, parent: dict[int, int]) -> int:
    """Edges from a node down to its deepest leaf."""
    return max((_height(child, parent) + 1 for child, above in parent.items() if above == node), default=0)


def hierarchical(machine: RankMachine, collective: str, *, in_network: bool = False) -> None:
    """Rings inside, then for every piece among its owners on each server, then rings inside again."""
    n, s = machine.ranks, len(machine.counts)
    lcm = math.lcm(*machine.counts)
    major = [list(range(k * n * s, (k + 1) * n * s)) for k in range(lcm)]
    machine.fill(lcm * n * s)
    inside, owners = [], []
    for ranks in machine.of_server:
        share = lcm // len(ranks)
        groups = [list(chain(*major[i * share : (i + 1) * share])) for i in range(len(ranks))]
        inside.append((ranks, groups))
        owners.append([ranks[k // share] for k in range(lcm)])
    # Each piece's owners form a ring, in which server i ends with g_i / n of it (a sum that everybody
    # gets need not be kept in any proportion: there in equal parts).
    between = []
    for k in range(lcm):
        weights = [s * g for g in machine.counts] if collective != "all_reduce" else [n] * s
        ends = [sum(weights[:i]) for i in range(s + 1)]
        groups = [major[k][ends[i] : ends[i + 1]] for i in range(s)]
        between.append(([owners[i][k] for i in range(s)], groups))
    switches = in_network and s > 1
    if collective == "all_gather":
        _only_keepers(machine, between)
    else:
        machine.reduce_scatter(inside)
    if switches:
        {"all_reduce": _switch_sum, "reduce_scatter": _switch_add, "all_gather": _switch_copy}[collective](
            machine, between
        )
    else:
        if collective != "all_gather":
            machine.reduce_scatter(between)
        if collective != "reduce_scatter":
            machine.all_gather(between)
    if collective == "reduce_scatter":
        machine.check_scattered()
    else:
        machine.all_gather(inside)
        machine.check_summed()


def _only_keepers(machine: RankMachine, rings: Rings) -> None:
    """Member i of each ring has the whole of the i-th group of pieces, and nobody anything else."""
    whole = frozenset(range(machine.ranks))
    machine.held = {
        (members[i], piece): whole
        for members, groups in rings
        for i in range(len(members))
        for piece in groups[i]
    }


def _switch_sum(machine: RankMachine, rings: Rings) -> None:
    """Every owner sends all of its piece up, and the switch sends the sum to all."""
    up = [
        (member, SWITCH, piece) for members, groups in rings for member in members for piece in chain(*groups)
    ]
    machine.round(up, adds=True)
    machine.round([(SWITCH, member, piece) for member, _, piece in up], adds=False)


def _switch_add(machine: RankMachine, rings: Rings) -> None:
    """Owners send up all pieces but those they keep; the switch adds up and sends each to who keeps it."""
    up, down = [], []
    for members, groups in rings:
        for i, keeper in enumerate(members):
            up += [(other, SWITCH, piece) for other in members if other != keeper for piece in groups[i]]
            down += [(SWITCH, keeper, piece) for piece in groups[i]]
    machine.round(up, adds=True)
    machine.round(down, adds=True)


def _switch_copy(machine: RankMachine, rings: Rings) -> None:
    """Keepers send their pieces up once; the switch copies each to all other owners."""
    up, down = [], []
    for members, groups in rings:
        for i, keeper in enumerate(members):
            up += [(keeper, SWITCH, piece) for piece in groups[i]]
            down += [(SWITCH, other, piece) for other in members if other != keeper for piece in groups[i]]
    machine.round(up, adds=False)
    machine.round(down, adds=False)
