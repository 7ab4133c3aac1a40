"""The measuring of one profile, point after point, and of several in turns: the least known one goes first."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from trainers.design import next_point, predicted_error
from trainers.drift import corrected_s, drifts
from trainers.fit import Sample
from trainers.host_noise import DRIFT_MAX, noise_relative
from trainers.journal import Journal
from trainers.pool import Progress, WorkerPool
from trainers.settings import Settings
from trainers.worker import Reading, Request

__all__ = ["Run", "measure_in_turns", "samples_of"]

Point = tuple[int, int, str]
"""(devices, batch per device, mode)."""


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


def measure_in_turns(runs: Sequence[Run]) -> None:
    """Measure all of several runs; the next point is always one of the run that is least known.

    Each run chooses from its own readings, and turns go by what is known of all, so that runs that were interrupted go
    on as they would have. The time is that of all together: what one does not need is left to the others.
    """
    deadline_s = time.perf_counter() + sum(run.settings.budget_s for run in runs)
    going = {index: run.measure() for index, run in enumerate(runs)}
    while going:
        index = max(going, key=lambda each: (runs[each].unknown_relative(), -each))
        to_come = sum(runs[each].still_to_come() for each in going)
        runs[index].allow(deadline_s, to_come)
        if next(going[index], None) is None:
            del going[index]


@dataclass
class Run:
    """The calibration of one profile as it goes: what is known, and what to ask for next."""

    settings: Settings
    journal: Journal
    pool: WorkerPool
    progress: Progress
    readings: list[Reading] = field(default_factory=list)
    """Those that this calibration asked for, kept ones included, in the order it did."""
    _deadline_s: float = math.inf
    _to_come: int = 1
    """Points that the time until then is for."""
    _designed: bool = False

    def allow(self, deadline_s: float, to_come: int) -> None:
        """Say until when, on `time.perf_counter`, how many points may be measured, this run's next one included."""
        self._deadline_s = deadline_s
        self._to_come = max(1, to_come)

    def unknown_relative(self) -> float:
        """Return the mean error that is still to be expected: infinite at first, 0 where no more is to be chosen.

        Points that are given and not chosen say nothing of when they are enough: infinite, so that they are measured run
        by run.
        """
        if self.settings.space() is None:
            return math.inf
        if self._designed:
            return 0.0
        samples, noise = self._known()
        return predicted_error(samples, noise)

    def still_to_come(self) -> int:
        """Return how many points may follow."""
        settings = self.settings
        given = len(settings.configurations()) * len(settings.device_counts())
        chosen = settings.points if settings.space() is not None else 0
        return max(1, given + chosen - len(self.readings))

    def measure(self) -> Iterator[Reading]:
        """Yield readings of all points as they come: the given ones, then the chosen ones.

        What was disturbed is measured again at the end, so `readings` is what counts then.
        """
        kept = {reading.key: reading for reading in self.journal.readings}
        used = 0
        for point in self._points():
            found = kept.get(point)
            if found is None:
                found = self._ask(point, self._share_s())
                if self._noisy(found) and time.perf_counter() < self._deadline_s:
                    found = min(found, self._ask(point, self._share_s()), key=_spread)
                found = self._undisturbed(found, self.readings)
                self.journal.add(found)
            else:
                used += 1
            self.readings.append(found)
            yield found
        for index, reading in enumerate(self.readings):
            again = self._undisturbed(reading, self.readings)
            if again is not reading:
                self.readings[index] = again
                self.journal.add(again)
        if used:
            self.progress(f"{self.settings.name}: {used} points kept from an interrupted calibration")

    def _share_s(self) -> float:
        """Return the time for one of the points that are to come."""
        return max(0.0, self._deadline_s - time.perf_counter()) / self._to_come

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
            samples, noise = self._known()
            chosen = next_point(
                samples, space, noise_relative=noise, target=settings.target, limit=settings.points
            )
            if chosen is None:
                break
            yield (*chosen, settings.mode)
        self._designed = True
        expected = predicted_error(samples, noise)
        self.progress(f"{settings.name}: {len(samples)} points, expected mean error at most {expected:.1%}")
        yield from given

    def _known(self) -> tuple[list[Sample], float]:
        """Return what the design may see: samples of the first mode, and their noise."""
        known = [reading for reading in self.readings if reading.point["mode"] == self.settings.mode]
        return samples_of(self.settings, known), noise_relative(known)

    def _noisy(self, reading: Reading) -> bool:
        return _spread(reading) > self.settings.max_spread

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
