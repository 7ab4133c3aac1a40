"""Set points of the hall's air, decided by a cooling policy: after a run, or while it goes where a room feels them."""

from __future__ import annotations

import math
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
from dcsim.simulation.ticks import next_tick_s

__all__ = ["SetPointControl", "make_control", "ramped", "set_points_of"]

Floats = npt.NDArray[np.float64]

_LONGEST_S = 300.0
"""Between two control instants: a flow that was set for a small load must not stay when a large one has come."""
_MOST_INSTANTS = 500_000
"""After a run; over more than that, control instants are further apart."""


def make_control(inputs: RunInputs, weather: WeatherSeries, peak_it_w: float) -> SetPointControl | None:
    """Return the control of a run; None where the set points never change."""
    if isinstance(inputs.policies.cooling, FixedSetPoints):
        return None
    return SetPointControl(inputs, weather, peak_it_w)


def set_points_of(record: RunRecord, control: SetPointControl | None, end_s: float) -> SetPoints | None:
    """Return the set points of a finished run: as its racks breathed them, or as its control would have had them.

    None: as the scenario says, with the plant's own flow.
    """
    if record.heat is not None:
        return record.heat.set_points
    return None if control is None else control.over(record, end_s)


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
        self._asked_s = math.nan
        self._engine: Engine | None = None
        self._it_power_w: Callable[[], float] = lambda: 0.0
        self._rise_k: Callable[[], float] = lambda: 0.0
        self._flow_rise_k: Callable[[], float] = lambda: 0.0
        self._apply: Callable[[float, float], object] = lambda _supply, _flow: None
        self._ends: Callable[[], bool] = lambda: False

    # -- while a run goes ------------------------------------------------------------------------------

    def start(
        self,
        engine: Engine,
        *,
        it_power_w: Callable[[], float],
        hottest_rise_k: Callable[[], float],
        flow_rise_k: Callable[[], float],
        apply: Callable[[float, float], object],
        idle: Callable[[], bool],
    ) -> None:
        """Control a run from its first instant on.

        Args:
            engine: for the time and the calls.
            it_power_w: gives what IT equipment draws now.
            hottest_rise_k: gives the hottest inlet over supply air at full flow, now.
            flow_rise_k: gives what it gets warmer for each 1 of 1 / flow - 1, now.
            apply: told supply temperature, degC, and part of full flow (NaN: the plant's own) at each instant.
            idle: tells that nothing but this control is still to happen.
        """
        self._engine = engine
        self._it_power_w, self._apply, self._ends = it_power_w, apply, idle
        self._rise_k, self._flow_rise_k = hottest_rise_k, flow_rise_k
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
        rises = np.array([self._rise_k()]), np.array([self._flow_rise_k()])
        supply, flow = self._ask(now, np.array([self._it_power_w()]), *rises)
        self._apply(self._ramped(now_s, float(supply[0])), float(flow[0]))
        engine.call_at(self._next_s(now_s), Order.HEAT, 0, self._decide, None)

    def _next_s(self, now_s: float) -> float:
        interval_s = min(self._policy.interval_s, _LONGEST_S)
        due_s = next_tick_s(now_s, interval_s)
        changes = self._weather.breakpoints(now_s, due_s)
        later = changes[changes > now_s]
        return float(later[0]) if len(later) else due_s

    def _ramped(self, now_s: float, supply_deg_c: float) -> float:
        """Take what is asked for and return what there is: the first at once, then no faster than the ramp."""
        if not math.isnan(self._asked_s):
            most = self._spec.supply_ramp_k_per_s * (now_s - self._asked_s)
            change = supply_deg_c - self._supply_deg_c
            supply_deg_c = self._supply_deg_c + min(max(change, -most), most)
        self._supply_deg_c, self._asked_s = supply_deg_c, now_s
        return supply_deg_c

    # -- after a run -----------------------------------------------------------------------------------

    def over(self, record: RunRecord, end_s: float) -> SetPoints:
        """Return the set points of a finished run whose jobs did not feel them."""
        interval_s = max(min(self._policy.interval_s, _LONGEST_S), end_s / _MOST_INSTANTS)
        regular = np.arange(0.0, end_s, interval_s)
        instants = np.union1d(np.union1d([0.0], regular), self._weather.breakpoints(0.0, end_s))
        log_s, log_w = np.array(record.power_times_s), np.array(record.it_power_w)
        it_w = log_w[np.searchsorted(log_s, instants, side="right") - 1]
        still = np.zeros(len(instants))
        asked, flow = self._ask(instants, it_w, still, still)
        supply = ramped(instants, asked, self._spec.supply_ramp_k_per_s)
        new = np.ones(len(instants), dtype=bool)
        same_flow = (flow[1:] == flow[:-1]) | (np.isnan(flow[1:]) & np.isnan(flow[:-1]))
        new[1:] = (supply[1:] != supply[:-1]) | ~same_flow
        return SetPoints(instants[new], supply[new], flow[new])

    # -- both --------------------------------------------------------------------------------------------

    def _ask(self, now_s: Floats, it_w: Floats, rise_k: Floats, flow_rise_k: Floats) -> tuple[Floats, Floats]:
        """Return (K,) what the policy says, within what the hall allows."""
        weather, (low, high) = self._weather.at(now_s), self._bounds
        view = HallView(
            now_s=now_s,
            it_power_w=it_w,
            peak_it_power_w=self._peak_it_w,
            dry_bulb_deg_c=weather.dry_bulb_deg_c,
            wet_bulb_deg_c=weather.wet_bulb_deg_c,
            hottest_rise_k=rise_k,
            flow_rise_k=flow_rise_k,
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


def ramped(times_s: Floats, asked: Floats, most_per_s: float) -> Floats:
    """Return (K,) what follows (K,) set points from instant to instant, the first at once, no faster than a ramp.

    >>> ramped(np.array([0.0, 10.0, 20.0, 30.0]), np.array([20.0, 23.0, 23.0, 22.0]), 0.2).tolist()
    [20.0, 22.0, 23.0, 22.0]
    """
    most = most_per_s * np.diff(times_s)
    found = asked.copy()
    # Rows are walked one by one only from a jump that is too large until what is asked for is reached.
    at = 0
    for first in np.flatnonzero(np.abs(np.diff(asked)) > most).tolist():
        at = max(at, first)
        while at < len(most) and found[at] != asked[at + 1]:
            change = min(max(asked[at + 1] - found[at], -most[at]), most[at])
            reached = abs(asked[at + 1] - found[at]) <= most[at]
            found[at + 1] = asked[at + 1] if reached else found[at] + change
            at += 1
            if reached:
                break
    return found
