"""Profiles against reality: random batch sizes that were never measured, measured now, several times."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcsim.errors import InputError
from dcsim.workload.profile import CostProfile
from dcsim.workload.surface import step_time_interval_s, surface_step_time_s
from trainers.files import write_text
from trainers.pool import WorkerPool
from trainers.recipe import Precision
from trainers.worker import Request

__all__ = [
    "Comparison",
    "Measure",
    "compare",
    "holdout",
    "predicted_step_s",
    "step_interval_s",
    "unseen_configurations",
    "worker",
]

Measure = Callable[[int], float]
"""Returns the median step time [s] of a batch per device, measured now."""


@dataclass(frozen=True)
class Comparison:
    """One configuration, predicted and measured; step times in seconds."""

    model: str
    devices: int
    batch_per_device: int
    predicted_s: float
    low_s: float | None
    """Of the prediction's interval; None: the profile gives none."""
    high_s: float | None
    measured_s: tuple[float, ...]
    """Median step of each repeat."""

    @property
    def median_s(self) -> float:
        """Median over the repeats."""
        return float(np.median(self.measured_s))

    @property
    def error_relative(self) -> float:
        """Predicted / measured - 1."""
        return self.predicted_s / self.median_s - 1.0

    @property
    def spread_relative(self) -> float:
        """(Largest - smallest) / median of the repeats."""
        return (max(self.measured_s) - min(self.measured_s)) / self.median_s

    @property
    def covered(self) -> bool | None:
        """Whether the interval holds the median of the repeats; None: there is none."""
        if self.low_s is None or self.high_s is None:
            return None
        return self.low_s <= self.median_s <= self.high_s

    @property
    def covered_each(self) -> tuple[bool, ...]:
        """Whether the interval holds what each repeat measured; empty: there is no interval."""
        if self.low_s is None or self.high_s is None:
            return ()
        return tuple(self.low_s <= each_s <= self.high_s for each_s in self.measured_s)


def predicted_step_s(profile: CostProfile, devices: int, batch: int) -> float:
    """Return the step time [s] that a profile predicts, by its surface where it has one, else by its fit."""
    if profile.surface is not None:
        return surface_step_time_s(profile.surface, devices, batch)
    fit = profile.fit
    return fit.overhead_s + fit.per_sample_s * batch + fit.per_device_s * (devices - 1)


def step_interval_s(profile: CostProfile, devices: int, batch: int) -> tuple[float, float] | None:
    """Return the interval [s] that a profile gives with a prediction; None: it gives none."""
    return None if profile.surface is None else step_time_interval_s(profile.surface, devices, batch)


def unseen_configurations(profile: CostProfile, count: int, seed: int) -> list[tuple[int, int]]:
    """Return random (devices, batch per device) inside the measured range, none of them measured before.

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


def compare(profile: CostProfile, measured: Mapping[tuple[int, int], Sequence[float]]) -> list[Comparison]:
    """Return what a profile predicts of configurations beside what each repeat measured, in their order."""
    found = []
    for (devices, batch), times_s in sorted(measured.items()):
        low_s, high_s = step_interval_s(profile, devices, batch) or (None, None)
        predicted_s = predicted_step_s(profile, devices, batch)
        found.append(Comparison(profile.name, devices, batch, predicted_s, low_s, high_s, tuple(times_s)))
    return found


def holdout(
    profile: CostProfile,
    *,
    count: int,
    repeats: int,
    seed: int,
    path: Path | None,
    workers: Callable[[CostProfile, int], contextlib.AbstractContextManager[Measure]],
    progress: Callable[[str], object],
    how: Mapping[str, object] | None = None,
) -> list[Comparison]:
    """Measure `count` unseen configurations `repeats` times, and return them beside what the profile predicts.

    Each repeat visits them in a new order. Finished repeats are kept in `path` and not measured again.

    Args:
        profile: to be judged.
        count: configurations.
        repeats: measurements of each, at least 1.
        seed: of the choice and of the orders.
        path: file of finished repeats; None: nothing is kept.
        workers: gives what measures a profile's model on so many devices.
        progress: called with a line of text now and then.
        how: it is measured, plain values, kept in the file: measurements taken in another way are not gone on from.

    Raises:
        CalibrationError: if a measurement fails.
        InputError: the file is of another profile, or of other configurations.
    """
    chosen = unseen_configurations(profile, count, seed)
    made = _made(profile, how or {})
    kept = _kept(path, made, chosen)
    for devices in sorted({each for each, _ in chosen}):
        sizes = [batch for own, batch in chosen if own == devices]
        if all(len(kept[devices, batch]) >= repeats for batch in sizes):
            continue
        with workers(profile, devices) as measure:
            for repeat in range(repeats):
                draws = np.random.default_rng([seed, devices, repeat])
                for at in draws.permutation(len(sizes)).tolist():
                    times_s = kept[devices, sizes[at]]
                    if len(times_s) <= repeat:
                        times_s.append(measure(sizes[at]))
                        _keep(path, made, kept)
                progress(f"{profile.name} on {devices}: repeat {repeat + 1} of {repeats}")
    return compare(profile, {key: times_s[:repeats] for key, times_s in kept.items()})


def _kept(
    path: Path | None, made: Mapping[str, object], chosen: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], list[float]]:
    """Return the finished measurements of each configuration."""
    if path is None or not path.exists():
        return {key: [] for key in chosen}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        then, rows = content["host"], content["measured"]
        found = {
            (int(row["devices"]), int(row["batch"])): [float(each) for each in row["step_s"]] for row in rows
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: {error!r} -> expected measurements of an earlier run; remove it") from None
    if then != made or sorted(found) != sorted(chosen):
        raise InputError(
            f"{path}: of another profile, host or other points -> remove it, or give another --out"
        )
    return found


def _made(profile: CostProfile, how: Mapping[str, object]) -> dict[str, object]:
    """Return what measurements of a profile's configurations depend on."""
    made = profile.provenance
    return {
        "name": profile.name,
        "mode": profile.fit.mode,
        "host_cpu": made.host_cpu,
        "packages": dict(made.packages),
        "freed_memory": made.freed_memory,
        **how,
    }


def _keep(
    path: Path | None, made: Mapping[str, object], kept: Mapping[tuple[int, int], Sequence[float]]
) -> None:
    if path is not None:
        rows = [
            {"devices": devices, "batch": batch, "step_s": list(times_s)}
            for (devices, batch), times_s in kept.items()
        ]
        content = {"host": dict(made), "measured": rows}
        write_text(path, json.dumps(content, indent=1) + "\n")


@contextlib.contextmanager
def worker(
    profile: CostProfile,
    devices: int,
    *,
    steps: int,
    budget_s: float,
    seed: int,
    progress: Callable[[str], None],
) -> Iterator[Measure]:
    """Start a process that measures a profile's model, as a calibration does, and end it with the block.

    Args:
        profile: of a model of this package.
        devices: to be measured on.
        steps: timed in each measurement.
        budget_s: wall time of a measurement, compilation included.
        seed: of data and parameters.
        progress: called with a line of text now and then.
    """
    model = profile.name.removesuffix(f"_{profile.precision}")
    precision: Precision = "bf16" if profile.precision == "bf16" else "fp32"
    made = profile.provenance
    freed_memory = made.freed_memory or "kept"
    with WorkerPool(seed, made.backend, progress, fresh=True, freed_memory=freed_memory) as pool:

        def measure(batch: int) -> float:
            request = Request(
                model, batch, profile.fit.mode, precision=precision, steps=steps, budget_s=budget_s
            )
            return pool.measure(devices, request).measured_point().step_time_s

        yield measure
