"""Set points of the hall's air, decided by a cooling policy: after a run, or while it goes where a room feels them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dcsim.engine import Engine
from dcsim.errors import PolicyError
from dcsim.facility.set_points import SetPoints
from dcsim.facility.weather import WeatherSeries
from dcsim.policies.facility import FixedSetPoints, HallView
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.kinds import Order
from dcsim.simulation.record import RunRecord

__all__ = ["SetPointControl", "make_control"]

Floats = npt.NDArray[np.float64]


def make_control(inputs: RunInputs, weather: WeatherSeries, peak_it_w: float) -> SetPointControl | None:
    """Return the control of a run; None where the set points never change."""
    if isinstance(inputs.policies.cooling, FixedSetPoints):
        return None
    return SetPointControl(inputs, weather, peak_it_w)


class SetPointControl:
    """Asks the policy at every change of the weather and every `interval_s`, and keeps it to what the hall allows.

    Args:
        inputs: of the run.
        weather: outdoors.
        peak_it_w: largest IT power.
    """

    def __init__(self, inputs: RunInputs, weather: WeatherSeries, peak_it_w: float) -> None:
        self._policy = inputs.policies.cooling
        self._spec = inputs.scenario.cooling
        self._weather = weather
        self._peak_it_w = peak_it_w
        self._bounds = self._spec.supply_bounds_deg_c
        self._supply_deg_c = self._spec.supply_temperature_deg_c
        self._asked_s = 0.0
        self._engine: Engine | None = None
        self._it_power_w: Callable[[], float] = lambda: 0.0
        self._rise_k: Callable[[], float] = lambda: 0.0
        self._apply: Callable[[float, float], object] = lambda _supply, _flow: None
        self._ends: Callable[[], bool] = lambda: False
        self._times_s, self._supplies, self._flows = array("d"), array("d"), array("d")

    # -- while a run goes ------------------------------------------------------------------------------

    def start(
        self,
        engine: Engine,
        *,
        it_power_w: Callable[[], float],
        hottest_rise_k: Callable[[], float],
        apply: Callable[[float, float], object],
        idle: Callable[[], bool],
    ) -> None:
        """Control a run from its first instant on.

        Args:
            engine: for the time and the calls.
            it_power_w: gives what IT equipment draws now.
            hottest_rise_k: gives the hottest inlet over supply air at full flow, now.
            apply: told supply temperature, degC, and part of full flow at each change.
            idle: tells that nothing but this control is still to happen.
        """
        self._engine = engine
        self._it_power_w, self._rise_k, self._apply, self._ends = it_power_w, hottest_rise_k, apply, idle
        # As an event, so that the sums of the first instant follow it though no job comes at once.
        engine.call_at(engine.now, Order.HEAT, 0, self._decide, None)

    def _decide(self, _: None) -> None:
        engine = self._engine
        if engine is None:
            return
        now_s = engine.now
        if now_s > 0.0 and self._ends():
            return  # the run waits for nothing else: it is over, or it is stuck and is to say so
        now = np.array([now_s])
        supply, flow = self._ask(now, np.array([self._it_power_w()]), np.array([self._rise_k()]))
        self._note(now_s, float(supply[0]), float(flow[0]))
        self._apply(self._supply_deg_c, 1.0 if math.isnan(flow[0]) else float(flow[0]))
        engine.call_at(self._next_s(now_s), Order.HEAT, 0, self._decide, None)

    def _next_s(self, now_s: float) -> float:
        interval_s = min(self._policy.interval_s, 3_600.0)
        due_s = (math.floor(now_s / interval_s) + 1.0) * interval_s
        changes = self._weather.breakpoints(now_s, due_s)
        later = changes[changes > now_s]
        return float(later[0]) if len(later) else due_s

    @property
    def made(self) -> SetPoints:
        """What was set while the run went."""
        return SetPoints(np.array(self._times_s), np.array(self._supplies), np.array(self._flows))

    # -- after a run -----------------------------------------------------------------------------------

    def over(self, record: RunRecord, end_s: float) -> SetPoints:
        """Return the set points of a finished run whose jobs did not feel them."""
        interval_s = min(self._policy.interval_s, max(end_s, 1.0))
        regular = np.arange(0.0, end_s, interval_s)
        instants = np.union1d(np.union1d([0.0], regular), self._weather.breakpoints(0.0, end_s))
        log_s, log_w = np.array(record.power_times_s), np.array(record.it_power_w)
        it_w = log_w[np.searchsorted(log_s, instants, side="right") - 1]
        supply, flow = self._ask(instants, it_w, np.zeros(len(instants)))
        for row in zip(instants.tolist(), supply.tolist(), flow.tolist(), strict=True):
            self._note(*row)
        return self.made

    # -- both --------------------------------------------------------------------------------------------

    def _ask(self, now_s: Floats, it_w: Floats, rise_k: Floats) -> tuple[Floats, Floats]:
        """Return (K,) what the policy says, within what the hall allows."""
        weather, (low, high) = self._weather.at(now_s), self._bounds
        view = HallView(
            now_s=now_s,
            it_power_w=it_w,
            peak_it_power_w=self._peak_it_w,
            dry_bulb_deg_c=weather.dry_bulb_deg_c,
            wet_bulb_deg_c=weather.wet_bulb_deg_c,
            hottest_rise_k=rise_k,
            supply_deg_c=self._spec.supply_temperature_deg_c,
            lowest_supply_deg_c=low,
            highest_supply_deg_c=high,
            highest_inlet_deg_c=self._spec.highest_inlet_deg_c,
            least_flow=self._spec.least_flow,
        )
        said = self._policy.set_points(view)
        supply, flow = (np.asarray(column, dtype=np.float64) for column in said)
        if supply.shape != now_s.shape or flow.shape != now_s.shape or np.isnan(supply).any():
            msg = f"{self._policy.name}: set points -> expected two columns of {len(now_s)} numbers"
            raise PolicyError(msg)
        return np.clip(supply, low, high), np.clip(flow, self._spec.least_flow, 1.0)

    def _note(self, now_s: float, supply_deg_c: float, flow: float) -> None:
        """Write down a setting; the supply moves no faster than its ramp allows."""
        if len(self._times_s):
            most = self._spec.supply_ramp_k_per_s * (now_s - self._asked_s)
            change = supply_deg_c - self._supply_deg_c
            supply_deg_c = self._supply_deg_c + min(max(change, -most), most)
        self._supply_deg_c, self._asked_s = supply_deg_c, now_s
        same = len(self._times_s) and self._supplies[-1] == supply_deg_c
        if same and (self._flows[-1] == flow or (math.isnan(self._flows[-1]) and math.isnan(flow))):
            return
        self._times_s.append(now_s)
        self._supplies.append(supply_deg_c)
        self._flows.append(flow)
