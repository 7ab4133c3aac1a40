"""Where the input of each job comes from: its data set, or what `storage.feed` says of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dcsim.facility.storage import Place
from dcsim.simulation.inputs import RunInputs
from dcsim.spec.workload import TraceWorkloadSpec

__all__ = ["Feed", "Feeds"]

Uses = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Feed:
    """What some jobs read."""

    number: int
    """Of equal feeds."""
    place: Place
    dataset: str
    """Name in the scenario; "" for the input of a profile."""
    key: str
    """Jobs with the same share what caches hold."""
    size_bytes: int
    """>= 1."""
    local: float
    """Part that comes from the servers' own disks, whatever caches do."""
    cached: bool
    """Whether it is read through caches that change."""


class Feeds:
    """The feeds of a run's jobs.

    Args:
        inputs: of the run.
    """

    def __init__(self, inputs: RunInputs) -> None:
        self._inputs = inputs
        self._profile = inputs.jobs.profile.tolist()
        self._dataset = inputs.jobs.dataset.tolist()
        self._known: dict[tuple[int, int], Feed] = {}
        self._plain = inputs.storage.is_plain

    def of(self, job: int) -> Feed:
        """Return what a job with a profile reads."""
        key = (self._profile[job], self._dataset[job])
        feed = self._known.get(key)
        if feed is None:
            feed = self._known[key] = self._make(*key)
        return feed

    def _make(self, profile: int, dataset: int) -> Feed:
        inputs = self._inputs
        storage, spec = inputs.storage, inputs.scenario.storage
        number = len(self._known)
        if dataset >= 0:
            name = inputs.jobs.dataset_names[dataset]
            said = spec.datasets[name]
            cached = storage.cache is not None and storage.cache.where != "none" and said.place != "local"
            return Feed(number, said.place, name, name, int(said.size_bytes), 0.0, cached)
        size = self._dataset_bytes(profile)
        name = f"profile/{inputs.jobs.profile_names[profile]}"
        if spec.feed == "cached" and spec.cache is not None and size >= 1.0:
            return Feed(number, "shared", "", name, int(size), 0.0, cached=True)
        place: Place = "local" if spec.feed == "local" else "shared"
        return Feed(number, place, "", name, max(1, int(size)), storage.local_fraction(size), cached=False)

    def _dataset_bytes(self, profile: int) -> float:
        """Return the size of what a profile's jobs read: as the trace says, else as measured."""
        workload = self._inputs.scenario.workload
        if isinstance(workload, TraceWorkloadSpec) and workload.dataset_bytes is not None:
            return workload.dataset_bytes
        return self._inputs.costs.dataset_bytes(profile)

    def uses(self, feed: Feed, streams: Sequence[tuple[int, float]]) -> Uses:
        """Return (link, weight) of a feed that no cache changes, its servers in lockstep."""
        storage, ways = self._inputs.storage, self._inputs.links.ways
        if self._plain and not feed.dataset:
            return storage.feed_uses(ways, streams, feed.local)
        return storage.read_uses(ways, streams, feed.place, feed.dataset, feed.local)
