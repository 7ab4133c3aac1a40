"""Gangs that come and go on a cluster kept at 90 % of its accelerators: nothing but placement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.bench_scenario import WIDTHS
from dcsim.facility.free_index import FreeIndex
from dcsim.policies.placement import BestFit
from dcsim.policies.views import Placement
from dcsim.simulation.open_loop_placing import indexed_placement

__all__ = ["Cluster", "full_cluster", "turn_over"]

_ACCELERATORS = 8
_LOAD = 0.9


@dataclass(frozen=True)
class Cluster:
    """What is free, and the gangs that hold the rest."""

    index: FreeIndex
    gangs: list[Placement]


def _widths(draws: np.random.Generator, count: int) -> list[int]:
    weights = np.array(list(WIDTHS.values()))
    found: list[int] = draws.choice(list(WIDTHS), count, p=weights / weights.sum()).tolist()
    return found


def _place(index: FreeIndex, width: int) -> Placement | None:
    decide = indexed_placement(BestFit())
    if decide is None:
        raise RuntimeError("best fit is not decided on an index")
    server = decide.single(index, width)
    if server >= 0:
        return ((server, width),)
    return decide.gang(index, width, 0) if width > 1 else None


def full_cluster(servers: int) -> Cluster:
    """Return a cluster filled to 90 % by best fit, a fifth of the gangs gone again and replaced."""
    cluster = Cluster(FreeIndex([_ACCELERATORS] * servers), [])
    draws = np.random.Generator(np.random.PCG64(5))
    target = int((1.0 - _LOAD) * servers * _ACCELERATORS)
    for width in _widths(draws, servers * _ACCELERATORS):
        if cluster.index.total <= target:
            break
        placement = _place(cluster.index, width)
        if placement is not None:
            _take(cluster, placement)
    turn_over(cluster, len(cluster.gangs) // 5)
    return cluster


def _take(cluster: Cluster, placement: Placement) -> None:
    for server, count in placement:
        cluster.index.take(server, count)
    cluster.gangs.append(placement)


def turn_over(cluster: Cluster, decisions: int) -> None:
    """Place so many gangs, each after another one went, drawn by chance."""
    draws = np.random.Generator(np.random.PCG64(6))
    index, gangs = cluster.index, cluster.gangs
    for width, chance in zip(_widths(draws, decisions), draws.random(decisions).tolist(), strict=True):
        gone = int(chance * len(gangs))
        gangs[gone], gangs[-1] = gangs[-1], gangs[gone]
        for server, count in gangs.pop():
            index.give(server, count)
        placement = _place(index, width)
        if placement is not None:
            _take(cluster, placement)
