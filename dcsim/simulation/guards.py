"""Proofs at the end of a guarded run, from the event log alone where that is possible.

Each check finds faults and names them; `check_run` raises `GuardError` with all of them. None of
them changes anything, so a run with guards has the bytes of a run without.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import GuardError
from dcsim.facility.servers import SHARE_UNITS, share_units
from dcsim.simulation.cluster_run import ClusterRun
from dcsim.simulation.kinds import LogKind

__all__ = ["check_run"]

Arrays = dict[str, npt.NDArray[Any]]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_TOLERANCE = 1e-9
_PAIRS_LIMIT = 3_000
"""Up to so many jobs the order of starts is proven pair by pair."""


def check_run(run: ClusterRun, end_s: float) -> None:
    """Prove that work, time, resources, order and power of a finished run add up.

    Raises:
        GuardError: something was lost, done twice, or out of order; the message names all of it.
    """
    log = run.log.columns()
    faults = [
        *_job_faults(run, end_s),
        *_log_faults(run, log, end_s),
        *_occupancy_faults(run, log),
        *_sleep_faults(log),
        *_order_faults(run),
        *_little_faults(run, log, end_s),
        *_power_faults(run),
    ]
    if faults:
        raise GuardError("; ".join(faults))


def _named(faults: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the faults that are there."""
    for name, fault in faults.items():
        if np.any(fault):
            yield name


def _job_faults(run: ClusterRun, end_s: float) -> Iterator[str]:
    """Times of each job are in order, and its work was done once."""
    inputs = run.inputs
    start_s, done_s = np.array(run.start_s), np.array(run.end_s)
    eligible_s, steps_done = np.array(run.eligible_s), np.array(run.steps_done)
    done, started = np.isfinite(done_s), np.isfinite(start_s)
    yield from _named(
        {
            "a job ends that never started": done & ~started,
            "a job ends before it starts": done_s[done] < start_s[done],
            "a job starts before it is eligible": start_s[started] < eligible_s[started],
            "a job is eligible before it is submitted": eligible_s < inputs.jobs.submit_s,
            "a job is held back beyond its slack": eligible_s > inputs.jobs.submit_s + inputs.jobs.slack_s,
            "a completed job has work left": steps_done[done] != inputs.steps[done],
            "a job did more than its work": steps_done > inputs.steps,
            "a job that never started did work": steps_done[~started] != 0.0,
            "the run ends before a job does": done_s[done] > end_s,
            "energy below zero was attributed to a job": np.array(run.energy_j) < 0.0,
        }
    )


def _log_faults(run: ClusterRun, log: Arrays, end_s: float) -> Iterator[str]:
    """The log's clock runs forward, and rebuilds each job's times and gang."""
    time_s, kind, job, value = (np.asarray(log[name]) for name in ("time_s", "kind", "job", "value"))
    count = len(run.inputs.jobs)
    rebuilt = {}
    for name, which in (("submit", LogKind.SUBMIT), ("start", LogKind.GRANT), ("end", LogKind.END)):
        rows = kind == which
        first, last = np.full(count, math.nan), np.full(count, math.nan)
        last[job[rows]] = time_s[rows]
        first[job[rows][::-1]] = time_s[rows][::-1]
        rebuilt[name] = first
        yield from _named({f"the log tells a job's {name} at two instants": _differ(first, last)})
    grants, ends = kind == LogKind.GRANT, kind == LogKind.END
    granted = np.bincount(job[grants], weights=value[grants], minlength=count)
    started = np.isfinite(rebuilt["start"])
    submits = run.inputs.jobs.submit_s
    yield from _named(
        {
            "the log's clock is not finite": ~np.isfinite(time_s),
            "the log's clock runs backwards": np.diff(time_s) < 0.0,
            "the log goes on after the end": time_s > end_s,
            "the log's submissions are not the trace's": _differ(
                rebuilt["submit"], np.where(submits <= end_s, submits, math.nan)
            ),
            "the log's starts are not the run's": _differ(rebuilt["start"], np.array(run.start_s)),
            "the log's ends are not the run's": _differ(rebuilt["end"], np.array(run.end_s)),
            "a gang was granted in part": granted[started] != run.inputs.jobs.accelerators[started],
            "a job ended twice": np.bincount(job[ends], minlength=count) > 1,
        }
    )


def _differ(a: Floats, b: Floats) -> Bools:
    """Return where two columns differ, NaN being equal to NaN."""
    same: Bools = (a == b) | (np.isnan(a) & np.isnan(b))
    return ~same


def _occupancy_faults(run: ClusterRun, log: Arrays) -> Iterator[str]:
    """Devices in use, rebuilt from the log in its own order, fit every server at every instant."""
    fleet = run.fleet
    kind, job, server, value = (np.asarray(log[name]) for name in ("kind", "job", "server", "value"))
    grants, ends = np.flatnonzero(kind == LogKind.GRANT), np.flatnonzero(kind == LogKind.END)
    share = run.inputs.jobs.accelerator_share
    parts = np.array(
        [share_units(part) if part < 1.0 else SHARE_UNITS for part in share.tolist()], dtype=np.int64
    )
    units = value[grants].astype(np.int64) * parts[job[grants]]
    end_row = np.full(len(share), -1, dtype=np.int64)
    end_row[job[ends]] = ends
    freed = end_row[job[grants]]
    ended = freed >= 0
    where = np.concatenate([server[grants], server[grants][ended]]).astype(np.int64)
    change = np.concatenate([units, -units[ended]])
    order = np.lexsort((np.concatenate([grants, freed[ended]]), where))
    where, change = where[order], change[order]
    running = np.cumsum(change)
    firsts = np.flatnonzero(np.diff(where, prepend=-1))
    before = np.repeat(running[firsts] - change[firsts], np.diff(np.append(firsts, len(where))))
    used = running - before
    left = np.bincount(where, weights=change, minlength=len(fleet)).astype(np.int64)
    yield from _named(
        {
            "a job frees what it was not granted": np.any(freed[ended] < grants[ended]),
            "a server's devices are over-allocated by the log": used > fleet.total[where] * SHARE_UNITS,
            "a server frees more than was granted": used < 0,
            "the fleet holds other devices than the log says": left != fleet.used_units(),
        }
    )


