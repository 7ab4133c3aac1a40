"""Fits of cap curves to the power-limit tables of Zeus, with workloads left out."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares, nnls

from dcsim.facility.cap_curve import CapCurve, response

__all__ = ["FITTED", "Tables", "fitted_curve", "left_out", "predicted", "read_tables"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FITTED = {
    "static_power": (0.0, 0.4),
    "knee_clock": (0.3, 0.97),
    "voltage_rise": (0.01, 1.0),
    "low_power": (0.05, 0.55),
    "high_power": (1.0, 2.5),
    "overhead_weight": (0.0, 1.0),
    "lowest_clock": (0.05, 0.4),
}
"""Fields of a curve that are fitted, with their bounds."""

_HUBER = 0.01
"""Residuals above it count by their size, below by its square."""
_POWER_WEIGHT = 0.5
_CANNOT_BIND = 1.5
"""A limit of so many times the uncapped mean power slows nothing."""


@dataclass(frozen=True)
class Tables:
    """W workloads at L limits below the highest one; NaN where there is no row."""

    device: str
    limits: Floats
    """(L,) over the highest limit."""
    pairs: tuple[tuple[str, int], ...]
    """(W,) network and batch size."""
    power: Floats
    """(W,) at the highest limit, over that limit: the uncapped power."""
    overhead: Floats
    """(W,) c / b over (a + c / b), where a + c / b is fitted to the workload's uncapped epoch times at all batch sizes b."""
    speed: Floats
    """(W, L) over the uncapped speed: the mean speed over all limits that cannot bind, else that at the highest."""
    speed_to_highest: Floats
    """(W, L) over the speed at the highest limit alone."""
    capped_power: Floats
    """(W, L) over the highest limit."""
    binds: Bools
    """(W,) whether it draws more than the lowest limit when uncapped."""


def read_tables(file: Path, device: str) -> Tables:
    """Return one table of Zeus; a workload is a dataset, network, batch size and optimizer."""
    groups: dict[tuple[str, str, str], dict[int, dict[float, tuple[float, float]]]] = defaultdict(dict)
    with file.open() as handle:
        for row in csv.DictReader(handle):
            batches = groups[row["dataset"], row["network"], row["optimizer"]]
            rows = batches.setdefault(int(row["batch_size"]), {})
            rows[float(row["power_limit"])] = (float(row["time_per_epoch"]), float(row["average_power"]))
    limits = sorted({limit for batches in groups.values() for rows in batches.values() for limit in rows})
    top, none = limits[-1], (np.nan, np.nan)
    pairs, overhead, rows_of = [], [], []
    for (_, network, _), batches in groups.items():
        sizes = np.array(list(batches), dtype=np.float64)
        uncapped_s = np.array([rows[top][0] for rows in batches.values()])
        (slope, constant), _ = nnls(
            np.stack([1.0 / uncapped_s, 1.0 / (sizes * uncapped_s)], 1), np.ones(len(sizes))
        )
        for size, rows in batches.items():
            pairs.append((network, size))
            overhead.append(constant / size / (slope + constant / size))
            rows_of.append([rows.get(limit, none) for limit in limits])
    seconds, watts = np.moveaxis(np.array(rows_of), 2, 0)
    speed, power = seconds[:, -1:] / seconds, watts[:, -1] / top
    free = np.array(limits) >= _CANNOT_BIND * watts[:, -1:]
    free[:, -1] |= ~free.any(axis=1)
    reference = np.nanmean(np.where(free, speed, np.nan), axis=1)
    return Tables(
        device,
        np.array(limits[:-1]) / top,
        tuple(pairs),
        power,
        np.array(overhead),
        speed[:, :-1] / reference[:, None],
        speed[:, :-1],
        watts[:, :-1] / top,
        watts[:, -1] > limits[0],
    )


def predicted(curve: CapCurve, tables: Tables, chosen: Bools | slice = slice(None)) -> tuple[Floats, Floats]:
    """Return (speed, power) (w, L) of chosen workloads, from their uncapped power and times alone."""
    return response(
        curve,
        tables.limits,
        power_fraction=tables.power[chosen, None],
        overhead_fraction=tables.overhead[chosen, None],
    )


def fitted_curve(
    start: CapCurve, tables: Tables, chosen: Bools | slice, fixed: Sequence[str] = ()
) -> CapCurve:
    """Return the curve that fits chosen workloads best, from `start` on; fields `fixed` stay as they are."""
    names = [name for name in FITTED if name not in fixed]
    speed, power = tables.speed[chosen], tables.capped_power[chosen]

    def made(values: Any) -> CapCurve:
        fields: dict[str, Any] = {name: float(value) for name, value in zip(names, values, strict=True)}
        return replace(start, **fields)

    def residuals(values: Any) -> Any:
        at, drawn = predicted(made(values), tables, chosen)
        off = np.concatenate([(at - speed).ravel(), _POWER_WEIGHT * (drawn - power).ravel()])
        off = off[~np.isnan(off)]
        return np.sqrt(2.0 * _HUBER * (np.sqrt(off**2 + _HUBER**2) - _HUBER))

    low, high = np.array([FITTED[name] for name in names]).T
    first = np.clip([getattr(start, name) for name in names], low + 1e-6, high - 1e-6)
    found = least_squares(residuals, first, bounds=(low, high), x_scale=np.maximum(first, 0.05), max_nfev=60)
    return made(found.x)


def left_out(
    start: CapCurve, tables: Tables, groups: Sequence[Hashable], folds: int, fixed: Sequence[str] = ()
) -> tuple[Floats, Floats]:
    """Return (speed, power) (W, L), each group predicted by a curve that was fitted without its fold of groups."""
    speed, power = np.full(tables.speed.shape, np.nan), np.full(tables.speed.shape, np.nan)
    distinct = sorted(set(groups), key=repr)
    for fold in range(min(folds, len(distinct))):
        out = set(distinct[fold::folds])
        test = np.array([group in out for group in groups])
        curve = fitted_curve(start, tables, ~test, fixed)
        speed[test], power[test] = predicted(curve, tables, test)
    return speed, power
