"""What placement policies share: filling servers with a gang, given how much of it fits each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.policies.views import Placement, PlacementRequest

__all__ = ["fewest_servers", "fill", "on_one_server", "tightest"]

Ints = npt.NDArray[np.int64]


def on_one_server(server: int, request: PlacementRequest) -> Placement:
    """Return the whole gang on one server."""
    return ((server, request.accelerators),)


def fill(servers: Ints, room: Ints, request: PlacementRequest) -> Placement | None:
    """Fill `servers` in the given order until the gang is complete; None if it does not fit."""
    limit = request.max_servers or len(servers)
    chosen = servers[:limit]
    filled = np.cumsum(room[chosen])
    if not len(filled) or filled[-1] < request.accelerators:
        return None
    last = int(np.searchsorted(filled, request.accelerators))
    counts = room[chosen[: last + 1]].copy()
    counts[-1] -= filled[last] - request.accelerators
    return tuple(sorted(zip(chosen[: last + 1].tolist(), counts.tolist(), strict=True)))


def tightest(room: Ints, need: int) -> int:
    """Return the first server with the smallest sufficient room, or -1."""
    server = int(np.where(room >= need, room, np.iinfo(np.int64).max).argmin())
    return server if room[server] >= need else -1


def fewest_servers(room: Ints, request: PlacementRequest) -> Placement | None:
    """Place a gang wider than any server's room on as few servers as can hold it; None if none can.

    Those with most room are filled; what is left of the gang goes where it fits most tightly.
    """
    if request.max_servers == 1 or request.accelerators == 0:
        return None
    servers = np.flatnonzero(room)
    servers = servers[np.argsort(-room[servers], kind="stable")]
    placement = fill(servers, room, request)
    if placement is None or len(placement) == 1:
        return placement
    # The gang's rest goes where it leaves the least stranded room, by best fit.
    emptied = [server for server, count in placement if count == room[server]]
    rest = request.accelerators - int(room[emptied].sum())
    if rest == 0:
        return placement
    left = room.copy()
    left[emptied] = 0
    full = [(server, int(room[server])) for server in emptied]
    return tuple(sorted([*full, (tightest(left, rest), rest)]))
