"""The closed loop: measure this machine, run the small cluster, simulate it; what is finished is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dcsim.errors import InputError
from dcsim.workload.profile import CostProfile
from dcsim.workload.profile_store import load_profile
from trainers.calibrate import Settings, calibrate
from trainers.closed_loop.dispatcher import POLICIES, Dispatcher, JobRun, run_of
from trainers.closed_loop.jobs import JobCost, QueuedJob, draw_jobs, job_of
from trainers.closed_loop.measuring import (
    Colocation,
    Measured,
    Probe,
    job_command,
    measure_colocation,
    median_probe,
    probes_of,
)
from trainers.closed_loop.simulated import EFFECTS, SimulatedJob, share_beside, simulate
from trainers.devices import core_numbers
from trainers.files import write_text
from trainers.provenance import package_versions
from trainers.registry import card
from trainers.validation.holdout import predicted_step_s
from trainers.validation.result import Load
from trainers.validation.watch import HostWatch

__all__ = ["MODELS", "ClosedLoop", "LoopSettings", "run_loop"]

MODELS = ("digits_mlp_64", "digits_mlp", "digits_conv", "tiny_transformer")
"""Models of the jobs unless told otherwise."""
PROBES = 3
"""Rounds of short jobs before the runs; one more follows each repeat of them."""

_VERSION = 3
"""Of what lies in a loop's folder."""

Progress = Callable[[str], object]


@dataclass(frozen=True)
class LoopSettings:
    """What to run."""

    models: tuple[str, ...] = MODELS
    policies: tuple[str, ...] = ("fifo", "shortest_first")
    jobs: int = 12
    repeats: int = 5
    cores: int = 2
    seed: int = 1
    budget_s: float = 60.0
    """Of calibrating each model."""

    def problems(self, available: int) -> list[str]:
        """Return what is wrong with it, in words."""
        found = []
        unknown = [name for name in self.policies if name not in POLICIES]
        if unknown:
            found.append(f"--policies {','.join(unknown)} -> expected some of {', '.join(POLICIES)}")
        if not 2 <= self.cores <= available:
            found.append(f"--cores {self.cores} -> expected 2 to {available}, the cores here")
        if self.jobs < len(self.models):
            found.append(f"--jobs {self.jobs} -> expected at least one of each model, {len(self.models)}")
        return found

    def command(self) -> str:
        """Return the command line that repeats it, without folders."""
        return (
            f"python -m trainers validate closed-loop --jobs {self.jobs} --models {','.join(self.models)} "
            f"--policies {','.join(self.policies)} --repeats {self.repeats} --cores {self.cores} --seed {self.seed}"
        )

    def fingerprint(self) -> dict[str, Any]:
        """Return what earlier results must have been made with to be gone on from; more repeats may come."""
        said = {name: value for name, value in asdict(self).items() if name not in ("repeats", "policies")}
        content: dict[str, Any] = json.loads(
            json.dumps({**said, "version": _VERSION, "packages": package_versions()})
        )
        return content


@dataclass(frozen=True)
class ClosedLoop:
    """Everything that a loop found."""

    settings: LoopSettings
    jobs: tuple[QueuedJob, ...]
    profiles: Mapping[str, CostProfile]
    measured: Measured
    real: Mapping[str, tuple[tuple[JobRun, ...], ...]]
    """By policy, each repeat's runs in the order of the jobs."""
    simulated: Mapping[str, Mapping[str, tuple[SimulatedJob, ...]]]
    """By name of `EFFECTS`, then by policy, in the order of the jobs."""
    loads: tuple[Load, ...]
    """Of each repeat, in the order in which they were run."""


