"""How noisy the host was: what a reader must know before trusting a measurement, and what the design must not chase."""

from __future__ import annotations

import math
import resource
from collections.abc import Sequence

import numpy as np

from trainers.allocator import FreedMemory
from trainers.drift import drifts
from trainers.worker import Reading

__all__ = [
    "DRIFT_MAX",
    "TAKEN_MAX",
    "allocator_warnings",
    "drift_warnings",
    "fault_warnings",
    "load_warnings",
    "noise_relative",
    "spread_warnings",
    "taken_warnings",
    "visit_relative",
]

TAKEN_MAX = 0.1
"""Of the cores, by others: a visit beside that is worth less than one without."""
_LEAST_VISITS = 5
DRIFT_MAX = 0.1
"""An anchor that is so much slower than its median tells of a slow host, relative."""
_LOAD_MAX = 0.25
"""Processes that want a core, before anything is measured, a core."""
_FAULTED_MAX = 0.25
"""Of a step's temporaries; a process that keeps them faults in none of them."""
_FAULTS_MOST = 256
"""A step, 1 MiB of pages of 4 KiB: fewer take no time that is seen."""
_NOISE_RANGE = (0.02, 0.1)


def noise_relative(readings: Sequence[Reading]) -> float:
    """Return the standard deviation of a step time from visit to visit, relative, as far as the readings show it.

    The median of their split-half spreads, from 2 to 10 %: two halves of n steps differ by twice the deviation of the
    median of all, but even a quiet host differs more between visits than within one.
    """
    spreads = [float(reading.point.get("split_half_spread") or 0.0) for reading in readings]
    low, high = _NOISE_RANGE
    return float(np.clip(np.median(spreads), low, high)) if spreads else low


def visit_relative(visits: Sequence[Sequence[Reading]]) -> float:
    """Return by how much the visits of a point scatter, relative; 0 where too few tell.

    A standard deviation, of two kinds of visits, whichever is larger. Anchors that were timed in processes of their own
    are one configuration visited again and again. And points that were visited again: first and last visit differ by sqrt(2) times
    the deviation of one. Differences have long tails, so what nine in ten stay below is taken, over the 1.645 deviations of a normal one. What the host slowed by far counts, too: so it will be again.

    Args:
        visits: of each point, at least one.
    """
    readings = [visit for each in visits for visit in each]
    anchors = [
        abs(drift)
        for reading, drift in zip(readings, drifts(readings), strict=True)
        if not reading.anchor_beside
    ]
    apart = [
        abs(1.0 - float(each[-1].point["step_time_s"]) / float(each[0].point["step_time_s"]))
        for each in visits
        if len(each) > 1
    ]
    found = [
        share * float(np.quantile(differences, 0.9)) / 1.645
        for differences, share in ((anchors, 1.0), (apart, math.sqrt(0.5)))
        if len(differences) >= _LEAST_VISITS
    ]
    return min(_NOISE_RANGE[1], max(found, default=0.0))


def spread_warnings(readings: Sequence[Reading], max_spread: float) -> list[str]:
    """Return a warning for each point whose two halves disagree by more than `max_spread`."""
    return [
        f"noisy point: {point.mode} on {point.devices} x {point.batch_per_device}, "
        f"split-half spread {point.split_half_spread:.0%}"
        for point in (reading.measured_point() for reading in readings)
        if (point.split_half_spread or 0.0) > max_spread
    ]


def taken_warnings(readings: Sequence[Reading]) -> list[str]:
    """Return a warning for each device count whose cores others used for more than a tenth of the time.

    A steady load of others lengthens all steps alike, so the spread does not show it. What a hypervisor gave to other
    machines counts as taken.
    """
    found = []
    for devices in sorted({reading.devices for reading in readings}):
        shares = [
            each.taken_share for each in readings if each.devices == devices and each.taken_share is not None
        ]
        if shares and float(np.mean(shares)) > TAKEN_MAX:
            share = float(np.mean(shares))
            found.append(f"other processes took {share:.0%} of the cores while {devices} devices were timed")
    return found


def drift_warnings(readings: Sequence[Reading]) -> list[str]:
    """Return a warning where the host's speed changed by more than a tenth between points, as far as anchors tell."""
    found = drifts(readings)
    if not found or max(map(abs, found)) <= DRIFT_MAX:
        return []
    return [
        f"the host drifted by {min(found):+.0%} to {max(found):+.0%} between points"
        + (": corrected in fit and surface" if all(each.anchor_beside for each in readings) else "")
    ]


def fault_warnings(readings: Sequence[Reading]) -> list[str]:
    """Return a warning where each step has its temporaries given anew by the system, a page fault a page."""
    page_bytes = resource.getpagesize()
    found = [
        (point.batch_per_device, point.page_faults_per_step)
        for point in (reading.measured_point() for reading in readings)
        if point.page_faults_per_step
        and point.page_faults_per_step * page_bytes
        > _FAULTED_MAX * point.devices * (point.temporary_bytes or 0.0)
        and point.page_faults_per_step >= _FAULTS_MOST
    ]
    if not found:
        return []
    batch, faults = max(found, key=lambda each: (each[1], each[0]))
    return [
        f"memory is returned to the system and taken again in each step: {faults:,.0f} page faults at batch {batch}"
    ]


def allocator_warnings(readings: Sequence[Reading], wanted: FreedMemory) -> list[str]:
    """Return a warning where processes that were to keep freed memory could not."""
    if wanted == "kept" and any(reading.freed_memory != "kept" for reading in readings):
        return ["the C library did not take the wish to keep freed memory: it is not glibc, or refused"]
    return []


def load_warnings(load_average: float, cores: int) -> list[str]:
    """Return a warning where others wanted the cores before the measuring began."""
    if load_average <= _LOAD_MAX * cores:
        return []
    return [f"load average {load_average:.2f} on {cores} cores before measuring"]
