"""Attempts at jobs: granted, restored, run, checkpointed, preempted, killed at a limit or finished."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dcsim.engine import Engine
from dcsim.errors import DeadlockError
from dcsim.facility.sharing import Flow, SharedLinks
from dcsim.policies.views import Placement
from dcsim.simulation.accounting import Accounts
from dcsim.simulation.costing import Plan, Shape
from dcsim.simulation.kinds import LogKind, Order
from dcsim.simulation.neighbours import Neighbours
from dcsim.simulation.placing import Placer
from dcsim.simulation.progress import Progress
from dcsim.simulation.record import TIMED_OUT, RunRecord
from dcsim.simulation.running import Phase, RunningJob
from dcsim.simulation.server_states import ServerStates
from dcsim.spec.workload import TraceWorkloadSpec
from dcsim.workload.elastic import relative_progress

if TYPE_CHECKING:
    from dcsim.simulation.ledger import Ledger

__all__ = ["Attempts"]

_GRANT, _END, _PREEMPT, _KILL = (
    int(kind) for kind in (LogKind.GRANT, LogKind.END, LogKind.PREEMPT, LogKind.KILL)
)
_IN_VAIN_AT_LEAST, _IN_VAIN_A_JOB = 10_000, 10
_ROUNDING_ULPS = 1024
"""An end that is so near (100 ns after 12 days) is now: each phase of a job rounds once."""
_RESTORE, _CHECKPOINT = int(LogKind.RESTORE), int(LogKind.CHECKPOINT)


class Attempts:
    """All jobs that hold servers, and what befalls them.

    Args:
        engine: for the time and the calls.
        record: is filled with what each job did.
        placer: takes and gives back resources.
        links: what jobs' flows share.
        on_free: called with a job's row after it gave everything back for good (done or killed).
        on_requeue: called with a job's row after it was preempted.
    """

    def __init__(
        self,
        engine: Engine,
        record: RunRecord,
        placer: Placer,
        links: SharedLinks,
        *,
        on_free: Callable[[int], object],
        on_requeue: Callable[[int], object],
        on_sleep: Callable[[], object],
    ) -> None:
        inputs = record.inputs
        self._inputs = inputs
        self._engine = engine
        self._record = record
        self._placer = placer
        self._on_free = on_free
        self._on_requeue = on_requeue
        self.running: dict[int, RunningJob] = {}
        self.ledger: Ledger | None = None
        """Is told of each grant and release."""
        self._in_vain = 0
        """Attempts stopped in a row without any job having got on: no step saved, none ended."""
        self._in_vain_limit = _IN_VAIN_AT_LEAST + _IN_VAIN_A_JOB * len(inputs.jobs)
        self.leaving = 0
        """Jobs that hold their servers only to write the checkpoint with which they go."""
        self.work = Progress(engine, links, record.log, self._done)
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
        jobs = inputs.jobs
        self._profile = array("q", jobs.profile.tobytes())
        self._batch = array("q", jobs.batch_per_accelerator.tobytes())
        self._noise = array("d", jobs.noise_scale_samples.tobytes())
        self._limit_s = array("d", jobs.time_limit_s.tobytes())
        self._limited = inputs.scenario.preemption.enforce_time_limits and bool(
            (jobs.time_limit_s > 0.0).any()
        )
        self._cap = array("d", inputs.cap_fraction.tobytes())
        self._costs = inputs.scenario.preemption
        self._accelerator_name = [t.accelerator.name if t.accelerator else "" for t in inputs.fleet.types]
        self._local = [
            inputs.storage.local_fraction(self._dataset_bytes(p)) for p in range(len(jobs.profile_names))
        ]
        self._single_feeds: dict[tuple[int, float], tuple[tuple[int, float], ...]] = {}
        self._scaled: dict[tuple[int, float], Plan] = {}
        neighbours = Neighbours(inputs)
        self._neighbours = neighbours if neighbours.applies else None
        self.accounts = Accounts(record, placer.share, neighbours=neighbours.applies)

    def _dataset_bytes(self, profile: int) -> float:
        """Return the size of what a profile's jobs read: as the trace says, else as measured."""
        workload = self._inputs.scenario.workload
        if isinstance(workload, TraceWorkloadSpec) and workload.dataset_bytes is not None:
            return workload.dataset_bytes
        return self._inputs.costs.dataset_bytes(profile)

    # -- a gang is granted ---------------------------------------------------------------------------

    def start(self, job: int, placement: Placement, width: int) -> None:
        """Grant a placement: the job works as soon as its servers are awake and its state is loaded."""
        now_s, record, fleet = self._engine.now, self._record, self._placer.fleet
        held = self._placer.take(job, width, placement)
        largest = width if len(placement) == 1 else max(count for _, count in placement)
        plan = self._plan(job, placement, width, largest)
        cpu_w = self._placer.cpu_power_w(job, width, placement)
        running = RunningJob(job, plan, self.left[job], held, cpu_w, now_s, placement, width)
        self._share_device(running, joins=True)
        self.running[job] = running
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
        """Let a job on part of a device come beside others there, or go; each then runs as fast as that lets it."""
        neighbours = self._neighbours
        if neighbours is None or self._placer.share[running.index] >= 1.0:
            return
        changed = neighbours.join(running) if joins else neighbours.leave(running)
        accelerator = self._accelerator_name[self._placer.fleet.type_of[running.placement[0][0]]]
        for job in [*changed, running] if joins else changed:
            plan = neighbours.plan(job, accelerator)
            if plan.extrapolated:
                self._record.extrapolated[job.index] = True
            if plan is job.plan or job.finish_s == self._engine.now:  # who is done now was as fast until now
                continue
            if job.phase is Phase.RUN:
                self.work.stop(job)
                job.plan = plan
                self._make_flows(job)
                self.work.begin(job)
            else:
                job.plan = plan

    def _plan(self, job: int, placement: Placement, width: int, largest: int) -> Plan:
        asked = self._placer.width[job]
        plan = self._inputs.costs.plan(
            Shape(
                self._profile[job],
                self._batch[job],
                width,
                self._accelerator_name[self._placer.fleet.type_of[placement[0][0]]],
                self._cap[job],
                self._placer.share[job] if self._neighbours is None else 1.0,
                len(placement),
                largest,
                tuple(sorted((count for _, count in placement), reverse=True))
                if self._inputs.costs.by_layout(self._profile[job])
                else (),
            )
        )
        if width == asked:
            return plan
        batch = self._inputs.costs.batch(self._profile[job], self._batch[job])
        factor = relative_progress(width, asked, batch, self._noise[job])
        key = (id(plan), factor)
        if key not in self._scaled:
            self._scaled[key] = _rescaled(plan, factor)
        return self._scaled[key]

    def _awake(self, running: RunningJob) -> None:
        """All its servers are awake: start up or load the state of an earlier attempt, then work."""
        costs = self._costs
        restore_s = costs.restore_s if self._record.attempts[running.index] > 1 else costs.start_s
        if restore_s > 0.0:
            self._enter(running, Phase.RESTORE)
            self._pause(running, restore_s, _RESTORE)
        else:
            self._work(running)

    # -- phases --------------------------------------------------------------------------------------

    def _enter(self, running: RunningJob, phase: Phase) -> None:
        """Change a job's phase; the time in the old one is accounted."""
        self.accounts.phase_over(running, self._engine.now)
        if running.phase is not Phase.WAIT:
            self.work.stop(running)
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
            self._enter(running, Phase.CHECKPOINT)
            self._pause(running, self._costs.checkpoint_s, _CHECKPOINT)
        else:
            if running.phase is Phase.CHECKPOINT:
                running.durable_left = running.steps_left
            self._work(running)

    def _work(self, running: RunningJob) -> None:
        """Let a job make progress; its periodic checkpoint comes by its own running time."""
        self._enter(running, Phase.RUN)
        self._make_flows(running)
        self.work.begin(running)
        interval_s = self._costs.checkpoint_interval_s
        if interval_s is not None:
            due_s = self._engine.now + interval_s
            self._engine.call_at(due_s, Order.PHASE, running.index, self._phase_over, (running, running.turn))

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

    def _make_flows(self, running: RunningJob) -> None:
        plan, placement = running.plan, running.placement
        if plan.network_bytes_per_step > 0.0:
            uses = self._inputs.network.ring_uses([server for server, _ in placement])
            running.network = _flow(running, plan.network_bytes_per_step * plan.rate, uses)
        if plan.stream_bytes_per_step > 0.0:
            local = self._local[self._profile[running.index]]
            if len(placement) == 1:
                feed = self._single_feed(placement[0][0], local)
            else:
                largest = max(count for _, count in placement)
                streams = [(server, count / largest) for server, count in placement]
                feed = self._inputs.storage.feed_uses(self._inputs.network, streams, local)
            running.feed = _flow(running, plan.stream_bytes_per_step * plan.rate, feed)

    def _single_feed(self, server: int, local: float) -> Sequence[tuple[int, float]]:
        uses = self._single_feeds.get((server, local))
        if uses is None:
            uses = tuple(self._inputs.storage.feed_uses(self._inputs.network, [(server, 1.0)], local))
            self._single_feeds[server, local] = uses
        return uses

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
        saves = self._costs.on_preempt == "checkpoint" and running.steps_left < running.durable_left
        if saves and self._costs.checkpoint_s > 0.0:
            self.leaving += 1
            self._pause(running, self._costs.checkpoint_s, _CHECKPOINT)
        else:
            self._leave(running, counted=False)

    def _is_done(self, running: RunningJob) -> bool:
        """Return whether a job that works is done but for the rounding of its last instant."""
        rounding_s = _ROUNDING_ULPS * math.ulp(max(1.0, self._engine.now))
        return running.steps_left <= running.plan.rate * rounding_s

    def _leave(self, running: RunningJob, *, counted: bool = True) -> None:
        """Free a preempted job's servers and let it wait again."""
        job = running.index
        if counted:
            self.leaving -= 1
        if self._costs.on_preempt == "checkpoint":
            running.durable_left = running.steps_left
        self._count_in_vain(running)
        self.left[job] = running.durable_left
        self._close(running, _PREEMPT)
        self._on_requeue(job)

    def _count_in_vain(self, running: RunningJob) -> None:
        """Stop a run in which jobs push each other out for ever.

        Raises:
            DeadlockError: nobody has got on for very many attempts.
        """
        self._in_vain = 0 if running.durable_left < self.left[running.index] else self._in_vain + 1
        if self._in_vain > self._in_vain_limit:
            msg = (
                f"{self._in_vain} attempts in a row were stopped before they got anywhere, the last at"
                f" {self._engine.now} s: give longer rounds, shorter restarts, or checkpoints"
            )
            raise DeadlockError(msg)

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
        self._on_free(running.index)

    def _done(self, running: RunningJob) -> None:
        """All its work is done; it has left the links already."""
        job = running.index
        self.accounts.phase_over(running, self._engine.now)
        running.turn += 1
        running.steps_left = running.durable_left = 0.0
        self._in_vain = 0
        self.left[job] = 0.0
        self._record.end_s[job] = self._engine.now
        self._close(running, _END)
        self._on_free(job)

    def _close(self, running: RunningJob, kind: int) -> None:
        """Give everything back and account the attempt."""
        job, fleet = running.index, self._placer.fleet
        del self.running[job]
        self.servers.forget(running)
        self._share_device(running, joins=False)
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


def _rescaled(plan: Plan, factor: float) -> Plan:
    """Return a plan in steps of another width: `factor` of those make one of its own."""
    return replace(
        plan,
        rate=plan.rate * factor,
        compute_s=plan.compute_s / factor,
        throttled_s=plan.throttled_s / factor,
        communication_s=plan.communication_s / factor,
        network_bytes_per_step=plan.network_bytes_per_step / factor,
        sent_bytes_per_step=plan.sent_bytes_per_step / factor,
        stream_bytes_per_step=plan.stream_bytes_per_step / factor,
        input_bytes_per_step=plan.input_bytes_per_step / factor,
        busy_energy_per_step_j=plan.busy_energy_per_step_j / factor,
    )


def _flow(running: RunningJob, demand: float, uses: Sequence[tuple[int, float]]) -> Flow:
    whole = max(1, math.ceil(demand))
    return Flow(running, whole, [(link, weight, math.ceil(weight * whole)) for link, weight in uses])
