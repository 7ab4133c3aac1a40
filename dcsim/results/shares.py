"""Who answers for what at the meter: tenants and profiles, summed up from the job table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.results.schema import ATTRIBUTED

__all__ = ["NOBODY", "ProfileShare", "Share", "profile_shares", "tenant_shares"]

Table = Mapping[str, npt.NDArray[Any]]
Amounts = Mapping[str, float]

NOBODY = "nobody (idle power of servers, network, storage)"
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
    done = np.isfinite(jobs["jct_s"])
    names, of = _groups(jobs["tenant"])
    shares = [
        Share(name, int(done[mine].sum()), _sums(jobs, mine), _means(jobs, mine & done))
        for name, mine in ((name, of == number) for number, name in enumerate(names))
    ]
    shares.sort(key=lambda share: (-share.amounts["facility_energy_j"], share.name))
    left = {column.name: float(account[f"unattributed_{column.name}"]) for column in ATTRIBUTED}
    return [*shares, Share(NOBODY, 0, left, dict.fromkeys(left, math.nan))]


def profile_shares(jobs: Table) -> list[ProfileShare]:
    """Return what jobs of each cost profile answer for, in all and for a step that counts, by name.

    Jobs without a profile have no steps and are left out.

    Args:
        jobs: columns of `schema.JOBS`.
    """
    done = np.isfinite(jobs["jct_s"])
    names, of = _groups(jobs["profile"])
    found = []
    for number, name in enumerate(names):
        if not name:
            continue
        mine = of == number
        steps, amounts = math.fsum(jobs["steps"][mine].tolist()), _sums(jobs, mine)
        per_step = {key: value / steps if steps > 0.0 else math.nan for key, value in amounts.items()}
        found.append(ProfileShare(name, int(done[mine].sum()), steps, amounts, per_step))
    return found


def _groups(names: npt.NDArray[Any]) -> tuple[list[str], npt.NDArray[np.int64]]:
    found, of = np.unique(names.astype(str), return_inverse=True)
    return found.tolist(), of.astype(np.int64)


def _sums(jobs: Table, mine: npt.NDArray[np.bool_]) -> Amounts:
    return {column.name: math.fsum(jobs[column.name][mine].tolist()) for column in ATTRIBUTED}


def _means(jobs: Table, mine: npt.NDArray[np.bool_]) -> Amounts:
    count = int(mine.sum())
    return {name: total / count if count else math.nan for name, total in _sums(jobs, mine).items()}
