"""When things happen that happen at regular intervals: at the multiples of the interval, whatever quotients round to."""

from __future__ import annotations

import math

__all__ = ["is_tick", "next_tick_s"]


def is_tick(time_s: float, interval_s: float) -> bool:
    """Return whether a time is a whole multiple of an interval, as floats multiply.

    Args:
        time_s: >= 0.
        interval_s: > 0.

    >>> is_tick(3 * 0.1, 0.1), is_tick(0.3, 0.1)  # 3 * 0.1 is one rounding above 0.3
    (True, False)
    """
    return round(time_s / interval_s) * interval_s == time_s


def next_tick_s(now_s: float, interval_s: float) -> float:
    """Return the first whole multiple of an interval after a time, as floats multiply: always later than it.

    Args:
        now_s: >= 0.
        interval_s: > 0. Where time has no room for two ticks between neighbouring floats, each float is a tick.

    >>> next_tick_s(0.0, 5.0), next_tick_s(4.9, 5.0), next_tick_s(5.0, 5.0)
    (5.0, 5.0, 10.0)
    >>> next_tick_s(43 * 0.1, 0.1) == 44 * 0.1  # though 43 * 0.1 / 0.1 is above 43
    True
    """
    if interval_s < math.ulp(now_s):
        return math.nextafter(now_s, math.inf)
    # The quotient may be a rounding below or above: begin before it, so that no tick is skipped.
    number = max(0, math.floor(now_s / interval_s) - 1)
    while number * interval_s <= now_s:
        number += 1
    return number * interval_s
