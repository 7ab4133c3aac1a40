"""When rounds begin: at the multiples of their length, whatever quotients round to."""

from __future__ import annotations

import math

__all__ = ["next_round_s", "this_or_next_round_s"]


def this_or_next_round_s(now_s: float, round_s: float) -> float:
    """Return the first multiple of `round_s` not before `now_s`.

    >>> this_or_next_round_s(43 * 0.1, 0.1) == 43 * 0.1  # though 43 * 0.1 / 0.1 is above 43
    True
    """
    number = math.ceil(now_s / round_s)
    return (number - 1) * round_s if (number - 1) * round_s >= now_s else max(number * round_s, now_s)


def next_round_s(now_s: float, round_s: float) -> float:
    """Return the first multiple of `round_s` after `now_s`.

    >>> next_round_s(7 * 0.7, 0.7) == 8 * 0.7, next_round_s(3 * 0.7, 0.7) > 3 * 0.7
    (True, True)
    >>> next_round_s(math.nextafter(3 * 0.7, 0.0), 0.7) == 3 * 0.7  # though the quotient is 3
    True
    """
    number = math.floor(now_s / round_s)
    # The quotient of a round's own instant may be a rounding below its number, that of the instant before it the number.
    return next(each * round_s for each in range(number, number + 3) if each * round_s > now_s)
