"""Published steps of large language models, as runs that can be predicted."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from dcsim.facility.hardware import CATALOGUE
from trainers.large.architecture import Architecture
from trainers.large.architectures import architecture
from trainers.large.fit import MeasuredStep
from trainers.large.layout import TrainingLayout
from trainers.large.links import Cluster

__all__ = ["DGX_A100", "NARAYANAN", "PublishedRate", "read_megatron", "read_vtrain", "weak_scaling_run"]

DGX_A100 = Cluster(CATALOGUE["A100-80"])
"""Eight A100 of 80 GB on NVLink, eight ports of 200 Gbit/s: a node of Selene, and that of vTrain."""


class PublishedRate(NamedTuple):
    """A row of table 1 of Narayanan et al. 2021: whole layers computed again, 2,048 tokens, vocabulary 51,200."""

    billions: float
    heads: int
    layers: int
    hidden: int
    tensor: int
    pipeline: int
    devices: int
    batch: int
    tflop_per_s: float
    """Of one device, recomputation counted."""


NARAYANAN = tuple(
    PublishedRate(*row)
    for row in (
        (1.7, 24, 24, 2304, 1, 1, 32, 512, 137.0),
        (3.6, 32, 30, 3072, 2, 1, 64, 512, 138.0),
        (7.5, 32, 36, 4096, 4, 1, 128, 512, 142.0),
        (18.4, 48, 40, 6144, 8, 1, 256, 1024, 135.0),
        (39.1, 64, 48, 8192, 8, 2, 512, 1536, 138.0),
        (76.1, 80, 60, 10240, 8, 4, 1024, 1792, 140.0),
        (145.6, 96, 80, 12288, 8, 8, 1536, 2304, 148.0),
        (310.1, 128, 96, 16384, 8, 16, 1920, 2160, 155.0),
        (529.6, 128, 105, 20480, 8, 35, 2520, 2520, 163.0),
        (1008.0, 160, 128, 25600, 8, 64, 3072, 3072, 163.0),
    )
)


def weak_scaling_run(row: PublishedRate, micro_batch: int) -> tuple[Architecture, TrainingLayout]:
    """Return a row of the table with a micro-batch, which it does not say; 16-bit, 1F1B."""
    shape = Architecture("megatron", row.layers, row.hidden, row.heads, 2048, 51200)
    layout = TrainingLayout(
        devices=row.devices, global_batch=row.batch, tensor=row.tensor, pipeline=row.pipeline,
        micro_batch=micro_batch, recomputation="full", precision="fp16",
    )  # fmt: skip
    return shape, layout


def read_vtrain(path: Path) -> list[MeasuredStep]:
    """Return the steps that vTrain's authors measured with Megatron-DeepSpeed on one node of eight A100.

    GPT-2's vocabulary of 50,257 is padded to a multiple of 128 x tensor, as Megatron does; nothing is computed again.
    """
    steps = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            value = {name: float(text) for name, text in row.items()}
            tensor = int(value["tensor parallelism"])
            multiple = 128 * tensor
            shape = Architecture(
                "vtrain",
                layers=int(value["# layers"]),
                hidden=int(value["hidden size"]),
                heads=int(value["attention heads"]),
                sequence=int(value["sequence length"]),
                vocabulary=-(-50257 // multiple) * multiple,
            )
            layout = TrainingLayout(
                devices=int(value["# GPUs"]),
                global_batch=int(value["global batch"]),
                micro_batch=int(value["micro batch"]),
                tensor=tensor,
                pipeline=int(value["pipeline parallelism"]),
                precision="fp16",
            )
            steps.append(MeasuredStep(shape, layout, value["iteration time (ms)"] / 1e3))
    return steps


def read_megatron(path: Path) -> list[MeasuredStep]:
    """Return the published steps of Megatron-LM on Selene (Korthikanti et al. 2022, table 5)."""
    steps = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            shape = architecture(row["model"].lower())
            layout = TrainingLayout(
                devices=int(row["gpus"]),
                global_batch=int(row["global_batch"]),
                micro_batch=int(row["micro_batch"]),
                tensor=int(row["tensor_parallel"]),
                pipeline=int(row["pipeline_parallel"]),
                interleaving=int(row["pipeline_interleave"]),
                sequence_parallel=row["sequence_parallel"] == "1",
                recomputation="full" if row["activation_recompute"] == "full" else "selective",
                precision="fp16",
            )
            assert (shape.hidden, shape.layers, shape.heads) == tuple(
                int(row[name]) for name in ("hidden", "layers", "heads")
            )
            steps.append(MeasuredStep(shape, layout, float(row["iteration_s"])))
    return steps
