"""What the jobs of an open loop carried over links, for the log of traffic: the stints of the event loop, in its order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.open_loop_gangs import GangWeights
from dcsim.simulation.traffic_log import TrafficLog

__all__ = ["GangTraffic", "log_traffic"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GangTraffic:
    """What gangs (G,) carried, in the order in which they ended, and after those that did the ones that go on."""

    order: Ints
    """(G,) gangs in that order."""
    tenant: Ints
    start_s: Floats
    end_s: Floats
    steps: Floats
    network_bytes_per_step: Floats
    stream_bytes_per_step: Floats
    local: Floats
    """Part of the input that comes from the servers' own disks."""


@dataclass(frozen=True, slots=True)
class _Stints:
    """One kind of stint, one a gang (K,), and its uses of links in rows."""

    kind: int
    """Tells the stints of one gang apart, in the order of the event loop."""
    bytes_per_step: Floats
    row_gang: Ints
    """(U,) gang of each use; the uses of a gang together."""
    link: Ints
    weight: Floats


def log_traffic(
    log: TrafficLog,
    inputs: RunInputs,
    gangs: GangTraffic,
    weights: GangWeights,
    first: Ints,
    server: Ints,
    count: Ints,
) -> None:
    """Log all that gangs carried.

    Args:
        log: is added to.
        inputs: of the run.
        gangs: what they carried.
        weights: of their exchange on links.
        first: (G + 1,) where each gang's rows begin.
        server: (R,) of the parts of gangs.
        count: (R,) devices there.
    """
    part_gang = np.repeat(np.arange(len(first) - 1), np.diff(first))
    kinds = [
        _exchange(inputs, gangs, weights, part_gang, server),
        _inside(inputs, weights, part_gang, server),
        _feed(inputs, gangs, first, part_gang, server, count),
    ]
    place = np.empty(len(gangs.order), dtype=np.int64)
    place[gangs.order] = np.arange(len(gangs.order))
    moved = (gangs.end_s > gangs.start_s) & (gangs.steps > 0.0)
    idents, when, sizes = [], [], []
    for stints in kinds:
        uses = np.bincount(stints.row_gang, minlength=len(moved))
        kept = np.flatnonzero((uses > 0) & moved & (stints.bytes_per_step > 0.0))
        rows = np.isin(stints.row_gang, kept) if len(kept) < len(moved) else slice(None)
        base = log.many_uses(uses[kept], stints.link[rows], stints.weight[rows], gangs.tenant[kept])
        idents.append(base + np.arange(len(kept)))
        when.append(place[kept] * len(kinds) + stints.kind)
        sizes.append(kept)
    gang = np.concatenate(sizes)
    per_step = np.concatenate([s.bytes_per_step[k] for s, k in zip(kinds, sizes, strict=True)])
    order = np.argsort(np.concatenate(when), kind="stable")
    gang = gang[order]
    log.stints(
        gangs.start_s[gang],
        gangs.end_s[gang],
        np.concatenate(idents)[order],
        per_step[order] * gangs.steps[gang],
    )


def _exchange(
    inputs: RunInputs, gangs: GangTraffic, weights: GangWeights, part_gang: Ints, server: Ints
) -> _Stints:
    network, rack = inputs.network, inputs.fleet.rack[server]
    columns = [
        (np.asarray(network.server_up.start + server), weights.server_up),
        (np.asarray(network.server_down.start + server), weights.server_down),
    ]
    if network.leaf_up:
        columns.append((np.asarray(network.leaf_up.start + rack), weights.leaf_up))
        columns.append((np.asarray(network.leaf_down.start + rack), weights.leaf_down))
    stints = _stints(0, gangs.network_bytes_per_step, part_gang, columns)
    # Ascending by link, as an exchange has them: sums over a tier are taken in that order.
    order = np.lexsort((stints.link, stints.row_gang))
    return replace(stints, link=stints.link[order], weight=stints.weight[order])


def _inside(inputs: RunInputs, weights: GangWeights, part_gang: Ints, server: Ints) -> _Stints:
    used = weights.fabric > 0.0
    links = np.zeros(len(server), dtype=np.int64)
    links[used] = [inputs.network.inside_use(s) for s in server[used].tolist()]
    return _stints(1, weights.fabric_bytes_per_step, part_gang, [(links, weights.fabric)])


def _feed(
    inputs: RunInputs, gangs: GangTraffic, first: Ints, part_gang: Ints, server: Ints, count: Ints
) -> _Stints:
    network, storage = inputs.network, inputs.storage
    largest = np.maximum.reduceat(count, first[:-1])[part_gang] if len(count) else count
    weight, local = count / largest, gangs.local[part_gang]
    shared = 1.0 - local
    # The file system once a gang: its streams added up one after the other, as a flow adds them.
    streams = np.bincount(part_gang, weights=weight)
    begins = np.append(True, part_gang[1:] != part_gang[:-1])[: len(part_gang)]
    columns = [
        (storage.disk_links.start + server, weight * local),
        (np.full(len(server), storage.shared_link), np.where(begins, shared * streams[part_gang], 0.0)),
        (network.server_down.start + server, weight * shared),
    ]
    if network.leaf_down:
        rack = inputs.fleet.rack[server]
        fresh = begins | np.append(True, rack[1:] != rack[:-1])[: len(rack)]
        group = np.cumsum(fresh) - 1
        by_rack = np.bincount(group, weights=weight)[group]
        columns.append((network.leaf_down.start + rack, np.where(fresh, by_rack * shared, 0.0)))
    return _stints(2, gangs.stream_bytes_per_step, part_gang, columns)


def _stints(
    kind: int, bytes_per_step: Floats, part_gang: Ints, columns: list[tuple[Ints, Floats]]
) -> _Stints:
    """Return stints with their uses gang by gang: those with a weight."""
    link = np.stack([link for link, _ in columns], axis=1).ravel()
    weight = np.stack([weight for _, weight in columns], axis=1).ravel()
    gang = np.repeat(part_gang, len(columns))
    used = weight > 0.0
    return _Stints(kind, bytes_per_step, gang[used], link[used].astype(np.int64), weight[used])
