"""Published steps of large language models, as runs that can be predicted."""

from __future__ import annotations

from typing import NamedTuple

from trainers.imports.published_steps import DGX_A100
from trainers.imports.published_steps import read_megatron_steps as read_megatron
from trainers.imports.published_steps import read_vtrain_steps as read_vtrain
from trainers.large.architecture import Architecture
from trainers.large.layout import TrainingLayout

__all__ = ["DGX_A100", "NARAYANAN", "PublishedRate", "read_megatron", "read_vtrain", "weak_scaling_run"]


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
