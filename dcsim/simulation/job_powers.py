"""What of IT power each job answers for, and when: its own, and the idle power of the parts of servers that it held."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.results.attribution import Stretches
from dcsim.simulation.gangs import Gangs
from dcsim.simulation.kinds import LogKind
from dcsim.simulation.record import RunRecord

__all__ = ["job_powers"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Events = Mapping[str, npt.NDArray[Any]]


def job_powers(run: RunRecord, gangs: Gangs, events: Events, end_s: float) -> Stretches:
    """Return stretches of constant power, several of which may hold at once.

    A job's own power is as it was where caps, stops or heat change it by the clock, else the mean over the time
    for which it held servers.
    """
    time_s = events["time_s"]
    until_s = np.where(gangs.release_row >= 0, time_s[np.maximum(gangs.release_row, 0)], end_s)
    return Stretches.joined(_own(run, gangs, events, until_s, end_s), _held_idle(run, gangs, events, until_s))


def _own(run: RunRecord, gangs: Gangs, events: Events, until_s: Floats, end_s: float) -> Stretches:
    steps = run.power_steps
    if steps is not None:
        times = np.array(steps.time_s)
        return Stretches(np.array(steps.job), times, np.full(len(times), end_s), np.array(steps.change_w))
    energy_j, job, from_s = np.array(run.energy_j), events["job"][gangs.row], events["time_s"][gangs.row]
    held_s = np.bincount(job, weights=until_s - from_s, minlength=len(energy_j))
    mean_w = np.divide(energy_j, held_s, out=np.zeros(len(energy_j)), where=held_s > 0.0)
    return Stretches(job, from_s, until_s, mean_w[job])


def _held_idle(run: RunRecord, gangs: Gangs, events: Events, until_s: Floats) -> Stretches:
    """Return the idle power of what each job held of servers that were awake.

    That of devices goes by the devices held, that of the rest of a server by the cores.
    """
    inputs = run.inputs
    fleet, jobs = inputs.fleet, inputs.jobs
    grants = np.flatnonzero(events["kind"] == LogKind.GRANT)
    job, server, count = events["job"][grants], events["server"][grants], events["value"][grants]
    kind_of = np.array(fleet.type_of, dtype=np.int64)[server]
    device_w = np.array([kind.accelerator.idle_power_w if kind.accelerator else 0.0 for kind in fleet.types])
    host_w = fleet.idle_power_w[server] - device_w[kind_of] * fleet.total[server]
    # As `Placer.cores`: as asked, else the share that goes with the devices.
    asked, width = jobs.cpu_cores[job], np.maximum(jobs.accelerators[job], 1)
    share = np.where(jobs.accelerators[job] > 0, count / width, 1.0)
    by_devices = count / np.maximum(fleet.total[server], 1)
    cores = np.where(asked > 0.0, asked * share / fleet.cpu_cores[server], by_devices)
    devices = count * jobs.accelerator_share[job]
    power_w = host_w * np.minimum(cores, 1.0) + device_w[kind_of] * devices
    from_s = np.maximum(events["time_s"][grants], _awake_s(events, grants))
    to_s = until_s[gangs.of_grant]
    return Stretches(job, np.minimum(from_s, to_s), to_s, power_w)


def _awake_s(events: Events, grants: Ints) -> Floats:
    """Return (G,) when the server of each grant was, or will be, awake after it was last told to wake."""
    wakes = np.flatnonzero(events["kind"] == LogKind.WAKE)
    if not len(wakes):
        return np.zeros(len(grants))
    time_s, server = events["time_s"], events["server"].astype(np.int64)
    ranks = np.unique(time_s, return_inverse=True)[1]
    key = server * (len(time_s) + 1) + ranks
    wakes = wakes[np.argsort(key[wakes], kind="stable")]
    place = np.searchsorted(key[wakes], key[grants], side="right") - 1
    last = wakes[np.maximum(place, 0)]
    told = (place >= 0) & (server[last] == server[grants])
    return np.where(told, time_s[last] + events["value"][last], 0.0)
