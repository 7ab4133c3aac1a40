"""What of the facility's energy, carbon, cost and water is due to each job: parts that add up to the meter.

A joule of IT energy carries what the facility spent for each joule of IT energy while it was drawn. A job's own
IT energy (what it draws above idle servers, and the idle power of the part of servers that it holds) is spread evenly
over the time it held servers, so a job of the cleaner hours gets the cleaner energy. What no job answers for (free
servers, network, storage) is the remainder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["attribute"]

Floats = npt.NDArray[np.float64]


def attribute(
    energy_j: Floats,
    held: tuple[npt.NDArray[Any], Floats, Floats],
    edges_s: Floats,
    it_j: Floats,
    amounts: Mapping[str, Floats],
) -> dict[str, Floats]:
    """Return (N,) each job's part of some amounts; what is left of each total is nobody's.

    Args:
        energy_j: (N,) each job's own IT energy.
        held: job (A,), from (A,) and until (A,) s of each time that servers were held.
        edges_s: (M + 1,) of the settlement intervals.
        it_j: (M,) IT energy of each.
        amounts: by name, (M,) of each interval.

    Raises:
        ValueError: shapes that do not go together.

    >>> attribute(np.array([60.0]), (np.array([0]), np.array([0.0]), np.array([10.0])), np.array([0.0, 10.0, 20.0]),
    ...           np.array([100.0, 40.0]), {"carbon_kg": np.array([1.0, 5.0])})["carbon_kg"].round(9).tolist()
    [0.6]
    """
    job, from_s, until_s = held
    if not len(edges_s) == len(it_j) + 1 or not len(job) == len(from_s) == len(until_s):
        raise ValueError("attribution: intervals and amounts, or times held, of different lengths")
    held_s = np.bincount(job, weights=until_s - from_s, minlength=len(energy_j))
    share = np.divide(energy_j, held_s, out=np.zeros(len(energy_j)), where=held_s > 0.0)[job]
    found = {}
    for name, amount in amounts.items():
        each = np.divide(amount, it_j, out=np.zeros(len(it_j)), where=it_j > 0.0)
        # Amount for each joule, integrated over time: what a watt drawn from 0 to t has cost.
        cost = np.concatenate([[0.0], np.cumsum(each * np.diff(edges_s))])
        spent = np.interp(until_s, edges_s, cost) - np.interp(from_s, edges_s, cost)
        found[name] = np.asarray(np.bincount(job, weights=share * spent, minlength=len(energy_j)), np.float64)
    return found
