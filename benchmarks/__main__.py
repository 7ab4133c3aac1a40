"""Time the simulator beside its yardstick, in ratios of one run: python -m benchmarks [--quick].

Every measurement is CPU time in a fresh process; the two sides of a ratio alternate, and the median
of the ratios counts. Exits 1 when a figure falls short of its target.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.measure import Measurement, measure

__all__ = ["main"]

_JOBS = 100_000
_JOBS_ON_SERVERS = 300_000
"""Enough for 10,000 servers to be busy most of the run."""
_GIB = 2.0**30


@dataclass(frozen=True)
class Row:
    """A figure and its target; without one it is only told."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def met(self) -> bool:
        """Whether the figure is within its target."""
        return self.limit is None or self.value <= self.limit

    def __str__(self) -> str:
        target = "" if self.limit is None else f"target at most {self.limit:g} {self.unit}"
        verdict = "" if self.limit is None else ("ok" if self.met else "SHORT")
        return f"{self.name:<66} {self.value:9.3g} {self.unit:<10} {target:<26} {verdict}".rstrip()


Measured = Callable[[], Measurement]


def _alternate(repeats: int, over: Measured, under: Measured) -> tuple[list[Measurement], list[Measurement]]:
    """Measure two sides in turn, so that a slow spell of the machine meets both."""
    pairs = [(over(), under()) for _ in range(repeats)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _ratio(over: list[Measurement], under: list[Measurement]) -> float:
    return median(a.cpu_s / b.cpu_s for a, b in zip(over, under, strict=True))


def _against_simpy(repeats: int) -> list[Row]:
    ours, simpy = _alternate(repeats, lambda: measure("dcsim", _JOBS), lambda: measure("simpy", _JOBS))
    written, again = _alternate(
        repeats, lambda: measure("dcsim-written", _JOBS), lambda: measure("simpy", _JOBS)
    )
    one = ours[0]
    memory = max(m.peak_memory_bytes for m in [*ours, *written])
    return [
        Row("bare SimPy queue, 100,000 jobs", _us_a_job(simpy + again, _JOBS), "us a job"),
        Row("dcsim, 100,000 jobs on 1,000 servers, all subsystems", _us_a_job(ours, _JOBS), "us a job"),
        Row("  its CPU time over SimPy's", _ratio(ours, simpy), "times", 3.0),
        Row("  the same with results written to disk", _ratio(written, again), "times"),
        Row("  peak memory of the process", memory / _GIB, "GiB", 1e9 / _GIB),
        Row("  accelerator utilisation over the whole run", one.utilisation, "of 1"),
        Row("  bytes between servers for collectives", one.network_bytes / 1e15, "PB"),
    ]


def _with_jobs(repeats: int) -> list[Row]:
    many, few = _alternate(repeats, lambda: measure("dcsim", 10 * _JOBS), lambda: measure("dcsim", _JOBS))
    return [
        Row("1,000,000 jobs over 100,000 jobs", _ratio(many, few), "times", 12.0),
        Row("  peak memory with 1,000,000 jobs", many[0].peak_memory_bytes / _GIB, "GiB"),
        Row("  accelerator utilisation with 1,000,000 jobs", many[0].utilisation, "of 1"),
    ]


def _with_servers(repeats: int) -> list[Row]:
    large, small = _alternate(
        repeats,
        lambda: measure("dcsim", _JOBS_ON_SERVERS, 10_000),
        lambda: measure("dcsim", _JOBS_ON_SERVERS, 100),
    )
    return [
        Row("300,000 jobs: 10,000 servers over 100, load in proportion", _ratio(large, small), "times", 2.0),
        Row("  accelerator utilisation with 10,000 servers", large[0].utilisation, "of 1"),
        Row("  accelerator utilisation with 100 servers", small[0].utilisation, "of 1"),
    ]


def _starved(repeats: int) -> list[Row]:
    jobs = _JOBS // 5
    over, under = _alternate(repeats, lambda: measure("dcsim-starved", jobs), lambda: measure("dcsim", jobs))
    return [
        Row("20,000 jobs: file system a quarter of the standard over standard", _ratio(over, under), "times")
    ]


def _us_a_job(measured: list[Measurement], jobs: int) -> float:
    return median(m.cpu_s for m in measured) / jobs * 1e6


def main(arguments: list[str]) -> int:
    """Measure, print each figure beside its target, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repeat of each, for a look")
    quick = parser.parse_args(arguments).quick
    parts = [(_against_simpy, 5), (_with_jobs, 3), (_with_servers, 3), (_starved, 1)]
    rows: list[Row] = []
    for part, repeats in parts:
        for row in part(1 if quick else repeats):
            print(row, flush=True)
            rows.append(row)
    short = [row.name.strip() for row in rows if not row.met]
    if short:
        print(f"{len(short)} short of target: {'; '.join(short)}", file=sys.stderr)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
