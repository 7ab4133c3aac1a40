"""Many times of one configuration, as one point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.workload.profile import MeasuredPoint, Mode
from trainers.imports.sources import point

__all__ = ["point_of_times"]

_LEAST_FOR_PERCENTILES = 10


def point_of_times(
    devices: int, batch_per_device: int, times_s: Sequence[float], *, mode: Mode = "jit"
) -> MeasuredPoint:
    """Return the point of all times of one configuration: median, and percentiles where there are ten or more.

    Also the split-half spread of times that are in the order in which they were taken.

    Args:
        devices: Of the gang, >= 1.
        batch_per_device: Samples a step on each device, >= 1.
        times_s: Step times (N,), at least one, each > 0 [s].
        mode: How the devices share a step.

    >>> measured = point_of_times(1, 32, [0.2, 0.1, 0.3])
    >>> measured.step_time_s, measured.steps, measured.step_time_low_s
    (0.2, 3, None)
    """
    times = np.asarray(times_s, dtype=np.float64)
    middle_s = float(np.median(times))
    if len(times) < _LEAST_FOR_PERCENTILES:
        return point(devices, batch_per_device, middle_s, mode=mode, steps=len(times))
    low_s, high_s = (float(value) for value in np.quantile(times, (0.1, 0.9)))
    measured = point(
        devices, batch_per_device, middle_s, mode=mode, steps=len(times), low_s=low_s, high_s=high_s
    )
    half = len(times) // 2
    spread = abs(float(np.median(times[:half])) - float(np.median(times[half:]))) / middle_s
    return measured.model_copy(update={"split_half_spread": spread})
