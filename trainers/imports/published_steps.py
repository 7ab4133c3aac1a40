"""Published steps of large language models, as runs that `trainers.large` can predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dcsim.facility.hardware import CATALOGUE
from dcsim.workload.readers.rows import Field, read_csv_rows
from trainers.imports.vtrain import VTRAIN_FIELDS
from trainers.large.architecture import Architecture
from trainers.large.architectures import architecture
from trainers.large.fit import MeasuredStep
from trainers.large.layout import TrainingLayout
from trainers.large.links import Cluster

__all__ = ["DGX_A100", "read_megatron_steps", "read_vtrain_steps"]

DGX_A100 = Cluster(CATALOGUE["A100-80"])
"""Eight A100 of 80 GB on NVLink, eight ports of 200 Gbit/s: a node of Selene, and that of vTrain."""

_GPT2_VOCABULARY = 50_257
_MEGATRON_FIELDS = (
    Field("model", "text", "", "of the paper"),
    *(
        Field(name, "whole", "", meaning, low=1, high=2.0**31)
        for name, meaning in (
            ("hidden", "width of the model"),
            ("layers", "of the model"),
            ("heads", "of each layer"),
            ("seq_length", "tokens in a sample"),
            ("gpus", "devices"),
            ("global_batch", "sequences a step"),
            ("micro_batch", "sequences at once"),
            ("tensor_parallel", "degree"),
            ("pipeline_parallel", "degree"),
            ("data_parallel", "degree"),
            ("pipeline_interleave", "chunks of layers a stage"),
        )
    ),
    Field("sequence_parallel", "whole", "", "1: with sequence parallelism", high=1),
    Field("activation_recompute", "text", "", "full or selective"),
    Field("iteration_s", "number", "s", "of a step", low_open=True, high=1e9),
)


def read_vtrain_steps(path: Path) -> list[MeasuredStep]:
    """Return the steps that vTrain's authors measured with Megatron-DeepSpeed on one node of eight A100.

    GPT-2's vocabulary of 50,257 is padded to a multiple of 128 x tensor, as Megatron does; nothing is computed again.

    Args:
        path: the CSV file (Bang et al., MICRO 2024).

    Raises:
        InputError: not such a table, with every malformed row by line.
    """
    rows = read_csv_rows(path, VTRAIN_FIELDS)
    rows.kept("refuse")
    steps = []
    for row in range(len(rows)):
        value = {name: float(column[row]) for name, column in rows.numbers.items()}
        tensor = int(value["tensor parallelism"])
        multiple = 128 * tensor
        shape = Architecture(
            "vtrain",
            layers=int(value["# layers"]),
            hidden=int(value["hidden size"]),
            heads=int(value["attention heads"]),
            sequence=int(value["sequence length"]),
            vocabulary=-(-_GPT2_VOCABULARY // multiple) * multiple,
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


def read_megatron_steps(path: Path) -> list[MeasuredStep]:
    """Return the published steps of Megatron-LM on Selene.

    Args:
        path: the CSV file (Korthikanti et al. 2022, arXiv:2205.05198, table 5).

    Raises:
        InputError: not such a table, a model that is none of the built-in ones, or one of another shape.
    """
    rows = read_csv_rows(path, _MEGATRON_FIELDS)
    shapes = [architecture(name.lower()) for name in rows.texts["model"]]
    for column in ("hidden", "layers", "heads", "seq_length"):
        name = column.replace("seq_length", "sequence")
        known = np.array([float(getattr(shape, name)) for shape in shapes])
        rows.flag(rows.numbers[column] != known, column, "that of the model")
    degrees = np.prod([rows.numbers[f"{kind}_parallel"] for kind in ("data", "tensor", "pipeline")], axis=0)
    rows.flag(degrees != rows.numbers["gpus"], "gpus", "the product of the degrees of parallelism")
    rows.kept("refuse")
    steps = []
    for row, shape in enumerate(shapes):
        value = {name: int(column[row]) for name, column in rows.numbers.items()}
        layout = TrainingLayout(
            devices=value["gpus"],
            global_batch=value["global_batch"],
            micro_batch=value["micro_batch"],
            tensor=value["tensor_parallel"],
            pipeline=value["pipeline_parallel"],
            interleaving=value["pipeline_interleave"],
            sequence_parallel=value["sequence_parallel"] == 1,
            recomputation="full" if rows.texts["activation_recompute"][row] == "full" else "selective",
            precision="fp16",
        )
        steps.append(MeasuredStep(shape, layout, float(rows.numbers["iteration_s"][row])))
    return steps
