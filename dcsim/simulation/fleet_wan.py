"""The wide-area network of a fleet: what has to move with a job, what that costs, and when it has arrived."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.facility.transfers import Transfer, move
from dcsim.simulation.fleet_jobs import FleetJobs
from dcsim.spec.fleet import FleetSpec
from dcsim.spec.scenario import Scenario
from dcsim.workload.profile_store import LoadedProfile

__all__ = ["Luggage", "Quote", "Wan", "luggage_of"]

Floats = npt.NDArray[np.float64]


class Luggage(NamedTuple):
    """What each of N jobs has to take along when it leaves its home."""

    own_bytes: list[float]
    """Its own: `job_bytes`, its checkpoint, a data set that nobody else reads."""
    dataset: list[int]
    """Number of the data set that it shares with other jobs; -1: none."""
    dataset_bytes: list[float]
    """Of each such data set."""


class Quote(NamedTuple):
    """What moving one job to one site would take, asked now."""

    size_bytes: float
    arrival_s: float
    """Of all it needs, by the transfers under way now."""
    energy_j: float
    cost_usd: float


class _Way(NamedTuple):
    bandwidth_bytes_per_s: float
    latency_s: float
    energy_j_per_byte: float
    price_usd_per_byte: float


def luggage_of(fleet: FleetSpec, jobs: FleetJobs, scenario: Scenario) -> Luggage:
    """Return what jobs take along.

    A data set that jobs name is the one under `storage.datasets`, and one that they do not name is that of their
    cost profile; either way it lies at the jobs' home, so jobs of different homes move different copies.

    Args:
        fleet: for its `data`.
        jobs: all of them.
        scenario: of any site: all describe data sets alike.
    """
    table, rules = jobs.table, fleet.data
    numbers: dict[tuple[int, str, str], int] = {}
    sizes: list[float] = []
    own, shared = [], []
    costs = [jobs.profiles[name] for name in table.profile_names]
    for home, dataset, profile in zip(
        jobs.home.tolist(), table.dataset.tolist(), table.profile.tolist(), strict=True
    ):
        found = costs[profile] if profile >= 0 else None
        measured = found.profile if isinstance(found, LoadedProfile) else None
        own_bytes = rules.job_bytes
        if rules.checkpoints and measured is not None:
            own_bytes += measured.checkpoint_bytes
        if dataset >= 0:
            name = table.dataset_names[dataset]
            key, size = (home, "dataset", name), scenario.storage.datasets[name].size_bytes
        elif measured is not None and measured.dataset_bytes > 0.0:
            key, size = (home, "profile", measured.name), measured.dataset_bytes
        else:
            own.append(own_bytes + rules.dataset_bytes)
            shared.append(-1)
            continue
        if key not in numbers:
            numbers[key] = len(sizes)
            sizes.append(size)
        own.append(own_bytes)
        shared.append(numbers[key])
    return Luggage(own, shared, sizes)


class Wan:
    """Ways between K sites, transfers sent over them so far, and where data sets are.

    What a router is told of arrivals is an estimate: each transfer as fast as if those under way now were to stay
    and nobody came. `arrivals_s` then moves all transfers under max-min fair sharing.
    """

    def __init__(self, fleet: FleetSpec, luggage: Luggage) -> None:
        self._count = len(fleet.sites)
        self._ways = _ways(fleet)
        self._luggage = luggage
        self._keep = fleet.data.keep_datasets
        self._under_way: list[list[float]] = [[] for _ in self._ways]
        """Estimated ends of transfers on each way."""
        self._brought: dict[tuple[int, int], tuple[int, float]] = {}
        """(data set, site) -> (transfer that brings it, estimated arrival)."""
        self.transfers: list[Transfer] = []
        """One for each job that leaves its home, in the order of submission."""
        self._needs: list[tuple[int, ...]] = []
        """Transfers that a job waits for, its own first."""

    def quote(self, job: int, home: int, site: int, now_s: float) -> Quote:
        """Return what it would take to send a job from its home to another site now."""
        number = home * self._count + site
        way = self._ways[number]
        size_bytes, there_s = self._luggage.own_bytes[job], now_s
        dataset = self._luggage.dataset[job]
        if dataset >= 0:
            brought = self._brought.get((dataset, site)) if self._keep else None
            if brought is None:
                size_bytes += self._luggage.dataset_bytes[dataset]
            else:
                there_s = brought[1]
        ends = self._under_way[number]
        while ends and ends[0] <= now_s:
            heappop(ends)
        moving_s = size_bytes * (len(ends) + 1) / way.bandwidth_bytes_per_s
        arrival_s = max(there_s, now_s + way.latency_s + moving_s)
        return Quote(
            size_bytes,
            arrival_s,
            size_bytes * way.energy_j_per_byte,
            size_bytes * way.price_usd_per_byte,
        )

    def send(self, job: int, home: int, site: int, now_s: float, quote: Quote) -> int:
        """Send a job as quoted; returns the number of its transfer."""
        number, transfer = home * self._count + site, len(self.transfers)
        way = self._ways[number]
        needs: tuple[int, ...] = (transfer,)
        dataset = self._luggage.dataset[job]
        if dataset >= 0 and self._keep:
            bringer, _ = self._brought.setdefault((dataset, site), (transfer, quote.arrival_s))
            if bringer != transfer:
                needs = (transfer, bringer)
        if quote.size_bytes > 0.0:
            heappush(self._under_way[number], quote.arrival_s)
        self.transfers.append(Transfer(now_s, quote.size_bytes, [(number, 1.0)], latency_s=way.latency_s))
        self._needs.append(needs)
        return transfer

    def arrivals_s(self) -> tuple[Floats, Floats]:
        """Return (T,) when each transfer ends, and (T,) when all is there that its job waits for."""
        capacity = [way.bandwidth_bytes_per_s for way in self._ways]
        ends_s = move(capacity, self.transfers).ends_s
        ready_s = [max(ends_s[transfer] for transfer in needs) for needs in self._needs]
        return np.array(ends_s, dtype=np.float64), np.array(ready_s, dtype=np.float64)


def _ways(fleet: FleetSpec) -> list[_Way]:
    """Return the way from site a to site b at index a K + b."""
    spec, names = fleet.wan, [site.name for site in fleet.sites]
    ways = [
        _Way(spec.bandwidth_bytes_per_s, spec.latency_s, spec.energy_j_per_byte, spec.price_usd_per_byte)
    ] * len(names) ** 2
    for pair in spec.pairs:
        one, other = (names.index(name) for name in pair.between)
        given = {name: getattr(pair, name) for name in _Way._fields if getattr(pair, name) is not None}
        for number in (one * len(names) + other, other * len(names) + one):
            ways[number] = ways[number]._replace(**given)
    return ways
