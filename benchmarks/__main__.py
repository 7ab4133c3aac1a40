"""Time the simulator beside its yardstick, in ratios of one run: python -m benchmarks [--quick].

Every measurement is CPU time in a fresh process; the two sides of a ratio alternate, and the median
of the ratios counts. Exits 1 when a figure falls short of its target.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.contention import contention
from benchmarks.facility_year import facility_year
from benchmarks.flows import transfers
from benchmarks.measure import measure
from benchmarks.rows import GIB, Row, alternate, ratio, us_a_job
from benchmarks.scale import against_hpcsim, backfill, decisions, million_jobs

__all__ = ["main"]

_JOBS = 100_000
_JOBS_ON_SERVERS = 300_000
"""Enough for 10,000 servers to be busy most of the run."""


def _against_simpy(repeats: int) -> list[Row]:
    ours, simpy = alternate(repeats, lambda: measure("dcsim", _JOBS), lambda: measure("simpy", _JOBS))
    written, again = alternate(
        repeats, lambda: measure("dcsim-written", _JOBS), lambda: measure("simpy", _JOBS)
    )
    one = ours[0]
    memory = max(m.peak_memory_bytes for m in [*ours, *written])
    return [
        Row("bare SimPy queue, 100,000 jobs", us_a_job(simpy + again, _JOBS), "us a job"),
        Row("dcsim, 100,000 jobs on 1,000 servers, all subsystems", us_a_job(ours, _JOBS), "us a job"),
        Row("  its CPU time over SimPy's", ratio(ours, simpy), "times", 3.0),
        Row("  the same with results written to disk", ratio(written, again), "times"),
        Row("  peak memory of the process", memory / GIB, "GiB", 1e9 / GIB),
        Row("  accelerator utilisation over the whole run", one.utilisation, "of 1"),
        Row("  bytes between servers for collectives", one.network_bytes / 1e15, "PB"),
    ]


def _with_jobs(repeats: int) -> list[Row]:
    many, few = alternate(repeats, lambda: measure("dcsim", 10 * _JOBS), lambda: measure("dcsim", _JOBS))
    return [
        Row("1,000,000 jobs over 100,000 jobs", ratio(many, few), "times", 12.0),
        Row("  peak memory with 1,000,000 jobs", many[0].peak_memory_bytes / GIB, "GiB"),
        Row("  accelerator utilisation with 1,000,000 jobs", many[0].utilisation, "of 1"),
    ]


def _with_servers(repeats: int) -> list[Row]:
    large, small = alternate(
        repeats,
        lambda: measure("dcsim", _JOBS_ON_SERVERS, 10_000),
        lambda: measure("dcsim", _JOBS_ON_SERVERS, 100),
    )
    return [
        Row("300,000 jobs: 10,000 servers over 100, load in proportion", ratio(large, small), "times", 2.0),
        Row("  accelerator utilisation with 10,000 servers", large[0].utilisation, "of 1"),
        Row("  accelerator utilisation with 100 servers", small[0].utilisation, "of 1"),
    ]


def _starved(repeats: int) -> list[Row]:
    jobs = _JOBS // 5
    over, under = alternate(repeats, lambda: measure("dcsim-starved", jobs), lambda: measure("dcsim", jobs))
    return [
        Row("20,000 jobs: file system a quarter of the standard over standard", ratio(over, under), "times")
    ]


_PARTS = {
    "simpy": (_against_simpy, 5),
    "jobs": (_with_jobs, 3),
    "servers": (_with_servers, 3),
    "starved": (_starved, 1),
    "contention": (contention, 3),
    "flows": (transfers, 3),
    "million": (million_jobs, 3),
    "year": (facility_year, 3),
    "decisions": (decisions, 5),
    "hpcsim": (against_hpcsim, 5),
    "backfill": (backfill, 3),
}
"""Part -> what measures it, and how often."""


def main(arguments: list[str]) -> int:
    """Measure, print each figure beside its target, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repeat of each, for a look")
    parser.add_argument("--only", choices=sorted(_PARTS), help="one part alone")
    chosen = parser.parse_args(arguments)
    rows: list[Row] = []
    for name, (part, repeats) in _PARTS.items():
        if chosen.only not in (None, name):
            continue
        for row in part(1 if chosen.quick else repeats):
            print(row, flush=True)
            rows.append(row)
    short = [row.name.strip() for row in rows if not row.met]
    if short:
        print(f"{len(short)} short of target: {'; '.join(short)}", file=sys.stderr)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
