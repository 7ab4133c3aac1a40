"""What of the facility's energy, carbon, cost and water is due to each job: parts that add up to the meter.

A joule of IT energy carries what the facility spent for each joule of IT energy while it was drawn. A job's own
IT energy (what it draws above idle servers, and the idle power of the part of servers that it holds) is spread evenly
over the time it held servers, or is told as it was where caps, stops and heat change it by the clock: a job of the
cleaner hours gets the cleaner energy. What no job answers for (free servers, network, storage) is the remainder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Stretches", "attribute"]

Floats = npt.NDArray[np.float64]


class Stretches(NamedTuple):
    """A constant powers, each of one job; arrays (A,). Several of one job may hold at once: they add up."""

    job: npt.NDArray[Any]
    from_s: Floats
    until_s: Floats
    """>= `from_s`."""
    power_w: Floats

    @classmethod
    def joined(cls, *parts: Stretches) -> Stretches:
        """Return all of some stretches."""
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def attribute(
    powers: Stretches, count: int, edges_s: Floats, it_j: Floats, amounts: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Return (count,) each job's part of some amounts; what is left of each total is nobody's.

    Args:
        powers: of IT power, what each job answers for, and when.
        count: of jobs.
        edges_s: (M + 1,) of the settlement intervals.
        it_j: (M,) IT energy of each.
        amounts: by name, (M,) of each interval.

    Raises:
        ValueError: shapes that do not go together.

    >>> power = Stretches(np.array([0]), np.array([0.0]), np.array([10.0]), np.array([6.0]))
    >>> attribute(power, 1, np.array([0.0, 10.0, 20.0]), np.array([100.0, 40.0]),
    ...           {"carbon_kg": np.array([1.0, 5.0])})["carbon_kg"].round(9).tolist()
    [0.6]
    """
    if not len(edges_s) == len(it_j) + 1 or len({len(column) for column in powers}) > 1:
        raise ValueError("attribution: intervals and amounts, or columns of powers, of different lengths")
    found = {}
    for name, amount in amounts.items():
        each = np.divide(amount, it_j, out=np.zeros(len(it_j)), where=it_j > 0.0)
        # Amount for each joule, integrated over time: what a watt drawn from 0 to t has cost.
        cost = np.concatenate([[0.0], np.cumsum(each * np.diff(edges_s))])
        spent = np.interp(powers.until_s, edges_s, cost) - np.interp(powers.from_s, edges_s, cost)
        found[name] = np.asarray(
            np.bincount(powers.job, weights=powers.power_w * spent, minlength=count), np.float64
        )
    return found
