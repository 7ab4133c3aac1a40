"""Models of published tables against rows of them that they have not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dcsim.workload.readers.gavel import read_gavel_rates
from dcsim.workload.readers.pollux import read_pollux_rates
from trainers.imports.gavel import model_and_batch
from trainers.imports.placement_model import PlacedStep, fit_placements
from trainers.imports.scaling_model import ScalingStep, fit_scaling, ring_factor

__all__ = ["HeldOut", "gavel_holdout", "mape", "placement_holdout", "pollux_holdout", "within"]

_FOLDS = 4
_COVERAGE = 0.9


class HeldOut(NamedTuple):
    """One measurement that a model has not seen, beside its prediction: step times [s], or throughputs [steps/s]."""

    group: str
    """Application, or GPU type and layout."""
    what: str
    measured: float
    predicted: float
    low: float
    high: float
    extra: int = 0
    """Seed, or scale factor."""

    @property
    def error_relative(self) -> float:
        """|Predicted / measured - 1|."""
        return abs(self.predicted / self.measured - 1.0)


def mape(rows: Sequence[HeldOut]) -> float:
    """Return the mean |relative error|; NaN of none."""
    return float(np.mean([row.error_relative for row in rows])) if rows else math.nan


def within(rows: Sequence[HeldOut]) -> float:
    """Return the share that lies within its bounds; NaN of none."""
    return float(np.mean([row.low <= row.measured <= row.high for row in rows])) if rows else math.nan


def pollux_holdout(folder: Path, seeds: Sequence[int]) -> list[HeldOut]:
    """Return each step time of Pollux's placements, predicted by a fit that has seen nothing of its placement.

    Args:
        folder: With a folder for each application.
        seeds: Of the random splits; each holds every placement out once.

    Raises:
        TraceError: No such tables.
    """
    steps: dict[str, list[PlacedStep]] = {}
    for rate in read_pollux_rates(folder).rates:
        steps.setdefault(rate.kind, []).append(PlacedStep(rate.layout, rate.batch, rate.seconds))
    return [
        row for name, mine in steps.items() for seed in seeds for row in placement_holdout(name, mine, seed)
    ]


def placement_holdout(name: str, steps: Sequence[PlacedStep], seed: int) -> list[HeldOut]:
    """Return each step, predicted by a fit on three quarters of the placements, its own not among them.

    Placements that differ by the order of their servers only are held out together, since they take nearly the same time.
    Bounds are for 90 %: the quantile of the errors of the other quarters (cross-conformal, Vovk 2015,
    doi:10.1007/s10472-013-9368-4).
    """
    folds = np.array(_folds(steps, seed))
    measured_s = np.array([step.step_time_s for step in steps])
    predicted_s = np.empty(len(steps))
    for fold in range(_FOLDS):
        model = fit_placements([steps[row] for row in np.flatnonzero(folds != fold).tolist()])
        for row in np.flatnonzero(folds == fold).tolist():
            predicted_s[row] = model.step_time_s(steps[row].layout, steps[row].batch_per_device)
    errors = np.abs(measured_s / predicted_s - 1.0)
    half = [float(np.quantile(errors[folds != fold], _COVERAGE, method="higher")) for fold in range(_FOLDS)]
    return [
        HeldOut(
            name,
            f"{''.join(map(str, step.layout))} x {step.batch_per_device}",
            step.step_time_s,
            float(time_s),
            float(time_s) * max(0.0, 1.0 - half[fold]),
            float(time_s) * (1.0 + half[fold]),
            seed,
        )
        for step, time_s, fold in zip(steps, predicted_s, folds, strict=True)
    ]


def gavel_holdout(path: Path, server_gpus: Mapping[str, int] | None = None) -> list[HeldOut]:
    """Return Gavel's throughputs at scale factors 4 and 8, predicted from 1 and 2 of the same GPU type and layout.

    Args:
        path: simulation_throughputs.json.
        server_gpus: GPUs that a server takes, by GPU type: a gang on one server that has more is taken to span
            several, with an exchange between them as two GPUs on two servers have it. Not given: all on one.

    Raises:
        TraceError: No such table.
    """
    times = _gavel_steps(path)
    found = []
    fits = {key: fit_scaling(list(steps.values())) for key, steps in _pairs(times).items()}
    for (label, layout, model), by_batch in times.items():
        fit = fits.get((label, layout, model))
        for batch, by_width in by_batch.items():
            for width in (4, 8):
                if fit is None or not {1, 2, width} <= set(by_width):
                    continue
                inside, further_s = width, 0.0
                limit = (server_gpus or {}).get(label, width)
                spread = fits.get((label, "spread", model))
                if layout == "one server" and width > limit and spread:
                    inside, further_s = limit, spread.exchange_s * ring_factor(width // limit)
                step = ScalingStep(by_width[1], by_width[2])
                predicted = fit.predict(step, inside, further_s=further_s)
                # Throughputs are summed over the workers, as the table has them.
                rates = (width / time_s for time_s in (by_width[width], *predicted))
                measured, middle, high, low = rates
                what = f"{model} batch {batch} x {width}"
                found.append(HeldOut(f"{label} {layout}", what, measured, middle, low, high, width))
    return found


Times = dict[tuple[str, str, str], dict[int, dict[int, float]]]
"""Step time by (GPU type, layout, model), batch and width."""


def _gavel_steps(path: Path) -> Times:
    """Return all step times; a single GPU counts for both layouts."""
    times: Times = {}
    for rate in read_gavel_rates(path).rates:
        model, batch = model_and_batch(rate.kind)
        width = sum(rate.layout)
        layouts = (
            ("one server", "spread") if width == 1 else ("spread" if len(rate.layout) > 1 else "one server",)
        )
        for layout in layouts:
            if rate.rate:
                by_width = times.setdefault((rate.accelerator, layout, model), {}).setdefault(batch or 1, {})
                by_width[width] = width * rate.seconds
    return times


def _pairs(times: Times) -> dict[tuple[str, str, str], dict[int, ScalingStep]]:
    """Return the batches of which one device and two were measured."""
    pairs = {
        key: {
            batch: ScalingStep(found[1], found[2])
            for batch, found in by_batch.items()
            if {1, 2} <= set(found)
        }
        for key, by_batch in times.items()
    }
    return {key: steps for key, steps in pairs.items() if steps}


def _folds(steps: Sequence[PlacedStep], seed: int) -> list[int]:
    """Return the fold of each step, by the GPUs of its servers in whatever order."""
    groups = sorted({tuple(sorted(step.layout)) for step in steps})
    order = np.random.default_rng([seed, len(groups)]).permutation(len(groups))
    fold = {groups[index]: place % _FOLDS for place, index in enumerate(order)}
    return [fold[tuple(sorted(step.layout))] for step in steps]
