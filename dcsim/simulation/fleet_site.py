"""One site of a fleet before it runs: what each job would take there, and what the router keeps in mind of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.simulation.fleet_jobs import FleetJobs
from dcsim.simulation.fleet_ledger import SiteLedger
from dcsim.simulation.fleet_outlook import Outlook
from dcsim.simulation.inputs import RunInputs, prepare
from dcsim.simulation.suitable import reference_types
from dcsim.spec.load import LoadedScenario

__all__ = ["FleetSite", "job_energy_j", "make_site"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FleetSite:
    """What a router can work out of one site; lists are of length N, NaN where a job does not fit."""

    name: str
    accelerators: int
    run_s: list[float]
    """Of each job alone and uncapped."""
    it_energy_j: list[float]
    """Of each job above what the hall draws idle."""
    outlook: Outlook
    ledger: SiteLedger
    slowdown: dict[int, float]
    """By width: how much longer than estimated jobs were seen to take; widths not there yet: not at all."""


def make_site(
    loaded: LoadedScenario, name: str, site: int, jobs: FleetJobs, horizon_s: float, seed: int
) -> FleetSite:
    """Build one site; its hall is built as for a run, and thrown away.

    Raises:
        InputError: a file or a value of its scenario cannot be used.
        PolicyError: one of its policies is unknown, or its keys or caps are unusable.
    """
    rows = np.flatnonzero(jobs.allowed[site])
    base_dir: Path = loaded.base_dir
    inputs = prepare(loaded.scenario, seed, base_dir, profiles=jobs.profiles, jobs=jobs.table.take(rows))
    run_s, energy_j = np.full(len(jobs.table), np.nan), np.full(len(jobs.table), np.nan)
    run_s[rows], energy_j[rows] = inputs.ideal_s, job_energy_j(inputs)
    return FleetSite(
        name,
        inputs.fleet.accelerators,
        run_s.tolist(),
        energy_j.tolist(),
        Outlook(inputs, base_dir, horizon_s),
        SiteLedger(max(1.0, float(inputs.fleet.accelerators))),
        {},
    )


def job_energy_j(inputs: RunInputs) -> Floats:
    """Return (N,) energy of each job above the idle draw of its servers, J, alone and uncapped.

    (peak - idle) of its accelerators for the part of the time in which they compute, and (peak - idle) of its
    servers for its share of their cores (docs/decisions/0063-job-power.md).
    """
    jobs, fleet = inputs.jobs, inputs.fleet
    kind = reference_types(jobs, fleet, inputs.allowed, inputs.costs)
    device_w = np.array(
        [
            t.accelerator.peak_power_w - t.accelerator.idle_power_w if t.accelerator else 0.0
            for t in fleet.types
        ]
    )
    per_device_w = np.array(
        [(t.spec.peak_power_w - t.spec.idle_power_w) / max(1, t.spec.accelerators) for t in fleet.types]
    )
    per_core_w = np.array(
        [(t.spec.peak_power_w - t.spec.idle_power_w) / t.spec.cpu_cores for t in fleet.types]
    )
    kind = np.maximum(kind, 0)
    devices = jobs.accelerators * jobs.accelerator_share
    computing = np.where(jobs.accelerators > 0, inputs.view.compute_fraction, 0.0)
    cores = jobs.cpu_cores
    host_w = np.where(cores > 0.0, cores * per_core_w[kind], devices * per_device_w[kind])
    return np.asarray((devices * device_w[kind] * computing + host_w) * inputs.ideal_s, dtype=np.float64)
