"""Measures a model, point after point, until enough is known, and writes what it costs as a profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from dcsim.errors import InputError, Problem
from dcsim.workload.profile import CostProfile
from dcsim.workload.profile_store import save_profile
from trainers import require_jax
from trainers.assemble import build_profile
from trainers.calibration_run import Run, measure_in_turns, samples_of, settled
from trainers.claim import claimed
from trainers.devices import available_cores
from trainers.host_noise import (
    allocator_warnings,
    drift_warnings,
    fault_warnings,
    load_warnings,
    spread_warnings,
    taken_warnings,
    visit_relative,
)
from trainers.journal import Journal
from trainers.pool import CalibrationError, Progress, WorkerPool
from trainers.provenance import load_average
from trainers.settings import Settings
from trainers.surface import Scatter
from trainers.worker import Reading

__all__ = ["CalibrationError", "Settings", "calibrate", "calibrate_together"]


def calibrate(settings: Settings, out: Path, progress: Progress, *, force: bool = False) -> CostProfile:
    """Measure a model and write its profile to `out`/NAME.json, in one piece or not at all.

    Each point is measured in a process of its own, with `quick` each number of devices. Every finished measurement is
    kept beside the profile until that is written, so that a calibration that was ended in any way goes on where it
    stopped, and chooses as it would have.

    Args:
        settings: what to measure.
        out: folder for the profile; made if missing.
        progress: called with a line of text now and then.
        force: write the profile even if its points are noisier than `max_spread`.

    Raises:
        CalibrationError: if a measurement fails, or is too noisy and not forced.
        InputError: if there are fewer cores than the fewest devices, or another calibration measures the same there.
        MissingExtraError: if JAX is not installed.
    """
    return calibrate_together([settings], out, progress, force=force)[0]


def calibrate_together(
    wanted: Sequence[Settings],
    out: Path,
    progress: Progress,
    *,
    force: bool = False,
    meanwhile: Callable[[Sequence[CostProfile]], object] | None = None,
) -> list[CostProfile]:
    """Calibrate models, or one in several precisions, as `calibrate` does one; the next point is of the least known.

    Second visits come when all are designed, so they lie far from the first ones. Profiles are written when all are
    measured: all, or where one is too noisy none.

    Args:
        wanted: what to measure, at least one; they share `seed`, `backend`, `quick` and `freed_memory`, and differ in their names.
        out: folder for the profiles.
        progress: called with a line of text now and then.
        force: write noisy profiles too.
        meanwhile: called with what profiles would be when every point was visited once, before all are visited again.

    Raises:
        CalibrationError: as `calibrate`.
        InputError: as `calibrate`.
        MissingExtraError: as `calibrate`.
    """
    require_jax()
    first = wanted[0]
    _require_cores(wanted)
    load = load_average()
    with ExitStack() as stack:
        for settings in wanted:
            stack.enter_context(claimed(settings.lock(out), "another calibration"))
        pool = WorkerPool(
            first.seed, first.backend, progress, fresh=not first.quick, freed_memory=first.freed_memory
        )
        stack.enter_context(pool)
        runs = [Run(settings, _journal(settings, out, progress), pool, progress) for settings in wanted]
        if meanwhile is None:
            measure_in_turns(runs)
        else:
            measure_in_turns(runs, lambda: meanwhile([_profile(run, load, []) for run in runs]))
        warnings = [_warnings(run, load, progress) for run in runs]
        if not force:
            _refuse_noise(runs)
        profiles = [_profile(run, load, texts) for run, texts in zip(runs, warnings, strict=True)]
        for run, profile in zip(runs, profiles, strict=True):
            save_profile(profile, out / f"{run.settings.name}.json")
        for run in runs:
            run.journal.discard()
    return profiles


def _profile(run: Run, load: float, warnings: Sequence[str]) -> CostProfile:
    readings = _ordered(run)
    samples = samples_of(run.settings, readings)
    scatter = Scatter(visit_relative(run.visits), sum(map(len, run.visits)) / len(run.visits))
    return build_profile(run.settings, readings, samples, load, warnings, scatter)


def _require_cores(wanted: Sequence[Settings]) -> None:
    for settings in wanted:
        if settings.crowds(min(settings.devices)):
            counts = ",".join(map(str, settings.devices))
            expected = f"one of at most {available_cores()}, the cores here"
            raise InputError([Problem("--devices", None, "", counts, expected)])


def _journal(settings: Settings, out: Path, progress: Progress) -> Journal:
    journal = Journal(settings.journal(out), settings.fingerprint())
    journal.open()
    for text in journal.problems:
        progress(f"{settings.name}: interrupted calibration, {text}")
    return journal


def _ordered(run: Run) -> list[Reading]:
    """Return its readings, those that surface and fit are made of first."""
    mode = run.settings.mode
    return sorted(run.readings, key=lambda each: (each.point["mode"] != mode, each.key[2], each.key))


def _warnings(run: Run, load: float, progress: Progress) -> list[str]:
    """Return, and tell, what to know before trusting a run."""
    readings = _ordered(run)
    found = [
        *spread_warnings(readings, run.settings.max_spread),
        *taken_warnings(readings),
        *drift_warnings(readings),
        *fault_warnings(readings),
        *allocator_warnings(readings, run.settings.freed_memory),
        *load_warnings(load, available_cores()),
    ]
    for text in found:
        progress(f"warning: {text}")
    return found


def _refuse_noise(runs: Sequence[Run]) -> None:
    """Keep what was quiet of noisy runs, and refuse them; measuring the rest again is the remedy."""
    found = []
    for run in runs:
        readings, most = _ordered(run), run.settings.max_spread
        if noisy := spread_warnings(readings, most):
            found.append(f"{run.settings.name}: {len(noisy)} noisy points")
            quiet = [visits for visits in run.visits if not spread_warnings([settled(visits)], most)]
            run.journal.keep([visit for visits in quiet for visit in visits])
    if found:
        raise CalibrationError(
            f"{', '.join(found)}, {'profile' if len(runs) == 1 else 'profiles'} not written: let the host become "
            "quiet, or give a larger --max-spread, or --force"
        )
