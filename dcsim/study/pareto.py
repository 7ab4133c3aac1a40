"""Which arms are worth choosing between: those that no other arm beats on every count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["pareto_front"]


def pareto_front(points: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    """Return the names of the non-dominated points, smaller being better in every coordinate.

    A point is dominated when another is no larger everywhere and smaller somewhere; equal points
    do not dominate each other. A point with a NaN coordinate cannot be judged and is left out.

    >>> pareto_front({"a": (1.0, 4.0), "b": (2.0, 2.0), "c": (2.0, 3.0), "d": (4.0, 1.0)})
    ('a', 'b', 'd')
    """
    known = {name: point for name, point in points.items() if not any(math.isnan(x) for x in point)}
    return tuple(
        name for name, point in known.items() if not any(_dominates(q, point) for q in known.values())
    )


def _dominates(first: Sequence[float], second: Sequence[float]) -> bool:
    pairs = list(zip(first, second, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
