"""What can be wrong with the parts that not every profile has: surface, operators, prediction, collectives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from dcsim.workload.profile import CostProfile, PredictedStep, StepTimeSurface

__all__ = ["Fact", "part_facts"]

Fact = tuple[str, str, str]
"""(path of the field, got, expected)."""

_SUM_TOLERANCE = 1e-6
"""Parts add up to their whole but for rounding."""


def part_facts(profile: CostProfile) -> Iterator[Fact]:
    """Yield (path, got, expected) of what contradicts itself; nothing where a profile is sound."""
    kinds = [operator.kind for operator in profile.operators]
    yield from _repeated("operators", kinds, "each kind once")
    compiled = [(each.kind, each.devices, each.mode) for each in profile.collectives.compiled]
    yield from _repeated("collectives.compiled", compiled, "each (kind, devices, mode) once")
    if profile.surface is not None:
        yield from _surface_facts(profile.surface)
        yield from _measured_facts(profile, profile.surface)
    if profile.prediction is not None:
        if profile.origin != "predicted":
            yield "prediction", f"one, origin {profile.origin}", "origin predicted, or no prediction"
        yield from _prediction_facts(profile.prediction)


def _repeated(path: str, values: Sequence[object], expected: str) -> Iterator[Fact]:
    for value in dict.fromkeys(value for value in values if values.count(value) > 1):
        yield path, str(value), expected


def _surface_facts(surface: StepTimeSurface) -> Iterator[Fact]:
    """Yield what is wrong with a surface by itself."""
    keys = [(knot.devices, knot.batch_per_device) for knot in surface.knots]
    for i, (before, after) in enumerate(pairwise(keys), start=1):
        if after <= before:
            yield f"surface.knots.{i}", f"{after} after {before}", "ascending (devices, batch), each once"
    sizes = [batch for _, batch in keys]
    for i, regime in enumerate(surface.regimes):
        if not min(sizes) <= regime < max(sizes):
            yield f"surface.regimes.{i}", str(regime), f"a batch from {min(sizes)} to below {max(sizes)}"
        if i and regime <= surface.regimes[i - 1]:
            yield f"surface.regimes.{i}", f"{regime} after {surface.regimes[i - 1]}", "ascending batches"


def _measured_facts(profile: CostProfile, surface: StepTimeSurface) -> Iterator[Fact]:
    """Yield corners of a timed surface that lie outside what was timed."""
    points = [point for point in profile.points if point.mode == surface.mode]
    if not points:
        if profile.origin in {"measured", "imported"}:
            yield "surface.mode", surface.mode, "the mode of some measured points"
        return
    for name in ("devices", "batch_per_device"):
        low, high = (pick(getattr(point, name) for point in points) for pick in (min, max))
        for i, knot in enumerate(surface.knots):
            if not low <= getattr(knot, name) <= high:
                yield (
                    f"surface.knots.{i}.{name}",
                    str(getattr(knot, name)),
                    f"within the measured {low} to {high}",
                )


def _prediction_facts(step: PredictedStep) -> Iterator[Fact]:
    """Yield what is wrong with a predicted step by itself."""
    times = (step.step_time_low_s, step.step_time_s, step.step_time_high_s)
    if not times[0] <= times[1] <= times[2]:
        yield "prediction.step_time_s", str(times), "low <= step time <= high"
    for name in ("parts_s", "memory_parts_bytes"):
        for key, value in getattr(step, name).items():
            if value < 0.0:
                yield f"prediction.{name}.{key}", f"{value:g}", "at least 0"
    total_s = math.fsum(step.parts_s.values())
    if step.parts_s and not math.isclose(total_s, step.step_time_s, rel_tol=_SUM_TOLERANCE):
        yield (
            "prediction.parts_s",
            f"{total_s:g} s in all",
            f"parts that add up to step_time_s, {step.step_time_s:g} s",
        )
