"""Inference as a workload: latency against batch, with its tail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from trainers.data import Array

__all__ = ["Latency", "latency_table", "measure_inference"]

P95_CALLS = 20
P99_CALLS = 100
WARM_UP_CALLS = 3
ROUNDS = 4


@dataclass(frozen=True)
class Latency:
    """What a call costs at one batch, compilation and warm-up left out."""

    batch: int
    calls: int
    mean_s: float
    p50_s: float
    p95_s: float | None
    """None from fewer than 20 calls, of which it would be the slowest."""
    p99_s: float | None
    """None from fewer than 100 calls."""
    cpu_s: float
    """Core-seconds a call, over all threads of the process."""
    samples_per_s: float
    """batch / mean_s."""
    compile_s: float
    flops: float | None
    """Of the compiled call; None where the compiler does not say."""


@dataclass
class _Bench:
    """A compiled call and its times."""

    call: Callable[[], None]
    batch: int
    compile_s: float
    flops: float | None
    wall_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0


def measure_inference(
    outputs_of: Callable[[Any, jax.Array], jax.Array],
    params: Any,  # noqa: ANN401 - a pytree
    samples: Array,
    batches: Sequence[int],
    *,
    calls: int = 200,
    seed: int = 0,
) -> tuple[Latency, ...]:
    """Time calls of a network on one device, and return what each batch costs.

    The batches take turns in four rounds, each in a new order, so that a slow moment hits them alike. A call begins with
    inputs on the host and ends when the outputs are there, as a request would.

    Args:
        outputs_of: (params, x) -> outputs.
        params: of any form that `outputs_of` takes; put on the device once.
        samples: N x ..., repeated where a batch is larger.
        batches: samples a call.
        calls: timed calls of each; p95 takes 20 of them, p99 takes 100.
        seed: of the order.

    Raises:
        ValueError: if a batch or the number of calls is below 1.
    """
    if calls < 1 or min(batches) < 1:
        raise ValueError(f"{calls} calls of batches {list(batches)} -> expected integers >= 1")
    placed = jax.device_put(params)
    benches = [_prepared(outputs_of, placed, samples, batch) for batch in batches]
    draws = np.random.default_rng([seed, len(benches)])
    for part in range(ROUNDS):
        share = calls * (part + 1) // ROUNDS - calls * part // ROUNDS
        for index in draws.permutation(len(benches)):
            _time(benches[index], share)
    return tuple(_latency(bench) for bench in benches)


def _prepared(outputs_of: Any, params: Any, samples: Array, batch: int) -> _Bench:  # noqa: ANN401 - a function, a pytree
    """Compile and warm up one batch."""
    x = samples[np.arange(batch) % len(samples)]
    began_s = time.perf_counter()
    compiled = jax.jit(outputs_of).lower(params, x).compile()
    compile_s = time.perf_counter() - began_s
    cost = compiled.cost_analysis() or {}

    def call() -> None:
        jax.device_get(compiled(params, x))

    for _ in range(WARM_UP_CALLS):
        call()
    return _Bench(call, batch, compile_s, float(cost["flops"]) if "flops" in cost else None)


def _time(bench: _Bench, calls: int) -> None:
    """Time some calls in a row, after one that brings its weights back into the caches."""
    bench.call()
    cpu_s = time.process_time()
    for _ in range(calls):
        began_s = time.perf_counter()
        bench.call()
        bench.wall_s.append(time.perf_counter() - began_s)
    bench.cpu_s += time.process_time() - cpu_s


def _latency(bench: _Bench) -> Latency:
    """Return the percentiles: the smallest time that so many of the calls do not exceed."""
    p50_s, p95_s, p99_s = (
        float(t) for t in np.quantile(bench.wall_s, [0.5, 0.95, 0.99], method="inverted_cdf")
    )
    mean_s = float(np.mean(bench.wall_s))
    calls = len(bench.wall_s)
    return Latency(
        batch=bench.batch,
        calls=calls,
        mean_s=mean_s,
        p50_s=p50_s,
        p95_s=p95_s if calls >= P95_CALLS else None,
        p99_s=p99_s if calls >= P99_CALLS else None,
        cpu_s=bench.cpu_s / calls,
        samples_per_s=bench.batch / mean_s,
        compile_s=bench.compile_s,
        flops=bench.flops,
    )


def latency_table(rows: Sequence[Latency]) -> str:
    """Return latencies as aligned text.

    >>> print(latency_table([Latency(8, 100, 0.002, 0.002, 0.003, 0.004, 0.002, 4000.0, 0.1, None)]))
    batch   p50 ms   p95 ms   p99 ms  CPU ms  samples/s  calls
        8    2.000    3.000    4.000   2.000       4000    100
    """
    lines = ["batch   p50 ms   p95 ms   p99 ms  CPU ms  samples/s  calls"]
    lines += [
        f"{row.batch:5d}{row.p50_s * 1e3:9.3f}{_ms(row.p95_s):>9}{_ms(row.p99_s):>9}"
        f"{row.cpu_s * 1e3:8.3f}{row.samples_per_s:11.0f}{row.calls:7d}"
        for row in rows
    ]
    return "\n".join(lines)


def _ms(time_s: float | None) -> str:
    """Return milliseconds, or a dash where there were too few calls to say."""
    return "-" if time_s is None else f"{time_s * 1e3:.3f}"
