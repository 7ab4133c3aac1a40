"""What is told of a step's energy and of its time is told of the same steps."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("jax", reason="needs the extra train")

import trainers.measure as measure_module
from trainers.measure import Bench, Configuration, measure

DRAW_W = 10.0


@dataclass
class Clock:
    """Goes on only where a step is made; counts energy at a constant draw."""

    now_s: float = 0.0
    method: str = "made up"
    devices: int | None = 1

    def read_j(self) -> float:
        return DRAW_W * self.now_s


def bench_of(clock: Clock) -> Bench:
    """Steps of 1 s, every fifth of 6 s."""
    lengths_s = itertools.cycle([1.0, 1.0, 1.0, 1.0, 6.0])

    class Steps(Bench):
        def step(self) -> None:
            clock.now_s += next(lengths_s)

    cost: Any = SimpleNamespace(flops=1.0, bytes_accessed=1.0, temporary_bytes=1.0, argument_bytes=1.0)
    nothing: Any = None
    return Steps(Configuration(1, 8, "jit"), nothing, nothing, nothing, nothing, 0.0, cost)


def test_energy_over_the_mean_step_is_the_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(
        measure_module, "time", SimpleNamespace(perf_counter=lambda: clock.now_s, process_time=lambda: 0.0)
    )
    bench = bench_of(clock)
    found = measure(bench, bench, cores=1, steps=20, budget_s=1e3, max_spread=9.0, seed=0, counter=clock)
    assert found.energy_per_step_j is not None
    assert found.energy_per_step_j / found.mean_step_s == pytest.approx(DRAW_W)
    # One step in five or so is slow, which the median does not see.
    assert found.mean_step_s > 1.5 * found.point.step_time_s == pytest.approx(1.5)
