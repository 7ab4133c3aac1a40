"""Gavel's tables of measured throughput: a profile for each model and GPU type (Narayanan et al., OSDI 2020)."""

from __future__ import annotations

import re
from pathlib import Path

from dcsim.workload.rate_table import MeasuredRate
from dcsim.workload.readers.gavel import read_gavel_rates
from trainers.imports.sources import ImportedModel, Source, catalogue_device, point, profile_name, refusal

__all__ = ["GAVEL_PARAMETERS", "model_and_batch", "read_gavel_models"]

GAVEL_PARAMETERS = {
    "ResNet-18": 11_170_000,
    "ResNet-50": 25_600_000,
    "Transformer": 47_200_000,
    "LM": 13_990_000,
}
"""Parameters. ResNet-18 as changed for CIFAR-10, counted from its layers; ResNet-50: He et al. 2016, as in torchvision;
Transformer: six layers each of encoder and decoder, width 512, vocabularies of some 3,000 words (Multi30k), counted; LM:
two LSTM layers of 200, a vocabulary of 33,278 (WikiText-2), embedding and output apart, counted."""

_KIND = re.compile(r"(?P<model>.+?) \(batch size (?P<batch>[1-9]\d{0,8})\)\Z", re.ASCII)


def read_gavel_models(path: Path, *, device: str | None = None) -> tuple[Source, list[ImportedModel]]:
    """Return what one of Gavel's JSON tables says, by model and GPU type.

    Throughputs are summed over the workers of a gang, so its step takes scale factor / throughput seconds; the batch in
    the name of a kind is that of one GPU. Gangs on one server are taken: what servers exchange is priced by the
    simulator. Pairs of jobs on one GPU are left out; the rate table of `dcsim trace rates` has them.

    Args:
        path: The table, plain or gzipped.
        device: Catalogue name of the one GPU type to be taken; None: all.

    Raises:
        InputError: Not such a table, with every entry that is wrong, or nothing of that device.
    """
    table = read_gavel_rates(path)
    rates: dict[tuple[str, str], list[MeasuredRate]] = {}
    spread, idle = 0, 0
    for rate in table.rates:
        if len(rate.layout) > 1:
            spread += 1
        elif not rate.rate:
            idle += 1
        else:
            rates.setdefault((model_and_batch(rate.kind)[0], rate.accelerator), []).append(rate)
    left_out = (
        f"left out of the file: {spread} rates of gangs over several servers, {idle} of kinds that did not fit, "
        f"{len(table.pairs)} of pairs that share GPUs"
    )
    models = []
    for (name, label), mine in rates.items():
        known, assumed = catalogue_device(label, None, path)
        if device in (None, known):
            models.append(_model(name, known, mine, [left_out, *filter(None, [assumed])]))
    if not models:
        raise refusal(path, f"no rates of {device}", "a device of the file", "leave --device out to take all")
    made = table.provenance
    title = f"{made.source}; {made.measured_on}"
    source = Source(title, made.licence, made.files_sha256, f"python -m trainers import gavel {path.name}")
    return source, models


def model_and_batch(kind: str) -> tuple[str, int | None]:
    """Return the model and the samples of one GPU that a kind of job names.

    >>> model_and_batch("LM (batch size 80)"), model_and_batch("A3C")
    (('LM', 80), ('A3C', None))
    """
    found = _KIND.match(kind)
    return (found["model"], int(found["batch"])) if found else (kind, None)


def _model(name: str, device: str, rates: list[MeasuredRate], notes: list[str]) -> ImportedModel:
    points, unnamed = [], False
    for rate in rates:
        batch = model_and_batch(rate.kind)[1]
        unnamed |= batch is None
        width = sum(rate.layout)
        points.append(point(width, batch or 1, width * rate.seconds))
    if unnamed:
        notes.append("the source states no batch: one sample stands for one step of one GPU")
    return ImportedModel(
        name=profile_name("gavel", name, device),
        description=f"{name} as Gavel measured it on one server; batch per GPU",
        device=device,
        points=tuple(sorted(points, key=lambda each: (each.devices, each.batch_per_device))),
        notes=tuple(notes),
        parameters=GAVEL_PARAMETERS.get(name),
    )
