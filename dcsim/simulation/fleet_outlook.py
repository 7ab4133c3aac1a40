"""What a site's grid and plant are expected to be over the hours of a run, asked several times for each job."""

from __future__ import annotations

import math
from bisect import bisect_right
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.facility.grid import build_grid
from dcsim.facility.meter import Meter
from dcsim.facility.series import StepSeries
from dcsim.facility.series_file import HOUR_S
from dcsim.simulation.forecasting import make_forecast
from dcsim.simulation.inputs import RunInputs
from dcsim.spec.grid import PerfectForecastSpec

__all__ = ["Outlook", "StepMeans", "marginal_pue"]

Floats = npt.NDArray[np.float64]

_MOST_STEPS = 2_000
"""Hours at which the plant is asked; a longer horizon is sampled more coarsely."""
_REACH_S = 14 * 86_400.0
"""How far a forecast that changes is looked at; its last value holds after that."""


class StepMeans:
    """Means of a step function over spans of time, in tight Python; its last value holds for ever.

    Times are asked from the first step on.

    >>> day = StepMeans([0.0, 10.0], [1.0, 3.0])
    >>> day.at(10.0), day.mean(5.0, 15.0), day.mean(20.0, 20.0)
    (3.0, 2.0, 3.0)
    """

    __slots__ = ("_sums", "_times", "_values")

    def __init__(self, times_s: list[float], values: list[float]) -> None:
        self._times = times_s
        self._values = values
        steps = np.diff(times_s) * np.array(values[:-1])
        self._sums: list[float] = [0.0, *np.cumsum(steps).tolist()]

    def at(self, time_s: float) -> float:
        """Return the value at a time, s >= 0."""
        return self._values[bisect_right(self._times, time_s) - 1]

    def mean(self, from_s: float, to_s: float) -> float:
        """Return the mean over [from_s, to_s); of no span the value there."""
        if not to_s > from_s:
            return self.at(from_s)
        first, last = bisect_right(self._times, from_s) - 1, bisect_right(self._times, to_s) - 1
        if first == last:  # exactly the value, whatever the lengths round to
            return self._values[first]
        return (self._until(last, to_s) - self._until(first, from_s)) / (to_s - from_s)

    def _until(self, step: int, time_s: float) -> float:
        return self._sums[step] + self._values[step] * (time_s - self._times[step])


def marginal_pue(meter: Meter, idle_it_w: float, peak_it_w: float, times_s: Floats) -> Floats:
    """Return (T,) facility power over IT power of what jobs add, at each time.

    Between the hall at idle and half-way to its peak, in equilibrium: what the hall draws without jobs is
    nobody's decision.
    """
    half_w = 0.5 * (idle_it_w + peak_it_w)
    if half_w <= idle_it_w:
        return np.ones(len(times_s))
    rise = [
        meter.facility_power_w(t, half_w) - meter.facility_power_w(t, idle_it_w) for t in times_s.tolist()
    ]
    return np.array(rise) / (half_w - idle_it_w)


class Outlook:
    """One site's carbon intensity, price and PUE from now to the horizon, as far as they are known now.

    The forecast is the one that the policies of the hall see (`grid.forecast`), of the intensity that they steer
    by; of the plant, the weather is known ahead. `refresh` first at each decision.

    Args:
        inputs: of the site; read, not used up.
        base_dir: folder of its scenario file.
        horizon_s: end of the run.
    """

    def __init__(self, inputs: RunInputs, base_dir: Path, horizon_s: float) -> None:
        scenario = inputs.scenario
        grid = build_grid(scenario.grid, base_dir)
        self.view = make_forecast(scenario, grid, inputs.seed)
        """Gives the forecast as policies see it at an instant."""
        self.carbon = _actual(grid.carbon, horizon_s)
        """kg/J at the meter as it turns out, for what was moved; nothing for a router."""
        base_w = inputs.network.power_w + inputs.storage.power_w
        idle_w, peak_w = float(inputs.fleet.idle_power_w.sum()) + base_w, inputs.fleet.peak_power_w() + base_w
        meter = Meter(scenario, peak_it_w=peak_w, idle_it_w=idle_w, base_dir=base_dir)
        hours = max(1, int(np.ceil(horizon_s / HOUR_S)))
        self._hourly: Floats = np.arange(0.0, hours, 1 + hours // _MOST_STEPS) * HOUR_S
        self._pue = marginal_pue(meter, idle_w, peak_w, self._hourly)
        self.pue = StepMeans(self._hourly.tolist(), self._pue.tolist())
        self._horizon_s = horizon_s
        forecast = scenario.grid.forecast
        self._every_s = math.inf if isinstance(forecast, PerfectForecastSpec) else forecast.issued_every_s
        self._until_s = -math.inf
        self.refresh(0.0)

    def refresh(self, now_s: float) -> None:
        """Take the forecast issued last; times before now are not asked about any more."""
        if now_s < self._until_s:
            return
        every_s = self._every_s
        self._until_s = math.inf if every_s == math.inf else (math.floor(now_s / every_s) + 1.0) * every_s
        view = self.view(now_s)
        # One that is made again and again need not reach to the end of a year.
        reach_s = math.inf if every_s == math.inf else now_s + _REACH_S
        end_s = max(now_s, min(self._horizon_s, reach_s))
        changes = np.concatenate([[now_s], self._hourly, view.any_breakpoints_s(now_s, end_s)])
        times = np.unique(changes[(changes == now_s) | ((changes > now_s) & (changes < end_s))])
        pue = self._pue[np.searchsorted(self._hourly, times, side="right") - 1]
        carbon, price = view.carbon_mean_kg_per_j(times, 0.0), view.price_mean_usd_per_j(times, 0.0)
        at = times.tolist()
        self.carbon_ahead = StepMeans(at, carbon.tolist())
        """kg/J at the meter."""
        self.price_ahead = StepMeans(at, price.tolist())
        """USD/J at the meter."""
        self.carbon_of_it = StepMeans(at, (carbon * pue).tolist())
        """kg/J of IT energy that jobs add."""
        self.price_of_it = StepMeans(at, (price * pue).tolist())
        """USD/J of IT energy that jobs add."""


def _actual(series: StepSeries, horizon_s: float) -> StepMeans:
    """Return a series as it is until the horizon."""
    changes = series.breakpoints(0.0, horizon_s)
    times = np.unique(np.concatenate([[0.0], changes[changes < horizon_s]]))
    return StepMeans(times.tolist(), series.at(times).tolist())
