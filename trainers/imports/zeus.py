"""Zeus's tables of epochs: step time and power, for each workload and GPU type (You et al., NSDI 2023)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from dcsim.workload.profile import EnergyMeasurement
from dcsim.workload.readers.rows import Field, Rows, parsed_field, read_csv_rows
from trainers.imports.sources import (
    ImportedModel,
    Source,
    catalogue_device,
    file_sha256,
    point,
    profile_name,
    refusal,
)

__all__ = ["POWER_FIELDS", "SAMPLES_PER_EPOCH", "TRAIN_FIELDS", "KnownSamples", "read_zeus_models"]


@dataclass(frozen=True, slots=True)
class KnownSamples:
    """How many samples an epoch over a data set has, and who says so."""

    count: int
    source: str


SAMPLES_PER_EPOCH: Mapping[str, KnownSamples] = {
    "cifar100": KnownSamples(50_000, "Krizhevsky 2009, training images"),
    "imagenet": KnownSamples(1_281_167, "Russakovsky et al. 2015, training images of ILSVRC 2012"),
    "movielens-1m": KnownSamples(
        4_970_845,
        "1,000,209 ratings less one of each of 6,040 users, each with four negatives (He et al. 2017)",
    ),
    "squad": KnownSamples(87_599, "Rajpurkar et al. 2016, training questions of version 1.1"),
}
"""By data set; of librispeech and sentiment140 the tables do not say which part was used."""

_KEYS = (
    Field("dataset", "text", "", "data set"),
    Field("network", "text", "", "model"),
    Field("batch_size", "whole", "", "samples a step", low=1, high=2.0**31),
    Field("optimizer", "text", "", "update rule"),
)
POWER_FIELDS = (
    *_KEYS,
    Field("power_limit", "number", "W", "limit on the draw", low_open=True, high=1e5),
    Field("time_per_epoch", "number", "s", "of an epoch", low_open=True, high=1e9),
    Field("average_power", "number", "W", "mean draw", low_open=True, high=1e5),
)
TRAIN_FIELDS = (
    *_KEYS,
    Field("learning_rate", "text", "", "not used"),
    Field("run", "whole", "", "repeat", low=0, high=1e9),
    Field("target_metric", "number", "", "what the model must reach", low=-1e9, high=1e9),
    Field("target_epoch", "text", "", "epochs until it does; nan: never"),
)
_EPOCH = Field("target_epoch", "whole", "", "epochs", low=1, high=1e9)
_TITLE = "You et al., Zeus: Understanding and Optimizing GPU Energy Consumption of DNN Training (NSDI 2023)"
_IN_NAME = re.compile(r"(?:^|[^a-z0-9])(a40|v100|p100|rtx6000|a100|t4)(?:[^a-z0-9]|\Z)")

Workload = tuple[str, str, str]
"""Data set, network, optimizer."""


def read_zeus_models(
    path: Path,
    *,
    device: str | None = None,
    samples_per_epoch: Mapping[str, int] | None = None,
    train: Path | None = None,
) -> tuple[Source, list[ImportedModel]]:
    """Return what a summary_power table says, by workload: steps of one GPU at its highest power limit.

    A step takes the time of an epoch over its number of steps, the last of which may be a smaller one. The power is
    that of the largest batch.

    Args:
        path: summary_power_GPU.csv.
        device: Catalogue name of the GPU; None: told by the file's name.
        samples_per_epoch: By data set, before `SAMPLES_PER_EPOCH`.
        train: summary_train.csv: epochs that each batch takes to the highest target that it reaches, for the notes.

    Raises:
        InputError: Not such a table, with every malformed row by line; no data set whose samples are known.
    """
    rows = _sound(path, POWER_FIELDS, ("power_limit",))
    found = _IN_NAME.search(path.name.lower())
    name, assumed = catalogue_device(found[1] if found else "", device, path)
    epochs = _epochs_to_target(train) if train else {}
    unknown: dict[str, None] = {}
    models = []
    for workload, mine in _by_workload(rows).items():
        samples, told_by = _samples(workload[0], samples_per_epoch or {})
        if not samples:
            unknown[workload[0]] = None
            continue
        notes = [f"{samples:,} samples an epoch ({told_by})", *filter(None, [assumed, epochs.get(workload)])]
        models.append(_model(rows, mine, workload, name, samples, notes))
    names = ", ".join(unknown)
    if not models:
        raise refusal(
            path, f"samples of {names} not known", "how many an epoch has", "say --samples-per-epoch NAME=N"
        )
    files = {each.name: file_sha256(each) for each in (path, train) if each}
    options = "".join(f" --samples-per-epoch {key}={n}" for key, n in (samples_per_epoch or {}).items())
    title = _TITLE + (
        f"; not imported, for their samples are not known (--samples-per-epoch): {names}" if names else ""
    )
    command = f"python -m trainers import zeus {path.name}{options}" + (
        f" --train {train.name}" if train else ""
    )
    return Source(title, "Apache-2.0 (ml-energy/zeus)", files, command), models


def _sound(path: Path, fields: tuple[Field, ...], more: tuple[str, ...]) -> Rows:
    """Return the rows of a table, or raise with every malformed row and every configuration that is there twice."""
    rows = read_csv_rows(path, fields)
    seen: dict[tuple[object, ...], int] = {}
    columns = [
        rows.texts[name] if name in rows.texts else rows.numbers[name].tolist()
        for name in ("dataset", "network", "batch_size", "optimizer", *more)
    ]
    twice = np.zeros(len(rows), dtype=bool)
    for row, key in enumerate(zip(*columns, strict=True)):
        twice[row] = seen.setdefault(key, row) != row
    rows.flag(twice, more[-1], "each configuration once")
    rows.kept("refuse")
    return rows


def _by_workload(rows: Rows) -> dict[Workload, list[int]]:
    """Return the rows at the highest power limit of each workload."""
    workloads: dict[Workload, list[int]] = {}
    texts = (rows.texts[name] for name in ("dataset", "network", "optimizer"))
    for row, workload in enumerate(zip(*texts, strict=True)):
        workloads.setdefault(workload, []).append(row)
    limits = rows.numbers["power_limit"]
    return {
        workload: [row for row in mine if limits[row] == max(limits[other] for other in mine)]
        for workload, mine in workloads.items()
    }


def _samples(dataset: str, given: Mapping[str, int]) -> tuple[int, str]:
    """Return (samples of an epoch, who says so); 0: nobody does."""
    if dataset in given:
        return given[dataset], "given by option"
    known = SAMPLES_PER_EPOCH.get(dataset)
    return (known.count, known.source) if known else (0, "")


def _model(
    rows: Rows, mine: list[int], workload: Workload, device: str, samples: int, notes: list[str]
) -> ImportedModel:
    dataset, network, optimizer = workload
    numbers = rows.numbers
    points, draws = [], {}
    for row in mine:
        batch = int(numbers["batch_size"][row])
        step_s = float(numbers["time_per_epoch"][row]) / math.ceil(samples / batch)
        points.append(point(1, batch, step_s))
        draws[batch] = (float(numbers["average_power"][row]), step_s)
    power_w, step_s = draws[max(draws)]
    limit_w = float(numbers["power_limit"][mine[0]])
    return ImportedModel(
        name=profile_name("zeus", network, dataset, optimizer, device),
        description=f"{network} on {dataset} as Zeus measured it on one GPU, limit {limit_w:g} W, input included",
        device=device,
        points=tuple(sorted(points, key=lambda each: each.batch_per_device)),
        notes=(*notes, f"lower power limits of the file are left out; power is that of batch {max(draws)}"),
        optimizer=optimizer,
        energy=EnergyMeasurement(
            energy_per_step_j=power_w * step_s,
            method=f"NVML mean power at a limit of {limit_w:g} W, as published",
            power_w=power_w,
        ),
    )


def _epochs_to_target(path: Path) -> dict[Workload, str]:
    """Return in words how many epochs each batch of a workload takes to the highest target that it reaches."""
    rows = read_csv_rows(path, TRAIN_FIELDS)
    epochs = [
        math.nan if text == "nan" else parsed_field(_EPOCH, text) for text in rows.texts["target_epoch"]
    ]
    rows.flag(
        np.array([epoch is None for epoch in epochs], dtype=bool),
        "target_epoch",
        f"{_EPOCH.expected}, or nan",
    )
    rows.kept("refuse")
    reached: dict[Workload, dict[int, dict[float, list[float]]]] = {}
    for row, epoch in enumerate(epochs):
        if isinstance(epoch, float) and not math.isnan(epoch):
            workload = (rows.texts["dataset"][row], rows.texts["network"][row], rows.texts["optimizer"][row])
            batch = int(rows.numbers["batch_size"][row])
            target = float(rows.numbers["target_metric"][row])
            reached.setdefault(workload, {}).setdefault(batch, {}).setdefault(target, []).append(epoch)
    return {
        workload: "median epochs to the highest target reached: "
        + ", ".join(
            f"batch {batch} {median(targets[max(targets)]):g} to {max(targets):g}"
            for batch, targets in sorted(batches.items())
        )
        for workload, batches in reached.items()
    }
