"""Profiles of what a source says: checked all together, then written; nothing is filled in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcsim.errors import Problem, ProfileError
from dcsim.workload.profile import CollectiveTraffic, CostProfile, Mode, Provenance, StepTimeFit
from dcsim.workload.profile_store import profile_problems, save_profile
from trainers.fit import Sample, fit_step_time, relative_errors
from trainers.imports.knots import measured_surface
from trainers.imports.sources import ImportedModel, Source

__all__ = ["imported_profile", "save_profiles"]

NOT_KNOWN = "not known"
_BUCKET_BYTES = 25 * 2**20
"""PyTorch's data parallelism sends gradients in buckets of this size (Li et al. 2020, doi:10.14778/3415478.3415530)."""


def imported_profile(model: ImportedModel, source: Source) -> CostProfile:
    """Return the profile of a model; equal sources give equal profiles.

    The fit and the surface go through all points of one mode, that of copies with averaged gradients if there are
    two such points, else the one with most. Where the number of parameters is known, gradients are 4 bytes each.

    Raises:
        ProfileError: No points, or points that contradict each other.
    """
    if not model.points:
        raise ProfileError([Problem(model.name, None, "points", "none", "at least one measured point")])
    mode = _fitted_mode(model)
    samples = [Sample(p.devices, p.batch_per_device, p.step_time_s) for p in model.points if p.mode == mode]
    gradient_bytes = 4.0 * model.parameters if model.parameters else 0.0
    profile = CostProfile(
        name=model.name,
        description=model.description,
        origin="imported",
        device=model.device,
        precision=model.precision,
        parameters=model.parameters,
        optimizer=model.optimizer,
        flops_per_sample=model.flops_per_sample,
        bytes_accessed_per_sample=model.bytes_accessed_per_sample,
        input_bytes_per_sample=0.0,
        checkpoint_bytes=0.0,
        dataset_bytes=0.0,
        memory_bytes_per_device=0.0,
        collectives=CollectiveTraffic(
            all_reduce_bytes=gradient_bytes, all_reduce_count=int(-(-gradient_bytes // _BUCKET_BYTES))
        ),
        points=model.points,
        fit=_fit(samples, mode),
        surface=measured_surface(samples, mode),
        energy=model.energy,
        operators=model.operators,
        provenance=_provenance(model, source),
    )
    problems = profile_problems(profile, model.name)
    if problems:
        raise ProfileError(problems)
    return profile


def save_profiles(profiles: Sequence[CostProfile], out: Path) -> list[Path]:
    """Write each profile to `out`/NAME.json, whole or not at all, and return the paths; none where one is unsound.

    Raises:
        ProfileError: Two of one name, a profile that contradicts itself, or a folder that takes no files.
    """
    counts = Counter(profile.name for profile in profiles)
    problems = [
        Problem(str(out), None, name, f"{count} models of that name", "a name for each (--model)")
        for name, count in counts.items()
        if count > 1
    ]
    for profile in profiles:
        problems += profile_problems(profile, profile.name)
    if problems:
        raise ProfileError(problems)
    paths = [out / f"{profile.name}.json" for profile in profiles]
    try:
        for profile, path in zip(profiles, paths, strict=True):
            save_profile(profile, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ProfileError([Problem(str(out), None, "", reason, "a folder that takes files")]) from None
    return paths


def _fitted_mode(model: ImportedModel) -> Mode:
    """Return the mode whose points are fitted."""
    counts = Counter(point.mode for point in model.points)
    return "jit" if counts["jit"] > 1 else max(counts, key=lambda mode: counts[mode])


def _fit(samples: Sequence[Sample], mode: Mode) -> StepTimeFit:
    coefficients = fit_step_time(samples)
    residuals = relative_errors(coefficients, samples)
    return StepTimeFit(
        **coefficients._asdict(),
        mode=mode,
        devices_min=min(sample.devices for sample in samples),
        devices_max=max(sample.devices for sample in samples),
        batch_per_device_min=min(sample.batch_per_device for sample in samples),
        batch_per_device_max=max(sample.batch_per_device for sample in samples),
        residual_relative=float(np.sqrt(np.mean(np.square(residuals)))),
        held_out_error_relative=None,
    )


def _provenance(model: ImportedModel, source: Source) -> Provenance:
    """Return where the figures come from; the time of importing is left out, so that equal files give equal bytes."""
    files = ", ".join(f"{name} sha256 {digest}" for name, digest in source.files_sha256.items())
    warnings = ["imported, not measured by the trainers: host, software and load are not known"]
    if not model.parameters:
        warnings.append(
            "bytes of gradients are not known and count as 0: what servers exchange costs nothing"
        )
    warnings.append("bytes of input, checkpoints, data set and memory are not known and count as 0")
    return Provenance(
        created_utc=NOT_KNOWN,
        host_cpu=NOT_KNOWN,
        host_cores=0,
        operating_system=NOT_KNOWN,
        python_version=NOT_KNOWN,
        packages={},
        backend="cpu" if model.device == "cpu-core" else "tpu" if model.device.startswith("TPU") else "gpu",
        load_average_start=0.0,
        load_average_end=0.0,
        seed=0,
        command=source.command,
        dataset=f"{source.title}; licence {source.licence}; {files}",
        import_time_s=0.0,
        warnings=(*warnings, *model.notes),
    )
