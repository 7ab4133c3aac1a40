"""How long a step takes: warmed up, shuffled, repeated, with its spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import jax
import numpy as np

from dcsim.workload.profile import MeasuredPoint
from trainers.data import Dataset, batches
from trainers.energy import EnergyCounter
from trainers.hlo import StepCost, step_cost
from trainers.parallel import Mode, Parallel, parallelise
from trainers.registry import State, Task

__all__ = ["Bench", "Configuration", "Measurement", "measure", "prepare", "split_half_spread", "time_step"]

WARM_UP_STEPS = 3
"""pmap compiles again on its second call when the first returned differently placed arrays."""
ROUNDS = 4
LEAST_STEPS = 12
LEAST_TIMED_S = 0.5
"""Steps of microseconds are repeated for at least so long, or the first hiccup decides."""


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
    compile_time_s: float
    cost: StepCost
    wall_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    energy_j: float = 0.0

    def step(self) -> None:
        """Make one step and wait until its results exist."""
        self.state, loss = self.parallel.step(self.state, *self.batch)
        jax.block_until_ready((self.state, loss))


@dataclass(frozen=True)
class Measurement:
    """A configuration's times and what its compiled step costs."""

    point: MeasuredPoint
    cost: StepCost
    energy_per_step_j: float | None


def prepare(task: Task, dataset: Dataset, state: State, configuration: Configuration, seed: int) -> Bench:
    """Compile and warm up one configuration."""
    parallel = parallelise(task, configuration.mode, configuration.devices)
    host_batch = next(batches(dataset, configuration.batch_per_device * configuration.devices, seed))
    placed, batch = parallel.place_state(state), parallel.place_batch(host_batch)
    start_s = time.perf_counter()
    compiled = parallel.step.lower(placed, *batch).compile()
    compile_time_s = time.perf_counter() - start_s
    bench = Bench(configuration, parallel, placed, batch, compile_time_s, step_cost(compiled))
    for _ in range(WARM_UP_STEPS):
        bench.step()
    return bench


def time_step(bench: Bench) -> float:
    """Make one step and return its wall time in seconds."""
    start_s = time.perf_counter()
    bench.step()
    return time.perf_counter() - start_s


def _time_block(bench: Bench, steps: int, counter: EnergyCounter | None) -> None:
    """Time some steps in a row, after one that refills the caches the other configurations used."""
    bench.step()
    joules = counter.read_j() if counter else 0.0
    cpu_s = time.process_time()
    bench.wall_s.extend(time_step(bench) for _ in range(steps))
    bench.cpu_s += time.process_time() - cpu_s
    bench.energy_j += counter.read_j() - joules if counter else 0.0


def _time_rounds(
    benches: Sequence[Bench], steps: Sequence[int], draws: np.random.Generator, counter: EnergyCounter | None
) -> None:
    """Visit all configurations in each round, in a new order, so that a slow minute hits them alike."""
    for _ in range(ROUNDS):
        for index in draws.permutation(len(benches)):
            _time_block(benches[index], -(-steps[index] // ROUNDS), counter)


def measure(
    task: Task,
    dataset: Dataset,
    state: State,
    configurations: Sequence[Configuration],
    *,
    steps: int,
    budget_s: float,
    max_spread: float,
    seed: int,
    counter: EnergyCounter | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Measurement]:
    """Time all configurations and return them in the order given.

    Args:
        task: what to train.
        dataset: where the batches come from.
        state: what to start from, on the host.
        configurations: what to time.
        steps: timed steps of each; more where they last under half a second together, fewer if
            the budget says so, never fewer than 12.
        budget_s: wall time for everything, compilation included.
        max_spread: configurations that disagree with themselves by more are timed once more.
        seed: of the shuffling.
        counter: of energy, if there is one.
        progress: called with a line of text now and then.
    """
    deadline_s = time.perf_counter() + budget_s
    draws = np.random.default_rng([seed, len(configurations)])
    benches: dict[int, Bench] = {}
    for index in draws.permutation(len(configurations)):
        benches[int(index)] = bench = prepare(task, dataset, state, configurations[index], seed)
        progress(f"compiled {_name(bench.configuration)} in {bench.compile_time_s:.2f} s")
    ordered = [benches[index] for index in range(len(configurations))]
    allowed = _allowed_steps(ordered, steps, deadline_s - time.perf_counter())
    progress(f"timing {sum(allowed)} steps")
    _time_rounds(ordered, allowed, draws, counter)
    noisy = [index for index, bench in enumerate(ordered) if split_half_spread(bench.wall_s) > max_spread]
    again_s = sum(allowed[index] * ordered[index].wall_s[0] for index in noisy)
    if noisy and time.perf_counter() + again_s < deadline_s:
        progress(f"timing {len(noisy)} noisy configurations once more")
        _time_rounds([ordered[index] for index in noisy], [allowed[index] for index in noisy], draws, counter)
    return [_summary(bench, measured_energy=counter is not None) for bench in ordered]


def _allowed_steps(benches: Sequence[Bench], steps: int, budget_s: float) -> list[int]:
    """Share the time that is left evenly between the configurations."""
    share_s = max(0.0, budget_s) / len(benches)

    def allowed(step_s: float) -> int:
        wanted = max(steps, int(LEAST_TIMED_S / step_s))
        return max(LEAST_STEPS, min(wanted, int(share_s / step_s)))

    return [allowed(float(np.median([time_step(bench) for _ in range(3)]))) for bench in benches]


def _name(configuration: Configuration) -> str:
    return f"{configuration.mode} on {configuration.devices} x {configuration.batch_per_device}"


def split_half_spread(times_s: Sequence[float]) -> float:
    """Return |median of the first half - median of the second| / median.

    >>> split_half_spread([1.0, 1.0, 1.5, 1.5])
    0.4
    """
    half = len(times_s) // 2
    first_s, second_s = np.median(times_s[:half]), np.median(times_s[half:])
    return float(abs(first_s - second_s) / np.median(times_s))


def _summary(bench: Bench, *, measured_energy: bool) -> Measurement:
    low_s, median_s, high_s = (float(part) for part in np.quantile(bench.wall_s, [0.1, 0.5, 0.9]))
    steps = len(bench.wall_s)
    point = MeasuredPoint(
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
    )
    return Measurement(point, bench.cost, bench.energy_j / steps if measured_energy else None)
