"""What a job table holds, in figures: the rows that `dcsim trace describe` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.workload.jobs import JobTable

__all__ = ["Fact", "describe", "offered_accelerators"]

Floats = npt.NDArray[np.float64]

_PERCENTILES = (50, 90, 99)
_LISTED = 12
"""Widths, tenants and the like listed one by one; the rest is summed up."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure about a job table."""

    section: str
    name: str
    value: float | int | str
    unit: str
    """SI symbol; "" for counts, ratios and texts."""


def describe(table: JobTable, cluster_accelerators: int | None = None) -> tuple[Fact, ...]:
    """Return the figures of a job table, section by section.

    Args:
        table: Any table; run times count where jobs have them, steps where they have those.
        cluster_accelerators: Devices to compare with; None: no load is given.

    >>> from dcsim.workload.jobs import job_table
    >>> facts = describe(job_table(submit_s=[0.0, 60.0], duration_s=30.0, accelerators=[1, 4]))
    >>> [(fact.name, fact.value) for fact in facts if fact.section == "width"]
    [('1', 1), ('4', 1), ('mean', 2.5)]
    """
    return tuple(
        fact for section in (_overview, _arrivals, _widths, _work, _shares, _names) for fact in section(table)
    ) + tuple(_load(table, cluster_accelerators))


def offered_accelerators(table: JobTable) -> float:
    """Return the mean number of accelerators the jobs would keep busy if none ever waited.

    Accelerator-seconds (shares counted as shares) of jobs with a run time, over the time between the
    first and the last arrival; NaN where that is 0.
    """
    span_s = float(np.ptp(table.submit_s)) if len(table) else 0.0
    device_s = table.accelerators * table.accelerator_share * np.nan_to_num(table.duration_s)
    return float(device_s.sum() / span_s) if span_s > 0 else float("nan")


def _overview(table: JobTable) -> Iterator[Fact]:
    yield Fact("jobs", "jobs", len(table), "")
    yield Fact("jobs", "on accelerators", int(np.count_nonzero(table.accelerators > 0)), "")
    yield Fact("jobs", "CPU only", int(np.count_nonzero(table.accelerators == 0)), "")
    yield Fact("jobs", "deferrable", int(np.count_nonzero(table.slack_s > 0)), "")


def _arrivals(table: JobTable) -> Iterator[Fact]:
    if not len(table):
        return
    span_s = float(table.submit_s[-1] - table.submit_s[0])
    yield Fact("arrivals", "first", float(table.submit_s[0]), "s")
    yield Fact("arrivals", "span", span_s, "s")
    if span_s > 0:
        yield Fact("arrivals", "mean rate", (len(table) - 1) / span_s, "1/s")
        gaps_s = np.diff(table.submit_s)
        yield Fact("arrivals", "coefficient of variation of gaps", float(gaps_s.std() / gaps_s.mean()), "")


def _widths(table: JobTable) -> Iterator[Fact]:
    widths, counts = np.unique(table.accelerators, return_counts=True)
    yield from _counted("width", [str(width) for width in widths.tolist()], counts.tolist())
    if len(table):
        yield Fact("width", "mean", float(table.accelerators.mean()), "")


def _work(table: JobTable) -> Iterator[Fact]:
    for section, values, unit in (("run time", table.duration_s, "s"), ("steps", table.steps, "")):
        given = values[~np.isnan(values)]
        if not len(given):
            continue
        yield Fact(section, "jobs", len(given), "")
        yield Fact(section, "shortest", float(given.min()), unit)
        for percent in _PERCENTILES:
            yield Fact(section, f"p{percent}", float(np.percentile(given, percent)), unit)
        yield Fact(section, "longest", float(given.max()), unit)
        yield Fact(section, "mean", float(given.mean()), unit)


def _shares(table: JobTable) -> Iterator[Fact]:
    shared = table.accelerator_share[table.accelerator_share < 1]
    yield Fact("share", "jobs on a part of a device", len(shared), "")
    if len(shared):
        yield Fact("share", "mean part", float(shared.mean()), "")


def _names(table: JobTable) -> Iterator[Fact]:
    for section, column, names in (
        ("tenant", "tenant", table.tenant_names),
        ("profile", "profile", table.profile_names),
        ("type constraint", "accelerator_types", tuple("|".join(types) for types in table.type_constraints)),
    ):
        codes: npt.NDArray[np.int64] = getattr(table, column)
        counts = np.bincount(codes[codes >= 0], minlength=len(names))
        order = np.argsort(-counts, kind="stable").tolist()
        yield from _counted(section, [names[i] for i in order], [int(counts[i]) for i in order])


def _load(table: JobTable, cluster_accelerators: int | None) -> Iterator[Fact]:
    busy = offered_accelerators(table)
    if not np.isfinite(busy) or np.isnan(table.duration_s).all():
        return
    yield Fact("load", "accelerators kept busy without waiting, jobs with a run time", busy, "")
    if cluster_accelerators:
        yield Fact("load", f"over {cluster_accelerators} accelerators", busy / cluster_accelerators, "")


def _counted(section: str, names: list[str], counts: list[int]) -> Iterator[Fact]:
    """Yield a fact a name, the tail summed up."""
    for name, count in list(zip(names, counts, strict=True))[:_LISTED]:
        yield Fact(section, name, count, "")
    if len(names) > _LISTED:
        yield Fact(section, f"{len(names) - _LISTED} others", sum(counts[_LISTED:]), "")