def run_loop(settings: LoopSettings, out: Path, progress: Progress) -> ClosedLoop:
    """Do whatever of the loop is not done yet, and return all of it.

    Args:
        settings: what to run.
        out: for everything that is measured, run and simulated; a loop that was stopped goes on from there.
        progress: called with a line of text now and then.

    Raises:
        InputError: wrong settings, or `out` holds a loop of other settings.
        ClosedLoopError: a job or the simulator failed.
        CalibrationError: a model could not be measured.
    """
    cores = core_numbers()
    problems = settings.problems(len(cores))
    if problems:
        raise InputError("\n".join(problems))
    _claim(settings, out)
    profiles = _profiles(settings, out, progress)
    bench = _Bench(settings, profiles, cores, out, progress)
    colocation = bench.colocation()
    jobs = _jobs(settings, profiles, bench.measured(colocation, 0), out)
    real, loads = _real(settings, jobs, bench)
    measured = bench.measured(colocation, settings.repeats)
    simulated: dict[str, dict[str, tuple[SimulatedJob, ...]]] = {}
    for name, effects in EFFECTS.items():
        progress(f"simulating: {name}")
        simulated[name] = {
            policy: tuple(
                simulate(
                    jobs, profiles, measured, policy=policy, cores=settings.cores, effects=effects,
                    # What is left out must not change the other effects: start-ups are as slow as in the whole.
                    beside=share_beside(simulated["all"][policy]) if simulated else None,
                    folder=out / "simulated" / f"{policy}-{name.replace(',', '').replace(' ', '-')}",
                )
            )
            for policy in settings.policies
        }  # fmt: skip
    return ClosedLoop(settings, jobs, profiles, measured, real, simulated, loads)


def _indented(progress: Progress, text: str) -> None:
    progress(f"  {text}")


def _claim(settings: LoopSettings, out: Path) -> None:
    """Write down in the folder what it is for; refuse one that is for something else."""
    path = out / "settings.json"
    mine = settings.fingerprint()
    if not path.exists():
        _keep(path, mine)
        return
    found = _read(path)
    differs = sorted(key for key in mine if found.get(key) != mine[key])
    if differs:
        text = "; ".join(f"{key}: {found.get(key)!r} -> {mine[key]!r}" for key in differs)
        raise InputError(f"{out}: holds a loop of other settings ({text}); give another --out, or remove it")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error} -> expected a file of an earlier run; remove it") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: {type(content).__name__} -> expected a mapping; remove it")
    return content


def _profiles(settings: LoopSettings, out: Path, progress: Progress) -> dict[str, CostProfile]:
    """Calibrate the models that have no profile here yet, each alone on one core."""
    folder = out / "profiles"
    found = {}
    for model in settings.models:
        path = folder / f"{model}.json"
        if not path.exists():
            progress(f"calibrating {model}")
            chosen = Settings(
                model=model,
                devices=(1,),
                modes=("jit",),
                budget_s=settings.budget_s,
                batches=card(model).quick_batches,
                seed=settings.seed,
            )
            calibrate(chosen, folder, partial(_indented, progress), force=True)
        found[model] = load_profile(path)[0]
    return found


