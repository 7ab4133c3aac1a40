"""What a running job puts on links: its exchange and its input, where it is, as caches and routes are now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dcsim.facility.sharing import Flow
from dcsim.facility.storage import StorageState
from dcsim.facility.storage.loading import overlap_fraction, step_time_s
from dcsim.simulation.costing import Plan
from dcsim.simulation.feeds import Feed, Feeds
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.running import RunningJob
from dcsim.simulation.traffic_log import TrafficLog

__all__ = ["JobFlows"]

Uses = Sequence[tuple[int, float]]

_USES_KEPT = 3
"""Sets of uses a job is known by: its exchange, that inside its servers, its input."""
_PLANS_KEPT = 10_000
"""Plans as fed that are kept, so that equal jobs have one; hits of a cache that changes make ever new ones."""


@dataclass(slots=True)
class _Reading:
    """How far a job is that reads through caches."""

    feed: Feed
    epoch: float
    """Steps in which it reads all of its data set once."""
    left: float
    """Steps it had left when the caches were last told."""
    full: bool = False
    """Whether nothing more can be brought in."""


class JobFlows:
    """Makes the flows of jobs that begin to work, and keeps the books of the caches they read through.

    Args:
        inputs: of the run.
        state: what storage holds.
        traffic: is told what crosses which links.
    """

    def __init__(self, inputs: RunInputs, state: StorageState, traffic: TrafficLog) -> None:
        self._inputs = inputs
        self._state = state
        self._traffic = traffic
        self._contention = inputs.scenario.network.contention
        self._feeds = Feeds(inputs)
        self._single: dict[tuple[int, int], Uses] = {}
        """(server, profile or data set) -> uses of a job there alone, where no cache changes them."""
        self._fed: dict[tuple[int, float], tuple[Plan, Plan]] = {}
        """(identity of a plan, rate as fed) -> that plan, and the same at that rate."""
        self._readers: dict[int, dict[str, dict[RunningJob, None]]] = {}
        """Cache -> data set -> who reads it now."""
        self._joined: dict[RunningJob, _Reading] = {}
        """Who reads through caches."""

    # -- flows ---------------------------------------------------------------------------------------

    def prepare(self, running: RunningJob) -> None:
        """Find what a job uses from now on, and make its flows; it must have stopped working."""
        self._split(running)
        running.network = running.feed = None
        running.feed_uses, running.feed_lag_s = (), 0.0
        running.plan, fed = running.ample, []
        if running.ample.stream_bytes_per_step > 0.0:
            fed = self._prepare_feed(running)
        running.told = [*self._prepare_exchange(running), *fed]

    def _prepare_exchange(self, running: RunningJob) -> list[tuple[int, float]]:
        """Make the flow of what a gang exchanges as fast as its input lets it; returns what is told of it."""
        plan, exchange = running.plan, running.exchange
        told: list[tuple[int, float]] = []
        if exchange is None:
            return told
        uses, reference = exchange.together
        if uses and plan.network_bytes_per_step > 0.0:
            ratio = reference / plan.network_bytes_per_step * running.step_ratio
            if ratio != 1.0:
                uses = tuple([(link, weight * ratio) for link, weight in uses])
            told.append((self._number(running, uses), plan.network_bytes_per_step))
            if self._contention:
                demand = plan.network_bytes_per_step * plan.rate
                running.network = _flow(running, demand, uses, running.share)
        inside, size = exchange.inside
        if inside:
            told.append((self._number(running, inside), size * running.step_ratio))
        return told

    def _prepare_feed(self, running: RunningJob) -> list[tuple[int, float]]:
        """Make the flow of a job's input, and its plan as that lets it be; returns what is told of it."""
        feed = self._feeds.of(running.index)
        hit = self._hits(running, feed)
        uses = self._feed_uses(running, feed, hit)
        running.feed_uses = uses
        running.feed_cap_bytes_per_s = cap = self._cap_bytes_per_s(running, feed, hit)
        running.plan = plan = self._as_fed(running.ample, cap, uses)
        if plan is not running.ample:
            running.feed_lag_s = 1.0 / plan.rate - 1.0 / running.ample.rate
        if self._contention:
            running.feed = _flow(running, plan.stream_bytes_per_step * plan.rate, uses, running.share)
        return [(self._number(running, uses), plan.stream_bytes_per_step)]

    def _number(self, running: RunningJob, uses: Uses) -> int:
        """Return the number under which the log of traffic knows some uses; a job that goes on with the same has one."""
        kept = running.told_uses
        for known, number in kept:
            if known == uses:
                return number
        number = self._traffic.uses(uses, running.tenant)
        kept.append((uses, number))
        del kept[:-_USES_KEPT]
        return number

    def _cap_bytes_per_s(self, running: RunningJob, feed: Feed, hit: Sequence[float]) -> float:
        """Return the most that its busiest server can read, however idle links are: what hits is not asked for."""
        storage, streams = self._inputs.storage, self._streams(running)
        if feed.place == "local":
            return storage.stream_cap_bytes_per_s("local", streams)
        parts = hit or [feed.local] * len(streams)
        missed = [
            (server, weight * (1.0 - part)) for (server, weight), part in zip(streams, parts, strict=True)
        ]
        return storage.stream_cap_bytes_per_s(feed.place, missed)

    def _as_fed(self, ample: Plan, cap_bytes_per_s: float, uses: Uses) -> Plan:
        """Return a plan as fast as its input lets it be with nobody else there: its client, and how far it reads ahead."""
        ahead = self._inputs.storage.prefetch_bytes
        if cap_bytes_per_s == math.inf and ahead is None and self._contention:
            return ample
        most = cap_bytes_per_s
        overlap = overlap_fraction(ahead, ample.stream_bytes_per_step)
        if overlap < 1.0 or not self._contention:
            links = self._inputs.links.bandwidths
            # Who is cut off stands still, however far it reads ahead.
            most = min([most, *(links[link] / weight for link, weight in uses if links[link] > 0.0)])
        if most == math.inf:
            return ample
        rate = 1.0 / step_time_s(1.0 / ample.rate, ample.stream_bytes_per_step / most, overlap)
        if rate >= ample.rate:
            return ample
        key = (id(ample), rate)
        if key not in self._fed:
            if len(self._fed) >= _PLANS_KEPT:
                self._fed.clear()
            self._fed[key] = (ample, replace(ample, rate=rate))
        return self._fed[key][1]

    def _streams(self, running: RunningJob) -> list[tuple[int, float]]:
        placement = running.placement
        largest = max(count for _, count in placement)
        return [(server, count / largest if largest else 1.0) for server, count in placement]

    def _hits(self, running: RunningJob, feed: Feed) -> list[float]:
        """Return which part of what each of its servers reads hits a cache now; empty without one that changes."""
        caches = self._state.caches
        if caches is None or not feed.cached:
            return []
        return [caches.hit_fraction(server, feed.key) for server, _ in running.placement]

    def _feed_uses(self, running: RunningJob, feed: Feed, hit: Sequence[float]) -> Uses:
        """Return (link, weight) of a job's input, by what caches hit now."""
        placement, inputs = running.placement, self._inputs
        caches = self._state.caches
        if hit and caches is not None:
            fill = [caches.fill_fraction(server, feed.key) for server, _ in placement]
            streams = self._streams(running)
            return inputs.storage.read_uses(inputs.links.ways, streams, feed.place, feed.dataset, hit, fill)
        if len(placement) > 1:
            return self._feeds.uses(feed, self._streams(running))
        server = placement[0][0]
        uses = self._single.get((server, feed.number))
        if uses is None:
            uses = tuple(self._feeds.uses(feed, [(server, 1.0)]))
            self._single[server, feed.number] = uses
        return uses

    def rerouted(self) -> None:
        """Forget ways that may no longer be those that routes take."""
        self._single.clear()

    # -- caches --------------------------------------------------------------------------------------

    def join(self, running: RunningJob) -> list[RunningJob]:
        """Let a job read through the caches of its servers; one that only paused still does.

        Returns:
            Others whose hits are no longer what they were.
        """
        if running in self._joined:
            return []
        running.steps_left, running.later_steps = running.total_left(), 0.0
        caches, plan = self._state.caches, running.ample
        if caches is None or plan.stream_bytes_per_step <= 0.0:
            return []
        feed = self._feeds.of(running.index)
        if not feed.cached:
            return []
        changed: dict[RunningJob, None] = {}
        through = self._through(running)
        wanted = max(plan.input_bytes_per_step * plan.rate / len(through), 1e-9)
        for server, _ in through:
            names = caches.join(server, feed.key, running.index, feed.size_bytes, wanted, len(through))
            changed.update(self._reading(server, names))
        for server, _ in through:
            readers = self._readers.setdefault(self._cache_of(server), {})
            readers.setdefault(feed.key, {})[running] = None
        epoch = float(math.ceil(feed.size_bytes / plan.input_bytes_per_step))
        self._joined[running] = _Reading(feed, epoch, running.steps_left)
        return list(changed)

    def stretch_over(self, running: RunningJob) -> list[RunningJob]:
        """A job has read its data set once more: caches hold what they can; returns whose hits changed by that."""
        changed = self._warmed(running)
        running.steps_left, running.later_steps = running.total_left(), 0.0
        return list(changed)

    def leave(self, running: RunningJob) -> list[RunningJob]:
        """Let a job read no longer; returns whose hits changed by that."""
        caches = self._state.caches
        if running not in self._joined or caches is None:
            return []
        changed = self._warmed(running)
        feed = self._joined.pop(running).feed
        for server, _ in self._through(running):
            readers = self._readers[self._cache_of(server)]
            del readers[feed.key][running]
            if not readers[feed.key]:
                del readers[feed.key]
            changed.update(self._reading(server, caches.leave(server, feed.key, running.index)))
        return list(changed)

    def recached(self) -> list[RunningJob]:
        """Return the jobs whose hits changed because objects took room from their caches, or gave it back."""
        changed: dict[RunningJob, None] = {}
        for server, names in sorted(self._state.recached.items()):
            changed.update(self._reading(server, names))
        self._state.recached.clear()
        return list(changed)

    def _warmed(self, running: RunningJob) -> dict[RunningJob, None]:
        """Tell the caches what a job has read since it last told; returns the others whose hits changed."""
        caches, reading = self._state.caches, self._joined[running]
        left = running.total_left()
        read = (reading.left - left) * running.plan.input_bytes_per_step
        changed: dict[RunningJob, None] = {}
        if caches is None or read <= 0.0:
            return changed
        reading.left = left
        for server, part in self._through(running):
            changed.update(self._reading(server, caches.warmed(server, reading.feed.key, read * part)))
        changed.pop(running, None)
        return changed

    def _split(self, running: RunningJob) -> None:
        """Let a job go only to the end of an epoch, as long as that brings something into a cache."""
        caches, reading = self._state.caches, self._joined.get(running)
        if caches is None or reading is None:
            return
        full = all(caches.settled(server, reading.feed.key) for server, _ in self._through(running))
        if reading.full and not full:  # what it read while nothing could be brought in is of no account
            reading.left = running.total_left()
        reading.full = full
        left = running.steps_left
        if not full and running.later_steps == 0.0 and reading.epoch < left:
            running.steps_left, running.later_steps = reading.epoch, left - reading.epoch

    def _through(self, running: RunningJob) -> list[tuple[int, float]]:
        """Return (server, part of all it reads) of each cache that a job reads through."""
        placement, caches = running.placement, self._state.caches
        if caches is None or not caches.per_node:
            return [(placement[0][0], 1.0)]
        total = sum(count for _, count in placement)
        return [(server, count / total) for server, count in placement]

    def _cache_of(self, server: int) -> int:
        caches = self._state.caches
        return server if caches is not None and caches.per_node else 0

    def _reading(self, server: int, names: Iterable[str]) -> dict[RunningJob, None]:
        """Return who reads one of these data sets through a server's cache."""
        readers = self._readers.get(self._cache_of(server), {})
        found: dict[RunningJob, None] = {}
        for name in names:
            found.update(readers.get(name, {}))
        return found


def _flow(running: RunningJob, demand: float, uses: Uses, share: float) -> Flow:
    whole = max(1, math.ceil(demand))
    return Flow(running, whole, [(link, weight, math.ceil(weight * whole)) for link, weight in uses], share)
