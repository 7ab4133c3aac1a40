"""The progress of running jobs: alone at their own rate, in bundles while links are overbooked, or step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import cast

from dcsim.engine import Engine, EventLog
from dcsim.facility.servers import quantised_w
from dcsim.facility.sharing import Flow, FlowGroup, SharedLinks
from dcsim.simulation.bundle import Bundle
from dcsim.simulation.kinds import LogKind, Order
from dcsim.simulation.running import RunningJob
from dcsim.simulation.stepping import Stepping
from dcsim.simulation.traffic_log import TrafficLog
from dcsim.simulation.transfers import Transfer, Transfers

__all__ = ["Progress"]

_RATE = int(LogKind.RATE)


class Progress:
    """Keeps every running job's rate, power and finish right after each instant.

    Args:
        engine: for the time and the calls at which jobs finish.
        links: what their flows share.
        log: gets a row when a job is back at its own rate; those of starved links are too many to log.
        traffic: is told what crosses which links.
        contention: whether links are shared at all.
        prefetch_bytes: how far a server reads ahead; None: as far as helps.
        on_finish: called with a job whose work is done.
    """

    def __init__(
        self,
        engine: Engine,
        links: SharedLinks,
        log: EventLog,
        traffic: TrafficLog,
        *,
        contention: bool,
        prefetch_bytes: float | None,
        on_finish: Callable[[RunningJob], object],
    ) -> None:
        self._engine = engine
        self._links = links
        self._log = log
        self._traffic = traffic
        self._on_finish = on_finish
        self._fresh: list[RunningJob] = []
        self._bundles: dict[tuple[object, ...], Bundle] = {}
        self._idents = count()
        self._plans: list[tuple[float, int, Bundle]] = []
        """When bundles finish, as they were planned; most of the entries are long outdated."""
        self._stale: dict[Bundle, None] = {}
        self.transfers = Transfers(engine, links, contention=contention, on_stretch=self._sent)
        self._stepping = Stepping(
            engine, self.transfers, traffic, self._drawn, self._step_by_step_done, prefetch_bytes
        )
        self.step_by_step = False
        """Whether jobs that begin to work do so step by step."""
        self._uncalled = False
        """Whether the first bundle to finish may have no call."""
        self.power_w = 0.0
        """Of all running jobs, above idle; an exact sum."""
        self.on_power: list[Callable[[RunningJob, float, float], object]] = []
        """Told (job, W before, W now) of each job whose power changes."""

    def begin(self, running: RunningJob) -> None:
        """Let a job, and its flows if it has any, work from this instant on."""
        running.working = True
        if self.step_by_step and (running.exchange is not None or running.feed_uses):
            running.network = running.feed = None
            self._stepping.begin(running)
            return
        for flow in (running.network, running.feed):
            if flow is not None:
                self._links.add(flow)
        running.finish_s = -1.0
        self._fresh.append(running)

    def hold(self, running: RunningJob) -> None:
        """Let a job hold its servers without progress: its cores are busy, its accelerators idle."""
        running.power_w = quantised_w(running.cpu_power_w)
        self._drawn(running, 0.0, running.power_w)
        running.since_s = self._engine.now
        running.finish_s = math.inf

    def settle(self) -> None:
        """At the end of an instant: share the links and re-plan whom that concerns."""
        regrouped, changed = self._links.settle()
        fresh = self._fresh
        if fresh:
            self._fresh = []
            for running in fresh:
                if running.working:  # else it was stopped at the instant it began
                    self._put(running)
        if regrouped:
            self._move(regrouped)
        for group in changed:
            self._hear(group)
        self.transfers.settle()
        if self._stale:
            for bundle in self._stale:
                self._replan(bundle)
            self._stale.clear()
            self._uncalled = True
        if self._uncalled:
            self._uncalled = False
            self._call_first()

    def _move(self, regrouped: list[Flow]) -> None:
        """Put the owners of flows where their groups are; a job with two such flows moves once."""
        for owner in dict.fromkeys(flow.owner for flow in regrouped):
            if isinstance(owner, Transfer):
                self.transfers.regrouped(owner)
            else:  # the fresh ones are in place already
                self._put(cast("RunningJob", owner))

    def _hear(self, group: FlowGroup) -> None:
        """A group of flows has a new rate."""
        for user in group.users:
            if isinstance(user, Transfer):
                self.transfers.replan(user)
            else:
                self._stale[user] = None

    def stop(self, running: RunningJob) -> None:
        """Take a job out, its steps and energy accounted up to now."""
        if running in self._stepping:
            self._stepping.stop(running)
        else:
            self._detach(running)
        for flow in (running.network, running.feed):
            if flow is not None:
                self._links.remove(flow)
        # A flow knows its job: parted, both are freed at once, not by a search for cycles.
        running.network = running.feed = None
        running.working = False
        running.finish_s = math.inf

    def renew(self, running: RunningJob, prepare: Callable[[RunningJob], object]) -> None:
        """Let a job that works go on over other links or at another speed: `prepare` changes them."""
        if running in self._stepping:
            self._stepping.renew(running, prepare)
            return
        self.stop(running)
        prepare(running)
        self.begin(running)

    def account(self, running: RunningJob) -> None:
        """Bring the steps, energy and traffic of a job that goes on up to now."""
        now_s, bundle = self._engine.now, running.bundle
        if running in self._stepping:
            self._stepping.account(running)
        elif bundle is None:
            self._tell_alone(running)
            running.advance(now_s)
        else:
            bundle.advance(now_s)
            self._tell_bundled(running, bundle)
            bundle.leave(running)
            bundle.join(running)

    def steps_left(self, running: RunningJob) -> float:
        """Return the steps that a job has left now, without touching its books."""
        now_s, bundle = self._engine.now, running.bundle
        if running in self._stepping:
            return self._stepping.steps_left(running) + running.later_steps
        if bundle is not None:
            done = bundle.steps + bundle.rate * max(0.0, now_s - bundle.since_s)
            return max(0.0, running.target_steps - done) + running.later_steps
        done = running.rate * max(0.0, now_s - running.since_s)
        return max(0.0, running.steps_left - done) + running.later_steps

    @staticmethod
    def power_of(running: RunningJob) -> float:
        """Return what a job draws now, above idle [W]."""
        return running.power_w if running.bundle is None else running.bundle.power_w

    def progress_of(self, running: RunningJob) -> float:
        """Return a job's rate now over its own rate at its cap; 1 for one that goes step by step, or pauses."""
        rate = running.rate if running.bundle is None else running.bundle.rate
        if not running.working or running in self._stepping:
            return 1.0
        return min(1.0, rate / running.ample.rate)

    # -- alone or in a bundle ----------------------------------------------------------------------

    def _put(self, running: RunningJob) -> None:
        """Put a job where its flows' groups say it belongs."""
        feed = running.feed.group if running.feed is not None else None
        network = running.network.group if running.network is not None else None
        if feed is None and network is None:
            if running.bundle is not None or running.finish_s < 0.0:
                self._detach(running)
                self._go_alone(running)
            return
        key = (id(running.plan), running.cpu_power_w, feed and feed.ident, network and network.ident)
        if running.bundle is not None and running.bundle.key == key:
            return
        self._detach(running)
        bundle = self._bundles.get(key)
        if bundle is None:
            bundle = Bundle(
                next(self._idents), key, running.plan, running.cpu_power_w, feed, network, self._engine.now
            )
            self._traffic.clock(bundle.ident, self._engine.now, 0.0)
            self._bundles[key] = bundle
            for group in self._groups(bundle):
                group.users[bundle] = None
        bundle.advance(self._engine.now)
        running.stretch_s = self._engine.now
        bundle.join(running)
        running.finish_s = math.inf
        self._drawn(running, 0.0, bundle.power_w)
        self._stale[bundle] = None

    def _go_alone(self, running: RunningJob) -> None:
        now_s, plan = self._engine.now, running.plan
        if running.finish_s >= 0.0:
            self._log.add(now_s, _RATE, running.index, -1, plan.rate)
        running.rate = plan.rate
        running.power_w = quantised_w(running.cpu_power_w + plan.busy_energy_per_step_j * plan.rate)
        self._drawn(running, 0.0, running.power_w)
        running.since_s = running.stretch_s = now_s
        running.finish_s = now_s + running.steps_left / plan.rate
        self._engine.call_at(running.finish_s, Order.FINISH, running.index, self._finish, running)

    def _detach(self, running: RunningJob) -> None:
        """Take a job out of where it is, accounted up to now; its power leaves the total."""
        bundle = running.bundle
        if bundle is None:
            self._tell_alone(running)
            running.advance(self._engine.now)
            self._drawn(running, running.power_w, 0.0)
            running.power_w = running.rate = 0.0
            return
        bundle.advance(self._engine.now)
        self._tell_bundled(running, bundle)
        bundle.leave(running)
        self._drawn(running, bundle.power_w, 0.0)
        if bundle.count:
            self._stale[bundle] = None
        else:
            del self._bundles[bundle.key]
            self._uncalled = True
            self._stale.pop(bundle, None)
            for group in self._groups(bundle):
                group.users.pop(bundle, None)

    @staticmethod
    def _groups(bundle: Bundle) -> list[FlowGroup]:
        return [group for group in (bundle.feed, bundle.network) if group is not None]

    # -- what crosses the links ----------------------------------------------------------------------

    def _tell_alone(self, running: RunningJob) -> None:
        """Log what a job alone has sent since it began to be so, before it is advanced to now."""
        now_s, start_s = self._engine.now, running.stretch_s
        if running.told and running.rate > 0.0 and now_s > start_s:
            steps = min(running.steps_left, running.rate * (now_s - running.since_s))
            for uses, bytes_per_step in running.told:
                self._traffic.stint(start_s, now_s, uses, bytes_per_step * steps)
            running.stretch_s = now_s

    def _tell_bundled(self, running: RunningJob, bundle: Bundle) -> None:
        """Log what a job has sent since it joined its bundle, which stands at now."""
        now_s, start_s = self._engine.now, running.stretch_s
        if now_s > start_s:
            self._traffic.clock(bundle.ident, now_s, bundle.steps)
            for uses, bytes_per_step in running.told:
                self._traffic.stint_on_clock(bundle.ident, start_s, now_s, uses, bytes_per_step)
            running.stretch_s = now_s

    def _sent(self, transfer: Transfer, start_s: float, sent_bytes: float) -> None:
        if transfer.told >= 0:
            self._traffic.stint(start_s, self._engine.now, transfer.told, sent_bytes)

    # -- step by step ----------------------------------------------------------------------------------

    def _drawn(self, running: RunningJob, before_w: float, now_w: float) -> None:
        """A job draws another power than before."""
        self.power_w += now_w - before_w
        for told in self.on_power:
            told(running, before_w, now_w)

    def _step_by_step_done(self, running: RunningJob) -> None:
        running.working = False
        running.network = running.feed = None
        running.finish_s = math.inf
        self._on_finish(running)

    # -- bundles -----------------------------------------------------------------------------------

    def _replan(self, bundle: Bundle) -> None:
        now_s = self._engine.now
        bundle.advance(now_s)
        self._traffic.clock(bundle.ident, now_s, bundle.steps)
        before_w = bundle.power_w
        self.power_w += bundle.set_rate() * bundle.count
        if self.on_power and bundle.power_w != before_w:
            for running in bundle.members():
                for told in self.on_power:
                    told(running, before_w, bundle.power_w)
        first = bundle.first()
        if first is None or bundle.rate <= 0.0:
            bundle.finish_s = math.inf
            return
        finish_s = now_s + max(0.0, first.target_steps - bundle.steps) / bundle.rate
        bundle.finish_s = finish_s
        heappush(self._plans, (finish_s, bundle.ident, bundle))

    def _call_first(self) -> None:
        """Have the bundle that finishes first called then, and all that finish with it.

        The others are not: every change of a starved link moves all their finishes.
        """
        plans, together = self._plans, dict[tuple[float, int, Bundle], None]()
        first_s = math.inf
        while plans and (plans[0][0] == first_s or first_s == math.inf):
            entry = heappop(plans)
            finish_s, _, bundle = entry
            if bundle.finish_s != finish_s or not bundle.count:
                continue  # it was planned anew since
            first_s = finish_s
            together[entry] = None
            running = bundle.first()
            if bundle.called_s != first_s and running is not None:
                bundle.called_s = first_s
                self._engine.call_at(first_s, Order.FINISH, running.index, self._finish_first, bundle)
        for entry in together:
            heappush(plans, entry)

    def _finish_first(self, bundle: Bundle) -> None:
        """The first job of a bundle is done; the others are re-planned at the end of the instant."""
        if bundle.called_s == self._engine.now:
            bundle.called_s = math.inf
        if bundle.finish_s != self._engine.now or bundle.count == 0:
            return  # its rate has changed since this call was made
        running = bundle.first()
        if running is None:
            return
        bundle.advance(self._engine.now)
        bundle.steps = running.target_steps  # exactly, not up to rounding
        bundle.finish_s = math.inf
        self._stale[bundle] = None
        self._done(running)
        self._finish_equals(bundle)

    def _finish_equals(self, bundle: Bundle) -> None:
        """Let the next job of a bundle finish at this instant too if it is done: before anyone is placed."""
        now_s, following = self._engine.now, bundle.first()
        if following is None:
            return
        if now_s + max(0.0, following.target_steps - bundle.steps) / bundle.rate == now_s:
            bundle.finish_s = now_s
            self._engine.call_at(now_s, Order.FINISH, following.index, self._finish_first, bundle)

    def _finish(self, running: RunningJob) -> None:
        if running.finish_s == self._engine.now:
            self._done(running)

    def _done(self, running: RunningJob) -> None:
        running.finish_s = math.inf
        self.stop(running)
        running.steps_left = 0.0
        self._on_finish(running)
