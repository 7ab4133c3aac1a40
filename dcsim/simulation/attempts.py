"""Attempts at jobs: granted, restored, run, checkpointed, preempted, killed at a limit or finished."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from dcsim.engine import Engine
from dcsim.facility.sharing import SharedLinks
from dcsim.facility.storage import StorageState
from dcsim.policies.views import Placement
from dcsim.simulation.accounting import Accounts
from dcsim.simulation.costing import Plan
from dcsim.simulation.gang_plans import GangPlans
from dcsim.simulation.job_flows import JobFlows
from dcsim.simulation.kinds import LogKind, Order
from dcsim.simulation.neighbours import Neighbours
from dcsim.simulation.placing import Placer
from dcsim.simulation.progress import Progress
from dcsim.simulation.record import TIMED_OUT, RunRecord
from dcsim.simulation.running import Phase, RunningJob
from dcsim.simulation.saving import Saving
from dcsim.simulation.server_states import ServerStates
from dcsim.simulation.standstill import Standstill

if TYPE_CHECKING:
    from dcsim.simulation.gang_watcher import GangWatcher
    from dcsim.simulation.ledger import Ledger

__all__ = ["Attempts"]

_GRANT, _END, _PREEMPT, _KILL = (
    int(kind) for kind in (LogKind.GRANT, LogKind.END, LogKind.PREEMPT, LogKind.KILL)
)
_ROUNDING_ULPS = 1024
"""An end that is so near (100 ns after 12 days) is now: each phase of a job rounds once."""
_RESTORE, _CHECKPOINT, _DURABLE = int(LogKind.RESTORE), int(LogKind.CHECKPOINT), int(LogKind.DURABLE)


class Attempts:
    """All jobs that hold servers, and what befalls them.

    Args:
        engine: for the time and the calls.
        record: is filled with what each job did.
        placer: takes and gives back resources.
        links: what jobs' flows share.
        storage: what is stored where.
        on_free: called with a job's row after it gave everything back for good (done or killed).
        on_requeue: called with a job's row after it was preempted.
    """

    def __init__(
        self,
        engine: Engine,
        record: RunRecord,
        placer: Placer,
        links: SharedLinks,
        storage: StorageState,
        *,
        on_free: Callable[[int], object],
        on_requeue: Callable[[int], object],
        on_sleep: Callable[[], object],
    ) -> None:
        self._inputs = inputs = record.inputs
        self._engine = engine
        self._record = record
        self._placer = placer
        self._on_free = on_free
        self._on_requeue = on_requeue
        self.running: dict[int, RunningJob] = {}
        self.ledger: Ledger | None = None
        """Is told of each grant and release."""
        self._standstill = Standstill(len(inputs.jobs))
        self.last_event_s = 0.0
        """After this instant no link fails, or is repaired, any more."""
        self.leaving = 0
        """Jobs that hold their servers only to write the checkpoint with which they go."""
        self.work = Progress(
            engine,
            links,
            record.log,
            record.traffic,
            contention=inputs.scenario.network.contention,
            prefetch_bytes=inputs.storage.prefetch_bytes,
            on_finish=self._worked,
        )
        self.servers = ServerStates(
            engine,
            placer.fleet,
            record.log,
            base_w=record.base_power_w - float(placer.fleet.idle_power_w.sum()),
            sleep_after_s=inputs.policies.energy.sleep_after_s(),
            on_sleep=on_sleep,
            on_awake=self._awake,
        )
        self.left = array("d", inputs.steps.tobytes())
        """Steps of each job that a new attempt has to do."""
        self._startup_s = array("d", inputs.view.startup_s.tobytes())
        self._limit_s = array("d", inputs.jobs.time_limit_s.tobytes())
        self._costs = inputs.scenario.preemption
        self._limited = self._costs.enforce_time_limits and bool((inputs.jobs.time_limit_s > 0.0).any())
        self._tenant = array("q", inputs.jobs.tenant.tobytes())
        neighbours = Neighbours(inputs)
        self.neighbours = neighbours if neighbours.applies else None
        self.accounts = Accounts(record, placer.share, neighbours=neighbours)
        self.plans = GangPlans(inputs, whole_devices=neighbours.on_devices)
        self.watchers: list[GangWatcher] = []
        """Are told of each gang that is granted its servers, and of each that gave them back."""
        self.flows = JobFlows(inputs, storage, record.traffic)
        self._saving = Saving(inputs, engine, self.work.transfers, record.traffic, storage, record.log)

    @property
    def it_power_w(self) -> float:
        """What all IT equipment draws now."""
        return self.servers.power_w + self.work.power_w

    # -- a gang is granted ---------------------------------------------------------------------------

    def start(self, job: int, placement: Placement, width: int) -> None:
        """Grant a placement: the job works as soon as its servers are awake and its state is loaded."""
        now_s, record, fleet = self._engine.now, self._record, self._placer.fleet
        held = self._placer.take(job, width, placement)
        plan, exchange, ratio = self.plans.make(job, placement, width)
        cpu_w = self._placer.cpu_power_w(job, width, placement)
        running = RunningJob(job, plan, self.left[job], held, cpu_w, now_s, placement, width)
        running.exchange, running.step_ratio = exchange, ratio
        running.all_steps = float(self._inputs.steps[job])
        running.tenant, running.share = int(self._tenant[job]), self._inputs.network_share(job)
        self._share_device(running, joins=True)
        self.running[job] = running
        for watcher in self.watchers:
            watcher.granted(running)
        record.attempts[job] += 1
        self.accounts.granted(job, now_s)
        if record.attempts[job] == 1:
            record.start_s[job] = now_s
        record.servers_used[job] = len(placement)
        record.first_server[job] = placement[0][0]
        record.racks_used[job] = 1 if len(placement) == 1 else len({int(fleet.rack[s]) for s, _ in placement})
        if running.plan.extrapolated:
            record.extrapolated[job] = True
        for server, count in placement:
            record.log.add(now_s, _GRANT, job, server, count)
        for server, _ in placement:
            self.servers.granted(server, running)
        if self.ledger is not None:
            self.ledger.granted(job, width, placement[0][0], now_s)
        if self._limited and self._limit_s[job] > 0.0:
            self._engine.call_at(now_s + self._limit_s[job], Order.LIMIT, job, self._limit, running)
        if not running.waking_servers:
            self._awake(running)

    def _share_device(self, running: RunningJob, *, joins: bool) -> None:
        """Let a job come beside others on its device or server, or go; each then runs as fast as that lets it."""
        neighbours = self.neighbours
        if neighbours is None or not neighbours.concerns(running.index):
            return
        changed = neighbours.join(running) if joins else neighbours.leave(running)
        accelerator = self.plans.accelerator(running.placement)
        for job in [*changed, running] if joins else changed:
            plan = neighbours.plan(job, accelerator)
            if plan.extrapolated:
                self._record.extrapolated[job.index] = True
            if plan is job.ample or job.finish_s == self._engine.now:  # who is done now was as fast until now
                continue
            if job.phase is Phase.RUN:
                self.work.renew(job, partial(self._beside, plan=plan))
            else:
                job.plan = job.ample = plan

    def _beside(self, running: RunningJob, plan: Plan) -> None:
        """Let a job go by the plan that its neighbours leave it."""
        running.plan = running.ample = plan
        self.flows.prepare(running)

    def _awake(self, running: RunningJob) -> None:
        """All its servers are awake: start up or load the state of an earlier attempt, then work."""
        again = self._record.attempts[running.index] > 1
        as_bytes = again and self._saving.size_bytes(running.index) > 0
        length_s = self._costs.restore_s if again and not as_bytes else self._costs.start_s
        length_s += self._startup_s[running.index]
        running.prepared_s = self._engine.now + length_s
        if length_s > 0.0:
            self._enter(running, Phase.RESTORE)
            self._pause(running, length_s, _RESTORE)
        else:
            self._restore(running)

    def _restore(self, running: RunningJob) -> None:
        """Its programs run: read the checkpoint that lies in storage, if there is one, then work."""
        if self._record.attempts[running.index] == 1 or not self._saving.size_bytes(running.index):
            self._work(running)
            return
        self._enter(running, Phase.RESTORE)
        turn = running.turn
        if not self._saving.read(running, lambda: self._restored(running, turn)):
            self._work(running)
            return
        self._record.log.add(self._engine.now, _RESTORE, running.index, -1, math.nan)
        self.work.hold(running)

    def _restored(self, running: RunningJob, turn: int) -> None:
        if running.turn == turn:
            self._work(running)

    # -- phases --------------------------------------------------------------------------------------

    def _enter(self, running: RunningJob, phase: Phase) -> None:
        """Change a job's phase; the time in the old one is accounted."""
        self.accounts.phase_over(running, self._engine.now)
        if running.phase is not Phase.WAIT:
            self.work.stop(running)
        if phase is Phase.LEAVE:
            self._refresh(self.flows.leave(running))
        running.phase = phase
        running.turn += 1

    def _pause(self, running: RunningJob, length_s: float, kind: int) -> None:
        """Let a job hold its servers for a while without progress."""
        now_s = self._engine.now
        self._record.log.add(now_s, kind, running.index, -1, length_s)
        self.work.hold(running)
        self._engine.call_at(
            now_s + length_s, Order.PHASE, running.index, self._phase_over, (running, running.turn)
        )

    def _phase_over(self, call: tuple[RunningJob, int]) -> None:
        running, turn = call
        if running.turn != turn:
            return
        if running.phase is Phase.LEAVE:
            self._enter(running, Phase.LEAVE)
            self._leave(running)
        elif running.phase is Phase.RUN:
            self._checkpoint(running)
        elif running.phase is Phase.RESTORE:
            self._restore(running)
        else:
            self._saved(running)

    def _checkpoint(self, running: RunningJob) -> None:
        """A periodic checkpoint is due."""
        saving = self._saving
        if self.work.steps_left(running) >= running.durable_left:
            self._stands_still(running)
        elif not saving.size_bytes(running.index):
            self._enter(running, Phase.CHECKPOINT)
            self._pause(running, self._costs.checkpoint_s, _CHECKPOINT)
        elif saving.busy(running):  # the last one is still on its way: this one is left out
            self._checkpoint_later(running, self._costs.checkpoint_interval_s)
        elif saving.asynchronous:
            self._enter(running, Phase.CHECKPOINT)
            self._pause(running, saving.snapshot_s(running), _CHECKPOINT)
        else:
            self._enter(running, Phase.CHECKPOINT)
            self._write(running)

    def _stands_still(self, running: RunningJob) -> None:
        """A job has done nothing since its last checkpoint: it needs no other one.

        Raises:
            DeadlockError: so it has been for very long, and no link will be repaired any more.
        """
        endless = self._inputs.scenario.horizon_s is None and self._engine.now >= self.last_event_s
        self._standstill.idled(self._inputs.jobs.job_id[running.index], self._engine.now, endless=endless)
        self._checkpoint_later(running, self._costs.checkpoint_interval_s)

    def _write(self, running: RunningJob) -> None:
        """Let a job that has stopped write its state before anything else; its phase says what comes then."""
        turn = running.turn
        call = (running, turn)
        self.work.hold(running)
        if self._saving.write(running, lambda: self._phase_over(call)):
            self._record.log.add(self._engine.now, _CHECKPOINT, running.index, -1, math.nan)
        else:  # no room: it goes on with the checkpoint it has
            running.unsaved = True
            self._engine.call_at(self._engine.now, Order.PHASE, running.index, self._phase_over, call)

    def _saved(self, running: RunningJob) -> None:
        """The pause for a checkpoint is over."""
        size, saving = self._saving.size_bytes(running.index), self._saving
        if size and saving.asynchronous:
            left = running.total_left()
            saving.write(running, lambda: self._durable(running, left))
        elif not running.unsaved:
            running.durable_left = running.total_left()
        running.unsaved = False
        self._standstill.over()
        self._work(running)

    def _durable(self, running: RunningJob, left: float) -> None:
        """A checkpoint that was written while its job went on is complete."""
        if self.running.get(running.index) is running:
            running.durable_left = left
            done = self._inputs.steps[running.index] - left
            self._record.log.add(self._engine.now, _DURABLE, running.index, -1, done)

    def _work(self, running: RunningJob) -> None:
        """Let a job make progress; its periodic checkpoint comes by its own running time."""
        self._enter(running, Phase.RUN)
        self._refresh(self.flows.join(running))
        self.flows.prepare(running)
        self.work.begin(running)
        interval_s = self._costs.checkpoint_interval_s
        if interval_s is not None and not running.checkpointed:
            running.checkpointed = True
            interval_s += self._saving.offset_s(running.index)
        self._checkpoint_later(running, interval_s)

    def _checkpoint_later(self, running: RunningJob, interval_s: float | None) -> None:
        if interval_s is not None:
            due_s = self._engine.now + interval_s
            self._engine.call_at(due_s, Order.PHASE, running.index, self._phase_over, (running, running.turn))

    # -- what changes while jobs work ------------------------------------------------------------------

    def _refresh(self, changed: Iterable[RunningJob]) -> None:
        """Make the flows of jobs anew whose caches hit otherwise now; who is done now was as fast until now."""
        for running in changed:
            if running.phase is Phase.RUN and running.finish_s != self._engine.now:
                self.work.renew(running, self.flows.prepare)

    def recached(self) -> None:
        """Objects took room from caches, or gave it back: see to who reads through them."""
        self._refresh(self.flows.recached())

    def reroute(self) -> None:
        """Let all traffic take the ways there are now."""
        self.flows.rerouted()
        for running in list(self.running.values()):
            if running.exchange is not None:
                running.exchange = self.plans.exchange(running.index, running.placement, running.width)
        self._refresh([job for job in self.running.values() if job.exchange is not None or job.feed_uses])
        self._saving.reroute()

    def step_by_step(self, told: bool) -> None:  # noqa: FBT001  the argument of a call at an instant
        """Let jobs go step by step from now on, or no longer."""
        working = [job for job in self.running.values() if job.phase is Phase.RUN]
        working = [job for job in working if job.finish_s != self._engine.now]
        for running in working:
            self.work.stop(running)
        self.work.step_by_step = told
        for running in working:
            self.flows.prepare(running)
            self.work.begin(running)

    def steps_left(self) -> float:
        """Return the steps that all jobs that hold servers have left now, together."""
        return math.fsum(self.work.steps_left(running) for running in self.running.values())

    def idle(self, job: int) -> None:
        """Let a job that works hold its servers without progress until `resume`."""
        running = self.running.get(job)
        if running is not None and running.phase is Phase.RUN:
            self._enter(running, Phase.IDLE)
            self.work.hold(running)

    def resume(self, job: int) -> None:
        """Let a job that was told to idle work again."""
        running = self.running.get(job)
        if running is not None and running.phase is Phase.IDLE:
            self._work(running)

    # -- the end of an attempt -----------------------------------------------------------------------

    def preempt(self, job: int) -> None:
        """Stop a job that goes on later, with the checkpoint it has or, if so told and it got on since, a new one.

        Where writing that takes time the job holds its servers meanwhile (`leaving` counts it).
        """
        running = self.running[job]
        if running.phase is Phase.LEAVE:
            return
        was_running = running.phase is Phase.RUN
        self._enter(running, Phase.LEAVE)
        if was_running and self._is_done(running):
            self._done(running)
            return
        self._saving.drop(running)
        saves = self._costs.on_preempt == "checkpoint" and running.total_left() < running.durable_left
        if saves and self._saving.size_bytes(job):
            self.leaving += 1
            self._write(running)
        elif saves and self._costs.checkpoint_s > 0.0:
            self.leaving += 1
            self._pause(running, self._costs.checkpoint_s, _CHECKPOINT)
        else:
            self._leave(running, counted=False)

    def _is_done(self, running: RunningJob) -> bool:
        """Return whether a job that works is done but for the rounding of its last instant."""
        rounding_s = _ROUNDING_ULPS * math.ulp(max(1.0, self._engine.now))
        return running.total_left() <= running.plan.rate * rounding_s

    def _leave(self, running: RunningJob, *, counted: bool = True) -> None:
        """Free a preempted job's servers and let it wait again."""
        job = running.index
        if counted:
            self.leaving -= 1
        if self._costs.on_preempt == "checkpoint" and not running.unsaved:
            running.durable_left = running.total_left()
        if running.durable_left < self.left[job]:
            self._standstill.over()
        else:
            self._standstill.stopped(self._inputs.jobs.job_id[job], self._engine.now)
        self.left[job] = running.durable_left
        self._close(running, _PREEMPT)
        self._on_requeue(job)

    def _limit(self, running: RunningJob) -> None:
        """A job's wall time is over: what it has done by its last checkpoint stays done."""
        if self.running.get(running.index) is not running:
            return
        if running.phase is Phase.LEAVE:
            self.leaving -= 1
        was_running = running.phase is Phase.RUN
        self._enter(running, Phase.LEAVE)
        if was_running and self._is_done(running):
            self._done(running)
            return
        self.left[running.index] = running.durable_left
        self._record.outcome[running.index] = TIMED_OUT
        self._record.end_s[running.index] = self._engine.now
        self._close(running, _KILL)
        self._saving.forget(running.index)
        self._on_free(running.index)

    def _worked(self, running: RunningJob) -> None:
        """A job has done all of a stretch; it has left the links already."""
        if running.later_steps <= 0.0:
            self._refresh(self.flows.leave(running))
            self._done(running)
            return
        self._refresh(self.flows.stretch_over(running))
        self.flows.prepare(running)
        self.work.begin(running)

    def _done(self, running: RunningJob) -> None:
        """All its work is done; it has left the links already."""
        job = running.index
        self.accounts.phase_over(running, self._engine.now)
        running.turn += 1
        running.steps_left = running.later_steps = running.durable_left = 0.0
        self._standstill.over()
        self.left[job] = 0.0
        self._record.end_s[job] = self._engine.now
        self._close(running, _END)
        self._saving.forget(job)
        self._on_free(job)

    def _close(self, running: RunningJob, kind: int) -> None:
        """Give everything back and account the attempt."""
        job, fleet = running.index, self._placer.fleet
        del self.running[job]
        self._saving.drop(running)
        self.servers.forget(running)
        self._share_device(running, joins=False)
        for watcher in self.watchers:
            watcher.released(running)
        self._placer.give_back(job, running.width, running.held)
        for held in running.held:
            if not fleet.jobs_on[held[0]]:
                self.servers.idle(held[0])
        self.accounts.attempt(running, over=True)
        self.accounts.freed(job, self._engine.now)
        self._record.log.add(self._engine.now, kind, job, -1, self._record.steps_done[job])
        if self.ledger is not None:
            self.ledger.released(job, self._engine.now)

    def account_unfinished(self) -> None:
        """At the end of the run: write down what the jobs that are not over did until now."""
        now_s = self._engine.now
        self.accounts.never_again(now_s, self.running)
        for running in self.running.values():
            self.accounts.phase_over(running, self._engine.now)
            if running.phase is Phase.RUN:
                self.work.account(running)
            elif running.phase is not Phase.WAIT:
                running.advance(now_s)
            self.accounts.attempt(running, over=False)
        self.work.transfers.account()
