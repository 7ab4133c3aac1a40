"""Measures a model over devices, batches and modes, and writes what it costs as a profile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.errors import DcsimError
from dcsim.workload.profile import (
    CollectiveTraffic,
    CostProfile,
    EnergyMeasurement,
    HeldOutPoint,
    MeasuredPoint,
    StepTimeFit,
)
from dcsim.workload.profile_store import save_profile
from trainers import require_jax
from trainers.devices import available_cores, xla_flags
from trainers.fit import Sample, choose_held_out, fit_step_time, relative_errors
from trainers.partial import Partial
from trainers.provenance import load_average, package_versions, provenance
from trainers.registry import card
from trainers.worker import WorkerJob, WorkerReport

__all__ = [
    "CalibrationError",
    "Settings",
    "build_profile",
    "calibrate",
    "run_worker",
    "spread_warnings",
    "taken_warnings",
]

Progress = Callable[[str], None]

_TAKEN_MAX = 0.1


class CalibrationError(DcsimError):
    """A measurement failed, or is too noisy to be used."""


@dataclass(frozen=True)
class Settings:
    """What to measure, and how long."""

    model: str
    devices: tuple[int, ...] = (1, 2)
    batches: tuple[int, ...] = ()
    """Samples per device; the model's own choice if empty."""
    modes: tuple[str, ...] = ("pmap", "jit")
    steps: int = 200
    budget_s: float = 90.0
    """Wall time of the whole, imports and compilation included; 12 steps of each are always timed."""
    max_spread: float = 0.25
    seed: int = 0
    quick: bool = False
    """Fewer batches, and pmap only for the largest: what `make demo` has time for."""
    backend: str = "cpu"
    device: str = "cpu-core"
    """What the hardware catalogue calls one device of this host."""

    def configurations(self) -> tuple[tuple[int, str], ...]:
        """Return (batch per device, mode) of everything to be measured on each device count.

        >>> Settings("linear", quick=True).configurations()
        ((25, 'jit'), (50, 'jit'), (100, 'jit'), (100, 'pmap'))
        """
        chosen = card(self.model)
        sizes = sorted(set(self.batches or (chosen.quick_batches if self.quick else chosen.batches)))
        full = [mode for mode in ("jit", "pmap") if mode in self.modes]
        few = full[1:] if self.quick else []
        pairs = [(size, mode) for mode in full if mode not in few for size in sizes]
        return (*pairs, *((sizes[-1], mode) for mode in few))

    def command(self) -> str:
        """Return the command line that repeats the measurement, without folders."""
        sizes = sorted({size for size, _ in self.configurations()})
        return (
            f"python -m trainers calibrate {self.model} --devices {_listed(self.devices)} --batch {_listed(sizes)} "
            f"--modes {_listed(self.modes)} --steps {self.steps} --budget-s {self.budget_s:g} --seed {self.seed}"
            + (" --quick" if self.quick else "")
        )


def _listed(values: Sequence[object]) -> str:
    return ",".join(str(value) for value in values)


def calibrate(settings: Settings, out: Path, progress: Progress, *, force: bool = False) -> CostProfile:
    """Measure a model and write its profile to `out`/MODEL.json, in one piece or not at all.

    Each device count is measured in a process of its own. What is finished is kept beside the
    profile until that is written, so that an interrupted calibration goes on where it stopped.

    Args:
        settings: what to measure.
        out: folder for the profile; made if missing.
        progress: called with a line of text now and then.
        force: write the profile even if its points are noisier than `max_spread`.

    Raises:
        CalibrationError: if a measurement fails, or is too noisy and not forced.
        MissingExtraError: if JAX is not installed.
    """
    require_jax()
    cores = available_cores()
    if min(settings.devices) > cores:
        raise CalibrationError(
            f"devices {_listed(settings.devices)} -> expected one of at most {cores}, the cores here"
        )
    load = load_average()
    reports = _measure_all(settings, out, progress)
    noisy = spread_warnings(reports, settings.max_spread)
    taken = taken_warnings(reports)
    for text in (*noisy, *taken):
        progress(f"warning: {text}")
    if noisy and not force:
        raise CalibrationError(
            f"{settings.model}: {len(noisy)} noisy points, profile not written: let the host become quiet, "
            "or give a larger --max-spread, or --force"
        )
    profile = build_profile(settings, reports, load, [*noisy, *taken])
    save_profile(profile, out / f"{settings.model}.json")
    return profile


