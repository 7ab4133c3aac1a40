"""How long a step takes: warmed up twice, in rounds beside an anchor, repeated, with its spread."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from dcsim.workload.profile import MeasuredPoint, Mode
from trainers.allocator import page_faults
from trainers.data import Dataset, batches
from trainers.devices import CoreWatch
from trainers.energy import EnergyCounter
from trainers.hlo import StepCost, step_cost
from trainers.parallel import Parallel, parallelise
from trainers.registry import State, Task

__all__ = [
    "Bench",
    "Configuration",
    "Measurement",
    "measure",
    "median_step_s",
    "prepare",
    "split_half_spread",
    "time_step",
]

WARM_UP_STEPS = 3
"""pmap compiles again on its second call when the first returned differently placed arrays."""
ROUNDS = 4
LEAST_STEPS = 12
LEAST_TIMED_S = 0.5
"""Steps of microseconds are repeated for at least so long, or the first hiccup decides."""
ANCHOR_SHARE = 0.25
"""Of the time of a point, for the anchor beside it."""
ANCHOR_LEAST_STEPS = 4
"""A round."""


@dataclass(frozen=True)
class Configuration:
    """What is varied."""

    devices: int
    batch_per_device: int
    mode: Mode


@dataclass
class Bench:
    """One configuration compiled, warmed up and ready to be timed; holds the times."""

    configuration: Configuration
    parallel: Parallel
    state: State
    batch: tuple[jax.Array, jax.Array]
    """Already on the devices: what a step waits for its input is the simulator's to say."""
    compiled: Any
    """jax.stages.Compiled."""
    compile_time_s: float
    cost: StepCost
    warm_up_s: float = 0.0
    """Of the first steps, with what they compile once more."""
    wall_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    energy_j: float = 0.0
    faults: int = 0
    """Pages that the system gave to the process while it was timed."""

    def step(self) -> None:
        """Make one step and wait until its results exist."""
        self.state, loss = self.parallel.step(self.state, *self.batch)
        jax.block_until_ready((self.state, loss))

    def warm_up(self) -> float:
        """Make a few steps and return how long they took [s]."""
        start_s = time.perf_counter()
        for _ in range(WARM_UP_STEPS):
            self.step()
        return time.perf_counter() - start_s


@dataclass(frozen=True)
class Measurement:
    """A configuration's times and what its compiled step costs."""

    point: MeasuredPoint
    cost: StepCost
    energy_per_step_j: float | None
    mean_step_s: float
    """Wall time of the timed steps, those whose energy is counted, over their number."""
    warm_up_s: float
    anchor_s: float
    """Median step of the anchor in the same rounds."""
    taken_share: float | None
    """Of the cores, by other processes, in the same rounds."""


def prepare(task: Task, dataset: Dataset, state: State, configuration: Configuration, seed: int) -> Bench:
    """Compile one configuration and warm it up for the first time."""
    parallel = parallelise(task, configuration.mode, configuration.devices)
    host_batch = next(batches(dataset, configuration.batch_per_device * configuration.devices, seed))
    placed, batch = parallel.place_state(state), parallel.place_batch(host_batch)
    start_s = time.perf_counter()
    compiled = parallel.step.lower(placed, *batch).compile()
    compile_time_s = time.perf_counter() - start_s
    cost = step_cost(compiled)
    _refuse_more_than_memory(cost.memory_bytes * configuration.devices)
    bench = Bench(configuration, parallel, placed, batch, compiled, compile_time_s, cost)
    bench.warm_up_s = bench.warm_up()
    return bench


