"""Communication that hides behind computing, and what of it is left to wait for.

A gradient can be sent as soon as it is known, while earlier layers still compute theirs: PyTorch's data parallelism
does so by buckets (Li et al., VLDB 2020, doi:10.14778/3415478.3415530), and so do tensor-, context- and
expert-parallel kernels. How much may hide is a property of the program, given as a fraction f of the time of computing:
about 2/3 at most for gradients, since backward passes take two thirds of a step's operations.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["exposed_communication_s"]


def exposed_communication_s(parts: Iterable[tuple[float, float]], compute_s: float) -> float:
    """Return the time of communication that a step waits for [s].

    Of part i, t_i seconds long, min(t_i, f_i t_compute) hides; of all parts together no more than t_compute:

        t_exposed = sum t_i - min(t_compute, sum min(t_i, f_i t_compute))

    So max(t_compute, sum t_i) <= t_compute + t_exposed <= t_compute + sum t_i, and for a single part
    t_exposed = max(0, t - f t_compute).

    Args:
        parts: (t_i [s], f_i), t_i >= 0, 0 <= f_i <= 1.
        compute_s: t_compute [s], >= 0.

    >>> exposed_communication_s([(3.0, 0.5)], compute_s=4.0)
    1.0
    >>> exposed_communication_s([(3.0, 1.0), (2.0, 1.0)], compute_s=4.0)
    1.0
    """
    total_s = hidden_s = 0.0
    for time_s, fraction in parts:
        total_s += time_s
        hidden_s += min(time_s, fraction * compute_s)
    return max(0.0, total_s - min(compute_s, hidden_s))
