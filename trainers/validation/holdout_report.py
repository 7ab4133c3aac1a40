"""Held-out step times as a result to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dcsim.workload.profile import CostProfile
from trainers.validation.holdout import Comparison
from trainers.validation.result import (
    Bar,
    Bars,
    Column,
    Load,
    Point,
    Scatter,
    Table,
    Validation,
    Verdict,
    Where,
)

__all__ = ["MEAN_LIMIT", "POINTS_MOST", "WORST_LIMIT", "holdout_result", "least_covered"]

MEAN_LIMIT, WORST_LIMIT = 0.05, 0.12
POINTS_MOST = 12
"""Measured points that a profile may be made of."""


def holdout_result(
    profiles: Mapping[str, CostProfile],
    compared: Mapping[str, Sequence[Comparison]],
    *,
    repeats: int,
    load: Load,
    where: Where,
    mean_limit: float = MEAN_LIMIT,
    worst_limit: float = WORST_LIMIT,
) -> Validation:
    """Return how profiles compare with configurations that they were not made of.

    Args:
        profiles: by model.
        compared: what was measured of each, at least one configuration.
        repeats: measurements of each configuration.
        load: of the host meanwhile.
        where: and when.
        mean_limit: of a model's mean |relative error|.
        worst_limit: of its largest.
    """
    verdicts = [
        verdict
        for model, rows in compared.items()
        for verdict in _verdicts(model, profiles[model], rows, mean_limit, worst_limit)
    ]
    return Validation(
        name="holdout",
        title="Held-out step times",
        summary=(
            "Profiles are calibrated on this machine; then batch sizes are drawn at random from those inside the measured "
            "range that were never measured, and each is timed anew in every repeat. Errors are of the predicted step time "
            "against the median of the repeats."
        ),
        repeats=repeats,
        load=load,
        where=where,
        verdicts=(*verdicts, *_coverage(profiles, compared)),
        tables=(_table(compared),),
        charts=(
            Scatter(
                title="Step times, predicted with interval over measured",
                x_label="measured, median of repeats [ms]",
                y_label="predicted [ms]",
                points=tuple(_point(each) for rows in compared.values() for each in rows),
            ),
            Bars(
                title="Mean error by model",
                unit="%",
                bars=tuple(Bar(label=model, value=_mean_error(rows)) for model, rows in compared.items()),
                limit=mean_limit,
            ),
        ),
    )


def _mean_error(rows: Sequence[Comparison]) -> float:
    return float(np.mean([abs(each.error_relative) for each in rows]))


def _verdicts(
    model: str, profile: CostProfile, rows: Sequence[Comparison], mean_limit: float, worst_limit: float
) -> list[Verdict]:
    worst = max(rows, key=lambda each: abs(each.error_relative))
    return [
        Verdict(
            what=f"{model}: mean error", value=_mean_error(rows), unit="%", limit=mean_limit,
            meaning=f"mean |predicted / measured - 1| over {len(rows)} configurations",
        ),
        Verdict(
            what=f"{model}: largest error", value=abs(worst.error_relative), unit="%", limit=worst_limit,
            meaning=f"{worst.devices} x {worst.batch_per_device} samples",
        ),
        Verdict(
            what=f"{model}: measured points", value=len(profile.points), limit=POINTS_MOST,
            meaning="that the profile was made of",
        ),
    ]  # fmt: skip


def _coverage(
    profiles: Mapping[str, CostProfile], compared: Mapping[str, Sequence[Comparison]]
) -> list[Verdict]:
    """Return how often each model's intervals held single measurements, and medians of them, against what they state.

    An interval is for one new measurement. Medians scatter less, and are held more often: both are judged.
    """
    found, rates = [], []
    all_single: list[bool] = []
    all_medians: list[bool] = []
    for model, rows in compared.items():
        surface = profiles[model].surface
        if surface is None:
            reason = "not applicable: the profile has no surface, so it states no interval"
            found.append(Verdict(what=f"{model}: intervals hold", value=None, meaning=reason))
            continue
        single = [held for each in rows for held in each.covered_each]
        medians = [bool(each.covered) for each in rows]
        found += _held(model, single, medians, surface.coverage)
        rates.append(surface.coverage)
        all_single += single
        all_medians += medians
    if len(rates) > 1:
        found += _held("all models", all_single, all_medians, min(rates))
    return found


def _held(of: str, single: Sequence[bool], medians: Sequence[bool], rate: float) -> list[Verdict]:
    allowance = f"stated are {rate:.0%}; wanted is what intervals of just that rate fall below once in twenty times (binomial)"
    kinds = (
        ("measurements", single, "; more often in so far as repeats share the error of their configuration"),
        ("medians", medians, ""),
    )
    return [
        Verdict(
            what=f"{of}: intervals hold {kind}", value=float(np.mean(held)), unit="%",
            limit=least_covered(len(held), rate), relation="at least",
            meaning=f"of {len(held)} {'single measurements' if kind == 'measurements' else 'medians of repeats'}; {allowance}{beyond}",
        )
        for kind, held, beyond in kinds
    ]  # fmt: skip


def least_covered(count: int, rate: float) -> float:
    """Return the share of `count` intervals that those of a true `rate` fall below at most once in twenty times.

    The 5 % quantile of the binomial distribution, over the count.

    >>> least_covered(18, 0.9)
    0.7777777777777778
    """
    from math import comb

    total = 0.0
    for hits in range(count + 1):
        total += comb(count, hits) * rate**hits * (1.0 - rate) ** (count - hits)
        if total > 0.05:
            return hits / count
    return 1.0


def _table(compared: Mapping[str, Sequence[Comparison]]) -> Table:
    return Table(
        title="Configurations",
        columns=(
            Column(name="model"),
            Column(name="devices"),
            Column(name="batch", meaning="samples on each device and step"),
            Column(name="predicted", unit="ms"),
            Column(name="from", unit="ms"),
            Column(name="to", unit="ms", meaning="interval of the prediction"),
            Column(name="measured", unit="ms", meaning="median over repeats of the median step"),
            Column(name="spread", unit="%", meaning="(largest - smallest) / median of the repeats"),
            Column(name="error", unit="%", meaning="predicted / measured - 1"),
            Column(name="held", meaning="whether the interval holds the median"),
            Column(name="of repeats", meaning="how many of them the interval holds"),
        ),
        rows=tuple(
            (
                each.model,
                each.devices,
                each.batch_per_device,
                each.predicted_s * 1e3,
                None if each.low_s is None else each.low_s * 1e3,
                None if each.high_s is None else each.high_s * 1e3,
                each.median_s * 1e3,
                each.spread_relative,
                each.error_relative,
                None if each.covered is None else ("yes" if each.covered else "no"),
                f"{sum(each.covered_each)} of {len(each.measured_s)}" if each.covered_each else None,
            )
            for rows in compared.values()
            for each in rows
        ),
    )


def _point(each: Comparison) -> Point:
    return Point(
        label=f"{each.model}, {each.devices} x {each.batch_per_device}",
        x=each.median_s * 1e3,
        y=each.predicted_s * 1e3,
        low=None if each.low_s is None else each.low_s * 1e3,
        high=None if each.high_s is None else each.high_s * 1e3,
        series=each.model,
    )
