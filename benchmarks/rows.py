"""Figures beside their targets, and two sides of a ratio measured in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol, TypeVar

__all__ = ["GIB", "Row", "alternate", "ratio", "us_a_job"]

GIB = 2.0**30


class Timed(Protocol):
    """What was measured in one process."""

    @property
    def cpu_s(self) -> float:
        """CPU time of the work alone."""


@dataclass(frozen=True)
class Row:
    """A figure and its target; without one it is only told."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False
    """Whether the target is a least value."""
    skipped: str = ""
    """Why it was not measured; empty: it was."""

    @property
    def met(self) -> bool:
        """Whether the figure is within its target, or was not measured."""
        if self.limit is None or self.skipped:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        if self.skipped:
            return f"{self.name:<66} not measured: {self.skipped}"
        target = verdict = ""
        if self.limit is not None:
            target = f"target at {'least' if self.at_least else 'most'} {self.limit:g} {self.unit}"
            verdict = "ok" if self.met else "SHORT"
        return f"{self.name:<66} {self.value:9.3g} {self.unit:<10} {target:<26} {verdict}".rstrip()


Over = TypeVar("Over", bound=Timed)
Under = TypeVar("Under", bound=Timed)


def alternate(
    repeats: int, over: Callable[[], Over], under: Callable[[], Under]
) -> tuple[list[Over], list[Under]]:
    """Measure two sides in turn, so that a slow spell of the machine meets both."""
    pairs = [(over(), under()) for _ in range(repeats)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def ratio(over: Sequence[Timed], under: Sequence[Timed]) -> float:
    """Return the median ratio of CPU times, pair by pair."""
    return median(a.cpu_s / b.cpu_s for a, b in zip(over, under, strict=True))


def us_a_job(measured: Sequence[Timed], jobs: int) -> float:
    """Return the median CPU time a job in microseconds."""
    return median(m.cpu_s for m in measured) / jobs * 1e6
