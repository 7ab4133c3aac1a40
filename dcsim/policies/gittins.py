"""The Gittins index of a job of unknown size, from sizes seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["gittins_index"]

Floats = npt.NDArray[np.float64]


def gittins_index(service: npt.ArrayLike, sizes: npt.ArrayLike) -> Floats:
    """Return (K,) the Gittins index of jobs with these services, sizes being drawn from those seen.

    G(a) = max over d > 0 of P(S - a <= d | S > a) / E[min(S - a, d) | S > a], with S uniform over the
    sample: Gittins, JRSS B 41 (1979); Aalto, Ayesta, Righter, Queueing Systems 63 (2009), equation 2.
    For a sample the maximum is at some d = S_i - a. 0 where no size is above the service.

    Args:
        service: (K,) what each job has had, >= 0.
        sizes: (E,) sample of what jobs need in all, >= 0.

    >>> gittins_index([0.0, 1.0, 5.0], [1.0, 4.0]).tolist()
    [0.5, 0.3333333333333333, 0.0]
    """
    values, counts = np.unique(np.asarray(sizes, dtype=np.float64), return_counts=True)
    done = np.asarray(service, dtype=np.float64)
    unique, inverse = np.unique(done, return_inverse=True)
    sums = np.concatenate([[0.0], np.cumsum(values * counts)])
    numbers = np.concatenate([[0], np.cumsum(counts)])
    best = np.zeros(len(unique))
    for place, had in enumerate(unique.tolist()):
        first = int(np.searchsorted(values, had, side="right"))
        if first == len(values):
            continue
        ended = numbers[first + 1 :] - numbers[first]
        left = numbers[-1] - numbers[first + 1 :]
        # sum of min(S - a, d) over the sizes above a, for each candidate d = S_i - a
        spent = (sums[first + 1 :] - sums[first]) - had * ended + (values[first:] - had) * left
        best[place] = float((ended / spent).max())
    return best[inverse.ravel()].reshape(done.shape)
