"""Predictions of rows of published tables that they were not made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainers.imports.holdout import HeldOut, gavel_holdout, pollux_holdout
from trainers.imports.published_steps import DGX_A100, read_megatron_steps, read_vtrain_steps
from trainers.large.efficiency import ASSUMED
from trainers.large.fit import MeasuredStep, fit_efficiency, predicted_s
from trainers.large.predict import HIGH, LOW

__all__ = [
    "SEEDS",
    "Compared",
    "Errors",
    "Skipped",
    "compare_gavel",
    "compare_pollux",
    "compare_selene",
    "compare_tables",
    "compare_vtrain",
    "errors_of",
]

Floats = npt.NDArray[np.float64]
Progress = Callable[[str], None]

SEEDS = (0, 1, 2, 3, 4)
"""Of the random parts."""
FITTED_PART = 5
"""One of so many of vTrain's rows is fitted."""
FIT_LIMIT, ASSUMED_LIMIT, SELENE_LIMIT, POLLUX_LIMIT = 0.08, 0.15, 0.08, 0.08


class Errors(NamedTuple):
    """How predictions compare with what was measured."""

    rows: int
    mape: float
    """Mean |predicted / measured - 1|."""
    median: float
    """Of the same, as are the next two."""
    p90: float
    worst: float
    inside: float | None
    """Share of rows within their intervals; None: there are none."""


class Skipped(NamedTuple):
    """A comparison that could not be made, and why."""

    what: str
    reason: str


class Compared(NamedTuple):
    """One comparison."""

    what: str
    basis: str
    """What was predicted from what."""
    errors: Errors
    coverage: float | None = None
    """Share that the intervals state; None: no intervals."""
    limit: float | None = None
    """Of the judged figure; None: told."""
    judged: str = "mape"
    """Field of `errors` that is judged."""
    detail: tuple[tuple[str, Errors], ...] = ()
    """The same by seed, or by group."""
    note: str = ""
    """Of the detail."""


def errors_of(
    measured: Floats, predicted: Floats, low: Floats | None = None, high: Floats | None = None
) -> Errors:
    """Return the errors of predictions.

    Args:
        measured: (N,), above 0, N at least 1.
        predicted: (N,).
        low: (N,) lower ends of intervals; None: there are none.
        high: (N,) upper ends.

    >>> errors_of(np.array([1.0, 2.0]), np.array([1.1, 2.0])).mape
    0.050000000000000044
    """
    error = np.abs(predicted / measured - 1.0)
    inside = None if low is None or high is None else float(np.mean((low <= measured) & (measured <= high)))
    return Errors(
        len(error),
        float(error.mean()),
        float(np.median(error)),
        float(np.quantile(error, 0.9)),
        float(error.max()),
        inside,
    )


