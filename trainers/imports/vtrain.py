"""vTrain's table of measured iterations of Megatron-DeepSpeed on one server with eight A100 (Bang et al., MICRO 2024)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dcsim.workload.profile import MeasuredPoint, Mode
from dcsim.workload.readers.rows import Field, Rows, read_csv_rows
from trainers.imports.sources import ImportedModel, Source, file_sha256, point, profile_name, refusal

__all__ = ["VTRAIN_FIELDS", "read_vtrain_models"]

_WIDE = 2.0**31
VTRAIN_FIELDS = (
    Field("# GPUs", "whole", "", "devices", low=1, high=1e6),
    Field("global batch", "whole", "", "samples a step in all", low=1, high=_WIDE),
    Field("micro batch", "whole", "", "samples at once", low=1, high=_WIDE),
    Field("hidden size", "whole", "", "width of the model", low=1, high=1e6),
    Field("attention heads", "whole", "", "of each layer", low=1, high=1e6),
    Field("# layers", "whole", "", "of the model", low=1, high=1e6),
    Field("sequence length", "whole", "", "tokens in a sample", low=1, high=1e9),
    Field("tensor parallelism", "whole", "", "degree", low=1, high=1e6),
    Field("data parallelism", "whole", "", "degree", low=1, high=1e6),
    Field("pipeline parallelism", "whole", "", "degree", low=1, high=1e6),
    Field("iteration time (ms)", "number", "ms", "of a step", low_open=True, high=1e9),
)
_TITLE = (
    "Bang et al., vTrain: A Simulation Framework for Evaluating Cost-Effective and Compute-Optimal Large Language Model "
    "Training (MICRO 2024); one server with eight A100"
)
_DEGREES = ("tensor parallelism", "data parallelism", "pipeline parallelism")
_ARCHITECTURE = ("hidden size", "attention heads", "# layers", "sequence length")
_MODES: tuple[Mode, ...] = ("tensor", "jit", "pipeline")


def read_vtrain_models(path: Path, *, device: str = "A100-80") -> tuple[Source, list[ImportedModel]]:
    """Return what the table says, by architecture.

    Points are rows in which one kind of parallelism alone is used, for a profile has no others; of several
    micro-batches of one configuration the fastest is taken. The batch per device is the global one over all devices,
    however they share it.

    Args:
        path: The CSV file.
        device: Catalogue name of what was measured on.

    Raises:
        InputError: Not such a table, with every malformed row by line.
    """
    rows = read_csv_rows(path, VTRAIN_FIELDS)
    _flag_rows(rows)
    rows.kept("refuse")
    numbers = rows.numbers
    keys = np.stack([numbers[name] for name in _ARCHITECTURE], axis=1).astype(int)
    models = []
    for architecture in dict.fromkeys(map(tuple, keys.tolist())):
        mine = np.flatnonzero((keys == architecture).all(axis=1))
        models.append(_model(rows, mine.tolist(), architecture, device))
    models = [model for model in models if model.points]
    if not models:
        raise refusal(path, "no row of one kind of parallelism alone", "at least one")
    source = Source(
        _TITLE,
        "MIT style (VIA-Research/vTrain)",
        {path.name: file_sha256(path)},
        f"python -m trainers import vtrain {path.name}",
    )
    return source, models


def _flag_rows(rows: Rows) -> None:
    """Flag degrees that do not multiply to the devices, and configurations that are there twice."""
    numbers = rows.numbers
    product = np.prod([numbers[name] for name in _DEGREES], axis=0)
    rows.flag(product != numbers["# GPUs"], "# GPUs", "the product of the degrees of parallelism")
    seen: dict[tuple[float, ...], int] = {}
    names = [field.name for field in VTRAIN_FIELDS[:-1]]
    twice = np.zeros(len(rows), dtype=bool)
    for row, key in enumerate(zip(*(numbers[name].tolist() for name in names), strict=True)):
        twice[row] = seen.setdefault(key, row) != row
    rows.flag(twice, "iteration time (ms)", "each configuration once")


def _model(rows: Rows, mine: list[int], architecture: tuple[int, ...], device: str) -> ImportedModel:
    numbers = rows.numbers
    fastest: dict[tuple[int, int, Mode], float] = {}
    mixed, uneven, slower = 0, 0, 0
    for row in mine:
        devices = int(numbers["# GPUs"][row])
        batch, rest = divmod(int(numbers["global batch"][row]), devices)
        shared = [mode for mode, name in zip(_MODES, _DEGREES, strict=True) if numbers[name][row] > 1]
        if len(shared) > 1:
            mixed += 1
        elif rest or not batch:
            uneven += 1
        else:
            key = (devices, batch, shared[0] if shared else "jit")
            slower += key in fastest
            fastest[key] = min(fastest.get(key, np.inf), float(numbers["iteration time (ms)"][row]) / 1e3)
    points: list[MeasuredPoint] = [
        point(devices, batch, step_s, mode=mode)
        for (devices, batch, mode), step_s in sorted(fastest.items(), key=lambda entry: entry[0])
    ]
    hidden, heads, layers, sequence = architecture
    left_out = (
        f"left out of the file: {mixed} rows of several kinds of parallelism, {uneven} whose batch does not "
        f"divide, {slower} slower micro-batches of the same configuration"
    )
    return ImportedModel(
        name=profile_name("vtrain", f"h{hidden}-a{heads}-l{layers}-s{sequence}", device),
        description=f"decoder of {layers} layers, width {hidden}, {heads} heads, {sequence} tokens; samples per GPU of all",
        device=device,
        points=tuple(points),
        notes=(left_out, f"the source says A100, not how much memory it has: taken for {device} (--device)"),
        optimizer="adam",
        precision="fp16",
    )
