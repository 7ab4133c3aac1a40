"""One run: jobs arrive, wait, get servers, share links and power, and finish."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence

from dcsim.engine import Engine
from dcsim.errors import PolicyError
from dcsim.facility.servers import quantised_w
from dcsim.facility.sharing import SharedLinks
from dcsim.facility.storage import StorageState
from dcsim.policies.views import GridView, JobView
from dcsim.simulation.admission import Admission
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.budgets import watches_racks
from dcsim.simulation.capping import Capping
from dcsim.simulation.dispatching import make_dispatch
from dcsim.simulation.explaining import Observer
from dcsim.simulation.hall_events import HallEvents
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.kinds import LogKind, Order
from dcsim.simulation.placing import Placer
from dcsim.simulation.power_steps import PowerSteps, steps_power
from dcsim.simulation.rack_powers import RackPowers
from dcsim.simulation.record import CANCELLED, RunRecord
from dcsim.simulation.reserving import Reserving
from dcsim.simulation.set_point_control import SetPointControl
from dcsim.simulation.thermal_setup import thermal_state_of
from dcsim.simulation.tree_watch import HallWatch, TreeWatch, tree_of
from dcsim.simulation.watching import Watch

__all__ = ["ClusterRun"]

_SUBMIT, _HOLD, _CANCEL = int(LogKind.SUBMIT), int(LogKind.HOLD), int(LogKind.CANCEL)
_JOBS_BETWEEN_PROGRESS = 20_000


class ClusterRun:
    """The state of a run and what happens at each kind of event.

    Args:
        inputs: from `prepare`; its fleet is used up by the run.
        grid: makes the forecast an energy policy sees at an instant.
        guards: prove capacities, fairness and gang atomicity after every instant.
        progress: called now and then with (jobs ended, jobs).
        observer: is told what holds one job back.
        control: of the hall's set points; matters where the scenario has a room.
        own_flow: of the plant's air movers for an IT power, W, in a room; None: full flow.
    """

    def __init__(
        self,
        inputs: RunInputs,
        grid: Callable[[float], GridView],
        *,
        guards: bool = False,
        progress: Callable[[int, int], object] | None = None,
        observer: Observer | None = None,
        control: SetPointControl | None = None,
        own_flow: Callable[[float], float] | None = None,
    ) -> None:
        self.inputs = inputs
        self.record = RunRecord(inputs)
        self._grid = grid
        self._guards = guards
        self._control = control
        self._progress = progress
        self.engine = Engine(settle=self._settle)
        self.links = SharedLinks(inputs.links.bandwidths)
        self.storage = StorageState(inputs.storage, len(inputs.fleet), inputs.scenario.checkpoints)
        self.fleet = inputs.fleet
        self.ended = 0
        """Jobs that ended, completed or not."""
        self._stop_when_done = True
        base_w = quantised_w(inputs.network.power_w + inputs.storage.power_w)
        self.record.base_power_w = base_w + float(self.fleet.idle_power_w.sum())
        self.racks = RackPowers(self.fleet) if watches_racks(inputs.scenario) else None
        self.heat = thermal_state_of(inputs, self.engine, self.record, self.racks, own_flow)
        placer = Placer(inputs, self.links, self.heat)
        self.attempts = Attempts(
            self.engine,
            self.record,
            placer,
            self.links,
            self.storage,
            on_free=self._freed,
            on_requeue=self._requeue,
            on_sleep=self._slept,
        )
        self._hall = HallEvents(self.engine, self.record, self.links, self.storage, self.attempts)
        self._watch: Watch | None = None
        if observer is not None:
            observer.link_names = inputs.links.names
            self._watch = Watch(observer, self.engine, self.links, self.attempts.running)
        self._budget_due = False
        """Whether to look, at the end of the instant, if IT equipment keeps to its budget."""
        self.capping: Capping | None = None
        self._reserving = (
            Reserving(self.engine, inputs, self.attempts.servers) if inputs.policies.energy.reserves else None
        )
        self._prepare_power(placer)
        self._dispatch = make_dispatch(self.engine, self.record, placer, self.attempts, grid)
        self._admission = Admission(inputs.jobs, self._admit, self._cancel)
        self._submit_s = array("d", inputs.jobs.submit_s.tobytes())
        self._slack_s = array("d", inputs.jobs.slack_s.tobytes())
        self._width = placer.width
        self._log_power(self.attempts.it_power_w)

    def _prepare_power(self, placer: Placer) -> None:
        """Make what watches and changes powers, where a policy, a power tree or a room asks for it."""
        inputs, attempts = self.inputs, self.attempts
        if steps_power(inputs):
            self.record.power_steps = PowerSteps(self.engine)
            attempts.work.on_power.append(self.record.power_steps.changed)
        if self.racks is not None:
            told = self.heat or self.racks
            attempts.watchers.append(self.racks)
            attempts.work.on_power.append(told.job_changed)
            attempts.servers.on_power = told.server_changed
            base_w = self.record.base_power_w - float(self.fleet.idle_power_w.sum())
            tree = tree_of(inputs.scenario, self.fleet, base_w)
            if tree is not None:
                self.record.tree = TreeWatch(tree, self.racks, self.record.log)
                inputs.limits.rack_w = tree.budget_w[: tree.racks].copy()
        if inputs.limits.any:
            self.record.hall = HallWatch(self.record.log)
        if inputs.policies.energy.recaps or inputs.scenario.room is not None:
            self.capping = Capping(
                self.engine, self.record, attempts, inputs.limits, self.racks, self._grid, placer.share
            )
            attempts.watchers.append(self.capping)
        if self.heat is not None:
            attempts.watchers.append(self.heat)
            self.heat.connect(self.capping, attempts.servers, lambda: attempts.it_power_w)

    # -- the run ---------------------------------------------------------------------------------

    def run(self, horizon_s: float | None) -> float:
        """Run all jobs, or through the horizon; returns the end of the run in seconds.

        Raises:
            DeadlockError: jobs wait and nothing can happen any more.
            PolicyError: a policy broke its contract.
        """
        self._stop_when_done = horizon_s is None
        if len(self._submit_s):
            self._arrive_next(0)
        elif horizon_s is None:
            return 0.0
        self._hall.start()
        self.attempts.servers.start()
        if self.record.hall is not None:
            self._budget_changes(None)
        if self._control is not None and self.heat is not None:
            self._control.start(
                self.engine,
                it_power_w=lambda: self.attempts.it_power_w,
                hottest_rise_k=self.heat.hottest_rise_k,
                flow_rise_k=self.heat.flow_rise_k,
                apply=self.heat.set_supply,
                idle=lambda: self.engine.peek() == math.inf,
            )
        self.engine.run_calls(horizon_s, self._waiting_names)
        self.attempts.account_unfinished()
        if self.capping is not None:
            self.capping.account()
        for watch in (self.record.tree, self.record.hall):
            if watch is not None:
                watch.close(self.engine.now)
        self.record.now_s = self.engine.now
        return self.engine.now

    def run_to(self, horizon_s: float | None) -> RunRecord:
        """Run as `run`; returns what was written down."""
        self.run(horizon_s)
        return self.record

    def _waiting_names(self) -> Sequence[str]:
        if not self._stop_when_done and self.attempts.running:
            return []  # they stand still on links that failed for good, to the end of the run
        jobs = self.inputs.jobs
        free = int(self.fleet.free.sum())
        names = [
            f"job {jobs.job_id[i]} wants {jobs.accelerators[i]} accelerators ({free} free in all)"
            for i in self._dispatch.jobs()
        ]
        names += [f"job {jobs.job_id[i]} waits for others" for i in self._admission.held_back()]
        if self._stop_when_done:
            names += [f"job {jobs.job_id[i]} stands still on its servers" for i in self.attempts.running]
        return names

    def _arrive_next(self, job: int) -> None:
        self.engine.call_at(self._submit_s[job], Order.ARRIVE, job, self._arrive, job)

    def _arrive(self, job: int) -> None:
        if job + 1 < len(self._submit_s):
            self._arrive_next(job + 1)
        now_s = self.engine.now
        if self._reserving is not None:
            self._reserving.arrived = job + 1
        self.record.log.add(now_s, _SUBMIT, job, -1, self._width[job])
        if self.inputs.policies.energy.holds_jobs and self._slack_s[job] > 0.0:
            eligible_s = self._eligible_s(job)
            self.record.eligible_s[job] = eligible_s
            if eligible_s > now_s:
                self.record.log.add(now_s, _HOLD, job, -1, eligible_s)
                self.engine.call_at(eligible_s, Order.ELIGIBLE, job, self._admission.offer, job)
                return
        self._admission.offer(job)

    def _eligible_s(self, job: int) -> float:
        inputs = self.inputs
        view = JobView(
            job,
            self._submit_s[job],
            int(inputs.jobs.accelerators[job]),
            float(inputs.ideal_s[job]),
            self._slack_s[job],
            int(inputs.jobs.tenant[job]),
        )
        policy = inputs.policies.energy
        eligible_s = float(policy.eligible_s(view, self._grid(self.engine.now)))
        if not view.submit_s <= eligible_s <= view.submit_s + view.slack_s:
            msg = (
                f"{policy.name}: job {inputs.jobs.job_id[job]} eligible at {eligible_s} s -> expected"
                f" within [{view.submit_s}, {view.submit_s + view.slack_s}] s"
            )
            raise PolicyError(msg)
        return eligible_s

    # -- what changes the line -------------------------------------------------------------------

    def _admit(self, job: int) -> None:
        """Nothing holds a job back any more but the lack of servers."""
        self.record.eligible_s[job] = self.engine.now
        self._dispatch.add(job)

    def _cancel(self, job: int, because: int) -> None:
        """A job will never start: one it waits for was not completed."""
        now_s = self.engine.now
        self.record.outcome[job] = CANCELLED
        self.record.end_s[job] = now_s
        self.attempts.accounts.dropped(job, now_s)
        self.record.log.add(now_s, _CANCEL, job, -1, because)
        self._count_ended()

    def _requeue(self, job: int) -> None:
        """A preempted job waits again, at once or after a while."""
        self._dispatch.capacity_freed()
        delay_s = self.inputs.scenario.preemption.requeue_s
        if delay_s > 0.0:
            self.engine.call_at(self.engine.now + delay_s, Order.ELIGIBLE, job, self._dispatch.add, job)
        else:
            self._dispatch.add(job)

    def _freed(self, job: int) -> None:
        """A job that held servers ended for good."""
        self._dispatch.gone(job)
        self._dispatch.capacity_freed()
        if self.record.outcome[job]:
            self._admission.failed(job)
        else:
            self._admission.completed(job)
        self._count_ended()

    def _slept(self) -> None:
        """A server fell asleep: a placement policy may decide otherwise."""
        self._dispatch.capacity_freed()

    def _count_ended(self) -> None:
        self.ended += 1
        if self._progress is not None and self.ended % _JOBS_BETWEEN_PROGRESS == 0:
            self._progress(self.ended, len(self._submit_s))
        if self._is_over():
            self.engine.clear()

    def _is_over(self) -> bool:
        return self._stop_when_done and self.ended == len(self._submit_s)

    # -- the end of an instant -------------------------------------------------------------------

    def _settle(self) -> None:
        """At the end of an instant: start what fits, share the links, re-plan, log the power."""
        self._dispatch.serve()
        if self.storage.recached:
            self.attempts.recached()
        self.attempts.work.settle()
        if self._is_over():
            self.engine.clear()  # a rebuild that goes faster now does not keep the run open
        if self._watch is not None:
            self._watch.settle()
        self._settle_power()
        if self._guards:
            self._check()

    def _settle_power(self) -> None:
        """At the end of an instant: decide reserves and caps, mix the air, watch ratings, log the power."""
        goes_on = not self._is_over()  # else who wants to be asked again would keep the run open
        if self._reserving is not None and goes_on:
            self._reserving.settle()
        if self.capping is not None and goes_on:
            self.capping.settle()
        if self.heat is not None:
            self.heat.settle(plans=goes_on)
        if self.racks is not None and self.racks.dirty:
            tree = self.record.tree
            if tree is None:
                self.racks.dirty.clear()
            else:
                tree.settle(self.engine.now, self.racks.log(self.engine.now))
        it_w = self.attempts.it_power_w
        if it_w != self._logged_w:
            self._log_power(it_w)
            self._budget_due = True
        if self._budget_due and self.record.hall is not None:
            self._budget_due = False
            now_s = self.engine.now
            self.record.hall.see(now_s, it_w, self.inputs.limits.at(now_s)[0])

    def _budget_changes(self, _: None) -> None:
        """From now on IT equipment may draw another power: look at the end of the instant, and call the next change."""
        self._budget_due = True
        changes_s = self.inputs.limits.at(self.engine.now)[1]
        if changes_s < math.inf:
            self.engine.call_at(changes_s, Order.CAP, 2, self._budget_changes, None)

    def _check(self) -> None:
        """Prove what holds at the end of each instant."""
        self.fleet.check()
        self.links.check()
        self.storage.check()
        if self.heat is not None:
            self.heat.check()

    def _log_power(self, it_w: float) -> None:
        self._logged_w = it_w
        self.record.power_times_s.append(self.engine.now)
        self.record.it_power_w.append(it_w)