def _refuse_more_than_memory(size_bytes: float) -> None:
    """Raise MemoryError where virtual devices, which share the host's memory, would need more than it has."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if jax.default_backend() == "cpu" and size_bytes > memory_bytes:
        got, most = size_bytes / 2**30, memory_bytes / 2**30
        raise MemoryError(
            f"a step holds {got:.3g} GiB -> expected at most {most:.3g} GiB, the host's: a smaller batch"
        )


def time_step(bench: Bench) -> float:
    """Make one step and return its wall time in seconds."""
    start_s = time.perf_counter()
    bench.step()
    return time.perf_counter() - start_s


def measure(
    bench: Bench,
    anchor: Bench,
    *,
    cores: int,
    steps: int,
    budget_s: float,
    max_spread: float,
    seed: int,
    counter: EnergyCounter | None = None,
) -> Measurement:
    """Time one configuration in rounds, each with a few steps of the anchor before or after.

    A host that is slower now than an hour ago is so for the anchor, too; what it takes now tells the two apart.

    Args:
        bench: what to time; its earlier times are forgotten.
        anchor: a configuration that is timed beside all others of its process; may be `bench` itself.
        cores: of this process.
        steps: timed steps; fewer if the budget says so, but never fewer than 12, nor than last half a second together.
        budget_s: wall time.
        max_spread: a configuration that disagrees with itself by more is timed once more, if the budget allows.
        seed: of the order in the rounds.
        counter: of energy, if there is one.
    """
    deadline_s = time.perf_counter() + budget_s
    for each in (bench, anchor):
        each.wall_s, each.cpu_s, each.energy_j, each.faults = [], 0.0, 0.0, 0
        each.warm_up()
    allowed = _allowed_steps(bench, steps, budget_s)
    draws = np.random.default_rng([seed, bench.configuration.devices, bench.configuration.batch_per_device])
    watch = CoreWatch(cores)
    _time_rounds(bench, anchor, allowed, draws, counter)
    again_s = allowed * float(np.median(bench.wall_s)) * (1.0 + ANCHOR_SHARE)
    if split_half_spread(bench.wall_s) > max_spread and time.perf_counter() + again_s < deadline_s:
        _time_rounds(bench, anchor, allowed, draws, counter)
    energy_j = bench.energy_j / len(bench.wall_s) if counter else None
    anchor_s = float(np.median(anchor.wall_s))
    mean_s = float(np.mean(bench.wall_s))
    return Measurement(
        _point(bench), bench.cost, energy_j, mean_s, bench.warm_up_s, anchor_s, watch.taken_share()
    )


def _time_rounds(
    bench: Bench, anchor: Bench, steps: int, draws: np.random.Generator, counter: EnergyCounter | None
) -> None:
    """Time both in each round, in a random order, so that a slow moment hits them alike."""
    a_round = -(-steps // ROUNDS)
    ratio = float(np.median([time_step(bench) for _ in range(3)])) / float(
        np.median([time_step(anchor) for _ in range(3)])
    )
    beside = max(ANCHOR_LEAST_STEPS, int(ANCHOR_SHARE * a_round * ratio))
    for _ in range(ROUNDS):
        anchor_first = bool(draws.integers(2))
        if anchor is not bench and anchor_first:
            _time_block(anchor, beside, None)
        _time_block(bench, a_round, counter)
        if anchor is not bench and not anchor_first:
            _time_block(anchor, beside, None)


def _time_block(bench: Bench, steps: int, counter: EnergyCounter | None) -> None:
    """Time some steps in a row, after one that refills the caches the other configuration used."""
    bench.step()
    joules = counter.read_j() if counter else 0.0
    cpu_s, faults = time.process_time(), page_faults()
    bench.wall_s.extend(time_step(bench) for _ in range(steps))
    bench.cpu_s += time.process_time() - cpu_s
    bench.faults += page_faults() - faults
    bench.energy_j += counter.read_j() - joules if counter else 0.0


def median_step_s(bench: Bench) -> float:
    """Return the median of at least 12 steps that last at least half a second together."""
    bench.warm_up()
    deadline_s = time.perf_counter() + LEAST_TIMED_S
    times_s: list[float] = []
    while len(times_s) < LEAST_STEPS or time.perf_counter() < deadline_s:
        times_s.append(time_step(bench))
    return float(np.median(times_s))


def _allowed_steps(bench: Bench, steps: int, budget_s: float) -> int:
    """Return how many steps fit into the budget, at least 12, and those of half a second: a process takes longer to start."""
    step_s = float(np.median([time_step(bench) for _ in range(3)]))
    least = max(LEAST_STEPS, int(LEAST_TIMED_S / step_s))
    return max(least, min(steps, int(max(0.0, budget_s) / (1.0 + ANCHOR_SHARE) / step_s)))


def split_half_spread(times_s: Sequence[float]) -> float:
    """Return |median of the first half - median of the second| / median.

    >>> split_half_spread([1.0, 1.0, 1.5, 1.5])
    0.4
    """
    half = len(times_s) // 2
    first_s, second_s = np.median(times_s[:half]), np.median(times_s[half:])
    return float(abs(first_s - second_s) / np.median(times_s))


def _point(bench: Bench) -> MeasuredPoint:
    low_s, median_s, high_s = (float(part) for part in np.quantile(bench.wall_s, [0.1, 0.5, 0.9]))
    steps = len(bench.wall_s)
    return MeasuredPoint(
        devices=bench.configuration.devices,
        batch_per_device=bench.configuration.batch_per_device,
        mode=bench.configuration.mode,
        steps=steps,
        step_time_s=median_s,
        step_time_low_s=low_s,
        step_time_high_s=high_s,
        cpu_time_per_step_s=bench.cpu_s / steps,
        split_half_spread=split_half_spread(bench.wall_s),
        compile_time_s=bench.compile_time_s,
        flops_per_device=bench.cost.flops,
        bytes_accessed_per_device=bench.cost.bytes_accessed,
        temporary_bytes=bench.cost.temporary_bytes,
        argument_bytes=bench.cost.argument_bytes,
        page_faults_per_step=bench.faults / steps,
    )
