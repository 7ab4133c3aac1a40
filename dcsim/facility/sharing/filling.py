"""Max-min fair rates from scratch by progressive filling, and the certificate that proves them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["max_min_rates", "unfair_flows"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def max_min_rates(
    capacity: Floats, demand: Floats, flow: Ints, link: Ints, weight: Floats, share: Floats | None = None
) -> Floats:
    """Return (F,) max-min fair rates in bytes/s by progressive filling.

    Args:
        capacity: (L,) bytes/s, >= 0.
        demand: (F,) bytes/s, >= 0; may be inf.
        flow: (E,) flow of each use of a link.
        link: (E,) link of each use.
        weight: (E,) bytes on the link a byte of the flow's rate, > 0.
        share: (F,) > 0: at a common bottleneck rates stand as shares do; None: all 1.

    Raises:
        ValueError: a flow with infinite demand uses no link.

    The parking lot: one flow over both links, one over each; everyone gets half.

    >>> max_min_rates(np.array([1.0, 1.0]), np.full(3, np.inf), np.array([0, 0, 1, 2]),
    ...               np.array([0, 1, 0, 1]), np.ones(4)).tolist()
    [0.5, 0.5, 0.5]

    A flow of twice the share gets twice the rate:

    >>> max_min_rates(np.array([9.0]), np.full(2, np.inf), np.array([0, 1]), np.array([0, 0]),
    ...               np.ones(2), share=np.array([1.0, 2.0])).tolist()
    [3.0, 6.0]
    """
    flows, links = len(demand), len(capacity)
    if np.isinf(demand[np.bincount(flow, minlength=flows) == 0]).any():
        msg = "a flow with infinite demand uses no link"
        raise ValueError(msg)
    shares = np.ones(flows) if share is None else np.asarray(share, dtype=np.float64)
    mass = weight * shares[flow]  # bytes/s on the link at level 1
    rate = np.array(demand, dtype=np.float64)
    wanted = rate / shares
    left = np.array(capacity, dtype=np.float64)
    fixed = np.zeros(flows, dtype=bool)
    active = np.ones(len(flow), dtype=bool)
    lowest = 0.0
    while not fixed.all():
        load = np.bincount(link[active], weights=mass[active], minlength=links)
        level = np.full(links, np.inf)
        np.divide(np.maximum(left, 0.0), load, out=level, where=load > 0.0)
        # The level never falls; rounding must not make it.
        lowest = max(lowest, float(level.min())) if links else np.inf
        # Flows that want no more than the lowest level get it whole: the level can only rise.
        content = ~fixed & (wanted <= lowest)
        if content.any():
            newly = content
        else:
            newly = np.zeros(flows, dtype=bool)
            newly[flow[active & (level[link] <= lowest)]] = True
            newly &= ~fixed
            rate[newly] = lowest * shares[newly]
        fixed |= newly
        spent = active & newly[flow]
        left -= np.bincount(link[spent], weights=weight[spent] * rate[flow[spent]], minlength=links)
        active &= ~newly[flow]
    return rate


def unfair_flows(
    capacity: Floats,
    demand: Floats,
    flow: Ints,
    link: Ints,
    weight: Floats,
    rate: Floats,
    tolerance: float = 1e-9,
    share: Floats | None = None,
) -> Ints:
    """Return the flows without a certificate of max-min fairness, and those on overfull links.

    A flow is certified when it has its demand, or a saturated link on which no flow has more for its
    share (Bertsekas, Gallager, Data Networks, 2nd ed. 1992, section 6.5.2). Arguments as for
    `max_min_rates`; `rate` (F,) in bytes/s; `tolerance` is relative.

    >>> one = np.zeros(2, dtype=np.int64)
    >>> unfair_flows(np.array([2.0]), np.full(2, 5.0), np.arange(2), one, np.ones(2), np.array([0.5, 1.5]))
    array([0])
    """
    level = rate if share is None else rate / share
    used = np.bincount(link, weights=weight * rate[flow], minlength=len(capacity))
    highest = np.zeros(len(capacity))
    np.maximum.at(highest, link, level[flow])
    saturated = used >= capacity * (1.0 - tolerance)
    bottleneck = saturated[link] & (level[flow] >= highest[link] * (1.0 - tolerance))
    certified = rate >= demand * (1.0 - tolerance)
    certified[flow[bottleneck]] = True
    certified[flow[used[link] > capacity[link] * (1.0 + tolerance)]] = False
    return np.flatnonzero(~certified)
