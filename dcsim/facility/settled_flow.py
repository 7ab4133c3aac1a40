"""The flow of air movers that follow heat which itself depends on their flow (a pure function)."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["settled_flow"]

_CLOSE = 1e-10
_STEPS_AT_MOST = 200


def settled_flow(answer: Callable[[float], float], start: float, least: float) -> float:
    """Return the flow f in [least, 1] at which answer(f) = f, to 1e-10.

    More flow makes cooler inlets, hence no more power of fans and leakage, hence no more flow asked for: `answer`
    is continuous and never rises, so there is exactly one such f, and it lies between any f and answer(f).
    Secants, kept between the nearest two flows known to be on either side.

    Args:
        answer: the flow that the plant gives for the heat there is at a flow; the last call is at what is returned.
        start: a guess, [least, 1]; the answer does not depend on it but for rounding.
        least: > 0.

    Raises:
        ArithmeticError: no such flow within 200 steps: `answer` jumps or rises.

    >>> round(settled_flow(lambda f: 0.9 - 0.5 * f, 1.0, 0.1), 9)
    0.6
    """
    low, high, flow = least, 1.0, start
    before: tuple[float, float] | None = None
    for _ in range(_STEPS_AT_MOST):
        more = answer(flow) - flow
        if abs(more) <= _CLOSE:
            return flow
        if more > 0.0:
            low, high = max(low, flow), min(high, flow + more)
        else:
            low, high = max(low, flow + more), min(high, flow)
        tried = flow + more
        if before is not None and before[1] != more:
            tried = flow - more * (flow - before[0]) / (more - before[1])
        before = flow, more
        flow = tried if low <= tried <= high and tried != flow else 0.5 * (low + high)
    msg = f"flow and heat do not settle within {_STEPS_AT_MOST} steps: {low!r}..{high!r}"
    raise ArithmeticError(msg)
