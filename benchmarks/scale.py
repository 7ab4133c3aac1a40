"""What a million jobs, many servers, a long line and a peer say of the scheduler."""

from __future__ import annotations

import math
from statistics import median

from benchmarks.measure import measure
from benchmarks.peers import HPCSIM, PeerMissingError, measure_hpcsim
from benchmarks.rows import GIB, Row, alternate, ratio, us_a_job
from dcsim.policies import known_policies

__all__ = ["against_hpcsim", "backfill", "decisions", "million_jobs"]

_MILLION = 1_000_000
_MANY_SERVERS = 10_000
_DECISIONS = 100_000
_FEWEST, _MOST = 1_000, 100_000
_PEER_JOBS, _PEER_SERVERS = 10_000, 1_000
_SHORT_LINE, _LONG_LINE = 1_000, 10_000
_BACKFILL = "easy_backfill"


def million_jobs(repeats: int) -> list[Row]:
    """A million jobs on 10,000 servers of 8 accelerators, fifo and best fit, all subsystems on."""
    ours, simpy = alternate(
        repeats,
        lambda: measure("dcsim", _MILLION, _MANY_SERVERS),
        lambda: measure("simpy", _MILLION),
    )
    memory = max(m.peak_memory_bytes for m in ours)
    return [
        Row("bare SimPy queue, 1,000,000 jobs", us_a_job(simpy, _MILLION), "us a job"),
        Row("dcsim, 1,000,000 jobs on 10,000 servers", us_a_job(ours, _MILLION), "us a job"),
        Row("  its CPU time over SimPy's", ratio(ours, simpy), "times", 1.0),
        Row("  peak memory of the process", memory / GIB, "GiB", 3e9 / GIB),
        Row("  accelerator utilisation over the whole run", ours[0].utilisation, "of 1"),
    ]


def decisions(repeats: int) -> list[Row]:
    """One gang freed, the next placed by best fit and taken, at 90 % of the accelerators."""
    many, few = alternate(
        repeats,
        lambda: measure("decisions", _DECISIONS, _MOST),
        lambda: measure("decisions", _DECISIONS, _FEWEST),
    )
    return [
        Row("a placement (free, decide, take) on 1,000 servers", us_a_job(few, _DECISIONS), "us"),
        Row("a placement on 100,000 servers", us_a_job(many, _DECISIONS), "us"),
        Row("  100 times the servers: its CPU time", ratio(many, few), "times", 5.0),
    ]


def against_hpcsim(repeats: int) -> list[Row]:
    """10,000 jobs of one accelerator on 1,000 servers of 8, fifo: the same jobs for both.

    Raises:
        RuntimeError: the two disagree on how long jobs take.
    """
    name = "10,000 jobs on 1,000 servers: jobs a CPU second over hpcsim's"
    try:
        peer, ours = alternate(
            repeats,
            lambda: measure_hpcsim(_PEER_JOBS, _PEER_SERVERS),
            lambda: measure("one-device", _PEER_JOBS, _PEER_SERVERS),
        )
    except PeerMissingError as error:
        return [Row(name, math.nan, "times", 10.0, at_least=True, skipped=str(error))]
    if not math.isclose(peer[0].jct_mean_s, ours[0].jct_mean_s, rel_tol=1e-9):
        raise RuntimeError(f"mean completion {ours[0].jct_mean_s} s, {HPCSIM} says {peer[0].jct_mean_s} s")
    return [
        Row("hpcsim 0.3.1, 10,000 one-accelerator jobs", us_a_job(peer, _PEER_JOBS), "us a job"),
        Row("dcsim, the same jobs, all subsystems", us_a_job(ours, _PEER_JOBS), "us a job"),
        Row(name, ratio(peer, ours), "times", 10.0, at_least=True),
        Row("  mean job completion time, the same in both", median(m.jct_mean_s for m in ours), "s"),
    ]


def backfill(repeats: int) -> list[Row]:
    """All jobs waiting from the start, with estimates: ten times the line must not cost a hundred times."""
    name = "EASY backfill, 10,000 waiting jobs over 1,000"
    if _BACKFILL not in known_policies("ordering"):
        return [Row(name, math.nan, "times", 20.0, skipped=f"no ordering {_BACKFILL}")]
    long, short = alternate(
        repeats,
        lambda: measure(f"waiting-{_BACKFILL}", _LONG_LINE, 100),
        lambda: measure(f"waiting-{_BACKFILL}", _SHORT_LINE, 100),
    )
    return [
        Row("EASY backfill, 10,000 waiting jobs", us_a_job(long, _LONG_LINE), "us a job"),
        Row(name, ratio(long, short), "times", 20.0),
    ]
