"""A host that is slower now than before, told apart from a step that takes long, by an anchor timed beside both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainers.worker import Reading

__all__ = ["corrected_s", "drifts"]


def drifts(readings: Sequence[Reading]) -> list[float]:
    """Return for each reading by how much its anchor took longer than the median of that anchor's times, relative.

    The anchor is that of one number of devices; with one reading of it nothing can have drifted.
    """
    times: dict[tuple[int, tuple[int, str]], list[float]] = {}
    for reading in readings:
        times.setdefault((reading.devices, reading.anchor), []).append(reading.anchor_s)
    medians = {key: float(np.median(values)) for key, values in times.items()}
    return [reading.anchor_s / medians[reading.devices, reading.anchor] - 1.0 for reading in readings]


def corrected_s(step_time_s: float, drift: float, noise_relative: float) -> float:
    """Return a step time without the part of a drift that noise does not explain.

    A drift d seen with noise s is believed by 1 - s^2 / d^2, not at all below s (positive-part shrinkage: James and
    Stein 1961), so that a quiet host's times stay as they were measured.

    >>> corrected_s(1.1, 0.005, 0.01), round(corrected_s(1.1, 0.1, 0.01), 4)
    (1.1, 1.0009)
    """
    believed = max(0.0, 1.0 - (noise_relative / drift) ** 2) if drift else 0.0
    return step_time_s / (1.0 + drift * believed)
