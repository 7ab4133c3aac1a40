"""The built-in placement policies, decided on an index of free accelerators instead of on columns of servers.

Each says what the policy of the same name in `dcsim.policies.placement` says for a gang of whole
accelerators where nothing else can run out, without looking at every server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dcsim.facility.free_index import FreeIndex
from dcsim.policies.base import PlacementPolicy
from dcsim.policies.placement import BestFit, FirstFit, Spread, WorstFit
from dcsim.policies.views import Placement

__all__ = ["IndexedPlacement", "indexed_placement"]


@dataclass(frozen=True, slots=True)
class IndexedPlacement:
    """How a policy decides on an index."""

    single: Callable[[FreeIndex, int], int]
    """(index, accelerators >= 1) -> the server that takes all of them, or -1."""
    gang: Callable[[FreeIndex, int, int], Placement | None]
    """(index, accelerators > 1, at most so many servers or 0) -> the servers where none takes all, or None."""


def indexed_placement(policy: PlacementPolicy) -> IndexedPlacement | None:
    """Return how the policy decides on an index, or None where it has to see the servers.

    A class made from a built-in one may decide otherwise, so it has to see them.

    >>> indexed_placement(BestFit()).single(FreeIndex([4, 1]), 1)
    1
    """
    return _INDEXED.get(type(policy))


def _fewest(index: FreeIndex, need: int, limit: int) -> Placement | None:
    """Place a gang wider than any server's room on as few servers as can hold it, at most `limit`."""
    if limit == 1 or index.total < need:
        return None
    chosen, left = _filled(index.by_room(), index, need, limit)
    if left > 0:
        return None
    if left < 0:
        # The gang's rest goes where it leaves the least stranded room, by best fit.
        rest = chosen.pop()[1] + left
        chosen.append((index.tightest_but(rest, {server for server, _ in chosen}), rest))
    return tuple(sorted(chosen))


def _roomy(index: FreeIndex, need: int, limit: int) -> Placement | None:
    """Place a gang on the roomiest servers, one after another."""
    if limit == 1 or index.total < need:
        return None
    chosen, left = _filled(index.by_room(), index, need, limit)
    if left > 0:
        return None
    server, room = chosen[-1]
    chosen[-1] = (server, room + left)
    return tuple(sorted(chosen))


def _first(index: FreeIndex, need: int, limit: int) -> Placement | None:
    """Place a gang on the first servers with room."""
    if limit == 1 or index.total < need:
        return None
    chosen, left = _filled(index.in_order(), index, need, limit)
    if left > 0:  # the first ones are too small where others may do
        return _fewest(index, need, limit)
    server, room = chosen[-1]
    chosen[-1] = (server, room + left)
    return tuple(chosen)


def _filled(
    servers: Iterable[int], index: FreeIndex, need: int, limit: int
) -> tuple[list[tuple[int, int]], int]:
    """Return servers with their room, taken in turn until they hold `need` or are `limit`, and what they lack.

    What they lack is below zero by the room that the last one keeps.
    """
    free, chosen, left = index.free, [], need
    for server in servers:
        room = free[server]
        chosen.append((server, room))
        left -= room
        if left <= 0 or len(chosen) == limit:
            break
    return chosen, left


def _worst(index: FreeIndex, need: int) -> int:
    server = index.roomiest()
    return server if server >= 0 and index.free[server] >= need else -1


def _roomiest(index: FreeIndex, need: int) -> int:
    return index.roomiest() if need == 1 else -1


def _even(index: FreeIndex, need: int, limit: int) -> Placement | None:
    """Place a gang as evenly as can be on the servers with most room."""
    if index.total < need:
        return None
    most = min(need, limit or need)
    chosen = []
    for server in index.by_room():
        chosen.append((server, index.free[server]))
        if len(chosen) == most:
            break
    rooms = [room for _, room in chosen]
    if sum(rooms) < need:
        return None
    height = 0
    while height < rooms[0] and sum(min(room, height + 1) for room in rooms) <= need:
        height += 1
    over = need - sum(min(room, height) for room in rooms)
    # Rooms do not increase: those above the height are the first ones.
    return tuple(
        sorted((server, min(room, height + (place < over))) for place, (server, room) in enumerate(chosen))
    )


_INDEXED: dict[type[PlacementPolicy], IndexedPlacement] = {
    BestFit: IndexedPlacement(FreeIndex.tightest, _fewest),
    FirstFit: IndexedPlacement(FreeIndex.lowest, _first),
    Spread: IndexedPlacement(_roomiest, _even),
    WorstFit: IndexedPlacement(_worst, _roomy),
}
