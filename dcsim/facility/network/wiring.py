"""What a topology is made of: directed links in a table, routers, and where servers and storage are attached."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["NO_LINK", "Attachment", "Wiring"]

Ints = npt.NDArray[np.int64]

Attachment = tuple[int, int, int]
"""(router, link to it, link from it); `NO_LINK` for both where the server is the router."""

NO_LINK = -1
"""In place of a link that carries any traffic and has no number."""


class Wiring:
    """Links and routers of one network, as its builder lays them; every link is one direction.

    Links are numbered from 0 in the order in which they are laid. Links between routers are edges too:
    those that routing chooses from, among equals by the order in which they were laid.

    Args:
        routers: R, all that edges join: switches, and servers where they pass traffic on.
        switches: of those, that draw power.
    """

    def __init__(self, routers: int, switches: int) -> None:
        self.routers = routers
        self.switches = switches
        self.names: list[str] = []
        """(L,) unique."""
        self.tiers: list[str] = []
        """(L,)."""
        self.capacity_bytes_per_s: list[float] = []
        """(L,)."""
        self.latency_s: list[float] | None = None
        """(L,) of each link; None: not known link by link."""
        self.transit = np.ones(routers, dtype=bool)
        """(R,) whether a router passes on what is not for it."""
        self.planes: list[list[tuple[Attachment, ...]]] = []
        """For each plane (S,) attachments of each server; traffic is split evenly over planes."""
        self.storage: list[tuple[Attachment, ...]] = []
        """Attachments of each storage point; reads and writes are split evenly over them."""
        self.front_up: range = range(0)
        """(S,) separate link of each server to storage, empty where storage is attached to the network."""
        self.front_down: range = range(0)
        self.hashes_storage = False
        """Whether paths to storage are chosen by hash even where others are the first of the shortest."""
        self.distance: Callable[[int], Ints | None] | None = None
        """Gives (R,) the least cost from each router to one, with every link working, where there is a formula."""
        self._edges: list[tuple[Ints, Ints, Ints, Ints]] = []

    def lay(
        self, tier: str | Sequence[str], names: Sequence[str], capacity_bytes_per_s: Sequence[float] | float
    ) -> range:
        """Add links that are no edges, and return their numbers.

        Args:
            tier: of each, or one for all.
            names: one a link.
            capacity_bytes_per_s: of each, or one for all.
        """
        first, count = len(self.names), len(names)
        self.names += names
        self.tiers += [tier] * count if isinstance(tier, str) else list(tier)
        each = capacity_bytes_per_s
        self.capacity_bytes_per_s += [float(each)] * count if isinstance(each, float | int) else list(each)
        return range(first, first + count)

    def join(
        self, links: Sequence[int] | None, source: npt.ArrayLike, target: npt.ArrayLike, cost: int = 1
    ) -> None:
        """Let links lead from routers to routers; None: links without number or limit.

        Args:
            links: E numbers that `lay` gave.
            source: (E,) routers.
            target: (E,) routers.
            cost: of one hop, >= 1; traffic takes the ways of the least sum.
        """
        start, end = np.asarray(source, dtype=np.int64), np.asarray(target, dtype=np.int64)
        count = len(start)
        number = np.full(count, NO_LINK) if links is None else np.array(links, dtype=np.int64)
        if not len(number) == len(end) == count:
            msg = f"{len(number)} links from {count} to {len(end)} routers"
            raise ValueError(msg)
        self._edges.append((number, start, end, np.full(count, cost)))

    def edges(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Return (link, source router, target router, cost) of all edges, each (E,), in the order laid."""
        if not self._edges:
            empty = np.zeros(0, dtype=np.int64)
            return empty, empty, empty, empty
        link, source, target, cost = (np.concatenate(part) for part in zip(*self._edges, strict=True))
        return link, source, target, cost

    def attach(self, router: Sequence[int], up: Sequence[int], down: Sequence[int]) -> None:
        """Add a plane in which each server has one link to a router and one from it."""
        self.planes.append([(at,) for at in zip(router, up, down, strict=True)])
