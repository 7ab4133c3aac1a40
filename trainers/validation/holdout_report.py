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
        verdicts=(*verdicts, _coverage(profiles, compared)),
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


def _coverage(profiles: Mapping[str, CostProfile], compared: Mapping[str, Sequence[Comparison]]) -> Verdict:
    """Return how often the intervals held what was measured, told beside the rate they state."""
    covered = [each.covered for rows in compared.values() for each in rows if each.covered is not None]
    stated = {
        profiles[model].surface.coverage  # type: ignore[union-attr]
        for model in compared
        if profiles[model].surface is not None
    }
    rates = " or ".join(f"{rate:.0%}" for rate in sorted(stated))
    return Verdict(
        what="intervals that hold what was measured",
        value=float(np.mean(covered)) if covered else None,
        unit="%",
        limit=least_covered(len(covered), min(stated)) if covered and stated else None,
        relation="at least",
        meaning=(
            f"of {len(covered)} configurations, medians of repeats; the profiles state {rates or 'no rate'}; wanted is the "
            "least that such intervals would miss by chance once in twenty times"
        ),
    )


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