def _sleep_faults(log: Arrays) -> Iterator[str]:
    """Each server sleeps, wakes and is awake in turn; asleep it holds nothing, waking takes its time."""
    kinds = np.asarray(log["kind"])
    rows = np.flatnonzero(np.isin(kinds, [*_STATES, LogKind.GRANT, LogKind.END]))
    columns = (np.asarray(log[name])[rows].tolist() for name in ("time_s", "kind", "job", "server", "value"))
    state: dict[int, tuple[str, float]] = {}
    holding: dict[int, int] = {}
    held: dict[int, list[int]] = {}
    roused: dict[int, float] = {}
    for time_s, kind, job, server, value in zip(*columns, strict=True):
        if kind == LogKind.GRANT:
            held.setdefault(job, []).append(server)
            holding[server] = holding.get(server, 0) + 1
            if state.get(server, ("awake", 0.0))[0] == "asleep":
                roused[server] = time_s
        elif kind == LogKind.END:
            for place in held.pop(job, []):
                holding[place] -= 1
        else:
            was, due_s = state.get(server, ("awake", time_s))
            now = _STATES[kind]
            for fault in _turn_faults(was, now, time_s, due_s, holding.get(server, 0), roused.get(server)):
                yield f"server {server} {fault} at {time_s} s"
            if now == "waking":
                roused.pop(server, None)
            state[server] = (now, time_s + value if now == "waking" else time_s)
    for server, time_s in roused.items():
        yield f"server {server} was asleep under a job granted at {time_s} s"


_STATES = {int(LogKind.SLEEP): "asleep", int(LogKind.WAKE): "waking", int(LogKind.AWAKE): "awake"}
_TURNS = (("awake", "asleep"), ("asleep", "waking"), ("waking", "awake"))


def _turn_faults(
    was: str, now: str, time_s: float, due_s: float, jobs: int, roused_s: float | None
) -> Iterator[str]:
    """Yield what is wrong with one change of a server's power state."""
    if (was, now) not in _TURNS:
        yield f"went from {was} to {now}"
    if now == "asleep" and jobs:
        yield "fell asleep under a job"
    if now == "awake" and time_s != due_s:
        yield f"was awake, due at {due_s} s,"
    if now == "waking" and roused_s != time_s:
        yield "woke for no job"


def _order_faults(run: ClusterRun) -> Iterator[str]:
    """Under a strict order nobody starts while a job that goes first is waiting."""
    count = len(run.inputs.jobs)
    if run.inputs.policies.ordering.skip or count > _PAIRS_LIMIT:
        return
    rank = np.lexsort((np.arange(count), run.inputs.order_keys))
    start_s = np.nan_to_num(np.array(run.start_s), nan=math.inf)[rank]
    eligible_s = np.array(run.eligible_s)[rank]
    for later in np.flatnonzero(np.isfinite(start_s)).tolist():
        instant = start_s[later]
        if np.any((eligible_s[:later] <= instant) & (start_s[:later] > instant)):
            yield f"job {run.inputs.jobs.job_id[rank[later]]} started before one that goes first"


def _little_faults(run: ClusterRun, log: Arrays, end_s: float) -> Iterator[str]:
    """Little's law, exact from empty to empty: the integral of jobs present is the sum of their stays."""
    done_s = np.array(run.end_s)
    if not np.isfinite(done_s).all():
        return
    kind, time_s = np.asarray(log["kind"]), np.asarray(log["time_s"])
    rows = (kind == LogKind.SUBMIT) | (kind == LogKind.END)
    present = np.cumsum(np.where(kind[rows] == LogKind.SUBMIT, 1.0, -1.0))
    area = math.fsum((present * np.diff(time_s[rows], append=end_s)).tolist())
    stays = math.fsum((done_s - run.inputs.jobs.submit_s).tolist())
    if abs(area - stays) > _TOLERANCE * max(area, stays, 1.0):
        yield f"jobs were present for {area} job-seconds, and stayed for {stays}"


def _power_faults(run: ClusterRun) -> Iterator[str]:
    """The IT power never leaves what its parts can draw: all asleep to all busy."""
    fleet = run.fleet
    servers_w = float(fleet.idle_power_w.sum())
    base_w = run.base_power_w - servers_w
    sleeps = run.inputs.policies.energy.sleep_after_s() is not None
    least_w = base_w + (float(fleet.sleep_power_w.sum()) if sleeps else servers_w)
    most_w = base_w + fleet.peak_power_w()
    # Powers are rounded to 1/1024 W, one a server and one a job.
    slack_w = (len(fleet) + len(run.inputs.jobs) + 1) / 1024.0 + _TOLERANCE * most_w
    power_w = np.array(run.it_power_w)
    yield from _named(
        {
            f"IT power below {least_w:g} W": power_w < least_w - slack_w,
            f"IT power above {most_w:g} W": power_w > most_w + slack_w,
        }
    )
