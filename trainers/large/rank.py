"""All layouts of a run that fit, fastest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from trainers.large.architecture import Architecture
from trainers.large.efficiency import ASSUMED, Efficiency
from trainers.large.layout import RECOMPUTATIONS, TrainingLayout, layout_problems
from trainers.large.links import Cluster
from trainers.large.predict import Prediction, cluster_problems, predict

__all__ = ["layouts", "ranked"]

_MICRO_BATCHES = (1, 2, 4, 8)
_INTERLEAVINGS = (1, 2, 3, 4, 6, 8)


def layouts(shape: Architecture, given: TrainingLayout, cluster: Cluster) -> Iterator[TrainingLayout]:
    """Yield the layouts that divide the model and its batch, in a fixed order.

    Devices, batch, precision, ZeRO stage, overlap and the kind of attention are as given; the rest is tried.
    """
    tensors = [t for t in range(1, cluster.server_devices + 1) if cluster.server_devices % t == 0]
    pipelines = [p for p in range(1, shape.layers + 1) if shape.layers % p == 0]
    for tensor, pipeline, micro, chunks, again in product(
        tensors, pipelines, _MICRO_BATCHES, _INTERLEAVINGS, RECOMPUTATIONS
    ):
        layout = replace(
            given, tensor=tensor, pipeline=pipeline, micro_batch=micro, interleaving=chunks,
            recomputation=again, sequence_parallel=tensor > 1,
        )  # fmt: skip
        if not layout_problems(shape, layout):
            yield layout


def ranked(
    shape: Architecture, given: TrainingLayout, cluster: Cluster, efficiency: Efficiency = ASSUMED
) -> list[Prediction]:
    """Return the predictions of all layouts that fit, by step time."""
    fitting = (
        layout for layout in layouts(shape, given, cluster) if not cluster_problems(shape, layout, cluster)
    )
    found = [predict(shape, layout, cluster, efficiency) for layout in fitting]
    return sorted(found, key=lambda prediction: prediction.step_time_s)
