"""Collectives of a gang as bytes between servers, bytes inside them, and rounds of latency.

What the message size m [B] means: all_reduce, the vector that every participant holds; all_gather, the
gathered result; reduce_scatter, the vector before it is scattered; all_to_all, what one participant holds for
all, itself included; broadcast and send_recv, what is passed on. So all_reduce = reduce_scatter + all_gather.

With n participants on s servers, g_i of them on server i:

    ring          every participant sends (n - 1) / n m to the next, twice that for all_reduce: the least
                  possible (Patarasuk, Yuan 2009, doi:10.1016/j.jpdc.2008.09.002). Ranks follow the placement, so
                  the ring leaves and enters every server once.
    tree          all_reduce up and down a chain of each server's devices and a double binary tree of the servers,
                  as NCCL builds it: the bytes of a ring, 2 log2 s rounds between servers.
    hierarchical  reduce-scatter inside each server, rings between servers of the devices with equal index, all-gather
                  inside: a server of g devices sends 2 (s - 1) / s m / g by each of them.
    in_network    inside as hierarchical; between servers the switches add up and copy, so that in an all_reduce every
                  server sends m and receives m (Graham et al., SHARP, 2016, doi:10.1109/COMHPC.2016.006).

An algorithm that does not have a collective leaves it to the ring, as NCCL does (`ALGORITHMS`); all_to_all and
send_recv go straight from source to target whatever the algorithm. See
docs/decisions/0073-collectives-and-parallel-traffic.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from dcsim.workload.double_tree import double_tree, tree_depth

__all__ = [
    "ALGORITHMS",
    "NOTHING",
    "SWITCH",
    "Algorithm",
    "Collective",
    "Pattern",
    "collective_pattern",
    "placement_counts",
    "unit_pattern",
]

Collective = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send_recv"]
Algorithm = Literal["ring", "tree", "hierarchical", "in_network"]

SWITCH = -1
"""Source or target of a transfer to or from the switches that reduce; no server has this number."""

_SHARDED = ("all_reduce", "all_gather", "reduce_scatter")

ALGORITHMS = MappingProxyType(
    {
        "ring": (*_SHARDED, "broadcast"),
        "tree": ("all_reduce",),
        "hierarchical": _SHARDED,
        "in_network": (*_SHARDED, "broadcast"),
    }
)
"""Collectives that each algorithm has of its own."""


class Pattern(NamedTuple):
    """What one collective, or several of the same groups, moves."""

    transfers: tuple[tuple[int, int, float], ...]
    """(source server, target server, bytes); each pair once, in a fixed order. May hold `SWITCH`."""
    inside: tuple[tuple[int, float], ...]
    """(server, bytes that its devices send each other), in the order of the placement."""
    device_bytes: float
    """Sent inside its server by the device that sends most there [B]."""
    rounds_inside: int
    """Messages one after the other inside servers."""
    rounds_between: int
    """Messages one after the other that wait for one between servers."""
    sequential: bool
    """Whether what is inside servers and what is between them follow each other, or overlap in a pipeline."""

    @property
    def between_bytes(self) -> float:
        """Bytes that servers send, in all."""
        return math.fsum(size for source, _, size in self.transfers if source != SWITCH)

    @property
    def inside_bytes(self) -> float:
        """Bytes sent inside servers, in all."""
        return math.fsum(size for _, size in self.inside)

    @property
    def busiest_bytes(self) -> float:
        """Bytes that the busiest server sends to others, or receives from them, whichever is more."""
        sent: dict[int, float] = {}
        received: dict[int, float] = {}
        for source, target, size in self.transfers:
            sent[source] = sent.get(source, 0.0) + size
            received[target] = received.get(target, 0.0) + size
        sent.pop(SWITCH, None)
        received.pop(SWITCH, None)
        return max((*sent.values(), *received.values()), default=0.0)

    @property
    def pair_bytes(self) -> float:
        """Bytes that two servers exchange, both directions together, at the pair with most."""
        pairs: dict[tuple[int, int], float] = {}
        for source, target, size in self.transfers:
            if SWITCH not in (source, target):
                pair = min(source, target), max(source, target)
                pairs[pair] = pairs.get(pair, 0.0) + size
        return max(pairs.values(), default=0.0)

    def placed(self, servers: Sequence[int], factor: float, messages: int = 1) -> Pattern:
        """Return the pattern with server i called `servers[i]`, bytes times `factor` and rounds times `messages`."""
        names = (*servers, SWITCH)  # the last one, so that SWITCH = -1 keeps its name
        return Pattern(
            tuple([(names[source], names[target], factor * size) for source, target, size in self.transfers]),
            tuple([(names[server], factor * size) for server, size in self.inside]),
            factor * self.device_bytes,
            messages * self.rounds_inside,
            messages * self.rounds_between,
            self.sequential,
        )


NOTHING = Pattern((), (), 0.0, 0, 0, sequential=False)
"""What a single participant moves."""


def collective_pattern(
    collective: Collective,
    algorithm: Algorithm,
    placement: Sequence[tuple[int, int]],
    message_bytes: float,
) -> Pattern:
    """Return what a collective moves between and inside the servers of a gang.

    Args:
        collective: One of `Collective`. A broadcast starts at the first device; send_recv goes from every device
            to the next, but from the last to none.
        algorithm: One of `Algorithm`.
        placement: (server, devices) in rank order, each server once, devices >= 1.
        message_bytes: m [B], as said at the top, >= 0.

    Raises:
        ValueError: an empty placement, a server named twice, fewer than one device, or a negative size.

    >>> collective_pattern("all_reduce", "ring", [(7, 2), (9, 2)], 4.0).transfers
    ((7, 9, 6.0), (9, 7, 6.0))
    >>> collective_pattern("all_reduce", "hierarchical", [(7, 2), (9, 2)], 4.0).transfers
    ((7, 9, 4.0), (9, 7, 4.0))
    >>> collective_pattern("all_reduce", "ring", [(7, 1)], 4.0).between_bytes
    0.0
    """
    servers, counts = placement_counts(placement)
    if not 0.0 <= message_bytes < float("inf"):
        msg = f"message_bytes {message_bytes}: expected a finite number >= 0"
        raise ValueError(msg)
    return unit_pattern(collective, algorithm, counts).placed(servers, message_bytes)


def placement_counts(placement: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return (servers, devices on each) of a gang's placement [(server, devices), ...].

    Raises:
        ValueError: an empty placement, a server named twice or below 0, or fewer than one device on one.
    """
    servers = tuple([server for server, _ in placement])
    counts = tuple([devices for _, devices in placement])
    if not servers or min(counts) < 1 or min(servers) < 0 or len(set(servers)) < len(servers):
        msg = f"placement {list(placement)[:8]}: expected distinct servers >= 0 with at least one device each"
        raise ValueError(msg)
    return servers, counts


