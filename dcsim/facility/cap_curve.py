"""How fast an accelerator works, and what it draws, under a power cap or at a lower clock (pure functions).

At a clock x (1: the fastest) a phase of work that would draw p at the full clock draws

    p(x) = static + (p - static) x v(x)^2,    v(x) = (1 + rise max(0, x - knee) / (1 - knee)) / (1 + rise)

as the voltage is flat up to a knee and rises above it. A workload is a mixture of phases, spread evenly about
its mean between the lightest and the heaviest phases that the device knows; the regulator slows only those that
would draw more than the limit. Of a phase's time a part m does not depend on the clock: t(x) = m + (1 - m) / x.
See docs/explanation/it-power.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CapCurve", "clock_at_dynamic_power", "dynamic_power_at_clock", "insensitive_part", "response"]

Floats = npt.NDArray[np.float64]

_STEPS = (2.0 * np.arange(6) + 1.0) / 6.0 - 1.0
"""Where in the spread the six classes of phases lie, -1..1; each lasts as long as another at the full clock."""
_NEWTON_STEPS = 10
"""On a convex function from the right: more than enough for 1e-12."""
_HALVINGS = 52
"""Of an interval of length 1 to 2: to the last bit."""


@dataclass(frozen=True, slots=True)
class CapCurve:
    """What a device does under a cap; powers are fractions of its rated power, clocks of its full clock."""

    static_power: float
    """Drawn by a busy device whatever its clock is, [0, 1)."""
    knee_clock: float
    """Clock below which the voltage falls no further, (0, 1)."""
    voltage_rise: float
    """From there to the full clock, over the voltage below the knee, >= 0."""
    low_power: float
    """Of the lightest phases; workloads that draw less are of one phase, [0, high_power)."""
    high_power: float
    """Of the heaviest phases, at the full clock; above 1 where the rated power holds that back, >= 1."""
    overhead_weight: float
    """Part of a step of overhead alone (launches, host, input) that does not depend on the clock, [0, 1]."""
    lowest_clock: float
    """Below which it does not go, (0, 1)."""
    lowest_limit: float
    """Smallest cap that its board takes, (0, 1)."""
    source: str
    """Where the numbers come from, and for which device if another one was measured."""
    delivered: float = 0.98
    """Mean power that the regulator lets through, over the limit, (0, 1]."""

    @property
    def least_cap(self) -> float:
        """Smallest cap, over rated power, that the device can hold whatever it does, (0, 1)."""
        lowest = float(dynamic_power_at_clock(self, self.lowest_clock))
        floor = self.static_power + (self.high_power - self.static_power) * lowest
        return max(self.lowest_limit, floor / self.delivered)


def dynamic_power_at_clock(curve: CapCurve, clock_fraction: npt.ArrayLike) -> Floats:
    """Return dynamic power over that at the full clock, x v(x)^2, at clocks 0..1, elementwise.

    P = C V^2 f of CMOS logic: Chandrakasan, Sheng, Brodersen, "Low-power CMOS digital design", IEEE JSSC 27(4), 1992.
    """
    clock = np.asarray(clock_fraction, dtype=np.float64)
    above = np.maximum(0.0, clock - curve.knee_clock) / (1.0 - curve.knee_clock)
    voltage = (1.0 + curve.voltage_rise * above) / (1.0 + curve.voltage_rise)
    return np.asarray(clock * voltage**2, dtype=np.float64)


def clock_at_dynamic_power(curve: CapCurve, dynamic_fraction: npt.ArrayLike) -> Floats:
    """Return the clock 0..1 at which dynamic power is that fraction of its full value; the inverse of the above.

    Below the knee a straight line; above it Newton's method on a convex cubic, from the right.
    """
    wanted = np.clip(np.asarray(dynamic_fraction, dtype=np.float64), 0.0, 1.0)
    full = (1.0 + curve.voltage_rise) ** 2
    straight = wanted * full
    slope = curve.voltage_rise / (1.0 - curve.knee_clock)
    clock = np.ones_like(wanted)
    for _ in range(_NEWTON_STEPS):
        volt = 1.0 + slope * (clock - curve.knee_clock)
        clock = clock - (clock * volt**2 - straight) / (volt * (volt + 2.0 * slope * clock))
        clock = np.maximum(clock, curve.knee_clock)
    return np.asarray(np.where(straight <= curve.knee_clock, straight, clock), dtype=np.float64)


def insensitive_part(curve: CapCurve, overhead_fraction: npt.ArrayLike) -> Floats:
    """Return the part m of a step's time, 0..1, that does not depend on the clock, elementwise.

    m = w h (2 - h), where h is the overhead of a step over its uncapped time: fitted, not derived
    (docs/decisions/0083-cap-curves.md). A little overhead counts twice, as the device also waits for what it launches.
    """
    overhead = np.clip(np.asarray(overhead_fraction, dtype=np.float64), 0.0, 1.0)
    return np.asarray(curve.overhead_weight * overhead * (2.0 - overhead), dtype=np.float64)


def response(
    curve: CapCurve,
    cap_fraction: npt.ArrayLike = 1.0,
    *,
    power_fraction: npt.ArrayLike = 1.0,
    overhead_fraction: npt.ArrayLike = 0.0,
    clock_fraction: npt.ArrayLike = 1.0,
) -> tuple[Floats, Floats]:
    """Return (speed over that without a cap, mean power over rated power) of a workload; all arguments broadcast.

    Without a cap the speed is 1 and the power is `power_fraction`; from `curve.least_cap` up it is never above
    the cap. A workload whose heaviest phases stay below the limit is not slowed.

    Args:
        curve: of the device.
        cap_fraction: power cap over rated power, > 0; 1 and more: none. Below `curve.least_cap` the device may
            go at its lowest clock and still draw more than the cap.
        power_fraction: mean power of the workload without a cap, over rated power, (0, 1].
        overhead_fraction: part of its uncapped step that is overhead, 0..1: the constant in the time of a
            step against the batch, over that time.
        clock_fraction: highest clock that is allowed, over the full clock, (0, 1]; never below the lowest clock.

    >>> v100 = CapCurve(0.154, 0.704, 0.391, 0.076, 1.637, 0.854, 0.1, 0.4, "an example")
    >>> speed, power = response(v100, [1.0, 0.6, 0.4], power_fraction=0.9)
    >>> speed.round(2).tolist(), power.round(2).tolist()
    ([1.0, 0.81, 0.51], [0.9, 0.58, 0.39])
    >>> response(v100, 0.5, power_fraction=0.2)[0].item()
    1.0
    """
    cap, mean, overhead, clock = (
        np.asarray(value, dtype=np.float64)[..., None]
        for value in (cap_fraction, power_fraction, overhead_fraction, clock_fraction)
    )
    phases = _phases(curve, _mean_at_full_clock(curve, mean))
    fixed = insensitive_part(curve, overhead)
    free_s, free_power = _run(curve, phases, fixed, np.float64(1.0), np.float64(1.0))
    time_s, power = _run(curve, phases, fixed, np.minimum(cap, 1.0), np.minimum(clock, 1.0))
    return free_s / time_s, power * (mean[..., 0] / free_power)


def _phases(curve: CapCurve, mean: Floats) -> Floats:
    """Return (..., 6) powers at the full clock, spread about the mean as widely as low and high allow."""
    spread = np.maximum(0.0, np.minimum(mean - curve.low_power, curve.high_power - mean))
    return np.asarray(mean + spread * _STEPS, dtype=np.float64)


def _mean_at_full_clock(curve: CapCurve, power_fraction: Floats) -> Floats:
    """Return the mean power of phases that draw `power_fraction` when each is held at the rated power."""
    low, high = np.zeros_like(power_fraction), np.full_like(power_fraction, curve.high_power)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        drawn = np.minimum(_phases(curve, middle), curve.delivered).mean(axis=-1, keepdims=True)
        low, high = (
            np.where(drawn < power_fraction, middle, low),
            np.where(drawn < power_fraction, high, middle),
        )
    return high


def _run(
    curve: CapCurve, phases: Floats, fixed: Floats, cap: npt.ArrayLike, clock: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Return (time over that at the full clock, mean power) of a mixture of phases."""
    limit = curve.delivered * np.asarray(cap, dtype=np.float64)
    dynamic = np.maximum(phases - curve.static_power, 0.0)
    room = np.minimum(phases, limit) - curve.static_power
    part = np.divide(room, dynamic, out=np.ones(np.broadcast_shapes(room.shape)), where=dynamic > 0.0)
    clocks = np.maximum(np.minimum(clock_at_dynamic_power(curve, part), clock), curve.lowest_clock)
    time = fixed + (1.0 - fixed) / clocks
    power = phases + dynamic * (dynamic_power_at_clock(curve, clocks) - 1.0)
    return time.mean(axis=-1), (time * power).mean(axis=-1) / time.mean(axis=-1)
