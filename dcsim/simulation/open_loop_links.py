"""Whether every link had room for all that jobs wanted of it, at every instant of an open-loop run.

First a bound that needs no sorting: a link of a server carries at most the most that any job asked for
on a server, for each device it had there, times the devices of the server; a leaf's link likewise.
Where the bound is above a link's capacity the sums themselves are followed, in the order of events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.open_loop_gangs import GangWeights

__all__ = ["GrantRows", "links_hold"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ROUNDING = 1.0 + 1e-9
_COUNTABLE = 2.0**62
"""Whole bytes/s in all that are surely counted exactly."""


@dataclass(frozen=True, slots=True)
class GrantRows:
    """One row for each server of each gang, the rows of a gang together, its servers ascending."""

    gang: Ints
    """(R,) 0 for the first gang, ascending without gaps."""
    server: Ints
    """(R,)."""
    count: Ints
    """(R,) accelerators there."""
    granted: Ints
    """(R,) when: the position among all events."""
    freed: Ints
    """(R,) when, as `granted`; -1: not in this run."""
    network: Floats
    """(R,) whole bytes/s the gang puts on its busiest link; 0: none."""
    weights: GangWeights
    """Of that, on each of its links."""
    feed: Floats
    """(R,) whole bytes/s its largest server reads; 0: none."""
    local: Floats
    """(R,) part of that from the server's own disk."""


def links_hold(inputs: RunInputs, rows: GrantRows) -> bool:
    """Return whether no link but the shared file system's was ever asked for more than it gives.

    Usages are weighed and rounded as flows are (`dcsim.facility.storage`, `dcsim.facility.network`).
    """
    if not len(rows.gang):
        return True
    fleet, storage, network = inputs.fleet, inputs.storage, inputs.network
    capacity = np.array(inputs.links.bandwidths)
    largest = np.maximum.reduceat(rows.count, np.flatnonzero(np.diff(rows.gang, prepend=-1)))[rows.gang]
    weight = rows.count / largest
    disk = np.ceil(weight * rows.local * rows.feed)
    sent = np.ceil(rows.weights.server_up * rows.network)
    down = np.ceil(rows.weights.server_down * rows.network)
    down += np.ceil(weight * (1.0 - rows.local) * rows.feed)
    devices = fleet.total.astype(np.float64)
    of_disks, of_servers = capacity[np.array(storage.disk_links)], capacity[np.array(network.server_down)]
    holds = _holds(_Uses(rows.server, disk, rows.count, rows.granted, rows.freed), devices, of_disks)
    for usage in (down, sent):
        uses = _Uses(rows.server, usage, rows.count, rows.granted, rows.freed)
        holds = holds and _holds(uses, devices, of_servers)
    if not holds or network.tiers == 1:
        return holds
    in_rack = np.bincount(fleet.rack, weights=devices).astype(np.float64)
    of_leaves = capacity[np.array(network.leaf_down)]
    return all(
        _holds(_leaf_uses(rows, fleet.rack, weights, streams), in_rack, of_leaves)
        for weights, streams in (
            (rows.weights.leaf_down, weight),
            (rows.weights.leaf_up, np.zeros_like(weight)),
        )
    )


@dataclass(frozen=True, slots=True)
class _Uses:
    """What gangs ask of links, one row for each gang on each link (U,)."""

    link: Ints
    usage: Floats
    """Whole bytes/s."""
    devices: Ints
    """Held behind the link, >= 1."""
    granted: Ints
    freed: Ints


def _leaf_uses(rows: GrantRows, rack_of: Ints, exchange: Floats, weight: Floats) -> _Uses:
    """Return what crosses the link of each rack, one way: rows of one gang in one rack are next to each other."""
    rack = rack_of[rows.server]
    new = np.flatnonzero(np.diff(rows.gang, prepend=-1) | np.diff(rack, prepend=-1))
    group = np.zeros(len(rack), dtype=np.int64)
    group[new[1:]] = 1
    group = np.cumsum(group)
    # One after the other, as a flow adds up its streams.
    streams = np.bincount(group, weights=weight)
    usage = np.ceil(exchange[new] * rows.network[new])
    usage += np.ceil(streams * (1.0 - rows.local[new]) * rows.feed[new])
    devices = np.bincount(group, weights=rows.count).astype(np.int64)
    return _Uses(rack[new], usage, devices, rows.granted[new], rows.freed[new])


def _holds(uses: _Uses, devices: Floats, capacity: Floats) -> bool:
    """Return whether the links (L,) with so many devices behind them had room for all uses at all times."""
    each = float((uses.usage / uses.devices).max())
    if (each * devices * _ROUNDING <= capacity).all():
        return True
    if not float(uses.usage.sum()) < _COUNTABLE:
        return False
    ended = uses.freed >= 0
    usage = uses.usage.astype(np.int64)
    link = np.concatenate([uses.link, uses.link[ended]])
    change = np.concatenate([usage, -usage[ended]])
    when = np.concatenate([uses.granted, uses.freed[ended]])
    order = np.lexsort((when, link))
    link, booked = link[order], np.cumsum(change[order])
    first = np.flatnonzero(np.diff(link, prepend=-1))
    before = np.where(first > 0, booked[first - 1], 0)
    booked -= np.repeat(before, np.diff(np.append(first, len(link))))
    return bool((booked <= capacity[link]).all())
