"""Pollux's tables of measured step times: a profile for each application (Qiao et al., OSDI 2021)."""

from __future__ import annotations

from pathlib import Path

from dcsim.workload.rate_table import MeasuredRate
from dcsim.workload.readers.pollux import read_pollux_rates
from trainers.imports.sources import ImportedModel, Source, point, profile_name

__all__ = ["POLLUX_PARAMETERS", "read_pollux_models"]

POLLUX_PARAMETERS = {
    "bert": 110_000_000,
    "cifar10": 11_170_000,
    "deepspeech2": 41_200_000,
    "imagenet": 25_600_000,
    "ncf": 1_600_000,
    "yolov3": 61_500_000,
}
"""BERT-base: Devlin et al. 2019, section 3. ResNet-18 as changed for CIFAR-10 and the five bidirectional GRU layers of 800
of DeepSpeech2, both counted from their layers. ResNet-50: He et al. 2016, as in torchvision. NeuMF with 32 factors, three layers,
6,040 users and 3,706 items, counted. YOLOv3: Redmon and Farhadi 2018, with 20 classes."""


def read_pollux_models(folder: Path, *, device: str = "T4") -> tuple[Source, list[ImportedModel]]:
    """Return what a folder of Pollux's tables says, by application.

    The points are those on one server; what servers exchange is priced by the simulator from the bytes of the
    gradients. All placements as they were measured: `dcsim trace rates`, which makes a rate table.

    Args:
        folder: With a folder for each application, or of one application.
        device: Catalogue name of what was measured on; the paper's are T4.

    Raises:
        InputError: No such tables, or every malformed row of all files.
    """
    table = read_pollux_rates(folder, accelerator=device)
    rates: dict[str, list[MeasuredRate]] = {}
    spread: dict[str, int] = {}
    for rate in table.rates:
        if len(rate.layout) == 1:
            rates.setdefault(rate.kind, []).append(rate)
        else:
            spread[rate.kind] = spread.get(rate.kind, 0) + 1
    made = table.provenance
    source = Source(
        f"{made.source}; {made.measured_on}",
        made.licence,
        made.files_sha256,
        f"python -m trainers import pollux {folder.name}",
    )
    return source, [_model(name, device, mine, spread.get(name, 0)) for name, mine in rates.items()]


def _model(name: str, device: str, rates: list[MeasuredRate], spread: int) -> ImportedModel:
    points = [point(sum(rate.layout), rate.batch, rate.seconds) for rate in rates]
    return ImportedModel(
        name=profile_name("pollux", name, device),
        description=f"{name} as Pollux measured it on one server; batch per GPU, gradients exchanged each step",
        device=device,
        points=tuple(sorted(points, key=lambda each: (each.devices, each.batch_per_device))),
        notes=(f"left out of the file: {spread} step times of gangs over several servers",),
        parameters=POLLUX_PARAMETERS.get(name),
    )
