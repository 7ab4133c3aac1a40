"""The surface through measured points, and how far off it is between them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from dcsim.workload.profile import Mode, StepTimeKnot, StepTimeSurface
from trainers.fit import Sample

__all__ = ["leave_one_out", "measured_surface"]

Rows = dict[int, dict[int, float]]

_COVERAGE = 0.9
_LEAST_LEFT_OUT = 3


def measured_surface(samples: Sequence[Sample], mode: Mode) -> StepTimeSurface | None:
    """Return the surface whose knots are the samples, or None where too few can be left out to say how sure it is.

    The half width of the interval is the smallest that holds ceil(q (k + 1)) of the k errors of `leave_one_out`:
    a new point between the knots lies in it with probability q, if it is like those left out (split conformal
    prediction, Lei et al. 2018, doi:10.1080/01621459.2017.1307116). With less than nine errors q is k / (k + 1), not 0.9.

    Args:
        samples: One for each (devices, batch).
        mode: Of all of them.

    >>> linear = [Sample(1, batch, 0.1 + batch / 100) for batch in (1, 2, 4, 8, 16)]
    >>> surface = measured_surface(linear, "jit")
    >>> round(surface.interval_relative, 9), surface.coverage
    (0.0, 0.75)
    """
    errors = sorted(leave_one_out(samples))
    count = len(errors)
    if count < _LEAST_LEFT_OUT:
        return None
    coverage = min(_COVERAGE, count / (count + 1))
    rank = min(count, math.ceil(round(coverage * (count + 1), 9)))
    return StepTimeSurface(
        mode=mode,
        knots=tuple(StepTimeKnot(**sample._asdict()) for sample in sorted(samples)),
        interval_relative=errors[rank - 1],
        coverage=coverage,
    )


def leave_one_out(samples: Sequence[Sample]) -> list[float]:
    """Return |predicted / measured - 1| of what lies between other samples.

    Each batch between two others of as many devices is predicted from those two, linearly; each number of devices n
    between two others likewise, straight in 1 - 1/n, all of its batches that those share at once.

    >>> leave_one_out([Sample(1, 1, 1.0), Sample(1, 2, 4.0), Sample(1, 3, 3.0)])
    [0.5]
    """
    rows: Rows = {}
    for sample in sorted(samples):
        rows.setdefault(sample.devices, {})[sample.batch_per_device] = sample.step_time_s
    return [*_between_batches(rows), *_between_devices(rows)]


def _between_batches(rows: Rows) -> Iterator[float]:
    for row in rows.values():
        batches, times_s = list(row), list(row.values())
        for k in range(1, len(batches) - 1):
            predicted_s = float(np.interp(batches[k], batches[k - 1 :: 2][:2], times_s[k - 1 :: 2][:2]))
            yield abs(predicted_s / times_s[k] - 1.0)


def _between_devices(rows: Rows) -> Iterator[float]:
    widths = list(rows)
    for below, width, above in zip(widths, widths[1:], widths[2:], strict=False):
        # As `dcsim.workload.surface` joins them: straight in 1 - 1/n.
        part = (1 / below - 1 / width) / (1 / below - 1 / above)
        for batch, time_s in rows[width].items():
            if batch in rows[below] and batch in rows[above]:
                predicted_s = (1 - part) * rows[below][batch] + part * rows[above][batch]
                yield abs(predicted_s / time_s - 1.0)
