"""Where a run's time goes: wall and CPU seconds by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Stages"]


class Stages:
    """Adds up what each stage of a run takes; stages do not nest.

    >>> stages = Stages()
    >>> with stages("data"):
    ...     pass
    >>> list(stages.wall_s), stages.wall_s["data"] >= 0.0
    (['data'], True)
    """

    def __init__(self) -> None:
        self.wall_s: dict[str, float] = {}
        """Seconds by the clock on the wall, by stage, in the order of their first beginning."""
        self.cpu_s: dict[str, float] = {}
        """Core-seconds of this process, all its threads together."""

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count what happens inside towards a stage, also where it fails."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - wall_s, time.process_time() - cpu_s)

    def add(self, stage: str, wall_s: float, cpu_s: float) -> None:
        """Count seconds towards a stage that were measured elsewhere."""
        self.wall_s[stage] = self.wall_s.get(stage, 0.0) + wall_s
        self.cpu_s[stage] = self.cpu_s.get(stage, 0.0) + cpu_s