def compare_vtrain(path: Path, seeds: Sequence[int] = SEEDS, progress: Progress = print) -> list[Compared]:
    """Return vTrain's steps without any fit, and those left out by fits on a random fifth.

    The intervals of a fit reach from the 5th to the 95th percentile of measured over predicted in the rows it was
    fitted on.

    Raises:
        InputError: no such table.
    """
    steps = read_vtrain_steps(path)
    plain = Compared(
        "vTrain, no fit",
        f"{len(steps)} steps of Megatron-DeepSpeed on 8 A100; architecture, data sheet, assumed efficiencies",
        _assumed(steps),
        0.9,
        ASSUMED_LIMIT,
    )
    progress(f"{plain.what}: mean |error| {plain.errors.mape:.1%}")
    by_seed = []
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(steps))
        ours, rest = ([steps[at] for at in part] for part in np.split(order, [len(steps) // FITTED_PART]))
        by_seed.append((f"seed {seed}", _fitted(ours, rest)))
        progress(f"vTrain, fitted, seed {seed}: mean |error| {by_seed[-1][1].mape:.1%}")
    middle = sorted((errors for _, errors in by_seed), key=lambda each: each.mape)[len(by_seed) // 2]
    fitted = Compared(
        "vTrain, fitted on a fifth",
        f"{middle.rows} steps left out by a fit of 11 efficiencies on {len(steps) - middle.rows}; median of {len(seeds)} draws",
        middle, 0.9, FIT_LIMIT, detail=tuple(by_seed), note="By draw of the rows that are fitted.",
    )  # fmt: skip
    return [fitted, plain]


def compare_selene(path: Path) -> Compared:
    """Return Megatron-LM's steps on Selene, none of which any parameter was fitted to.

    Raises:
        InputError: no such table.
    """
    steps = read_megatron_steps(path)
    detail = tuple(
        (f"{step.shape.name}, {step.layout.recomputation} recomputation", _assumed([step])) for step in steps
    )
    return Compared(
        "Megatron on Selene, no fit",
        f"{len(steps)} steps of 22 B and 175 B on 8 and 64 A100; assumed efficiencies",
        _assumed(steps), 0.9, SELENE_LIMIT, judged="worst", detail=detail,
    )  # fmt: skip


def compare_pollux(folder: Path, seeds: Sequence[int] = SEEDS) -> Compared:
    """Return Pollux's step times held out by placement; each seed is a split that holds every placement out once.

    Raises:
        InputError: no such tables.
    """
    found = pollux_holdout(folder, seeds)
    splits = [_held_out([row for row in found if row.extra == seed]) for seed in seeds]
    names = dict.fromkeys(row.group for row in found)
    detail = tuple((name, _held_out([row for row in found if row.group == name])) for name in names)
    middle = sorted(splits, key=lambda each: each.mape)[len(splits) // 2]
    by_seed = tuple((f"split {seed}", errors) for seed, errors in zip(seeds, splits, strict=True))
    return Compared(
        "Pollux, placements held out",
        f"{middle.rows} step times of {len(names)} models; a quarter of the placements left out at a time, median of "
        f"{len(seeds)} splits",
        middle, 0.9, POLLUX_LIMIT, detail=(*by_seed, *detail),
        note="By split; then by model, the rows of all splits together.",
    )  # fmt: skip


def compare_gavel(path: Path) -> Compared:
    """Return Gavel's throughputs on 4 and 8 GPUs, predicted from those on 1 and 2.

    Raises:
        InputError: no such table.
    """
    found = gavel_holdout(path)
    groups = sorted({(row.group, row.extra) for row in found})
    detail = tuple(
        (f"{group}, {width}", _held_out([row for row in found if (row.group, row.extra) == (group, width)]))
        for group, width in groups
    )
    return Compared(
        "Gavel, 4 and 8 GPUs from 1 and 2",
        f"{len(found)} throughputs; where and how wide the gang, in the table below",
        _held_out(found), 0.9, detail=detail, note="By GPU, where the gang sits, and how many GPUs it has.",
    )  # fmt: skip


def _assumed(steps: Sequence[MeasuredStep]) -> Errors:
    predicted = predicted_s(steps, DGX_A100, ASSUMED)
    return errors_of(_measured(steps), predicted, LOW * predicted, HIGH * predicted)


def _fitted(ours: Sequence[MeasuredStep], rest: Sequence[MeasuredStep]) -> Errors:
    fitted = fit_efficiency(ours, DGX_A100)
    ratio = _measured(ours) / predicted_s(ours, DGX_A100, fitted)
    low, high = np.quantile(ratio, [0.05, 0.95])
    predicted = predicted_s(rest, DGX_A100, fitted)
    return errors_of(_measured(rest), predicted, low * predicted, high * predicted)


def _measured(steps: Sequence[MeasuredStep]) -> Floats:
    return np.array([step.step_time_s for step in steps])


def _held_out(rows: Sequence[HeldOut]) -> Errors:
    measured, predicted, low, high = np.array(
        [(row.measured, row.predicted, row.low, row.high) for row in rows]
    ).T
    return errors_of(measured, predicted, low, high)


def compare_tables(shared: Path, progress: Progress) -> list[Compared | Skipped]:
    """Return all comparisons whose tables are there; for the others, why not.

    Args:
        shared: folder with `data/measured` and `data/traces`.
        progress: called with a line of text now and then.

    Raises:
        InputError: a table is there, but malformed.
    """
    measured, traces = shared / "data" / "measured", shared / "data" / "traces"
    sources: tuple[tuple[str, Path, Callable[[Path], Iterable[Compared]]], ...] = (
        ("vTrain", measured / "vtrain" / "ground_truth_single.csv", lambda path: compare_vtrain(path, SEEDS, progress)),
        ("Megatron on Selene", measured / "megatron" / "selene_a100_iteration_time.csv", lambda path: [compare_selene(path)]),
        ("Pollux", traces / "pollux" / "placements", lambda path: [compare_pollux(path)]),
        ("Gavel", traces / "gavel" / "simulation_throughputs.json", lambda path: [compare_gavel(path)]),
    )  # fmt: skip
    found: list[Compared | Skipped] = []
    for name, path, compare in sources:
        if not path.exists():
            reason = f"no {path.relative_to(shared)} in the folder of published data"
            found.append(Skipped(name, reason))
            progress(f"{name}: skipped, {reason}")
            continue
        for each in compare(path):
            found.append(each)
            progress(f"{each.what}: mean |error| {each.errors.mape:.1%} of {each.errors.rows} rows")
    return found
