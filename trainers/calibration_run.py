"""The measuring of one profile, point after point, and of several in turns: the least known one goes first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from trainers.design import Space, gaps, next_point, predicted_error
from trainers.drift import corrected_s, drifts
from trainers.fit import Sample
from trainers.host_noise import DRIFT_MAX, TAKEN_MAX, noise_relative
from trainers.journal import Journal
from trainers.pool import Progress, WorkerPool
from trainers.settings import Settings
from trainers.worker import Reading, Request

__all__ = ["Run", "measure_in_turns", "samples_of", "settled"]

AGREE_MAX = 0.1
"""Visits of a point that are further apart, relative, are not averaged: the quicker ones count."""

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


def measure_in_turns(runs: Sequence[Run], meanwhile: Callable[[], object] | None = None) -> None:
    """Measure all of several runs; the next point is always one of the run that is least known.

    Each run chooses from its own readings, and turns go by what is known of all, so that runs that were interrupted go
    on as they would have. The time is that of all together: what one does not need is left to the others, and to visiting
    points again.

    Args:
        runs: to be measured.
        meanwhile: what to do when every point was visited, before they are visited again; its time is not counted.
    """
    deadline_s = time.perf_counter() + sum(run.settings.budget_s for run in runs)
    going = {index: run.measure() for index, run in enumerate(runs)}
    while going:
        index = max(going, key=lambda each: (runs[each].unknown_relative(), -each))
        to_come = sum(runs[each].still_to_come() for each in going)
        runs[index].allow(deadline_s, to_come)
        if next(going[index], None) is None:
            del going[index]
    if meanwhile is not None:
        start_s = time.perf_counter()
        meanwhile()
        deadline_s += time.perf_counter() - start_s
    again = [run.visit_again() for run in runs]
    for run in runs:
        run.allow(deadline_s, 1)
    while again:
        again = [each for each in again if next(each, None) is not None]


@dataclass
class Run:
    """The calibration of one profile as it goes: what is known, and what to ask for next."""

    settings: Settings
    journal: Journal
    pool: WorkerPool
    progress: Progress
    _visits: dict[Point, list[Reading]] = field(default_factory=dict)
    """What this calibration asked for, kept readings included, in the order it did."""
    _kept: dict[Point, list[Reading]] = field(default_factory=dict)
    """Readings of an interrupted calibration that were not asked for again yet."""
    _deadline_s: float = math.inf
    _to_come: int = 1
    """Points that the time until then is for."""
    _asked_s: list[float] = field(default_factory=list)
    """How long readings took that were not kept."""
    _designed: bool = False

    @property
    def readings(self) -> list[Reading]:
        """What is known of each point, in the order in which they were first asked for."""
        return [settled(visits) for visits in self._visits.values()]

    @property
    def visits(self) -> list[list[Reading]]:
        """All readings of each point, in the same order."""
        return list(self._visits.values())

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
        return max(1, given + chosen - len(self._visits))

    def measure(self) -> Iterator[Reading]:
        """Yield readings as they come: of the given points, or of the chosen ones, and of those that are visited again."""
        for reading in self.journal.readings:
            self._kept.setdefault(reading.key, []).append(reading)
        kept = len(self._kept)
        for point in self._points():
            first = point not in self._visits
            found = self._visit(point, self._share_s())
            if first and self._noisy(found) and time.perf_counter() < self._deadline_s:
                found = self._visit(point, self._share_s())
            if first and self._disturbed(found):
                found = self._once_more(point)
            yield found
        for point, visits in list(self._visits.items()):
            if len(visits) == 1 and self._disturbed(visits[0]):
                yield self._once_more(point)
        if kept:
            self.progress(f"{self.settings.name}: {kept} points kept from an interrupted calibration")

    def visit_again(self) -> Iterator[Reading]:
        """Visit all points once more while there is time: minutes in which a host is slow do not come back to the same ones."""
        points = [point for point, visits in self._visits.items() if not visits[0].anchor_beside]
        for index in np.random.default_rng(self.settings.seed).permutation(len(points)):
            point = points[index]
            if not self._kept.get(point) and time.perf_counter() + self._takes_s() > self._deadline_s:
                return
            yield self._visit(point, 0.0)

    def _visit(self, point: Point, budget_s: float) -> Reading:
        """Return one more reading of a point: the next one that was kept, or a new one, which is kept from now on."""
        if kept := self._kept.get(point):
            found = kept.pop(0)
        else:
            start_s = time.perf_counter()
            found = self._ask(point, budget_s)
            self._asked_s.append(time.perf_counter() - start_s)
            self.journal.add(found)
            devices, batch, mode = point
            said_ms = _step_s(found) * 1e3
            self.progress(f"{self.settings.name}: {mode} on {devices} x {batch}: {said_ms:.3f} ms")
        self._visits.setdefault(point, []).append(found)
        return found

    def _takes_s(self) -> float:
        """Return how long a visit may be expected to take."""
        return float(np.mean(self._asked_s)) if self._asked_s else 0.0

    def _share_s(self) -> float:
        """Return the time for one of the points that are to come."""
        return max(0.0, self._deadline_s - time.perf_counter()) / self._to_come

    def _disturbed(self, found: Reading) -> bool:
        """Return whether the anchor that was timed after a point was slow: the host was, perhaps."""
        usual = [
            each.anchor_s
            for visits in self._visits.values()
            for each in visits
            if (each.devices, each.anchor) == (found.devices, found.anchor) and each is not found
        ]
        if found.anchor_beside or not usual:
            return False
        return found.anchor_s > (1.0 + DRIFT_MAX) * float(np.median(usual))

    def _once_more(self, point: Point) -> Reading:
        self.progress(f"{self.settings.name}: {point[1]} once more, the host was slow")
        return self._visit(point, 0.0)

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
            if doubtful := self._doubtful(samples, space, noise):
                yield doubtful
                continue
            if chosen is None:
                break
            yield (*chosen, settings.mode)
        self._designed = True
        expected = predicted_error(samples, noise)
        said = f"at most {expected:.1%}" if math.isfinite(expected) else "not known, too few can be left out"
        self.progress(f"{settings.name}: {len(samples)} points, expected mean error {said}")
        yield from given

    def _doubtful(self, samples: Sequence[Sample], space: Space, noise: float) -> Point | None:
        """Return a side of a jump that was visited once only, if there is one: a slow moment makes a jump, too."""
        if len(samples) < 3:
            return None
        for gap in gaps(samples, space, noise):
            for batch in (gap.low, gap.high) if gap.jump else ():
                point = (gap.devices, batch, self.settings.mode)
                visits = self._visits.get(point, ())
                if len(visits) == 1 and not visits[0].anchor_beside:
                    return point
        return None

    def _known(self) -> tuple[list[Sample], float]:
        """Return what the design may see: samples of the first mode, and their noise."""
        known = [reading for reading in self.readings if reading.point["mode"] == self.settings.mode]
        return samples_of(self.settings, known), noise_relative(known)

    def _noisy(self, reading: Reading) -> bool:
        return _spread(reading) > self.settings.max_spread

    def _ask(self, point: Point, budget_s: float) -> Reading:
        devices, batch, mode = point
        settings = self.settings
        anchors = [visits[0].anchor for (own, _, _), visits in self._visits.items() if own == devices]
        request = Request(
            model=settings.model,
            batch_per_device=batch,
            mode=mode,
            anchor=anchors[0] if anchors else None,
            precision=settings.precision,
            steps=settings.steps,
            budget_s=budget_s,
            max_spread=settings.max_spread,
            traffic=max(settings.devices) == 1 and not self._visits,
        )
        return self.pool.measure(devices, request)


def settled(visits: Sequence[Reading]) -> Reading:
    """Return one reading for all visits of a point: the mean of those within a tenth of the quickest.

    What slows a host is not the step's own; what is further off tells of the host. Visits during which others took much of
    the cores do not count where there are others: on two devices a busy core may even be the quicker one to wake. What
    devices send was looked for on one of the visits only.
    """
    alone = [visit for visit in visits if (visit.taken_share or 0.0) <= TAKEN_MAX] or list(visits)
    quickest = min(alone, key=_step_s)
    most = max(visits, key=lambda visit: (visit.all_reduce_count, visit.all_reduce_bytes))
    quickest = replace(
        quickest, all_reduce_bytes=most.all_reduce_bytes, all_reduce_count=most.all_reduce_count
    )
    close = [visit for visit in alone if _step_s(visit) <= (1.0 + AGREE_MAX) * _step_s(quickest)]
    if len(close) == 1:
        return quickest
    times_s = [_step_s(visit) for visit in close]
    mean_s = float(np.mean(times_s))
    together: dict[str, object] = {
        "step_time_s": mean_s,
        "steps": sum(int(visit.point["steps"]) for visit in close),
    }
    apart = (max(times_s) - min(times_s)) / mean_s
    together["split_half_spread"] = max(apart, min(_spread(visit) for visit in close))
    for name, choose in (
        ("step_time_low_s", min),
        ("step_time_high_s", max),
        ("cpu_time_per_step_s", np.mean),
        ("page_faults_per_step", np.mean),
    ):
        values = [float(visit.point[name]) for visit in close if visit.point.get(name) is not None]
        together[name] = float(choose(values)) if len(values) == len(close) else None
    return replace(quickest, point={**quickest.point, **together})


def _step_s(reading: Reading) -> float:
    return float(reading.point["step_time_s"])


def _spread(reading: Reading) -> float:
    """Return by how much the two halves of a reading disagree."""
    return float(reading.point.get("split_half_spread") or 0.0)
