"""Which forecast of the grid the policies of a run see, as the scenario says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.facility.forecast import (
    ErrorPath,
    Forecaster,
    Foresight,
    NoisyForecaster,
    PerfectForecaster,
    PersistenceForecaster,
)
from dcsim.facility.grid import Grid
from dcsim.facility.series import StepSeries
from dcsim.policies.demand_event import DemandEvent
from dcsim.policies.views import GridView
from dcsim.rng import stream
from dcsim.spec.grid import NoisyForecastSpec, PerfectForecastSpec, PersistenceForecastSpec
from dcsim.spec.scenario import Scenario

__all__ = ["make_forecast"]

Floats = npt.NDArray[np.float64]
_FORECAST = "forecast"


def make_forecast(scenario: Scenario, grid: Grid, seed: int) -> Callable[[float], GridView]:
    """Return what gives the view of the grid at an instant of the run, s >= 0.

    Errors come from the streams (seed, "forecast", name of the series), so every policy sees the same
    forecasts. What is known for certain is told as it is: a constant, and the prices of a tariff.
    """
    carbon = _forecaster(scenario, grid.steering, seed, grid.steer_by)
    price = _forecaster(scenario, grid.price, seed, "price", certain=grid.tariff is not None)
    marginal = None
    if grid.marginal_carbon is not None:
        marginal = _forecaster(scenario, grid.marginal_carbon, seed, "marginal")
    export = None
    if grid.export_price is not None:
        certain = grid.tariff is not None
        export = _forecaster(scenario, grid.export_price, seed, "export_price", certain=certain)

    events = _events(scenario)

    def view(now_s: float) -> GridView:
        """Return what a policy may know at `now_s`."""
        intensity, cost = _Lazy(carbon, now_s), _Lazy(price, now_s)
        more: dict[str, Any] = {}
        if marginal is not None:
            more["marginal_mean_kg_per_j"] = _Lazy(marginal, now_s).mean
        if export is not None:
            more["export_price_mean_usd_per_j"] = _Lazy(export, now_s).mean
        more["events"] = tuple(event for told_s, event in events if told_s <= now_s < event.end_s)
        more["news_s"] = min((told_s for told_s, _ in events if told_s > now_s), default=math.inf)
        return GridView(now_s, intensity.mean, cost.mean, intensity.breakpoints, cost.breakpoints, **more)

    return view


def _events(scenario: Scenario) -> list[tuple[float, DemandEvent]]:
    """Return (when policies know of it, event) of demand response."""
    return [
        (
            event.start_s - event.notice_s,
            DemandEvent(
                event.start_s, event.end_s, event.it_limit_w or math.inf, event.import_limit_w or math.inf
            ),
        )
        for event in scenario.grid.demand_response
    ]


@dataclass(slots=True)
class _Lazy:
    """What can be told at an instant, made when it is asked for: few policies ask for every series."""

    forecaster: Forecaster
    now_s: float
    sight: Foresight | None = None

    def mean(self, starts_s: npt.ArrayLike, duration_s: float) -> Floats:
        """Return the mean over [start, start + duration) for each start."""
        return self._made().mean(starts_s, duration_s)

    def breakpoints(self, from_s: float, to_s: float) -> Floats:
        """Return the times in [from_s, to_s] at which the forecast changes."""
        return self._made().breakpoints(from_s, to_s)

    def _made(self) -> Foresight:
        if self.sight is None:
            self.sight = self.forecaster.sight(self.now_s)
        return self.sight


def _forecaster(
    scenario: Scenario, series: StepSeries, seed: int, name: str, *, certain: bool = False
) -> Forecaster:
    """Return the forecaster of one series."""
    spec = scenario.grid.forecast
    if certain or isinstance(spec, PerfectForecastSpec) or len(series.value) == 1:
        return PerfectForecaster(series)
    if isinstance(spec, PersistenceForecastSpec):
        return PersistenceForecaster(series, spec.issued_every_s)
    return _noisy(spec, series, seed, name)


def _noisy(spec: NoisyForecastSpec, series: StepSeries, seed: int, name: str) -> NoisyForecaster:
    """Return a forecaster with the stated error."""
    priced = name in {"price", "export_price"}
    mape = spec.price_error_24h if priced else spec.carbon_error_24h
    error = ErrorPath(stream(seed, _FORECAST, name), mape, spec.correlation_s)
    scale = _mean_size(series) if priced else None
    return NoisyForecaster(series, error, spec.issued_every_s, spec.reach_s, scale)


def _mean_size(series: StepSeries) -> float:
    """Return the time mean of the size of the values over one period, or over the steps told."""
    last_s = series.repeat_s or min(series.end_s, 2.0 * series.time_s[-1])
    widths: Floats = np.diff(np.append(series.time_s, last_s))
    return float(np.sum(np.abs(series.value) * widths) / last_s)
