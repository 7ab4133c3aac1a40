"""Readers of Pollux's workloads and tables of measured step times (Qiao et al., OSDI 2021)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dcsim.errors import Problem, TraceError
from dcsim.spec.names import nearest
from dcsim.workload.jobs import JobTable, job_table
from dcsim.workload.rate_table import MeasuredRate, MeasuredShape, RateProvenance, RateTable
from dcsim.workload.readers.pollux_applications import POLLUX_APPLICATIONS
from dcsim.workload.readers.rows import Field, OnBad, Rows, read_csv_rows

__all__ = ["PLACEMENT_FIELDS", "SCALABILITY_FIELDS", "WORKLOAD_FIELDS", "read_pollux", "read_pollux_rates"]

WORKLOAD_FIELDS = (
    Field("name", "text", "", "becomes the job's name"),
    Field("time", "number", "s", "arrival, as it stands", high=1e10),
    Field("application", "text", "", "kind of job; becomes the profile"),
    Field("num_replicas", "whole", "", "gang width", low=1, high=1e6),
    Field("batch_size", "whole", "", "samples a step in all", low=1, high=2.0**31),
)
_TIMES = (
    Field("local_bsz", "whole", "", "samples a step on each GPU", low=1, high=2.0**31),
    Field("step_time", "number", "s", "of a step", low_open=True, high=1e6),
    Field("sync_time", "number", "s", "of it, exchange of gradients", high=1e6),
)
PLACEMENT_FIELDS = (
    Field("placement", "whole", "", "GPUs on each server, a digit each", low=1, high=1e15),
    *_TIMES,
)
SCALABILITY_FIELDS = (
    Field("num_nodes", "whole", "", "servers", low=1, high=1e6),
    Field("num_replicas", "whole", "", "GPUs", low=1, high=1e6),
    *_TIMES,
)

_SOURCE = (
    "Qiao et al., Pollux: Co-adaptive Cluster Scheduling for Goodput-Optimized Deep Learning (OSDI 2021)"
)
_APPLICATIONS_MAX = 1_000


def read_pollux(path: Path, *, on_bad: OnBad = "refuse") -> JobTable:
    """Return the jobs of a Pollux workload, each with the steps it takes at its batch.

    A job runs all epochs of its application; the steps of an epoch follow from its samples, the batch
    and the gradient noise recorded for it (`PolluxApplication.epoch_steps`). Its profile is its
    application, which a rate table names (`read_pollux_rates`). Gangs may span any number of servers.

    Raises:
        TraceError: With every malformed row by line, unless `on_bad` is skip.
    """
    rows = read_csv_rows(path, WORKLOAD_FIELDS)
    rows.flag_repeated("name")
    _flag_applications(rows)
    kept = rows.kept(on_bad)
    pick = kept.tolist()
    widths = rows.numbers["num_replicas"][kept].astype(np.int64)
    batches = rows.numbers["batch_size"][kept].astype(np.int64)
    names = [rows.texts["application"][row] for row in pick]
    known = [POLLUX_APPLICATIONS[name] for name in names]
    steps = [
        float(application.epoch_steps(application.samples_per_step(batch, width)).sum())
        for application, batch, width in zip(known, batches.tolist(), widths.tolist(), strict=True)
    ]
    return job_table(
        job_id=[rows.texts["name"][row] for row in pick],
        submit_s=rows.numbers["time"][kept],
        accelerators=widths,
        steps=steps,
        profile=names,
        batch_per_accelerator=-(-batches // widths),
        noise_scale_samples=[application.noise_scale_samples for application in known],
        notes=rows.skipped(),
    )


def read_pollux_rates(folder: Path, *, accelerator: str = "T4") -> RateTable:
    """Return the step times of a folder with a folder for each application.

    Each holds `placements.csv` (step times by GPUs on each server) and may hold `scalability.csv` (by
    numbers of servers and GPUs).

    Args:
        folder: Of the applications, or of one.
        accelerator: What they were measured on; the paper's are T4s, four a server.

    Raises:
        TraceError: No placements.csv, or every malformed row of all files.
    """
    if not folder.is_dir():
        hint = "give the folder that holds a folder for each application"
        raise TraceError([Problem(str(folder), None, "", "no folder", "a folder", hint)])
    one = [folder] if (folder / "placements.csv").is_file() else []
    folders = one or sorted(path.parent for path in folder.glob("*/placements.csv"))[:_APPLICATIONS_MAX]
    if not folders:
        raise TraceError([Problem(str(folder), None, "", "no */placements.csv", "at least one")])
    problems: list[Problem] = []
    rates: list[MeasuredRate] = []
    shapes: list[MeasuredShape] = []
    digests: dict[str, str] = {}
    for place in folders:
        try:
            rates += _placements(place, accelerator)
            if (place / "scalability.csv").is_file():
                shapes += _scalability(place, accelerator)
        except TraceError as error:
            problems += error.problems
        for name in ("placements.csv", "scalability.csv"):
            if (place / name).is_file():
                digest = hashlib.sha256((place / name).read_bytes()).hexdigest()
                digests[f"{place.name}/{name}"] = digest
    if problems:
        raise TraceError(problems)
    kinds = {rate.kind: None for rate in rates}
    return RateTable(
        provenance=RateProvenance(
            source=_SOURCE,
            measured_on=f"{accelerator} GPUs, four a server, as published with the paper's artifact",
            licence="Apache-2.0 (petuum/adaptdl)",
            files_sha256=digests,
        ),
        kinds={name: POLLUX_APPLICATIONS[name].facts for name in kinds if name in POLLUX_APPLICATIONS},
        rates=tuple(rates),
        shapes=tuple(shapes),
    )


def _flag_applications(rows: Rows) -> None:
    """Flag applications of which no work is known."""
    known = ", ".join(POLLUX_APPLICATIONS)
    for row, name in enumerate(rows.texts["application"]):
        if name not in POLLUX_APPLICATIONS:
            hint = nearest(name, POLLUX_APPLICATIONS)
            rows.refuse(row, "application", repr(name), f"one of {known}", hint)


def _sound(path: Path, fields: tuple[Field, ...]) -> Rows:
    """Return the rows of a table of step times, or raise TraceError with what is wrong."""
    rows = read_csv_rows(path, fields)
    too_long = rows.numbers["sync_time"] > rows.numbers["step_time"]
    rows.flag(too_long, "sync_time", "at most step_time")
    rows.kept("refuse")
    return rows


def _placements(folder: Path, accelerator: str) -> Iterator[MeasuredRate]:
    """Yield the measurements of placements.csv."""
    rows = _sound(folder / "placements.csv", PLACEMENT_FIELDS)
    numbers = rows.numbers
    layouts = [tuple(map(int, f"{place:.0f}")) for place in numbers["placement"]]
    rows.flag(np.array([0 in layout for layout in layouts], dtype=bool), "placement", "digits from 1 to 9")
    rows.kept("refuse")
    for row, layout in enumerate(layouts):
        yield MeasuredRate(
            kind=folder.name,
            accelerator=accelerator,
            layout=layout,
            batch=int(numbers["local_bsz"][row]),
            step_s=float(numbers["step_time"][row]),
            sync_s=float(numbers["sync_time"][row]),
        )


def _scalability(folder: Path, accelerator: str) -> Iterator[MeasuredShape]:
    """Yield the measurements of scalability.csv."""
    rows = _sound(folder / "scalability.csv", SCALABILITY_FIELDS)
    numbers = rows.numbers
    rows.flag(numbers["num_replicas"] < numbers["num_nodes"], "num_replicas", "at least one GPU a server")
    rows.kept("refuse")
    for row in range(len(rows)):
        yield MeasuredShape(
            kind=folder.name,
            accelerator=accelerator,
            servers=int(numbers["num_nodes"][row]),
            accelerators=int(numbers["num_replicas"][row]),
            batch=int(numbers["local_bsz"][row]),
            step_s=float(numbers["step_time"][row]),
            sync_s=float(numbers["sync_time"][row]),
        )
