"""A profile against reality: random configurations that it was not made from, measured now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dcsim.workload.profile import CostProfile, MeasuredPoint
from trainers.calibrate import run_worker
from trainers.fit import Coefficients
from trainers.worker import WorkerJob

__all__ = ["Comparison", "holdout", "unseen_configurations"]


@dataclass(frozen=True)
class Comparison:
    """One configuration, predicted and measured."""

    devices: int
    batch_per_device: int
    predicted_s: float
    measured_s: float
    measured_low_s: float
    """10th percentile."""
    measured_high_s: float
    """90th percentile."""

    @property
    def error_relative(self) -> float:
        """Predicted / measured - 1."""
        return self.predicted_s / self.measured_s - 1.0


def unseen_configurations(profile: CostProfile, count: int, seed: int) -> list[tuple[int, int]]:
    """Return random (devices, batch per device) inside the fit's range, none of them measured before.

    Fewer than `count` if the range holds no more.
    """
    fit = profile.fit
    seen = {(point.devices, point.batch_per_device) for point in profile.points}
    free = [
        (devices, batch)
        for devices in sorted({point.devices for point in profile.points})
        if fit.devices_min <= devices <= fit.devices_max
        for batch in range(fit.batch_per_device_min, fit.batch_per_device_max + 1)
        if (devices, batch) not in seen
    ]
    order = np.random.default_rng([seed, len(free)]).permutation(len(free))[:count]
    return sorted(free[index] for index in order)


def holdout(
    profile: CostProfile,
    *,
    count: int,
    steps: int,
    budget_s: float,
    seed: int,
    progress: Callable[[str], None],
) -> list[Comparison]:
    """Measure `count` unseen configurations and return them beside what the profile predicts.

    Raises:
        CalibrationError: if a measurement fails.
    """
    chosen = unseen_configurations(profile, count, seed)
    compared: list[Comparison] = []
    device_counts = sorted({devices for devices, _ in chosen})
    for devices in device_counts:
        sizes = [batch for own, batch in chosen if own == devices]
        job = WorkerJob(
            model=profile.name,
            devices=devices,
            configurations=[(batch, profile.fit.mode) for batch in sizes],
            steps=steps,
            budget_s=budget_s / len(device_counts),
            max_spread=0.25,
            seed=seed,
            backend=profile.provenance.backend,
        )
        compared += _compare(profile, run_worker(job, progress).measured_points())
    return compared


def _compare(profile: CostProfile, points: Sequence[MeasuredPoint]) -> list[Comparison]:
    fit = profile.fit
    coefficients = Coefficients(fit.overhead_s, fit.per_sample_s, fit.per_device_s)
    return [
        Comparison(
            devices=point.devices,
            batch_per_device=point.batch_per_device,
            predicted_s=coefficients.predict_s(point.devices, point.batch_per_device),
            measured_s=point.step_time_s,
            measured_low_s=point.step_time_low_s or point.step_time_s,
            measured_high_s=point.step_time_high_s or point.step_time_s,
        )
        for point in points
    ]
