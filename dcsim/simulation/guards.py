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
from dcsim.facility.servers import SHARE_UNITS, Fleet, ServerType, share_units
from dcsim.policies import DecidingPolicy
from dcsim.simulation.gangs import gangs_of
from dcsim.simulation.kinds import RELEASES, LogKind
from dcsim.simulation.record import CANCELLED, SPENT, WALL, RunRecord

__all__ = ["check_run"]

Arrays = dict[str, npt.NDArray[Any]]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_TOLERANCE = 1e-9
_PAIRS_LIMIT = 3_000
"""Up to so many jobs the order of starts is proven pair by pair."""


def check_run(run: RunRecord, end_s: float) -> None:
    """Prove that work, time, resources, order and power of a finished run add up.

    Raises:
        GuardError: something was lost, done twice, or out of order; the message names all of it.
    """
    log = run.log.columns()
    faults = [
        *_job_faults(run, end_s),
        *_log_faults(run, log, end_s),
        *_attempt_faults(run, log, end_s),
        *_own_time_faults(run, end_s),
        *_occupancy_faults(run, log),
        *_sleep_faults(log, reserves=run.inputs.policies.energy.reserves),
        *_order_faults(run),
        *_little_faults(run, log, end_s),
        *_power_faults(run),
        *_traffic_faults(run, end_s),
    ]
    if faults:
        raise GuardError("; ".join(faults))