def _batch(model: str) -> int:
    """Return the samples of a step: the middle one of those that a quick calibration knows."""
    sizes = card(model).quick_batches
    return sizes[len(sizes) // 2]


@dataclass(frozen=True)
class _Bench:
    """Where this machine is measured and the small cluster runs."""

    settings: LoopSettings
    profiles: Mapping[str, CostProfile]
    cores: tuple[int, ...]
    out: Path
    progress: Progress

    def models(self) -> dict[str, tuple[int, float]]:
        """Return batch and time of a step in a loop [s] by name, by the probes before the runs."""
        found = {}
        for name, probes in self.probes(0).items():
            probe = median_probe(probes)
            found[name] = (_batch(name), probe.step_s + probe.loop_s)
        return found

    def probes(self, repeat: int) -> dict[str, list[Probe]]:
        """Return the probes that were taken before the runs, 0, or after so many repeats of them.

        A host may be a tenth slower for some minutes; a probe now and then sees what a run now and then sees. They are
        jobs of their own: nothing of the runs is looked at.
        """
        path = self.out / (f"probes-{repeat}.json" if repeat else "probes.json")
        if not path.exists():
            models = self.models() if repeat else {name: (_batch(name), None) for name in self.profiles}
            found = probes_of(
                models, core=self.cores[0], repeats=1 if repeat else PROBES, folder=self.out / "probes",
                seed=self.settings.seed + PROBES * repeat, progress=self.progress,
            )  # fmt: skip
            _keep(path, {name: [asdict(probe) for probe in probes] for name, probes in found.items()})
        return {name: [Probe(**record) for record in records] for name, records in _read(path).items()}

    def measured(self, colocation: Colocation, repeats: int) -> Measured:
        """Return the medians of the probes before the runs and after so many repeats of them."""
        taken = [self.probes(repeat) for repeat in range(repeats + 1)]
        return Measured(
            {name: median_probe([probe for each in taken for probe in each[name]]) for name in self.profiles},
            colocation,
        )

    def colocation(self) -> Colocation:
        """Return how jobs fare beside each other."""
        path = self.out / "colocation.json"
        if not path.exists():
            found = measure_colocation(
                self.models(), cores=self.cores, folder=self.out / "probes", seed=self.settings.seed, progress=self.progress
            )  # fmt: skip
            _keep(path, asdict(found))
        return Colocation(**_read(path))


def _keep(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=1) + "\n")


def _jobs(
    settings: LoopSettings, profiles: Mapping[str, CostProfile], measured: Measured, out: Path
) -> tuple[QueuedJob, ...]:
    """Return the jobs, drawn once: what has been run must not change with what is measured later."""
    path = out / "jobs.json"
    if not path.exists():
        costs = {
            name: JobCost(
                batch=_batch(name),
                startup_s=measured.probes[name].startup_s,
                step_s=predicted_step_s(profile, 1, _batch(name)) + measured.probes[name].loop_s,
            )
            for name, profile in profiles.items()
        }
        drawn = draw_jobs(costs, settings.jobs, settings.cores, settings.seed)
        _keep(path, {"jobs": [job.record() for job in drawn]})
    return tuple(job_of(record) for record in _read(path)["jobs"])


def _real(
    settings: LoopSettings, jobs: tuple[QueuedJob, ...], bench: _Bench
) -> tuple[dict[str, tuple[tuple[JobRun, ...], ...]], tuple[Load, ...]]:
    """Run the small cluster; policies take turns, so that a slow quarter of an hour hits both."""
    out, progress = bench.out, bench.progress
    real: dict[str, list[tuple[JobRun, ...]]] = {policy: [] for policy in settings.policies}
    loads = []
    digest = hashlib.sha256(json.dumps([job.record() for job in jobs]).encode()).hexdigest()[:16]
    for repeat in range(settings.repeats):
        for policy in settings.policies:
            path = out / "real" / f"{policy}-{repeat}.json"
            if not path.exists():
                progress(f"real cluster: {policy}, repeat {repeat + 1} of {settings.repeats}")
                watch = HostWatch()
                folder = out / "real" / "jobs"
                dispatcher = Dispatcher(
                    bench.cores[: settings.cores], job_command, folder, partial(_indented, progress)
                )
                runs = dispatcher.run(jobs, policy)
                record = {
                    "jobs": digest,
                    "load": watch.load().model_dump(),
                    "runs": [run.record() for run in runs],
                }
                _keep(path, record)
            found = _read(path)
            if found.get("jobs") != digest:
                raise InputError(
                    f"{path}: runs of other jobs -> expected those of {out / 'jobs.json'}; remove it"
                )
            real[policy].append(tuple(run_of(run) for run in found["runs"]))
            loads.append(Load.model_validate(found["load"]))
        bench.probes(repeat + 1)
    return {policy: tuple(repeats) for policy, repeats in real.items()}, tuple(loads)
