"""Forecasts of grid series: what is known at an instant, and what is expected after it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dcsim.facility.series import StepSeries

__all__ = [
    "ErrorPath",
    "Forecaster",
    "Foresight",
    "NoisyForecaster",
    "Outlook",
    "PerfectForecaster",
    "PersistenceForecaster",
    "Sight",
    "log_error_std",
]

Floats = npt.NDArray[np.float64]
_HOUR_S, _DAY_S = 3600.0, 86_400.0


@dataclass(frozen=True)
class Outlook:
    """What is expected of a series after `issued_s`: steps up to a reach, then their last day for ever.

    Both series run on a clock that starts at `issued_s`, `beyond` on one that starts `reach_s` later.
    """

    issued_s: float
    near: StepSeries
    reach_s: float = math.inf
    beyond: StepSeries | None = None
    """Periodic; needed where the reach is finite."""

    def integral_to(self, times_s: Floats) -> Floats:
        """Return the integral from `issued_s` to each time (any shape), s >= `issued_s`."""
        ahead_s = times_s - self.issued_s
        if self.beyond is None or not ahead_s.size or ahead_s.max() <= self.reach_s:
            return self.near.integral(np.zeros_like(ahead_s), ahead_s)
        near = self.near.integral(np.zeros_like(ahead_s), np.minimum(ahead_s, self.reach_s))
        after_s = np.maximum(ahead_s - self.reach_s, 0.0)
        return near + self.beyond.integral(np.zeros_like(after_s), after_s)

    def at(self, times_s: Floats) -> Floats:
        """Return the value at each time (any shape), s >= `issued_s`."""
        ahead_s = times_s - self.issued_s
        if self.beyond is None or not ahead_s.size or ahead_s.max() < self.reach_s:
            return self.near.at(ahead_s)
        # The largest float below the reach, which itself belongs to what comes after.
        near = self.near.at(np.minimum(ahead_s, math.nextafter(self.reach_s, 0.0)))
        beyond = self.beyond.at(np.maximum(ahead_s - self.reach_s, 0.0))
        return np.where(ahead_s < self.reach_s, near, beyond)

    def breakpoints(self, from_s: float, to_s: float) -> Floats:
        """Return the times in [from_s, to_s] at which the expectation changes, ascending."""
        first, last = from_s - self.issued_s, to_s - self.issued_s
        if self.beyond is None or last < self.reach_s:
            return self.near.breakpoints(first, last) + self.issued_s
        after = self.beyond.breakpoints(max(first - self.reach_s, 0.0), last - self.reach_s)
        parts = [after + self.reach_s]
        if first < self.reach_s:
            parts.insert(0, self.near.breakpoints(first, math.nextafter(self.reach_s, 0.0)))
        return np.concatenate(parts) + self.issued_s


@dataclass(frozen=True, slots=True)
class Sight:
    """What one can tell of a series at `now_s`: the present step as it is, the rest as the outlook has it.

    Times are asked from `now_s` on. Every question costs O(log steps).
    """

    now_s: float
    present: float
    """Value now."""
    present_until_s: float
    """When the present step ends; known, as settlement periods are."""
    outlook: Outlook

    def mean(self, starts_s: npt.ArrayLike, duration_s: float) -> Floats:
        """Return the mean over [start, start + duration) for each start (any shape); duration 0: the value."""
        starts = np.asarray(starts_s, dtype=np.float64)
        ends = starts + duration_s
        widths = ends - starts
        if duration_s <= 0.0 or not np.all(widths > 0.0):
            known = starts < self.present_until_s
            if known.all():
                return np.full(starts.shape, self.present)
            return np.where(known, self.present, self.outlook.at(np.maximum(starts, self.present_until_s)))
        return np.asarray((self._to(ends) - self._to(starts)) / widths, dtype=np.float64)

    def _to(self, times_s: Floats) -> Floats:
        """Return the integral from now to each time."""
        until_s = self.present_until_s
        if until_s == math.inf:
            return (times_s - self.now_s) * self.present
        edge = np.array(until_s)
        known = (np.minimum(times_s, until_s) - self.now_s) * self.present
        expected = self.outlook.integral_to(np.maximum(times_s, until_s)) - self.outlook.integral_to(edge)
        return np.asarray(known + expected, dtype=np.float64)

    def breakpoints(self, from_s: float, to_s: float) -> Floats:
        """Return the times in [from_s, to_s], from now on, at which the present or the outlook changes."""
        until_s = self.present_until_s
        if to_s < until_s:
            return np.empty(0)
        later = self.outlook.breakpoints(max(from_s, until_s), to_s)
        if from_s <= until_s and not (len(later) and later[0] == until_s):
            later = np.concatenate([[until_s], later])
        return later


class Foresight(Protocol):
    """What can be asked of a forecast; a `StepSeries` that never ends is one."""

    def mean(self, starts_s: npt.ArrayLike, duration_s: float) -> Floats:
        """Return the mean over [start, start + duration) for each start; duration 0: the value."""

    def breakpoints(self, from_s: float, to_s: float) -> Floats:
        """Return the times in [from_s, to_s] at which the forecast changes, ascending."""


class Forecaster(Protocol):
    """Gives what can be told of one series at any instant of a run; the same to all who ask."""

    def sight(self, now_s: float) -> Foresight:
        """Return what can be told at `now_s`, s >= 0, of that time and later."""


class PerfectForecaster:
    """The future as it will be. Past the end of the data their last day returns.

    >>> tide = StepSeries(np.array([0.0, 3600.0]), np.array([1.0, 3.0]), repeat_s=7200.0)
    >>> PerfectForecaster(tide).sight(1800.0).mean([1800.0], 3600.0).tolist()
    [2.0]
    """

    def __init__(self, series: StepSeries) -> None:
        self._series = series
        self._outlook: Outlook | None = None
        if series.end_s < math.inf:
            self._outlook = Outlook(0.0, series, series.end_s, _last_day(series, series.end_s))

    def sight(self, now_s: float) -> Foresight:
        """Return the series itself, prolonged where it ends."""
        if self._outlook is None:
            return self._series
        return Sight(now_s, *_present(self._series, now_s), self._outlook)


class PersistenceForecaster:
    """Tomorrow is as the last 24 h were, hour by hour; what was not seen yet is as now.

    Args:
        series: what is forecast.
        issued_every_s: a forecast is made at multiples of this, > 0, and used until the next.
    """

    def __init__(self, series: StepSeries, issued_every_s: float = _HOUR_S) -> None:
        self._series = series
        self._every_s = issued_every_s
        self._issued: tuple[float, Outlook] | None = None

    def sight(self, now_s: float) -> Sight:
        """Return the forecast issued last."""
        issued_s = math.floor(now_s / self._every_s) * self._every_s
        if self._issued is None or self._issued[0] != issued_s:
            day = _seen_day(self._series, issued_s)
            self._issued = (issued_s, Outlook(issued_s, day))
        return Sight(now_s, *_present(self._series, now_s), self._issued[1])


def log_error_std(mape: float) -> float:
    """Return the standard deviation s of ln(forecast / actual) at which the mean absolute error is `mape`.

    The ratio is lognormal with mean 1, so E|ratio - 1| = 2 (2 Phi(s / 2) - 1); `mape` in [0, 1).

    >>> round(log_error_std(0.10), 4)
    0.1254
    """
    return 2.0 * NormalDist().inv_cdf(0.5 + 0.25 * mape)


class ErrorPath:
    """A stationary first-order autoregressive disturbance X of a series' logarithm, hour by hour.

    A forecaster who knows the series but for X, and X up to now, is off by X(t) - phi^h X(now) after
    h hours: nothing at first, growing with the lead time, alike in hours side by side, and smaller in
    each new forecast of the same hour. Scaled to a mean absolute error `mape` at a lead of 24 h.

    Args:
        draw: named random stream; drawn from in order of hours, whoever asks.
        mape: mean absolute error 24 h ahead over the actual value, [0, 1).
        correlation_s: time in which the autocorrelation of X falls to 1/e, > 0.
    """

    def __init__(self, draw: np.random.Generator, mape: float, correlation_s: float) -> None:
        self._draw = draw
        self._phi = math.exp(-_HOUR_S / correlation_s)
        day = 1.0 - self._phi**48
        self._std = log_error_std(mape) / math.sqrt(day)
        self._path: list[float] = [self._std * float(draw.standard_normal())]

    def log_ratio(self, issued_hour: int, hours: npt.NDArray[np.int64]) -> Floats:
        """Return (K,) ln(forecast / actual) of the hours (K,) >= `issued_hour`, less half its variance.

        So the forecast is right in the mean over many.
        """
        self._extend(int(hours.max(initial=issued_hour)))
        ahead = np.maximum(hours - issued_hour, 0)
        decay = self._phi ** ahead.astype(np.float64)
        path = np.array(self._path[issued_hour : issued_hour + int(ahead.max(initial=0)) + 1])
        variance = self._std**2 * (1.0 - decay**2)
        return np.asarray(path[ahead] - decay * path[0] - 0.5 * variance, dtype=np.float64)

    def _extend(self, last_hour: int) -> None:
        missing = last_hour + 1 - len(self._path)
        if missing <= 0:
            return
        innovation = self._std * math.sqrt(1.0 - self._phi**2)
        state = self._path[-1]
        for noise in self._draw.standard_normal(missing).tolist():
            state = self._phi * state + innovation * noise
            self._path.append(state)


class NoisyForecaster:
    """The future as it will be, blurred by an `ErrorPath`; beyond its reach the last day returns.

    Args:
        series: what is forecast.
        error: the disturbance.
        issued_every_s: a forecast is made at multiples of this, > 0, and used until the next.
        reach_s: how far a forecast looks, >= 24 h.
        scale: None: errors are in proportion to the value itself (carbon, which is positive); else to
            this, in the unit of the values (prices, which cross zero).
    """

    def __init__(
        self,
        series: StepSeries,
        error: ErrorPath,
        issued_every_s: float,
        reach_s: float,
        scale: float | None = None,
    ) -> None:
        self._series = series
        self._error = error
        self._every_s = issued_every_s
        self._reach_s = reach_s
        self._scale = scale
        self._issued: tuple[float, Outlook] | None = None

    def sight(self, now_s: float) -> Sight:
        """Return the forecast issued last."""
        issued_s = math.floor(now_s / self._every_s) * self._every_s
        if self._issued is None or self._issued[0] != issued_s:
            self._issued = (issued_s, self._outlook(issued_s))
        return Sight(now_s, *_present(self._series, now_s), self._issued[1])

    def _outlook(self, issued_s: float) -> Outlook:
        """Return the forecast of `issued_s`."""
        series = self._series
        reach_s = min(self._reach_s, series.end_s - issued_s)
        starts = _starts(series, issued_s, issued_s + reach_s)
        actual = series.at(starts)
        hours = np.floor(starts / _HOUR_S).astype(np.int64)
        ratio = np.exp(self._error.log_ratio(int(issued_s // _HOUR_S), hours))
        value = actual * ratio if self._scale is None else actual + self._scale * (ratio - 1.0)
        near = StepSeries(starts - issued_s, value, name=f"forecast of {series.name}")
        if reach_s >= _DAY_S:
            return Outlook(issued_s, near, reach_s, _last_day(near, reach_s))
        # The data end within a day: the rest of that day is the past, which is known.
        from_s = max(issued_s + reach_s - _DAY_S, 0.0)
        past = _starts(series, from_s, issued_s)
        day = StepSeries(np.concatenate([past, starts]) - from_s, np.concatenate([series.at(past), value]))
        return Outlook(issued_s, near, reach_s, _last_day(day, issued_s + reach_s - from_s))


def _present(series: StepSeries, now_s: float) -> tuple[float, float]:
    """Return the value at `now_s` and when its step ends (infinity: never)."""
    index = int(series.index_at(now_s))
    value = float(series.value[index])
    period_s = series.repeat_s
    if index + 1 < len(series.time_s):
        next_s = float(series.time_s[index + 1])
    elif period_s is not None:
        next_s = period_s
    else:
        return value, series.end_s
    if period_s is not None and now_s >= period_s:
        next_s += math.floor(now_s / period_s) * period_s
        if next_s <= now_s:  # the quotient was rounded down
            next_s += period_s
    return value, next_s


def _last_day(series: StepSeries, end_s: float) -> StepSeries:
    """Return the day before `end_s` (or what there is of it) as a series that returns for ever."""
    from_s = max(end_s - _DAY_S, 0.0)
    starts = _starts(series, from_s, end_s)
    return StepSeries(starts - from_s, series.at(starts), repeat_s=end_s - from_s, name=series.name)


def _seen_day(series: StepSeries, now_s: float) -> StepSeries:
    """Return the 24 h before `now_s` as a series that returns for ever; what was before t = 0 is as now."""
    from_s = max(now_s - _DAY_S, 0.0)
    starts = _starts(series, from_s, now_s)
    values = series.at(starts)
    if now_s - from_s < _DAY_S:
        starts = np.concatenate([[now_s - _DAY_S], starts])
        values = np.concatenate([[float(series.at(now_s))], values])
    name = f"forecast of {series.name}"
    return StepSeries(starts - (now_s - _DAY_S), values, repeat_s=_DAY_S, name=name)


def _starts(series: StepSeries, from_s: float, to_s: float) -> Floats:
    """Return where the steps of a series in [from_s, to_s) begin, the first at `from_s`; empty where nothing is."""
    starts = np.concatenate([[from_s], series.breakpoints(from_s, to_s)])
    return np.unique(starts[starts < to_s])