@lru_cache(maxsize=4096)
def unit_pattern(collective: Collective, algorithm: Algorithm, counts: tuple[int, ...]) -> Pattern:
    """Return the pattern of a message of 1 byte on servers 0, 1, ... with `counts` devices each."""
    if sum(counts) == 1:
        return NOTHING
    if collective == "all_to_all":
        return _all_to_all(counts)
    if collective == "send_recv":
        return _chain(counts, _rounds(1, len(counts)))
    chosen = algorithm if collective in ALGORITHMS[algorithm] else "ring"
    return _MAKERS[chosen](collective, counts)


def _ring(collective: str, counts: tuple[int, ...]) -> Pattern:
    """Return a ring of all devices; a broadcast is the ring without its last edge."""
    if collective == "broadcast":
        return _chain(counts, (sum(counts) - len(counts), len(counts) - 1))
    n, s = sum(counts), len(counts)
    passes = 2 if collective == "all_reduce" else 1
    edge = passes * (n - 1) / n
    closing = 0 if s > 1 else 1  # alone in a server, the last device sends to the first there, too
    return _pattern(
        [(i, (i + 1) % s, edge) for i in range(s)] if s > 1 else [],
        [(g - 1 + closing) * edge for g in counts],
        edge if max(counts) > 1 else 0.0,
        *_rounds(passes * (n - 1), s),
    )


def _chain(counts: tuple[int, ...], rounds: tuple[int, int]) -> Pattern:
    """Return a chain of all devices, each sending the whole message to the next."""
    s = len(counts)
    transfers = [(i, i + 1, 1.0) for i in range(s - 1)]
    inside = [float(g - 1) for g in counts]
    return _pattern(transfers, inside, float(max(counts) > 1), *rounds)


def _all_to_all(counts: tuple[int, ...]) -> Pattern:
    """Return an exchange in which every device sends 1 / n straight to every other."""
    n, s = sum(counts), len(counts)
    transfers = [(i, j, counts[i] * counts[j] / n) for i in range(s) for j in range(s) if i != j]
    inside = [g * (g - 1) / n for g in counts]
    return _pattern(transfers, inside, (max(counts) - 1) / n, *_rounds(n - 1, s))


