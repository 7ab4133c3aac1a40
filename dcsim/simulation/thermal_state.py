"""The heat of a hall while a run goes on: what racks breathe, what that adds to their draw, and who gets too hot."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from dcsim.engine import Engine, EventLog
from dcsim.errors import GuardError, Problem, ScenarioError, SimulationError
from dcsim.facility.rack_heat import (
    HeatFeedback,
    InletTemperatures,
    ServerCells,
    busy_powers_w,
    contraction,
    mixed_inlets,
    quantised_powers_w,
)
from dcsim.facility.room import Room
from dcsim.facility.servers import SHARE_UNITS, Fleet, quantised_w
from dcsim.facility.set_points import SetPoints
from dcsim.facility.settled_flow import settled_flow
from dcsim.policies.heat_view import HeatView
from dcsim.simulation.device_temperatures import Crossing, DeviceTemperatures
from dcsim.simulation.kinds import LogKind, Order
from dcsim.simulation.running import RunningJob
from dcsim.simulation.thermal_ports import Caps, PowerOfRacks, PowerOfServers

__all__ = ["ThermalState"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_THROTTLE, _UNTHROTTLE = int(LogKind.THROTTLE), int(LogKind.UNTHROTTLE)
_MIXES_BETWEEN_SUMS = 1024
_CONSISTENT = 1e-9
"""Relative: powers and temperatures at the end of an instant."""
_QUANTUM_W = 2.0**-22
"""To which powers are rounded (`quantised_w`): much, for a rack that draws a few watts."""


class ThermalState:
    """Inlets of racks, extra power of fans and leakage, temperatures of devices, and throttling.

    Told of changes of power as they happen, it does its sums once, at the end of each instant.

    Args:
        engine: for the time and the calls.
        log: gets a row for each server that is throttled or let go.
        fleet: idle and awake.
        room: how air mixes; N nodes.
        racks: kept up here, and passed on what is told.
        racks_per_node: racks that make a node.
        supply_deg_c: of the air from the plant.
        watched: whether a policy looks at `view`.
        least_flow: of the air movers, over full flow, (0, 1].
        own_flow: gives the plant's own flow for an IT power, W; None: full flow.
        idle_it_w: drawn by IT equipment at first, without what is extra.

    Raises:
        ScenarioError: devices or fans that would heat themselves up without end.
    """

    def __init__(
        self,
        engine: Engine,
        log: EventLog,
        fleet: Fleet,
        room: Room,
        racks: PowerOfRacks,
        *,
        racks_per_node: int = 1,
        supply_deg_c: float = 24.0,
        watched: bool = False,
        least_flow: float = 1.0,
        own_flow: Callable[[float], float] | None = None,
        idle_it_w: float = 0.0,
    ) -> None:
        self._engine, self._log, self._fleet, self.room, self._racks = engine, log, fleet, room, racks
        count = len(fleet.rack_start)
        self.node_of_rack: Ints = np.arange(count, dtype=np.int64) // racks_per_node
        self._first_rack = np.arange(len(room)) * racks_per_node
        self._cells = ServerCells.of(fleet)
        self._feedback = HeatFeedback(fleet.types, self._cells, count)
        self.supply_deg_c, self.flow_fraction = supply_deg_c, 1.0
        self._flow_set, self._least_flow, self._own_flow = math.nan, least_flow, own_flow
        self._it_power_w: Callable[[], float] = lambda: idle_it_w + self.extra_w
        self._refuse_runaway()
        self._capping: Caps | None = None
        self._servers_of_run: PowerOfServers | None = None
        self.extra_w = 0.0
        """What fans and leakage draw above reference, of all racks; an exact sum."""
        self._extra: Floats = np.zeros(count)
        self._idle_w = np.array(
            [kind.accelerator.idle_power_w if kind.accelerator else 0.0 for kind in fleet.types]
        )
        self._devices_w: dict[int, dict[RunningJob, tuple[int, int, float]]] = {}
        """By server: (shared device or -1, devices, W of each above idle) of the jobs that work there."""
        self._jobs_here: dict[int, dict[RunningJob, None]] = {}
        self._caps: dict[RunningJob, dict[int, float]] = {}
        """Of jobs held back: the cap that each of their throttled servers asks for."""
        self._job_w: dict[RunningJob, float] = {}  # of those whose draw changed since the last sums
        self._servers: dict[int, None] = {}
        self._cell_awake = self._cells.servers.astype(np.float64)
        self._is_awake = [1.0] * len(fleet)
        self._sum_w = (fleet.total * self._idle_w[np.array(fleet.type_of)]).tolist()
        self._cell_w: Floats = np.bincount(self._cells.of_server, weights=self._sum_w).astype(np.float64)
        self.inlet_deg_c: Floats = np.full(len(room), supply_deg_c)
        """(N,) of each node, at the end of the last instant."""
        self.node_power_w: Floats = np.zeros(len(room))
        """(N,) with what is extra."""
        self._rise_k: Floats = np.zeros(len(room))
        self._columns = np.ascontiguousarray(room.rise_k_per_w.T)
        self._stale, self._planned, self._mixes = True, 0, 0
        self._next = Crossing(math.inf, (), ())
        self._watched, self._settled_use = watched, fleet.used_units()
        self.log_time_s, self.log_hottest_deg_c = array("d"), array("d")
        """When something changed, and the hottest inlet from then on."""
        self.log_supply_deg_c, self.log_extra_w, self.log_flow = array("d"), array("d"), array("d")
        self._mix()
        hottest = self._idle_w[np.array(fleet.type_of)]
        inlets = self.inlet_deg_c[self.node_of_rack]
        self.devices = DeviceTemperatures(fleet.types, self._cells, self._feedback, inlets, hottest)

    def _refuse_runaway(self) -> None:
        if not np.isfinite(self._feedback.gain).all():
            hint = "a lower `resistance_k_per_w` or `leakage_fraction_per_k` under `thermal`"
            got = "accelerators that leak more for a kelvin than their air carries away"
            raise ScenarioError([Problem("scenario", None, "cluster", got, "less", hint)])
        # The least flow is the worst: the rise falls as flow grows, under both laws.
        worst = contraction(self.room, self.node_of_rack, self._feedback, self._least_flow)
        if not worst < 1.0:
            hint = "fans that rise less steeply, less leakage, less recirculation, or a larger cooling.least_flow"
            got = f"servers that answer a kelvin of inlet with power for {worst:.3g} K more"
            got += f" at {self._least_flow:.3g} of full flow" if self._least_flow < 1.0 else ""
            raise ScenarioError([Problem("scenario", None, "room", got, "less than 1 K", hint)])

    def connect(
        self,
        capping: Caps | None,
        servers: PowerOfServers,
        it_power_w: Callable[[], float] | None = None,
    ) -> None:
        """Take whom to tell: `capping` whom heat holds back, and `servers` what is extra, from now on.

        `it_power_w` gives what all IT equipment draws, with what is extra; None: as at first.
        """
        self._capping, self._servers_of_run = capping, servers
        servers.power_w += self.extra_w
        self._it_power_w = it_power_w or self._it_power_w

    # -- what it is told -----------------------------------------------------------------------------

    def set_supply(self, supply_deg_c: float, flow_fraction: float) -> None:
        """Let the plant supply other air from now on; its sums follow at the end of the instant.

        Args:
            supply_deg_c: temperature.
            flow_fraction: of the air movers' full flow, (0, 1]; NaN: as the plant gives by itself.

        Raises:
            SimulationError: less than the least flow, and fans and leakage would heat themselves up without end.
        """
        same = flow_fraction == self._flow_set or (math.isnan(flow_fraction) and math.isnan(self._flow_set))
        if same and supply_deg_c == self.supply_deg_c:
            return
        if flow_fraction < self._least_flow:
            worst = contraction(self.room, self.node_of_rack, self._feedback, flow_fraction)
            if not worst < 1.0:
                msg = (
                    f"at {flow_fraction:.3g} of full flow a kelvin at the inlets comes back as {worst:.3g} K"
                )
                raise SimulationError(msg)
        self.supply_deg_c, self._flow_set = supply_deg_c, flow_fraction
        self._stale = True

    def server_changed(self, server: int, change_w: float) -> None:
        """A server without a job draws more or less."""
        self._racks.server_changed(server, change_w)
        self._servers[server] = None

    def job_changed(self, running: RunningJob, before_w: float, after_w: float) -> None:
        """A job draws `after_w` in place of `before_w`."""
        self._racks.job_changed(running, before_w, after_w)
        if self.devices.has_any:
            self._job_w[running] = after_w

    def granted(self, running: RunningJob) -> None:
        """A job was granted its servers; on throttled ones it is held back from the start."""
        for server, _ in running.placement:
            self._jobs_here.setdefault(server, {})[running] = None
            if self.devices.throttled[server]:
                self._hold_back(running, server)

    def released(self, running: RunningJob) -> None:
        """A job has given everything back."""
        for server, _ in running.placement:
            self._jobs_here[server].pop(running, None)
        self._caps.pop(running, None)

    # -- the end of an instant ------------------------------------------------------------------------

    def settle(self, *, plans: bool = True) -> None:
        """Do the sums of an instant; `plans`: have what crosses a limit next called then."""
        for running, power_w in self._job_w.items():
            self._take_job(running, power_w)
        self._job_w.clear()
        for server in self._servers:
            self._take_server(server)
        drawn = bool(self._servers)
        self._servers.clear()
        if self._watched:
            self._settled_use = self._fleet.used_units()
        if self._racks.dirty or drawn or self._stale:
            self._mix()
            if self.devices.has_any:
                self.devices.breathe(self._engine.now, self.inlet_deg_c[self.node_of_rack])
            self._stale = True
        if self._stale and plans:
            self._plan()

    def _take_job(self, running: RunningJob, power_w: float) -> None:
        """Spread what a job draws over the devices it holds."""
        if not running.width:
            return
        each_w = quantised_w(max(0.0, power_w - running.cpu_power_w) / running.width)
        for server, devices, which in running.held:
            here = self._devices_w.setdefault(server, {})
            if each_w > 0.0:
                here[running] = (which if not devices else -1, max(devices, 1), each_w)
            else:
                here.pop(running, None)
            self._servers[server] = None

    def _take_server(self, server: int) -> None:
        """Sum the devices of a server, and find its hottest."""
        fleet, cell = self._fleet, int(self._cells.of_server[server])
        idle_w = float(self._idle_w[fleet.type_of[server]])
        awake = 0.0 if fleet.asleep[server] else 1.0
        total_w = awake * idle_w * int(fleet.total[server])
        hottest_w, shared = 0.0, dict[int, float]()
        for which, devices, each_w in self._devices_w.get(server, {}).values():
            total_w += devices * each_w
            shared_w = each_w
            if which >= 0:
                shared_w = shared[which] = shared.get(which, 0.0) + each_w
            hottest_w = max(hottest_w, shared_w)
        self._cell_awake[cell] += awake - self._is_awake[server]
        self._cell_w[cell] += total_w - self._sum_w[server]
        self._is_awake[server], self._sum_w[server] = awake, total_w
        if self.devices.has_any:
            self.devices.draw(self._engine.now, server, awake * idle_w + hottest_w)

    def _mix(self) -> None:
        """Find the inlets and powers that belong together, and pass on what is extra."""
        if self._feedback.has_any:
            self._mix_with_feedback()
        else:
            self._mix_alone()
        self.log_time_s.append(self._engine.now)
        self.log_hottest_deg_c.append(float(self.inlet_deg_c.max()))
        self.log_supply_deg_c.append(self.supply_deg_c)
        self.log_extra_w.append(self.extra_w)
        self.log_flow.append(self.flow_fraction)

    def _by_node(self, of_racks: Floats) -> Floats:
        """Return (N,) sums of (R,)."""
        if len(of_racks) == len(self.room):
            return of_racks.copy()
        return np.add.reduceat(of_racks, self._first_rack)

    def _mix_with_feedback(self) -> None:
        racks = self._racks
        base_w = racks.power_w - self._extra
        found = self._found(self._by_node(base_w))
        extra = quantised_powers_w(self._feedback.by_rack(found.extra_w))
        changed = np.flatnonzero(extra != self._extra)
        racks.power_w[changed] = base_w[changed] + extra[changed]
        racks.dirty.update(dict.fromkeys(changed.tolist()))
        self._extra, before_w = extra, self.extra_w
        self.extra_w = float(extra.sum())
        if self._servers_of_run is not None:
            self._servers_of_run.power_w += self.extra_w - before_w
        self.node_power_w = self._by_node(racks.power_w)

    def _found(self, base_w: Floats) -> InletTemperatures:
        """Find flow, inlets and extra powers that belong together; `base_w` (N,) is without what is extra."""

        def at(flow: float) -> InletTemperatures:
            found = mixed_inlets(
                self.room,
                self.node_of_rack,
                self._feedback,
                base_w=base_w,
                awake=self._cell_awake,
                device_w=self._cell_w,
                supply_deg_c=self.supply_deg_c,
                flow_fraction=flow,
                start_deg_c=self.inlet_deg_c,
            )
            self.inlet_deg_c, self.flow_fraction = found.inlet_deg_c, flow
            return found

        it_w = self._it_power_w() - self.extra_w
        if self._own_flow is None or not math.isnan(self._flow_set):
            return at(self._flow_alone(it_w))
        last: list[InletTemperatures] = []

        def answer(flow: float) -> float:
            last[:] = [at(flow)]
            return self._plant_flow(it_w + float(last[0].extra_w.sum()))

        # Extra power as it was is near, whatever changed.
        settled_flow(answer, self._plant_flow(it_w + self.extra_w), self._least_flow)
        return last[0]

    def _plant_flow(self, it_w: float) -> float:
        """Return the part of full flow that the plant gives by itself."""
        own = 1.0 if self._own_flow is None else self._own_flow(it_w)
        return min(max(own, self._least_flow), 1.0)

    def _flow_alone(self, it_w: float) -> float:
        """Return the part of full flow where power does not depend on inlets."""
        return self._plant_flow(it_w) if math.isnan(self._flow_set) else self._flow_set

    def _mix_alone(self) -> None:
        """Mix where nothing depends on inlets: few columns of D, and all of them now and then, for rounding."""
        power_w = self._by_node(self._racks.power_w)
        changed = np.flatnonzero(power_w != self.node_power_w)
        self._mixes += 1
        if len(changed) * 8 > len(power_w) or self._mixes % _MIXES_BETWEEN_SUMS == 0:
            self._rise_k = self.room.rise_k_per_w @ power_w
        else:
            more_w = power_w[changed] - self.node_power_w[changed]
            self._rise_k = self._rise_k + self._columns[changed].T @ more_w
        self.node_power_w = power_w
        self.flow_fraction = self._flow_alone(self._it_power_w())
        rise = self.room.rise_at_flow_k(self._rise_k, float(power_w.sum()), self.flow_fraction)
        self.inlet_deg_c = self.supply_deg_c + rise

    def hottest_rise_k(self) -> float:
        """Return the hottest inlet over supply air, K, if the air movers gave all they can."""
        return float(self.room.inlet_rise_k(self.node_power_w).max())

    def flow_rise_k(self) -> float:
        """Return by how much 1 / flow - 1 raises the hottest inlet, K, for each 1 of it."""
        hottest = self.hottest_rise_k()
        rise = self.room.rise_at_flow_k(np.array([hottest]), float(self.node_power_w.sum()), 0.5)
        return float(rise[0]) - hottest  # linear in 1 / flow, which is 2 here

    @property
    def set_points(self) -> SetPoints:
        """Supply and flow as racks breathed them; the meter pays for these."""
        times_s = np.array(self.log_time_s)
        last = np.append(np.diff(times_s) > 0.0, True)  # of equal times the last counts
        supply, flow = np.array(self.log_supply_deg_c)[last], np.array(self.log_flow)[last]
        new = np.append(True, (np.diff(supply) != 0.0) | (np.diff(flow) != 0.0))
        return SetPoints(times_s[last][new], supply[new], flow[new])

    def extra_energy_j(self, end_s: float) -> float:
        """Return what fans and leakage drew above reference from the start to `end_s`, J."""
        times_s, power_w = np.array(self.log_time_s), np.array(self.log_extra_w)
        lengths_s = np.maximum(np.diff(np.append(times_s, end_s)), 0.0)
        return math.fsum((power_w * lengths_s).tolist())

    def check(self) -> None:
        """Prove that powers and temperatures belong together.

        Raises:
            GuardError: they are further apart than rounding.
        """
        extra = self._feedback.extra_w(self.inlet_deg_c[self.node_of_rack], self._cell_awake, self._cell_w)
        by_rack = self._feedback.by_rack(extra)
        scale_w = np.maximum(np.abs(self._racks.power_w), 1.0)
        inlet = self.supply_deg_c + self.room.inlet_rise_k(self.node_power_w, self.flow_fraction)
        far_w = float(((np.abs(by_rack - self._extra) - _QUANTUM_W) / scale_w).max())
        far_k = float((np.abs(inlet - self.inlet_deg_c) / np.maximum(np.abs(inlet), 1.0)).max())
        far_flow = abs(self._flow_alone(self._it_power_w()) - self.flow_fraction)
        if not max(far_w, far_k, far_flow) <= _CONSISTENT:
            msg = f"inlets, flow and powers of racks are {max(far_w, far_k, far_flow):.2g} apart (relative)"
            raise GuardError(msg)

    # -- throttling -----------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Have the next servers that cross a limit called then."""
        self._stale = False
        if not self.devices.has_any:
            return
        crossing = self.devices.next(self._engine.now)
        if crossing == self._next and crossing.time_s > self._engine.now:
            return
        self._next = crossing
        self._planned += 1
        if crossing.time_s < math.inf:
            self._engine.call_at(crossing.time_s, Order.HEAT, 0, self._cross, self._planned)

    def _cross(self, number: int) -> None:
        """Servers reach a limit now, if nothing has changed since this was planned."""
        if number != self._planned:
            return
        crossing, self._next = self._next, Crossing(math.inf, (), ())
        now_s, self._stale = self._engine.now, True
        for server in crossing.cool_again:
            self.devices.throttle(server, on=False)
            self._log_server(now_s, _UNTHROTTLE, server)
            for running in self._jobs_here.get(server, {}):
                self._let_go(running, server)
        for server in crossing.too_hot:
            self.devices.throttle(server, on=True)
            self._log_server(now_s, _THROTTLE, server)
            for running in self._jobs_here.get(server, {}):
                self._hold_back(running, server)

    def _log_server(self, now_s: float, kind: int, server: int) -> None:
        temperature = float(self.devices.at(now_s, np.array([server]))[0])
        self._log.add(now_s, kind, -1, server, temperature)

    def _hold_back(self, running: RunningJob, server: int) -> None:
        thermal = self._fleet.type(server).spec.thermal
        if thermal is not None:
            caps = self._caps.setdefault(running, {})
            caps[server] = thermal.throttled_cap_fraction
            self._cap(running, caps)

    def _let_go(self, running: RunningJob, server: int) -> None:
        caps = self._caps.get(running, {})
        if caps.pop(server, None) is not None:
            self._cap(running, caps)

    def _cap(self, running: RunningJob, caps: Mapping[int, float]) -> None:
        if self._capping is not None:
            self._capping.set_thermal_cap(running.index, min(caps.values(), default=1.0))

    # -- what policies see ----------------------------------------------------------------------------

    def view(self, fleet: Fleet) -> HeatView:
        """Return the live view of the hall's heat for a policy that places jobs on `fleet`.

        Args:
            fleet: the run's, or one of the same servers as they are thought to be at some other time.
        """
        node = self.node_of_rack[fleet.rack]
        busy_w, core_w = busy_powers_w(fleet)
        factor = self.room.recirculation_factors()
        for column in (factor, busy_w, core_w):
            column.flags.writeable = False
        node.flags.writeable = False

        def pending_w() -> Floats | None:
            """Return what was granted since the last sums will draw at each node, or None."""
            devices = (fleet.used_units() - self._settled_use) / SHARE_UNITS
            if not devices.any():
                return None
            return np.bincount(node, weights=devices * busy_w, minlength=len(self.room)).astype(np.float64)

        def power_w() -> Floats:
            pending = pending_w()
            return (
                self.node_power_w.copy() if pending is None else np.maximum(self.node_power_w + pending, 0.0)
            )

        def inlet_deg_c() -> Floats:
            pending = pending_w()
            if pending is None:
                return self.inlet_deg_c.copy()
            return np.asarray(self.inlet_deg_c + self.room.inlet_rise_k(pending, self.flow_fraction))

        return HeatView(
            node=node,
            rise_k_per_w=self.room.rise_k_per_w,
            heat_rate_w_per_k=self.room.heat_rate_w_per_k,
            recirculation_factor=factor,
            busy_power_w=busy_w,
            core_power_w=core_w,
            inlet_deg_c=inlet_deg_c,
            power_w=power_w,
        )
