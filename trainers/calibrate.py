"""Measures a model, point after point, until enough is known, and writes what it costs as a profile."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dcsim.errors import InputError, Problem
from dcsim.workload.profile import CostProfile
from dcsim.workload.profile_store import save_profile
from trainers import require_jax
from trainers.assemble import build_profile
from trainers.design import next_point, predicted_error
from trainers.devices import available_cores
from trainers.drift import corrected_s, drifts
from trainers.fit import Sample
from trainers.host_noise import (
    DRIFT_MAX,
    drift_warnings,
    load_warnings,
    noise_relative,
    spread_warnings,
    taken_warnings,
)
from trainers.journal import Journal
from trainers.pool import CalibrationError, Progress, WorkerPool
from trainers.provenance import load_average
from trainers.settings import Settings
from trainers.worker import Reading, Request

__all__ = ["CalibrationError", "Settings", "calibrate", "samples_of"]

Point = tuple[int, int, str]
"""(devices, batch per device, mode)."""


def calibrate(settings: Settings, out: Path, progress: Progress, *, force: bool = False) -> CostProfile:
    """Measure a model and write its profile to `out`/NAME.json, in one piece or not at all.

    Each device count is measured in a process of its own. Every finished measurement is kept beside the profile until
    that is written, so that a calibration that was ended in any way goes on where it stopped, and chooses as it would
    have.

    Args:
        settings: what to measure.
        out: folder for the profile; made if missing.
        progress: called with a line of text now and then.
        force: write the profile even if its points are noisier than `max_spread`.

    Raises:
        CalibrationError: if a measurement fails, or is too noisy and not forced.
        InputError: if there are fewer cores than the fewest devices.
        MissingExtraError: if JAX is not installed.
    """
    require_jax()
    cores = available_cores()
    if settings.crowds(min(settings.devices)):
        counts = ",".join(map(str, settings.devices))
        expected = f"one of at most {cores}, the cores here"
        raise InputError([Problem("--devices", None, "", counts, expected)])
    load = load_average()
    journal = Journal(settings.journal(out), settings.fingerprint())
    journal.open()
    for text in journal.problems:
        progress(f"{settings.name}: interrupted calibration, {text}")
    with WorkerPool(settings.seed, settings.backend, progress, fresh=not settings.quick) as pool:
        run = _Run(settings, journal, pool, progress)
        readings = sorted(
            run.measure(), key=lambda each: (each.point["mode"] != settings.mode, each.key[2], each.key)
        )
    noisy = spread_warnings(readings, settings.max_spread)
    warnings = [*noisy, *taken_warnings(readings), *drift_warnings(readings), *load_warnings(load, cores)]
    for text in warnings:
        progress(f"warning: {text}")
    if noisy and not force:
        # Measuring again is the remedy, so what was quiet is kept and what was noisy is not.
        journal.keep([reading for reading in readings if not spread_warnings([reading], settings.max_spread)])
        raise CalibrationError(
            f"{settings.name}: {len(noisy)} noisy points, profile not written: let the host become quiet, "
            "or give a larger --max-spread, or --force"
        )
    profile = build_profile(settings, readings, samples_of(settings, readings), load, warnings)
    save_profile(profile, out / f"{settings.name}.json")
    journal.discard()
    return profile


def samples_of(settings: Settings, readings: Sequence[Reading]) -> list[Sample]:
    """Return what surface and fit are made of: points of the first mode that had a core a device, drift taken out.

    Only what an anchor showed in the same rounds is taken out; else points in a slow moment were timed again.
    """
    noise = noise_relative(readings)
    return [
        Sample(
            reading.devices,
            point.batch_per_device,
            corrected_s(point.step_time_s, drift if reading.anchor_beside else 0.0, noise),
        )
        for reading, drift in zip(readings, drifts(readings), strict=True)
        for point in (reading.measured_point(),)
        if point.mode == settings.mode and not settings.crowds(reading.devices)
    ]


@dataclass
class _Run:
    """One calibration as it goes: what is known, and what to ask for next."""

    settings: Settings
    journal: Journal
    pool: WorkerPool
    progress: Progress
    readings: list[Reading] = field(default_factory=list)
    """Those that this calibration asked for, kept ones included, in the order it did."""

    def measure(self) -> list[Reading]:
        """Return readings of all points: the given ones, then the chosen ones."""
        deadline_s = time.perf_counter() + self.settings.budget_s
        kept = {reading.key: reading for reading in self.journal.readings}
        used = 0
        for point in self._points():
            found = kept.get(point)
            if found is None:
                left_s = max(0.0, deadline_s - time.perf_counter())
                found = self._ask(point, left_s / self._still_to_come())
                if self._noisy(found) and time.perf_counter() < deadline_s:
                    found = min(found, self._ask(point, left_s / self._still_to_come()), key=_spread)
                found = self._undisturbed(found, self.readings)
                self.journal.add(found)
            else:
                used += 1
            self.readings.append(found)
        for index, reading in enumerate(self.readings):
            again = self._undisturbed(reading, self.readings)
            if again is not reading:
                self.readings[index] = again
                self.journal.add(again)
        if used:
            self.progress(f"{self.settings.name}: {used} points kept from an interrupted calibration")
        return self.readings

    def _undisturbed(self, found: Reading, others: Sequence[Reading]) -> Reading:
        """Return a reading whose anchor was timed after it, once more where that was slow: the host was, perhaps."""
        usual = [
            each.anchor_s for each in others if (each.devices, each.anchor) == (found.devices, found.anchor)
        ]
        if found.anchor_beside or not usual or found.anchor_s <= (1.0 + DRIFT_MAX) * float(np.median(usual)):
            return found
        self.progress(f"{self.settings.name}: {found.key[1]} once more, the host was slow")
        again = self._ask(found.key, 0.0)
        return min(found, again, key=lambda each: each.anchor_s)

    def _points(self) -> Iterator[Point]:
        """Yield what to measure; what comes next may depend on what was found."""
        settings = self.settings
        given = [
            (devices, *each) for devices in settings.device_counts() for each in settings.configurations()
        ]
        space = settings.space()
        if space is None:
            # Shuffled, so that a host that slows down does not bend a curve.
            order = np.random.default_rng(settings.seed).permutation(len(given))
            yield from (given[index] for index in order)
            return
        # More devices than cores are looked at once; the design has no use for them.
        crowded = [devices for devices in space.devices if settings.crowds(devices)]
        given += [(devices, space.batch_max, settings.mode) for devices in crowded]
        space = replace(space, devices=tuple(devices for devices in space.devices if devices not in crowded))
        while True:
            known = [reading for reading in self.readings if reading.point["mode"] == settings.mode]
            samples, noise = samples_of(settings, known), noise_relative(known)
            chosen = next_point(
                samples, space, noise_relative=noise, target=settings.target, limit=settings.points
            )
            if chosen is None:
                break
            yield (*chosen, settings.mode)
        self.progress(
            f"{settings.name}: {len(samples)} points, expected mean error at most {predicted_error(samples, noise):.1%}"
        )
        yield from given

    def _noisy(self, reading: Reading) -> bool:
        return _spread(reading) > self.settings.max_spread

    def _still_to_come(self) -> int:
        """Return how many points may follow, this one included."""
        settings = self.settings
        given = len(settings.configurations()) * len(settings.device_counts())
        chosen = settings.points if settings.space() is not None else 0
        return max(1, given + chosen - len(self.readings))

    def _ask(self, point: Point, budget_s: float) -> Reading:
        devices, batch, mode = point
        settings = self.settings
        anchors = [reading.anchor for reading in self.readings if reading.devices == devices]
        request = Request(
            model=settings.model,
            batch_per_device=batch,
            mode=mode,
            anchor=anchors[0] if anchors else None,
            precision=settings.precision,
            steps=settings.steps,
            budget_s=budget_s,
            max_spread=settings.max_spread,
            traffic=max(settings.devices) == 1 and not self.readings,
        )
        found = self.pool.measure(devices, request)
        self.progress(
            f"{settings.name}: {mode} on {devices} x {batch}: {float(found.point['step_time_s']) * 1e3:.3f} ms"
        )
        return found


def _spread(reading: Reading) -> float:
    """Return by how much the two halves of a reading disagree."""
    return float(reading.point.get("split_half_spread") or 0.0)