def _tree(_collective: str, counts: tuple[int, ...]) -> Pattern:
    """Return an all-reduce: up and down a chain in each server and a double binary tree over servers.

    Rounds: 2 (g - 1) inside and 2 log2 s between, as NCCL reckons its trees.
    """
    s, largest = len(counts), max(counts)
    edges: dict[tuple[int, int], float] = {}
    for tree in double_tree(s):
        for child, parent in tree:
            edges[child, parent] = edges.get((child, parent), 0.0) + 0.5
            edges[parent, child] = edges.get((parent, child), 0.0) + 0.5
    # Inside a chain a device passes the message on up and down; its ends, and pairs, one way only.
    device = 2.0 if largest > 2 else float(largest - 1)
    transfers = [(source, target, size) for (source, target), size in edges.items()]
    inside = [2.0 * (g - 1) for g in counts]
    return _pattern(transfers, inside, device, 2 * (largest - 1), 2 * tree_depth(s))


def _hierarchical(collective: str, counts: tuple[int, ...]) -> Pattern:
    """Return rings inside the servers and rings between them, one after the other.

    Where servers hold unequal numbers of devices the message is cut finely enough that each piece has one
    owner in each server. A result that stays scattered is 1 / n on every device, so server i keeps g_i / n.
    """
    n, s = sum(counts), len(counts)
    passes = 2 if collective == "all_reduce" else 1
    transfers = []
    for i in range(s) if s > 1 else ():
        following = (i + 1) % s
        kept = {"all_reduce": 2 / s, "reduce_scatter": counts[i] / n, "all_gather": counts[following] / n}
        transfers.append((i, following, passes - kept[collective]))
    return _with_inside(transfers, counts, passes, rounds_between=passes * (s - 1))


def _in_network(collective: str, counts: tuple[int, ...]) -> Pattern:
    """Return rings inside the servers, and sums and copies made by the switches between them."""
    n, s = sum(counts), len(counts)
    if s == 1:
        return _ring(collective, counts)
    if collective == "broadcast":
        transfers = [(0, SWITCH, 1.0), *((SWITCH, i, 1.0) for i in range(1, s))]
        largest = max(counts)
        inside = [float(g - 1) for g in counts]
        return _pattern(transfers, inside, float(largest > 1), largest - 1, 2, sequential=True)
    up = {"all_reduce": [1.0] * s, "all_gather": [g / n for g in counts]}
    up["reduce_scatter"] = [1.0 - part for part in up["all_gather"]]
    # Down comes what is missing: of a sum its own part, of a gathered result the parts of the others.
    down = {"all_reduce": [1.0] * s, "all_gather": up["reduce_scatter"], "reduce_scatter": up["all_gather"]}
    transfers = [(i, SWITCH, size) for i, size in enumerate(up[collective])]
    transfers += [(SWITCH, i, size) for i, size in enumerate(down[collective])]
    return _with_inside(transfers, counts, 2 if collective == "all_reduce" else 1, rounds_between=2)


def _with_inside(
    transfers: list[tuple[int, int, float]], counts: tuple[int, ...], passes: int, rounds_between: int
) -> Pattern:
    """Return transfers between servers with the rings inside them, before and after."""
    largest = max(counts)
    inside = [float(passes * (g - 1)) for g in counts]
    device = passes * (largest - 1) / largest
    rounds = passes * (largest - 1)
    return _pattern(transfers, inside, device, rounds, rounds_between, sequential=len(counts) > 1)


def _pattern(
    transfers: list[tuple[int, int, float]],
    inside: list[float],
    device_bytes: float,
    rounds_inside: int,
    rounds_between: int,
    *,
    sequential: bool = False,
) -> Pattern:
    """Return a pattern with what moves nothing left out."""
    moved = tuple([(server, size) for server, size in enumerate(inside) if size > 0.0])
    return Pattern(tuple(transfers), moved, device_bytes, rounds_inside, rounds_between, sequential)


def _rounds(rounds: int, servers: int) -> tuple[int, int]:
    """Return (rounds inside, rounds between): a round that crosses servers anywhere waits for that."""
    return (0, rounds) if servers > 1 else (rounds, 0)


_MAKERS: dict[str, Callable[[str, tuple[int, ...]], Pattern]] = {
    "ring": _ring,
    "tree": _tree,
    "hierarchical": _hierarchical,
    "in_network": _in_network,
}
