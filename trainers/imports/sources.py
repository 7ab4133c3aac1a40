"""What a source is, and what it says of one model on one device."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dcsim.errors import Problem, ProfileError
from dcsim.workload.profile import EnergyMeasurement, MeasuredPoint, Mode, OperatorCost
from dcsim.workload.readers.accelerator_names import catalogue_names, clean_name
from dcsim.workload.readers.bounded import read_bounded

__all__ = [
    "TEXT_BYTES_MAX",
    "ImportedModel",
    "Source",
    "catalogue_device",
    "content_of",
    "file_sha256",
    "point",
    "profile_name",
    "refusal",
]

TEXT_BYTES_MAX = 256 * 2**20
"""Of one file, unpacked; more is refused [B]."""

NO_ENERGY = EnergyMeasurement(energy_per_step_j=None, method="not measured: the source does not say")


@dataclass(frozen=True, slots=True)
class Source:
    """Where measurements come from."""

    title: str
    """Publication or data set."""
    licence: str
    files_sha256: Mapping[str, str]
    """SHA-256 by file name."""
    command: str
    """What imports it again, without folders."""


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """What a source says of one model on one device; what it does not say is None."""

    name: str
    """Of the profile, and of its file."""
    description: str
    device: str
    """Catalogue name."""
    points: tuple[MeasuredPoint, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know before trusting the numbers."""
    parameters: int | None = None
    optimizer: str = "not known"
    precision: str = "fp32"
    energy: EnergyMeasurement = NO_ENERGY
    operators: tuple[OperatorCost, ...] = ()
    flops_per_sample: float | None = None
    bytes_accessed_per_sample: float | None = None


def point(
    devices: int,
    batch_per_device: int,
    step_time_s: float,
    *,
    mode: Mode = "jit",
    steps: int | None = None,
    low_s: float | None = None,
    high_s: float | None = None,
) -> MeasuredPoint:
    """Return a measured point of which a table tells no more than this.

    Args:
        devices: Of the whole gang, >= 1.
        batch_per_device: Samples a step on each device, >= 1.
        step_time_s: Median, or the one that was published, > 0 [s].
        mode: How the devices share a step; `jit` stands for copies with averaged gradients.
        steps: Timed steps; None: not said.
        low_s: 10th percentile [s].
        high_s: 90th percentile [s].
    """
    return MeasuredPoint(
        devices=devices,
        batch_per_device=batch_per_device,
        mode=mode,
        steps=steps,
        step_time_s=step_time_s,
        step_time_low_s=low_s,
        step_time_high_s=high_s,
        cpu_time_per_step_s=None,
        split_half_spread=None,
        compile_time_s=None,
        flops_per_device=None,
        bytes_accessed_per_device=None,
        temporary_bytes=None,
        argument_bytes=None,
    )


def content_of(path: Path) -> bytes:
    """Return the bytes of a file, unpacked where it is gzip, at most `TEXT_BYTES_MAX` of them.

    Raises:
        TraceError: Unreadable, too large, or broken gzip.
    """
    return read_bounded(path, bytes_max=TEXT_BYTES_MAX)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as it lies on the disk, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def catalogue_device(label: str, given: str | None, path: Path, line: int | None = None) -> tuple[str, str]:
    """Return (catalogue name of a device, what had to be assumed in words, else "").

    Args:
        label: What the source calls it; "": the source does not say.
        given: What the user says; goes before the label.
        path: Only shown.
        line: Only shown.

    Raises:
        ProfileError: Neither names a device of the catalogue.

    >>> catalogue_device("v100", None, Path("table.json"))
    ('V100', "'v100' may be V100 or V100M16 or V100M32: taken for V100 (--device)")
    """
    if given:
        # A name of the user's own is fine: a scenario may define it.
        own = f"{given!r} is in no catalogue: a scenario has to define it under `accelerators`"
        return given, "" if given in catalogue_names(given) else own
    names = catalogue_names(label)
    if not names:
        got = repr(label) if label else "no device"
        hint = "say --device NAME; a scenario may define names of its own under `accelerators`"
        raise refusal(path, got, "a device of the hardware catalogue", hint, line=line)
    if len(names) > 1:
        return names[0], f"{label!r} may be {' or '.join(names)}: taken for {names[0]} (--device)"
    return names[0], ""


def profile_name(*parts: str) -> str:
    """Return a name for a profile and its file.

    >>> profile_name("gavel", "ResNet-50", "V100")
    'gavel-resnet-50-v100'
    """
    return clean_name("-".join(part for part in parts if part).lower())


def refusal(path: Path, got: str, expected: str, hint: str = "", *, line: int | None = None) -> ProfileError:
    """Return the error of one thing that is wrong with a file."""
    return ProfileError([Problem(str(path), line, "", got, expected, hint)])
