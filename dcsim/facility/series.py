"""Step series: values that hold from one time to the next, with exact integrals, wrapped or bounded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dcsim.errors import SeriesError

__all__ = ["StepSeries"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StepSeries:
    """A right-continuous piecewise-constant function of time on [0, end_s), by default [0, inf).

    `value[i]` holds on [time_s[i], time_s[i + 1]). With `repeat_s` the pattern on [0, repeat_s)
    returns for ever; without, the last value holds until `end_s`, beyond which asking is an error.

    >>> night_day = StepSeries(np.array([0.0, 12.0]), np.array([1.0, 3.0]), repeat_s=24.0)
    >>> night_day.at([0.0, 12.0, 23.9, 24.0]).tolist()
    [1.0, 3.0, 3.0, 1.0]
    >>> float(night_day.integral(0.0, 48.0))
    96.0
    """

    time_s: Floats
    """(K,) strictly increasing, the first 0."""
    value: Floats
    """(K,) finite."""
    repeat_s: float | None = None
    """Period, greater than the last time; None: not periodic."""
    end_s: float = math.inf
    """Asking at or after this raises `SeriesError`."""
    name: str = "series"
    """For messages."""

    def __post_init__(self) -> None:
        time_s = np.array(self.time_s, dtype=np.float64)
        value = np.array(self.value, dtype=np.float64)
        if time_s.ndim != 1 or time_s.shape != value.shape or len(time_s) == 0 or time_s[0] != 0.0:
            raise SeriesError(f"{self.name}: expected as many values as times, the first time 0")
        if not (np.all(np.diff(time_s) > 0.0) and np.all(np.isfinite(value)) and math.isfinite(time_s[-1])):
            raise SeriesError(f"{self.name}: expected strictly increasing finite times and finite values")
        if self.repeat_s is not None and not time_s[-1] < self.repeat_s < math.inf:
            raise SeriesError(f"{self.name}: expected a finite period after the last time {time_s[-1]:g} s")
        time_s.flags.writeable = value.flags.writeable = False
        object.__setattr__(self, "time_s", time_s)
        object.__setattr__(self, "value", value)

    @classmethod
    def constant(cls, value: float, name: str = "series") -> StepSeries:
        """Return the series that is `value` at all times."""
        return cls(np.zeros(1), np.array([value]), name=name)

    @cached_property
    def _prefix(self) -> Floats:
        """(K,) integral from 0 to each time of the pattern."""
        return np.concatenate([[0.0], np.cumsum(self.value[:-1] * np.diff(self.time_s))])

    @cached_property
    def _period_integral(self) -> float:
        """Integral over one period."""
        tail_s = (self.repeat_s or 0.0) - self.time_s[-1]
        return float(self._prefix[-1] + self.value[-1] * tail_s)

    def _fold(self, times_s: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return (whole periods before, time inside the pattern) of each time; checks the range."""
        times = np.asarray(times_s, dtype=np.float64)
        if times.size and not (times.min() >= 0.0 and times.max() < math.inf):
            raise SeriesError(
                f"{self.name}: asked at {times.min():g}..{times.max():g} s, expected 0 s or later"
            )
        if self.repeat_s is None or not times.size or times.max() < self.repeat_s:
            return np.zeros_like(times), times
        periods = np.floor(times / self.repeat_s)
        inside = times - periods * self.repeat_s
        # Rounding of the quotient may leave a time just outside its period: shift it by one.
        periods = periods + (inside >= self.repeat_s) - (inside < 0.0)
        return periods, np.maximum(times - periods * self.repeat_s, 0.0)

    def index_at(self, times_s: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the index into `value` that holds at each time (any shape), s >= 0 and < end_s."""
        times = np.asarray(times_s, dtype=np.float64)
        if times.size and times.max() >= self.end_s:
            raise SeriesError(self._beyond(float(times.max())))
        _, inside = self._fold(times)
        return np.asarray(np.searchsorted(self.time_s, inside, side="right") - 1, dtype=np.int64)

    def at(self, times_s: npt.ArrayLike) -> Floats:
        """Return the value at each time (any shape), s >= 0 and < end_s."""
        return np.asarray(self.value[self.index_at(times_s)], dtype=np.float64)

    def _beyond(self, time_s: float) -> str:
        return (
            f"{self.name}: asked at {time_s:g} s but the data end at {self.end_s:g} s -> "
            "expected a series that covers the run, or beyond_end: repeat"
        )

    def _antiderivative(self, times_s: npt.ArrayLike) -> Floats:
        """Return the integral from 0 to each time, times up to and with `end_s`."""
        times = np.asarray(times_s, dtype=np.float64)
        if times.size and times.max() > self.end_s:
            raise SeriesError(self._beyond(float(times.max())))
        periods, inside = self._fold(times)
        index = np.searchsorted(self.time_s, inside, side="right") - 1
        part = self._prefix[index] + self.value[index] * (inside - self.time_s[index])
        return np.asarray(periods * self._period_integral + part, dtype=np.float64)

    def integral(self, from_s: npt.ArrayLike, to_s: npt.ArrayLike) -> Floats:
        """Return the integral from `from_s` to `to_s`, elementwise, in the value's unit times s."""
        return np.asarray(self._antiderivative(to_s) - self._antiderivative(from_s), dtype=np.float64)

    def mean(self, starts_s: npt.ArrayLike, duration_s: float) -> Floats:
        """Return the time mean over [start, start + duration) for each start; duration 0: the value there."""
        starts = np.asarray(starts_s, dtype=np.float64)
        if not duration_s >= 0.0:
            raise SeriesError(f"{self.name}: mean over {duration_s:g} s -> expected a duration >= 0 s")
        if duration_s == 0.0:
            return self.at(starts)
        ends = starts + duration_s
        widths = ends - starts
        # A duration lost to rounding (start much larger) would divide by zero: the value itself is exact.
        lost = widths <= 0.0
        means = self.integral(starts, ends) / np.where(lost, 1.0, widths)
        return np.where(lost, self.at(starts), means) if np.any(lost) else means

    def breakpoints(self, from_s: float, to_s: float) -> Floats:
        """Return the times in [from_s, to_s] at which a new step begins, ascending."""
        if not 0.0 <= from_s <= to_s < math.inf:
            raise SeriesError(
                f"{self.name}: breakpoints in {from_s:g}..{to_s:g} s -> expected 0 <= from <= to < inf"
            )
        if self.repeat_s is None:
            times = self.time_s
        else:
            first, last = math.floor(from_s / self.repeat_s), math.floor(to_s / self.repeat_s)
            starts = np.arange(first, last + 1, dtype=np.float64) * self.repeat_s
            times = (starts[:, None] + self.time_s[None, :]).ravel()
        return times[np.searchsorted(times, from_s, side="left") : np.searchsorted(times, to_s, side="right")]

    def rolled(self, offset_s: float) -> StepSeries:
        """Return the series as seen from a clock that starts at `offset_s` of this one (>= 0).

        >>> StepSeries(np.array([0.0, 1.0]), np.array([5.0, 7.0]), repeat_s=3.0).rolled(2.0).time_s.tolist()
        [0.0, 1.0, 2.0]
        """
        index = int(self.index_at(offset_s))
        inside = float(self._fold(offset_s)[1])
        later = slice(index + 1, None)
        parts = [np.zeros(1), self.time_s[later] - inside]
        values = [self.value[index : index + 1], self.value[later]]
        if self.repeat_s is not None and inside > 0.0:
            head = slice(0, index + (self.time_s[index] < inside))
            parts.append(self.time_s[head] + (self.repeat_s - inside))
            values.append(self.value[head])
        end_s = self.end_s - offset_s
        return StepSeries(np.concatenate(parts), np.concatenate(values), self.repeat_s, end_s, self.name)
