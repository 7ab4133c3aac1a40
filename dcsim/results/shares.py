"""Who answers for what at the meter: tenants and profiles, summed up from the job table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.results.schema import ATTRIBUTED

__all__ = ["NOBODY", "ProfileShare", "Share", "profile_shares", "shortened", "tenant_shares", "together"]

Table = Mapping[str, npt.NDArray[Any]]
Amounts = Mapping[str, float]

NOBODY = "nobody (free servers, network, storage)"
"""Who answers for what no job drew."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one tenant, or nobody, answers for."""

    name: str
    """"" where jobs name no tenant."""
    jobs_completed: int
    amounts: Amounts
    """By column of `schema.ATTRIBUTED`."""
    per_completed_job: Amounts
    """Means over its completed jobs, of what these answer for; NaN without any."""


@dataclass(frozen=True, slots=True)
class ProfileShare:
    """What jobs of one cost profile answer for."""

    profile: str
    jobs_completed: int
    steps: float
    """That count: those that were lost and done again are paid for but not counted."""
    amounts: Amounts
    """By column of `schema.ATTRIBUTED`."""
    per_step: Amounts
    """Amounts over steps; NaN without steps."""


def tenant_shares(jobs: Table, account: Mapping[str, float]) -> list[Share]:
    """Return what each tenant answers for, who answers for most energy first; what is nobody's is last.

    Together they are what the meter counted.

    Args:
        jobs: columns of `schema.JOBS`.
        account: the row of `schema.ACCOUNT`.
    """
    shares = []
    for name, rows in _groups(jobs["tenant"]):
        done = rows[np.isfinite(jobs["jct_s"][rows])]
        shares.append(Share(name, len(done), _sums(jobs, rows), _means(jobs, done)))
    shares.sort(key=lambda share: (-share.amounts["facility_energy_j"], share.name))
    left = {column.name: float(account[f"unattributed_{column.name}"]) for column in ATTRIBUTED}
    return [*shares, Share(NOBODY, 0, left, dict.fromkeys(left, math.nan))]


def profile_shares(jobs: Table) -> list[ProfileShare]:
    """Return what jobs of each cost profile answer for, in all and for a step that counts, by name.

    Jobs without a profile have no steps and are left out.

    Args:
        jobs: columns of `schema.JOBS`.
    """
    found = []
    for name, rows in _groups(jobs["profile"]):
        if not name:
            continue
        done = int(np.isfinite(jobs["jct_s"][rows]).sum())
        steps, amounts = math.fsum(jobs["steps"][rows].tolist()), _sums(jobs, rows)
        per_step = {key: value / steps if steps > 0.0 else math.nan for key, value in amounts.items()}
        found.append(ProfileShare(name, done, steps, amounts, per_step))
    return found


def shortened(shares: Sequence[Share], limit: int) -> list[Share]:
    """Return shares with at most `limit` tenants: those that answer for most, the others as one; nobody is last.

    Args:
        shares: of `tenant_shares`.
        limit: at least 2.
    """
    tenants, nobody = list(shares[:-1]), shares[-1]
    if len(tenants) <= limit:
        return [*tenants, nobody]
    first, rest = tenants[: limit - 1], tenants[limit - 1 :]
    return [*first, together(f"{len(rest):,} others", rest), nobody]


def together(name: str, shares: Sequence[Share]) -> Share:
    """Return several shares, at least one, as one."""
    count = sum(share.jobs_completed for share in shares)
    done = [share for share in shares if share.jobs_completed]
    columns = list(shares[0].amounts)
    amounts = {column: math.fsum(share.amounts[column] for share in shares) for column in columns}
    completed = {
        column: math.fsum(share.per_completed_job[column] * share.jobs_completed for share in done)
        for column in columns
    }
    per_job = {column: total / count if count else math.nan for column, total in completed.items()}
    return Share(name, count, amounts, per_job)


def _groups(names: npt.NDArray[Any]) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """Return the rows of each name, by name."""
    texts = [str(name) for name in names.tolist()]
    found = sorted(dict.fromkeys(texts))
    number = {name: place for place, name in enumerate(found)}
    of = np.fromiter((number[text] for text in texts), dtype=np.int64, count=len(texts))
    order = np.argsort(of, kind="stable")
    edges = np.searchsorted(of[order], np.arange(len(found) + 1))
    return [(name, order[edges[place] : edges[place + 1]]) for place, name in enumerate(found)]


def _sums(jobs: Table, rows: npt.NDArray[np.int64]) -> Amounts:
    return {column.name: math.fsum(jobs[column.name][rows].tolist()) for column in ATTRIBUTED}


def _means(jobs: Table, rows: npt.NDArray[np.int64]) -> Amounts:
    sums = _sums(jobs, rows)
    return {name: total / len(rows) if len(rows) else math.nan for name, total in sums.items()}