def _measure_all(settings: Settings, out: Path, progress: Progress) -> list[WorkerReport]:
    """Return one report a device count, ascending; measured in random order."""
    partial = Partial(out / f".{settings.model}.calibrating.json", _fingerprint(settings))
    reports = {report.devices: report for report in partial.load()}
    for devices in np.random.default_rng(settings.seed).permutation(sorted(set(settings.devices))):
        if devices in reports:
            progress(f"{settings.model} on {devices}: kept from an interrupted calibration")
            continue
        job = WorkerJob(
            model=settings.model,
            devices=int(devices),
            configurations=settings.configurations(),
            steps=settings.steps,
            budget_s=settings.budget_s / len(set(settings.devices)),
            max_spread=settings.max_spread,
            seed=settings.seed,
            backend=settings.backend,
        )
        reports[job.devices] = run_worker(job, progress)
        partial.save(list(reports.values()))
    partial.discard()
    return [reports[devices] for devices in sorted(reports)]


def _fingerprint(settings: Settings) -> dict[str, object]:
    """What must be equal for finished measurements to be used again."""
    return {
        **asdict(settings),
        "packages": package_versions(),
        "python": sys.version,
        "cores": available_cores(),
    }


def run_worker(job: WorkerJob, progress: Progress) -> WorkerReport:
    """Measure in a new process and return what it found.

    Raises:
        CalibrationError: if the process fails; the message ends with its last words.
    """
    environment = {**os.environ, "XLA_FLAGS": xla_flags(max(2, job.devices), os.environ.get("XLA_FLAGS", ""))}
    report: WorkerReport | None = None
    other: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", "trainers.worker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    ) as process:  # fmt: skip
        if process.stdin is None or process.stdout is None:
            raise CalibrationError("the worker has no pipes")
        try:
            process.stdin.write(json.dumps(asdict(job)))
            process.stdin.close()
            for line in process.stdout:
                message = _message(line)
                if "report" in message:
                    report = WorkerReport(**message["report"])
                elif "progress" in message:
                    progress(f"{job.model} on {job.devices}: {message['progress']}")
                else:
                    other.append(line.rstrip())
        except BaseException:
            process.kill()
            raise
    if report is None:
        last_words = "\n".join(other[-20:]) or f"exit code {process.returncode}"
        raise CalibrationError(f"measuring {job.model} on {job.devices} devices failed:\n{last_words}")
    return report