def _named(faults: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the faults that are there."""
    for name, fault in faults.items():
        if np.any(fault):
            yield name


def _job_faults(run: RunRecord, end_s: float) -> Iterator[str]:
    """Times of each job are in order, and its work was done once."""
    inputs = run.inputs
    start_s, done_s = np.array(run.start_s), np.array(run.end_s)
    eligible_s, steps_done = np.array(run.eligible_s), np.array(run.steps_done)
    outcome = np.frombuffer(bytes(run.outcome), dtype=np.uint8)
    over, started = np.isfinite(done_s), np.isfinite(start_s)
    done = over & (outcome == 0)
    free = np.array([job not in inputs.jobs.after for job in inputs.jobs.job_id], dtype=bool)
    free &= inputs.jobs.array_limit == 0
    yield from _named(
        {
            "a job ends that never started": done & ~started,
            "a job ends before it starts": done_s[over & started] < start_s[over & started],
            "a job starts before it is eligible": start_s[started] < eligible_s[started],
            "a job is eligible before it is submitted": eligible_s < inputs.jobs.submit_s,
            "a job is held back beyond its slack": free
            & (eligible_s > inputs.jobs.submit_s + inputs.jobs.slack_s),
            "a completed job has work left": steps_done[done] != inputs.steps[done],
            "a job did more than its work": steps_done > inputs.steps,
            "a job that never started did work": steps_done[~started] != 0.0,
            "the run ends before a job does": done_s[over] > end_s,
            "a cancelled job started": started & (outcome == CANCELLED),
            "energy below zero was attributed to a job": np.array(run.energy_j) < 0.0,
        }
    )


def _log_faults(run: RunRecord, log: Arrays, end_s: float) -> Iterator[str]:
    """The log's clock runs forward, and rebuilds each job's times and outcome."""
    time_s, kind, job = (np.asarray(log[name]) for name in ("time_s", "kind", "job"))
    count = len(run.inputs.jobs)
    outcome = np.frombuffer(bytes(run.outcome), dtype=np.uint8)
    over = np.isin(kind, (LogKind.END, LogKind.KILL, LogKind.CANCEL))
    submits = run.inputs.jobs.submit_s
    finals = np.array([LogKind.END, LogKind.KILL, LogKind.CANCEL])
    last = np.full(count, -1)
    last[job[over]] = kind[over]
    ended = np.isfinite(np.array(run.end_s))
    yield from _named(
        {
            "the log's clock is not finite": ~np.isfinite(time_s),
            "the log's clock runs backwards": np.diff(time_s) < 0.0,
            "the log goes on after the end": time_s > end_s,
            "a job was submitted twice": np.bincount(job[kind == LogKind.SUBMIT], minlength=count) > 1,
            "the log's submissions are not the trace's": _differ(
                _first(time_s, job, kind == LogKind.SUBMIT, count),
                np.where(submits <= end_s, submits, math.nan),
            ),
            "the log's starts are not the run's": _differ(
                _first(time_s, job, kind == LogKind.GRANT, count), np.array(run.start_s)
            ),
            "the log's ends are not the run's": _differ(
                _first(time_s, job, over, count), np.array(run.end_s)
            ),
            "a job ended twice": np.bincount(job[over], minlength=count) > 1,
            "a job ended otherwise than the log says": ended & (last != finals[outcome]),
        }
    )


def _first(time_s: Floats, job: Ints, rows: Bools, count: int) -> Floats:
    """Return (count,) the time of each job's first row among `rows`; NaN without one."""
    first = np.full(count, math.nan)
    first[job[rows][::-1]] = time_s[rows][::-1]
    return first


def _differ(a: Floats, b: Floats) -> Bools:
    """Return where two columns differ, NaN being equal to NaN."""
    same: Bools = (a == b) | (np.isnan(a) & np.isnan(b))
    return ~same


def _attempt_faults(run: RunRecord, log: Arrays, end_s: float) -> Iterator[str]:
    """Each attempt is one whole gang at one instant, ends before the next begins, and all its time is accounted."""
    time_s, kind, job = (np.asarray(log[name]) for name in ("time_s", "kind", "job"))
    gangs = gangs_of(log)
    count = len(run.inputs.jobs)
    releases = np.flatnonzero(np.isin(kind, RELEASES))
    starts, stops = np.bincount(job[gangs.row], minlength=count), np.bincount(job[releases], minlength=count)
    width, jobs = gangs.width, run.inputs.jobs
    least = np.where(jobs.min_accelerators > 0, jobs.min_accelerators, jobs.accelerators)[job[gangs.row]]
    most = np.where(jobs.max_accelerators > 0, jobs.max_accelerators, jobs.accelerators)[job[gangs.row]]
    freed = gangs.release_row >= 0
    until_s = np.where(freed, time_s[gangs.release_row], end_s)
    held = np.bincount(
        job[gangs.row],
        weights=(until_s - time_s[gangs.row]) * width * jobs.accelerator_share[job[gangs.row]],
        minlength=count,
    )
    spent = np.sum(
        [np.array(getattr(run, name)) for name in SPENT],
        axis=0,
    )
    # Who has no traffic, no neighbours and no rounds of whole steps runs at its own rate or not at all.
    alone = (np.array(run.network_bytes) + np.array(run.input_bytes) == 0.0) & (jobs.accelerator_share == 1.0)
    alone &= not getattr(run.inputs.policies.ordering, "whole_steps", False)
    alone &= not any(pair.sharing == "server" for pair in run.inputs.scenario.colocation)
    # Whoever exchanges inside a server may have to share that; who waits for its first input, or was cut off, has
    # traffic though nothing of it arrived.
    network, steps = run.inputs.network, run.inputs.scenario.network.traffic == "steps"
    if any(run.inputs.links.fabric_bound) or network.events or steps:
        alone &= jobs.profile < 0
    rounding = _TOLERANCE * np.maximum(held, 1.0) + 1e-12 * end_s * np.maximum(jobs.accelerators, 1)
    yield from _named(
        {
            "a job without traffic or neighbours stalled": alone & (np.array(run.stalled) > rounding),
            "attempts are not those of the log": starts != np.array(run.attempts),
            "a gang was granted in part": (width < least) | (width > most),
            "a gang's parts were granted at different instants": gangs.torn,
            "a job holds two gangs at once": (starts - stops < 0) | (starts - stops > 1),
            "an attempt ends before it begins": freed & (gangs.release_row < gangs.row),
            "an attempt begins before the one before it ended": gangs.overlaps,
            "accelerator-seconds held are not those accounted": np.abs(held - spent)
            > _TOLERANCE * np.maximum(held, 1.0),
            "accelerator-seconds below zero": np.min([np.array(getattr(run, name)) for name in SPENT]) < 0.0
            if count
            else False,
        }
    )


def _own_time_faults(run: RunRecord, end_s: float) -> Iterator[str]:
    """Every second of a job, from its submission to its end or the end of the run, is named once."""
    submit_s, done_s = run.inputs.jobs.submit_s, np.array(run.end_s)
    stay_s = np.maximum(0.0, np.where(np.isfinite(done_s), done_s, end_s) - submit_s)
    named = {name: np.array(getattr(run, name)) for name in WALL}
    total_s = np.sum(list(named.values()), axis=0)
    # Each part is a difference of instants, so known to the rounding of the clock.
    rounding_s = _TOLERANCE * np.maximum(stay_s, 1.0) + 1e-12 * end_s
    yield from _named(
        {
            "a job's time is not what it was spent on": np.abs(total_s - stay_s) > rounding_s,
            **{f"{name} below zero": values < 0.0 for name, values in named.items()},
        }
    )


def _occupancy_faults(run: RunRecord, log: Arrays) -> Iterator[str]:
    """Devices in use, rebuilt from the log in its own order, fit every server at every instant."""
    fleet = run.inputs.fleet
    kind, job, server, value = (np.asarray(log[name]) for name in ("kind", "job", "server", "value"))
    grants = np.flatnonzero(kind == LogKind.GRANT)
    share = run.inputs.jobs.accelerator_share
    parts = np.array(
        [share_units(part) if part < 1.0 else SHARE_UNITS for part in share.tolist()], dtype=np.int64
    )
    units = value[grants].astype(np.int64) * parts[job[grants]]
    gangs = gangs_of(log)
    freed = gangs.release_row[gangs.of_grant]
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


def _sleep_faults(log: Arrays, *, reserves: bool) -> Iterator[str]:
    """Each server sleeps, wakes and is awake in turn; asleep it holds nothing, waking takes its time.

    None wakes for no job, unless a reserve is kept.
    """
    kinds = np.asarray(log["kind"])
    rows = np.flatnonzero(np.isin(kinds, [*_STATES, LogKind.GRANT, *RELEASES]))
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
        elif kind in RELEASES:
            for place in held.pop(job, []):
                holding[place] -= 1
        else:
            was, due_s = state.get(server, ("awake", time_s))
            now = _STATES[kind]
            roused_s = time_s if reserves else roused.get(server)
            for fault in _turn_faults(was, now, time_s, due_s, holding.get(server, 0), roused_s):
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


def _order_faults(run: RunRecord) -> Iterator[str]:
    """Under a strict order nobody starts while a job that goes first is waiting."""
    count = len(run.inputs.jobs)
    policy = run.inputs.policies.ordering
    deciding = isinstance(policy, DecidingPolicy) or policy.preemptive or not policy.in_line
    deciding = deciding or run.inputs.policies.energy.suspends
    if deciding or policy.skip or count > _PAIRS_LIMIT:
        return
    rank = np.lexsort((np.arange(count), run.inputs.order_keys))
    start_s = np.nan_to_num(np.array(run.start_s), nan=math.inf)[rank]
    waits = _wait_for_others(run)
    eligible_s = np.array(run.eligible_s)
    # Who waits for another to end may have been let go at an instant after others had started in it.
    eligible_s = np.where(waits, np.nextafter(eligible_s, math.inf), eligible_s)
    eligible_s = np.where(waits & np.isnan(np.array(run.start_s)), math.inf, eligible_s)[rank]
    for later in np.flatnonzero(np.isfinite(start_s)).tolist():
        instant = start_s[later]
        if np.any((eligible_s[:later] <= instant) & (start_s[:later] > instant)):
            yield f"job {run.inputs.jobs.job_id[rank[later]]} started before one that goes first"


def _wait_for_others(run: RunRecord) -> Bools:
    """Return (N,) which jobs may have waited for other jobs rather than for servers."""
    jobs = run.inputs.jobs
    waits: Bools = np.array([name in jobs.after for name in jobs.job_id], dtype=bool) | (jobs.array_limit > 0)
    return waits


def _little_faults(run: RunRecord, log: Arrays, end_s: float) -> Iterator[str]:
    """Little's law, exact from empty to empty: the integral of jobs present is the sum of their stays."""
    done_s = np.array(run.end_s)
    if not np.isfinite(done_s).all():
        return
    kind, time_s = np.asarray(log["kind"]), np.asarray(log["time_s"])
    rows = np.isin(kind, (LogKind.SUBMIT, LogKind.END, LogKind.KILL, LogKind.CANCEL))
    present = np.cumsum(np.where(kind[rows] == LogKind.SUBMIT, 1.0, -1.0))
    area = math.fsum((present * np.diff(time_s[rows], append=end_s)).tolist())
    stays = math.fsum((done_s - run.inputs.jobs.submit_s).tolist())
    if abs(area - stays) > _TOLERANCE * max(area, stays, 1.0):
        yield f"jobs were present for {area} job-seconds, and stayed for {stays}"


def _types(fleet: Fleet) -> Iterator[ServerType]:
    """Yield the type of each server."""
    return (fleet.type(server) for server in range(len(fleet)))


def _power_faults(run: RunRecord) -> Iterator[str]:
    """The IT power never leaves what its parts can draw: all asleep to all busy."""
    fleet = run.inputs.fleet
    servers_w = float(fleet.idle_power_w.sum())
    base_w = run.base_power_w - servers_w
    sleeps = run.inputs.policies.energy.sleep_after_s() is not None
    least_w = base_w + (float(fleet.sleep_power_w.sum()) if sleeps else servers_w)
    most_w = base_w + fleet.peak_power_w()
    most_w += math.fsum(
        max(0.0, (kind.spec.boot_power_w or 0.0) - kind.idle_power_w) for kind in _types(fleet)
    )
    if run.heat is not None:
        least_w += min(run.heat.log_extra_w)
        most_w += max(run.heat.log_extra_w)
    # Powers are rounded to 1/1024 W, one a server and one a job.
    slack_w = (len(fleet) + len(run.inputs.jobs) + 1) / 1024.0 + _TOLERANCE * most_w
    power_w = np.array(run.it_power_w)
    yield from _named(
        {
            f"IT power below {least_w:g} W": power_w < least_w - slack_w,
            f"IT power above {most_w:g} W": power_w > most_w + slack_w,
        }
    )


def _traffic_faults(run: RunRecord, end_s: float) -> Iterator[str]:
    """Servers put on their links what jobs were told to have sent: each transfer leaves by a link of its server.

    Checkpoints leave by them, too, and where servers pass on what is others' they send it again. While steps are
    told one by one a step that was broken off counts in part, whatever of its exchange was on its way.
    """
    inputs = run.inputs
    network, scenario = inputs.network, inputs.scenario
    nowhere = bool(network.events) and not scenario.network.contention  # bytes of who is cut off and goes on
    if scenario.network.traffic == "steps" or nowhere or end_s <= 0.0:
        return
    up = {link for server in range(len(inputs.fleet)) for link, _ in network.own_links(server)}
    sums = run.traffic.tables(
        np.array([0.0, end_s]),
        ["up" if link in up else "" for link in range(len(inputs.links.bandwidths))],
        [bandwidth or math.inf for bandwidth in inputs.links.bandwidths],
        inputs.jobs.tenant_names,
        names=inputs.links.names,
    ).tiers
    sent_bytes = math.fsum(sums["bytes"][sums["tier"] == "up"].tolist())
    told_bytes = math.fsum(run.network_bytes)
    passes_on = network.spec.topology in {"torus", "graph"}
    more = sent_bytes - told_bytes
    wrong = more < 0.0 if passes_on or scenario.checkpoints is not None else more != 0.0
    if wrong and abs(more) > _TOLERANCE * max(told_bytes, 1.0):
        yield f"servers sent {sent_bytes} bytes over their links, and jobs {told_bytes}"
