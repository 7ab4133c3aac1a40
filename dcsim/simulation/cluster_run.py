"""One run: jobs arrive, wait, get servers, share links and power, and finish."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

from dcsim.engine import Engine, EventLog
from dcsim.errors import GuardError, PolicyError
from dcsim.facility.servers import Held, quantised_w, share_units
from dcsim.facility.sharing import Flow, SharedLinks
from dcsim.policies.views import ClusterView, FindFree, GridView, JobView, Placement, PlacementRequest
from dcsim.simulation.costing import Shape
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.kinds import LogKind, Order
from dcsim.simulation.progress import Progress
from dcsim.simulation.running import RunningJob
from dcsim.simulation.waiting import WaitingLine
from dcsim.spec.workload import TraceWorkloadSpec

__all__ = ["ClusterRun"]

_SUBMIT, _HOLD, _GRANT, _, _END, _SLEEP, _WAKE, _AWAKE = (int(kind) for kind in LogKind)
_JOBS_BETWEEN_PROGRESS = 20_000


class ClusterRun:
    """The state of a run and what happens at each kind of event.

    Args:
        inputs: from `prepare`; its fleet is used up by the run.
        grid: makes the forecast an energy policy sees at an instant.
        guards: prove capacities, fairness and gang atomicity after every instant.
        progress: called now and then with (jobs done, jobs).
    """

    def __init__(
        self,
        inputs: RunInputs,
        grid: Callable[[float], GridView],
        *,
        guards: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        self.inputs = inputs
        self._grid = grid
        self._guards = guards
        self._progress = progress
        self.engine = Engine(settle=self._settle)
        self.log = EventLog()
        self.links = SharedLinks(inputs.storage.capacity_bytes_per_s + inputs.network.capacity_bytes_per_s)
        self.fleet = inputs.fleet
        self.fleet.has_shares = bool((inputs.jobs.accelerator_share < 1.0).any())
        self.fleet.track_cpu_memory = inputs.cpu_memory_binding
        self.running: dict[int, RunningJob] = {}
        self.completed = 0
        self._line = WaitingLine(inputs.order_keys.tolist(), inputs.policies.ordering.skip)
        self._skips = inputs.policies.ordering.skip > 0
        self._refused: dict[tuple[float, ...] | None, None] = {}
        """Shapes of gangs that were refused since the servers last changed: they would be again."""
        self.work = Progress(self.engine, self.links, self.log, self._finished)
        self._waking: dict[int, list[RunningJob]] = {}
        self._idle_since = [0.0] * len(self.fleet)
        self._sleep_after_s = inputs.policies.energy.sleep_after_s()
        self._stop_when_done = True
        self._view = self._cluster_view()
        self._job_columns()
        self._result_columns()
        self._single_feeds: dict[tuple[int, float], tuple[tuple[int, float], ...]] = {}
        self._start_power()

    def _job_columns(self) -> None:
        jobs, inputs = self.inputs.jobs, self.inputs
        self._submit_s = array("d", jobs.submit_s.tobytes())
        self._width = array("q", jobs.accelerators.tobytes())
        self._share = array("d", jobs.accelerator_share.tobytes())
        self._max_servers = array("q", jobs.max_servers.tobytes())
        self._cpu = array("d", jobs.cpu_cores.tobytes())
        self._memory = array("d", jobs.memory_bytes.tobytes())
        self._profile = array("q", jobs.profile.tobytes())
        self._batch = array("q", jobs.batch_per_accelerator.tobytes())
        self._slack_s = array("d", jobs.slack_s.tobytes())
        self._type = array("q", jobs.accelerator_types.tobytes())
        self._steps = array("d", inputs.steps.tobytes())
        self._cap = array("d", inputs.cap_fraction.tobytes())
        self._accelerator_name = [t.accelerator.name if t.accelerator else "" for t in self.fleet.types]
        # On one accelerator type, an unconstrained job may go anywhere that has devices.
        self._one_type = len(inputs.allowed[-1]) <= 1 and all(t.accelerator for t in self.fleet.types)
        self._local = [
            inputs.storage.local_fraction(self._dataset_bytes(p)) for p in range(len(jobs.profile_names))
        ]

    def _dataset_bytes(self, profile: int) -> float:
        """Return the size of what a profile's jobs read: as the trace says, else as measured."""
        workload = self.inputs.scenario.workload
        if isinstance(workload, TraceWorkloadSpec) and workload.dataset_bytes is not None:
            return workload.dataset_bytes
        return self.inputs.costs.dataset_bytes(profile)

    def _result_columns(self) -> None:
        count = len(self.inputs.jobs)
        nan = array("d", [math.nan])
        self.eligible_s = array("d", self._submit_s)
        self.start_s = nan * count
        self.end_s = nan * count
        self.energy_j = array("d", [0.0]) * count
        self.steps_done = array("d", [0.0]) * count
        self.servers_used = array("i", [0]) * count
        self.racks_used = array("i", [0]) * count
        self.first_server = array("i", [-1]) * count
        self.network_bytes = array("d", [0.0]) * count
        self.input_bytes = array("d", [0.0]) * count
        self.extrapolated = bytearray(count)
        self.power_times_s = array("d")
        self.it_power_w = array("d")

    def _start_power(self) -> None:
        inputs = self.inputs
        base_w = inputs.network.power_w + inputs.storage.power_w
        self._servers_w = quantised_w(base_w) + float(self.fleet.idle_power_w.sum())
        self.base_power_w = self._servers_w
        self._log_power(self._servers_w)

    def _cluster_view(self) -> ClusterView:
        fleet = self.fleet
        arrays = {
            "total_accelerators": fleet.total,
            "rack": fleet.rack,
            "rack_start": fleet.rack_start,
            "free_accelerators": fleet.free,
            "asleep": fleet.asleep,
            "free_cpu_cores": fleet.free_cpu,
            "free_memory_bytes": fleet.free_memory,
            "largest_free_share": fleet.largest_share,
        }
        views = {name: column.view() for name, column in arrays.items()}
        for view in views.values():
            view.flags.writeable = False
        return ClusterView(
            **views,
            largest_server=int(fleet.total.max(initial=0)),
            cpu_memory_binding=self.inputs.cpu_memory_binding,
            find_free=cast("FindFree", fleet.free_bytes.find),
        )

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
        for server in range(len(self.fleet)):
            self._maybe_sleep_later(server, 0.0)
        self.engine.run_calls(horizon_s, self._waiting_names)
        now_s = self.engine.now
        for running in self.running.values():
            self.work.account(running)
            self._account(running)
        return now_s

    def _waiting_names(self) -> Sequence[str]:
        jobs = self.inputs.jobs
        free = int(self.fleet.free.sum())
        return [
            f"job {jobs.job_id[i]} wants {jobs.accelerators[i]} accelerators ({free} free in all)"
            for i in self._line.jobs()
        ]

    def _arrive_next(self, job: int) -> None:
        self.engine.call_at(self._submit_s[job], Order.ARRIVE, job, self._arrive, job)

    def _arrive(self, job: int) -> None:
        if job + 1 < len(self._submit_s):
            self._arrive_next(job + 1)
        now_s = self.engine.now
        self.log.add(now_s, _SUBMIT, job, -1, self._width[job])
        if self.inputs.policies.energy.holds_jobs and self._slack_s[job] > 0.0:
            eligible_s = self._eligible_s(job)
            self.eligible_s[job] = eligible_s
            if eligible_s > now_s:
                self.log.add(now_s, _HOLD, job, -1, eligible_s)
                self.engine.call_at(eligible_s, Order.ELIGIBLE, job, self._line.add, job)
                return
        self._line.add(job)

    def _eligible_s(self, job: int) -> float:
        inputs = self.inputs
        view = JobView(
            job,
            self._submit_s[job],
            self._width[job],
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

    # -- placement -------------------------------------------------------------------------------

    def _settle(self) -> None:
        """At the end of an instant: start what fits, share the links, re-plan, log the power."""
        self._line.serve(self._try_start)
        self.work.settle()
        it_w = self._servers_w + self.work.power_w
        if it_w != self._logged_w:
            self._log_power(it_w)
        if self._guards:
            self.fleet.check()
            self.links.check()

    def _try_start(self, job: int) -> bool:
        shape = self._shape(job) if self._skips else None
        if shape in self._refused:
            return False
        placement = self._place(job)
        if placement is None:
            if shape is not None:
                self._refused[shape] = None
            return False
        self._refused.clear()
        self._start(job, placement)
        return True

    def _shape(self, job: int) -> tuple[float, ...]:
        """Return all that a placement depends on but the servers' state."""
        return (
            self._width[job],
            self._share[job],
            self._max_servers[job],
            self._cpu[job],
            self._memory[job],
            self._type[job],
        )

    def _place(self, job: int) -> Placement | None:
        place = self.inputs.policies.placement.place
        constraint, width = self._type[job], self._width[job]
        if width == 0 or (constraint < 0 and self._one_type):
            return place(self._request(job, None), self._view)
        for mask in self.inputs.allowed[constraint]:
            placement = place(self._request(job, mask), self._view)
            if placement is not None:
                return placement
        return None

    def _request(self, job: int, allowed: object) -> PlacementRequest:
        return PlacementRequest(
            self._width[job],
            self._share[job],
            self._max_servers[job],
            self._cpu[job],
            self._memory[job],
            allowed,  # type: ignore[arg-type]  # a mask or None
        )

    def _check_placement(self, job: int, placement: Placement) -> None:
        """Refuse a placement that is not the whole gang on distinct, ascending, suitable servers."""
        fault = self._placement_fault(job, placement)
        if fault:
            name = self.inputs.policies.placement.name
            msg = f"{name}: job {self.inputs.jobs.job_id[job]} got {placement}: {fault}"
            raise PolicyError(msg)

    def _placement_fault(self, job: int, placement: Placement) -> str:  # noqa: PLR0911  one return a fault
        """Return what is wrong with a placement, or nothing."""
        width, limit, constraint = self._width[job], self._max_servers[job], self._type[job]
        any_server = width == 0 or (constraint < 0 and self._one_type)
        if len(placement) == 1 and any_server:  # by far the most frequent case
            server, count = placement[0]
            if type(server) is int and type(count) is int and count == width:
                return "" if 0 <= server < len(self.fleet) else "a server that does not exist"
        servers = [server for server, _ in placement]
        counts = [count for _, count in placement]
        # numpy's small integers would overflow in the sums below.
        if any(type(number) is not int for number in (*servers, *counts)):
            return "numbers that are not plain integers"
        if sum(counts) != width or (width and min(counts) < 1):
            return f"{counts} accelerators for a gang of {width}"
        if not servers or servers[0] < 0 or servers[-1] >= len(self.fleet):
            return "a server that does not exist"
        if any(a >= b for a, b in pairwise(servers)):
            return "servers not ascending and distinct"
        if (limit and len(servers) > limit) or (width == 0 and len(servers) != 1):
            return f"{len(servers)} servers where {limit or 1} are allowed"
        if not any_server:
            masks = self.inputs.allowed[constraint]
            if not any(all(mask[server] for server in servers) for mask in masks):
                return "servers without one accelerator type that suits the job"
        return ""

    def _start(self, job: int, placement: Placement) -> None:
        self._check_placement(job, placement)
        now_s, fleet, width = self.engine.now, self.fleet, self._width[job]
        held, cpu_w = self._take(job, placement)
        largest = width if len(placement) == 1 else max(count for _, count in placement)
        shape = Shape(
            self._profile[job],
            self._batch[job],
            width,
            self._accelerator_name[fleet.type_of[placement[0][0]]],
            self._cap[job],
            self._share[job],
            len(placement),
            largest,
        )
        plan = self.inputs.costs.plan(shape)
        running = RunningJob(job, plan, self._steps[job], held, cpu_w, now_s)
        self.running[job] = running
        self.start_s[job] = now_s
        self.servers_used[job] = len(placement)
        self.first_server[job] = placement[0][0]
        self.racks_used[job] = 1 if len(placement) == 1 else len({int(fleet.rack[s]) for s, _ in placement})
        self.extrapolated[job] = plan.extrapolated
        for server, count in placement:
            self.log.add(now_s, _GRANT, job, server, count)
            if fleet.asleep[server]:
                self._wake(server)
            if server in self._waking:
                self._waking[server].append(running)
                running.waking_servers += 1
        self._make_flows(running, placement, largest)
        if not running.waking_servers:
            self.work.begin(running)

    def _take(self, job: int, placement: Placement) -> tuple[tuple[Held, ...], float]:
        """Take all of a gang's resources; returns what is held and the CPU power above idle."""
        fleet, width, share = self.fleet, self._width[job], self._share[job]
        held, cpu_w = [], 0.0
        for server, count in placement:
            spec = fleet.types[fleet.type_of[server]].spec
            part = count / width if width else 1.0
            cores = self._cores(job, server, count)
            memory = self._memory[job] * part
            cpu_w += (spec.peak_power_w - spec.idle_power_w) * min(1.0, cores / spec.cpu_cores)
            try:
                if share < 1.0:
                    held.append(fleet.take_share(server, share_units(share), cores, memory))
                else:
                    held.append(fleet.take(server, count, cores, memory))
            except GuardError as error:
                name = self.inputs.policies.placement.name
                msg = f"{name}: job {self.inputs.jobs.job_id[job]} got {placement}: {error}"
                raise PolicyError(msg) from None
        return tuple(held), cpu_w

    def _cores(self, job: int, server: int, count: int) -> float:
        """Return the cores a job takes on a server: as asked, else the share that goes with its devices."""
        width, asked = self._width[job], self._cpu[job]
        if asked > 0.0:
            return asked * count / width if width else asked
        if width == 0 or self.inputs.cpu_memory_binding:
            return 0.0
        spec = self.fleet.types[self.fleet.type_of[server]].spec
        return spec.cpu_cores * count / spec.accelerators

    def _make_flows(self, running: RunningJob, placement: Placement, largest: int) -> None:
        plan = running.plan
        if plan.network_bytes_per_step > 0.0:
            uses = self.inputs.network.ring_uses([server for server, _ in placement])
            running.network = self._flow(running, plan.network_bytes_per_step * plan.rate, uses)
        if plan.stream_bytes_per_step > 0.0:
            local = self._local[self._profile[running.index]]
            if len(placement) == 1:
                feed = self._single_feed(placement[0][0], local)
            else:
                streams = [(server, count / largest) for server, count in placement]
                feed = self.inputs.storage.feed_uses(self.inputs.network, streams, local)
            running.feed = self._flow(running, plan.stream_bytes_per_step * plan.rate, feed)

    def _single_feed(self, server: int, local: float) -> Sequence[tuple[int, float]]:
        uses = self._single_feeds.get((server, local))
        if uses is None:
            uses = tuple(self.inputs.storage.feed_uses(self.inputs.network, [(server, 1.0)], local))
            self._single_feeds[server, local] = uses
        return uses

    def _flow(self, running: RunningJob, demand: float, uses: Sequence[tuple[int, float]]) -> Flow:
        whole = max(1, math.ceil(demand))
        return Flow(running, whole, [(link, weight, math.ceil(weight * whole)) for link, weight in uses])

    # -- the end of a job --------------------------------------------------------------------------

    def _finished(self, running: RunningJob) -> None:
        now_s, job = self.engine.now, running.index
        del self.running[job]
        self._refused.clear()
        self._release(running, now_s)
        self.end_s[job] = now_s
        self._account(running)
        self.log.add(now_s, _END, job, -1, self.steps_done[job])
        self.completed += 1
        if self._progress is not None and self.completed % _JOBS_BETWEEN_PROGRESS == 0:
            self._progress(self.completed, len(self._submit_s))
        self._line.capacity_freed()
        if self._stop_when_done and self.completed == len(self._submit_s):
            self.engine.clear()

    def _release(self, running: RunningJob, now_s: float) -> None:
        job, fleet = running.index, self.fleet
        width, units = self._width[job], share_units(self._share[job])
        for held in running.held:
            server, count, _ = held
            part = count / width if width > 1 else 1.0
            cores = self._cores(job, server, max(count, 1)) if fleet.track_cpu_memory else 0.0
            fleet.give_back(held, units, cores, self._memory[job] * part)
            if not fleet.jobs_on[server]:
                self._maybe_sleep_later(server, now_s)

    def _account(self, running: RunningJob) -> None:
        job, plan = running.index, running.plan
        steps = self._steps[job] - running.steps_left
        self.steps_done[job] = steps
        self.energy_j[job] = running.energy_j
        self.network_bytes[job] = plan.network_bytes_per_step * steps * len(running.held)
        self.input_bytes[job] = plan.input_bytes_per_step * steps

    # -- servers' power states ---------------------------------------------------------------------

    def _maybe_sleep_later(self, server: int, now_s: float) -> None:
        if self._sleep_after_s is None:
            return
        self._idle_since[server] = now_s
        self.engine.call_at(now_s + self._sleep_after_s, Order.SLEEP, server, self._sleep, (server, now_s))

    def _sleep(self, idle: tuple[int, float]) -> None:
        server, since_s = idle
        fleet = self.fleet
        if fleet.jobs_on[server] or fleet.asleep[server] or self._idle_since[server] != since_s:
            return
        fleet.asleep[server] = True
        self._refused.clear()
        self._servers_w += float(fleet.sleep_power_w[server] - fleet.idle_power_w[server])
        self.log.add(self.engine.now, _SLEEP, -1, server, float(fleet.sleep_power_w[server]))

    def _wake(self, server: int) -> None:
        fleet, now_s = self.fleet, self.engine.now
        fleet.asleep[server] = False
        self._servers_w += float(fleet.idle_power_w[server] - fleet.sleep_power_w[server])
        latency_s = fleet.type(server).spec.wake_latency_s
        self.log.add(now_s, _WAKE, -1, server, latency_s)
        self._waking[server] = []
        self.engine.call_at(now_s + latency_s, Order.AWAKE, server, self._awake, server)

    def _awake(self, server: int) -> None:
        self.log.add(self.engine.now, _AWAKE, -1, server, 0.0)
        for running in self._waking.pop(server):
            running.waking_servers -= 1
            if not running.waking_servers:
                self.work.begin(running)

    def _log_power(self, it_w: float) -> None:
        self._logged_w = it_w
        self.power_times_s.append(self.engine.now)
        self.it_power_w.append(it_w)