def _message(line: str) -> dict[str, Any]:
    """Return a worker's message, or an empty one for anything else it printed."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def spread_warnings(reports: Sequence[WorkerReport], max_spread: float) -> list[str]:
    """Return a warning for each point whose two halves disagree by more than `max_spread`."""
    return [
        f"noisy point: {point.mode} on {point.devices} x {point.batch_per_device}, "
        f"split-half spread {point.split_half_spread:.0%}"
        for report in reports
        for point in report.measured_points()
        if (point.split_half_spread or 0.0) > max_spread
    ]


def taken_warnings(reports: Sequence[WorkerReport]) -> list[str]:
    """Return a warning for each device count whose cores others used for more than a tenth of the time.

    A steady load of others lengthens all steps alike, so the spread does not show it.
    """
    return [
        f"other processes took {report.taken_share:.0%} of the cores while {report.devices} devices were timed"
        for report in reports
        if report.taken_share is not None and report.taken_share > _TAKEN_MAX
    ]


def build_profile(
    settings: Settings, reports: Sequence[WorkerReport], load_average_start: float, warnings: Sequence[str]
) -> CostProfile:
    """Return the profile of a set of reports, of which one at least had a core for each device.

    Points with more devices than cores are kept, but not fitted: they time the queue for a core.
    """
    chosen = card(settings.model)
    points = tuple(point for report in reports for point in report.measured_points())
    fit, held_out = _fit(points, {report.devices: report.cores for report in reports}, settings.seed)
    largest = max(
        (point for point in points if point.mode == fit.mode),
        key=lambda point: (point.batch_per_device, point.devices),
    )
    index = points.index(largest)
    memory = [size for report in reports for size in report.memory_bytes]
    energies = [energy for report in reports for energy in report.energy_per_step_j]
    first = max(reports, key=lambda report: report.devices)
    left_out = [
        f"{r.devices} devices shared {r.cores} cores: points not fitted"
        for r in reports
        if r.cores < r.devices
    ]
    return CostProfile(
        name=settings.model,
        description=f"{chosen.summary}; data parallel, step time without input, batch per device",
        device=settings.device,
        parameters=first.parameters,
        optimizer=chosen.optimizer,
        flops_per_sample=(largest.flops_per_device or 0.0) / largest.batch_per_device,
        bytes_accessed_per_sample=(largest.bytes_accessed_per_device or 0.0) / largest.batch_per_device,
        input_bytes_per_sample=first.sample_bytes,
        checkpoint_bytes=first.checkpoint_bytes,
        dataset_bytes=first.dataset_bytes,
        memory_bytes_per_device=max(memory),
        collectives=CollectiveTraffic(
            all_reduce_bytes=first.all_reduce_bytes, all_reduce_count=first.all_reduce_count
        ),
        points=points,
        fit=fit,
        held_out=held_out,
        energy=EnergyMeasurement(energy_per_step_j=energies[index], method=first.energy_method),
        provenance=provenance(
            command=settings.command(),
            dataset=first.dataset,
            backend=settings.backend,
            seed=settings.seed,
            import_time_s=float(np.median([report.import_time_s for report in reports])),
            load_average_start=load_average_start,
            warnings=[*warnings, *left_out],
        ),
    )


def _fit(
    points: Sequence[MeasuredPoint], cores: dict[int, int], seed: int
) -> tuple[StepTimeFit, tuple[HeldOutPoint, ...]]:
    """Fit the points that had a core for each device, of `jit` if there are any, else of `pmap`."""
    usable = [point for point in points if cores[point.devices] >= point.devices]
    mode = "jit" if any(point.mode == "jit" for point in usable) else "pmap"
    samples = [Sample(p.devices, p.batch_per_device, p.step_time_s) for p in usable if p.mode == mode]
    out = choose_held_out(samples, seed)
    fitted = [sample for index, sample in enumerate(samples) if index not in out]
    held_out = [samples[index] for index in out]
    coefficients = fit_step_time(fitted)
    residuals = relative_errors(coefficients, fitted)
    errors = relative_errors(coefficients, held_out)
    fit = StepTimeFit(
        **coefficients._asdict(),
        mode=mode,
        devices_min=min(sample.devices for sample in fitted),
        devices_max=max(sample.devices for sample in fitted),
        batch_per_device_min=min(sample.batch_per_device for sample in fitted),
        batch_per_device_max=max(sample.batch_per_device for sample in fitted),
        residual_relative=float(np.sqrt(np.mean(np.square(residuals)))),
        held_out_error_relative=float(np.mean(np.abs(errors))) if errors else None,
    )
    return fit, tuple(
        HeldOutPoint(
            **sample._asdict(), predicted_s=coefficients.predict_s(sample.devices, sample.batch_per_device)
        )
        for sample in held_out
    )
