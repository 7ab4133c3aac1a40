"""What a running job puts on links: its exchange and its input, where it is, as caches and routes are now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

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
        self._fed: dict[tuple[int, float], Plan] = {}
        self._readers: dict[tuple[int, str], dict[RunningJob, None]] = {}
        """(cache, data set) -> who reads it now."""
        self._joined: dict[RunningJob, tuple[Feed, float]] = {}
        """Reader through a cache -> what it reads, and the steps it had left when it last told."""

    # -- flows ---------------------------------------------------------------------------------------

    def prepare(self, running: RunningJob) -> None:
        """Find what a job uses from now on, and make its flows; it must have stopped working."""
        running.network = running.feed = None
        running.feed_uses, told = (), []
        plan, tenant, share = running.plan, running.tenant, running.share
        exchange = running.exchange
        if exchange is not None:
            uses, reference = exchange.together
            if uses and plan.network_bytes_per_step > 0.0:
                ratio = reference / plan.network_bytes_per_step * running.step_ratio
                if ratio != 1.0:
                    uses = tuple([(link, weight * ratio) for link, weight in uses])
                told.append((self._traffic.uses(uses, tenant), plan.network_bytes_per_step))
                if self._contention:
                    running.network = _flow(running, plan.network_bytes_per_step * plan.rate, uses, share)
            inside, size = exchange.inside
            if inside:
                told.append((self._traffic.uses(inside, tenant), size * running.step_ratio))
        if plan.stream_bytes_per_step > 0.0:
            self._prepare_feed(running, told, tenant, share)
        running.told = told

    def _prepare_feed(
        self, running: RunningJob, told: list[tuple[int, float]], tenant: int, share: float
    ) -> None:
        feed = self._feeds.of(running.index)
        uses = self._feed_uses(running, feed)
        running.feed_uses = uses
        streams = self._streams(running)
        cap = self._inputs.storage.stream_cap_bytes_per_s(feed.place, streams)
        running.feed_cap_bytes_per_s = cap
        running.plan = plan = self._as_fed(running.plan, cap, uses)
        told.append((self._traffic.uses(uses, tenant), plan.stream_bytes_per_step))
        if self._contention:
            running.feed = _flow(running, plan.stream_bytes_per_step * plan.rate, uses, share)

    def _as_fed(self, plan: Plan, cap_bytes_per_s: float, uses: Uses) -> Plan:
        """Return a plan as fast as its input lets it be with nobody else there: its client, and how far it reads ahead."""
        ahead = self._inputs.storage.prefetch_bytes
        if cap_bytes_per_s == math.inf and ahead is None:
            return plan
        most = cap_bytes_per_s
        overlap = overlap_fraction(ahead, plan.stream_bytes_per_step)
        if overlap < 1.0:
            links = self._inputs.links.bandwidths
            most = min([most, *(links[link] / weight for link, weight in uses)])
        if most == math.inf:
            return plan
        rate = 1.0 / step_time_s(1.0 / plan.rate, plan.stream_bytes_per_step / most, overlap)
        if rate >= plan.rate:
            return plan
        key = (id(plan), rate)
        if key not in self._fed:
            self._fed[key] = replace(plan, rate=rate)
        return self._fed[key]

    def _streams(self, running: RunningJob) -> list[tuple[int, float]]:
        placement = running.placement
        largest = max(count for _, count in placement)
        return [(server, count / largest if largest else 1.0) for server, count in placement]

    def _feed_uses(self, running: RunningJob, feed: Feed) -> Uses:
        """Return (link, weight) of a job's input, by what caches hit now."""
        placement, inputs = running.placement, self._inputs
        caches = self._state.caches
        if feed.cached and caches is not None:
            streams = self._streams(running)
            hit = [caches.hit_fraction(server, feed.key) for server, _ in streams]
            fill = [caches.fill_fraction(server, feed.key) for server, _ in streams]
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
        """Let a job read through the caches of its servers, and set how far it goes until it has read all once.

        Returns:
            Others whose hits are no longer what they were.
        """
        left = running.total_left()
        running.steps_left, running.later_steps = left, 0.0
        caches = self._state.caches
        plan = running.plan
        if caches is None or plan.stream_bytes_per_step <= 0.0:
            return []
        feed = self._feeds.of(running.index)
        if not feed.cached:
            return []
        changed: dict[RunningJob, None] = {}
        parts = len(running.placement)
        for server, weight in self._streams(running):
            wanted = max(plan.stream_bytes_per_step * weight * plan.rate, 1e-9)
            names = caches.join(server, feed.key, running.index, feed.size_bytes, wanted, parts)
            changed.update(self._reading(server, names))
            self._readers.setdefault((self._cache_of(server), feed.key), {})[running] = None
        self._joined[running] = (feed, left)
        self._split(running, feed)
        changed.pop(running, None)
        return list(changed)

    def stretch_over(self, running: RunningJob) -> list[RunningJob]:
        """A job has read its data set once more: caches hold what they can; returns whose hits changed by that."""
        changed = self._warmed(running)
        feed, _ = self._joined[running]
        running.steps_left, running.later_steps = running.total_left(), 0.0
        self._joined[running] = (feed, running.steps_left)
        self._split(running, feed)
        return changed

    def leave(self, running: RunningJob) -> list[RunningJob]:
        """Let a job that stopped working read no longer; returns whose hits changed by that."""
        if running not in self._joined:
            return []
        changed = dict.fromkeys(self._warmed(running))
        feed, _ = self._joined.pop(running)
        caches = self._state.caches
        for server, _ in running.placement:
            readers = self._readers[self._cache_of(server), feed.key]
            readers.pop(running, None)
            if caches is not None:
                changed.update(self._reading(server, caches.leave(server, feed.key, running.index)))
        changed.pop(running, None)
        return list(changed)

    def recached(self) -> list[RunningJob]:
        """Return the jobs whose hits changed because objects took room from their caches, or gave it back."""
        changed: dict[RunningJob, None] = {}
        for server, names in sorted(self._state.recached.items()):
            changed.update(self._reading(server, names))
        self._state.recached.clear()
        return list(changed)

    def _warmed(self, running: RunningJob) -> list[RunningJob]:
        """Tell the caches what a job has read since it last told."""
        caches = self._state.caches
        feed, before = self._joined[running]
        read = (before - running.total_left()) * running.plan.stream_bytes_per_step
        changed: dict[RunningJob, None] = {}
        if caches is None or read <= 0.0:
            return []
        for server, weight in self._streams(running):
            changed.update(self._reading(server, caches.warmed(server, feed.key, read * weight)))
        self._joined[running] = (feed, running.total_left())
        changed.pop(running, None)
        return list(changed)

    def _split(self, running: RunningJob, feed: Feed) -> None:
        """Let a job go only to the end of an epoch, as long as that brings something into a cache."""
        caches = self._state.caches
        if caches is None or all(caches.settled(server, feed.key) for server, _ in running.placement):
            return
        epoch = math.ceil(feed.size_bytes / running.plan.input_bytes_per_step)
        if 0 < epoch < running.steps_left:
            running.steps_left, running.later_steps = float(epoch), running.steps_left - epoch

    def _cache_of(self, server: int) -> int:
        caches = self._state.caches
        return server if caches is not None and caches.per_node else 0

    def _reading(self, server: int, names: Iterable[str]) -> dict[RunningJob, None]:
        """Return who reads one of these data sets through a server's cache."""
        found: dict[RunningJob, None] = {}
        for name in names:
            found.update(self._readers.get((self._cache_of(server), name), {}))
        return found


def _flow(running: RunningJob, demand: float, uses: Uses, share: float) -> Flow:
    whole = max(1, math.ceil(demand))
    return Flow(running, whole, [(link, weight, math.ceil(weight * whole)) for link, weight in uses], share)
