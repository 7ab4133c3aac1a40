"""How a gang is laid out over data, tensor, pipeline, context and expert parallelism, and who talks to whom.

Ranks count up through the placement, server by server. In them tensor parallelism is fastest, then context, then expert,
then data, and pipeline stages are slowest, as in Megatron-LM (Narayanan et al. 2021, doi:10.1145/3458817.3476209;
the order "tp-cp-ep-dp-pp" of Megatron Core), with experts spread over devices that would otherwise be data parallel
(GShard, Lepikhin et al. 2021, arXiv:2006.16668; DeepSpeed-MoE, Rajbhandari et al. 2022, arXiv:2201.05596):

    rank = t + T (c + C (e + E (d + D / E p)))

The groups that talk:

    tensor       the T devices that share each layer
    context      the C devices that share each sequence
    expert       the E devices that share the experts of each layer
    data         all devices that hold the same weights: D data-parallel ranks times C context-parallel ones
    expert_data  those that hold the same experts: D / E times C
    pipeline     each device with the one of equal t, c, e and d in the next stage
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.spec.parallelism import ParallelismSpec
from dcsim.workload.collectives import NOTHING, Algorithm, Collective, Pattern, unit_pattern

__all__ = ["Dimension", "Layout", "bubble_fraction", "dimension_pattern", "rank_groups"]

Dimension = Literal["data", "tensor", "pipeline", "context", "expert", "expert_data"]

_AXES = {
    "tensor": (4,),
    "context": (3,),
    "expert": (2,),
    "data": (1, 2, 3),
    "expert_data": (1, 3),
    "pipeline": (0,),
}
"""Axes of ranks shaped (P, D / E, E, C, T) along which the members of a group lie."""


class Layout(NamedTuple):
    """Degrees of parallelism, each >= 1; what is left of the gang is data parallel.

    >>> layout = Layout(tensor=8, pipeline=8)
    >>> layout.data(128), layout.model
    (2, 64)
    """

    tensor: int = 1
    pipeline: int = 1
    context: int = 1
    expert: int = 1
    micro_batches: int = 1
    """Parts in which a replica's samples of a step pass through it, >= 1."""
    zero_stage: int = 0
    """What data-parallel ranks share instead of each holding it: 0 nothing, 1 optimizer state, 2 gradients, 3 parameters."""
    interleaving: int = 1
    """Chunks of layers that each pipeline stage holds, >= 1."""

    @classmethod
    def of(cls, spec: ParallelismSpec | None) -> Layout:
        """Return the layout that a scenario asks for; pure data parallelism where it says nothing."""
        if spec is None:
            return cls()
        degrees = spec.tensor, spec.pipeline, spec.context, spec.expert
        return cls(*degrees, spec.micro_batches, spec.zero_stage, spec.interleaving)

    @property
    def model(self) -> int:
        """Devices that hold one replica: T P C."""
        return self.tensor * self.pipeline * self.context

    def data(self, devices: int) -> int:
        """Return the data-parallel degree D of a gang.

        Raises:
            ValueError: the gang is no multiple of T P C, or D no multiple of E.
        """
        data, left = divmod(devices, self.model)
        if left or data < 1:
            msg = f"{devices} devices -> expected a multiple of tensor x pipeline x context = {self.model}"
            raise ValueError(msg)
        if data % self.expert:
            msg = f"data-parallel degree {data} -> expected a multiple of expert = {self.expert}"
            raise ValueError(msg)
        return data


def bubble_fraction(pipeline: int, micro_batches: int, interleaving: int = 1) -> float:
    """Return the time that pipeline stages wait for the first and last micro-batch, over that of computing.

    (p - 1) / (v m) with v chunks of layers a stage (Narayanan et al. 2021, sections 2.2.1 and 2.2.2; Huang et al.,
    GPipe, 2019, arXiv:1811.06965).

    >>> bubble_fraction(4, 12)
    0.25
    """
    return (pipeline - 1) / (interleaving * micro_batches)


def rank_groups(dimension: Dimension, layout: Layout, devices: int) -> npt.NDArray[np.int64]:
    """Return the ranks of each group (groups, members), members in the order of ranks; of a pipeline, of stages.

    Raises:
        ValueError: the gang does not divide as `Layout.data` wants it.

    >>> rank_groups("data", Layout(tensor=2), 8).tolist()
    [[0, 2, 4, 6], [1, 3, 5, 7]]
    """
    replicas = layout.data(devices) // layout.expert
    shape = (layout.pipeline, replicas, layout.expert, layout.context, layout.tensor)
    ranks = np.arange(devices, dtype=np.int64).reshape(shape)
    axes = _AXES[dimension]
    members = int(np.prod([shape[axis] for axis in axes]))
    last = np.moveaxis(ranks, axes, range(5 - len(axes), 5))
    return last.reshape(-1, members)


@lru_cache(maxsize=1024)
def dimension_pattern(
    dimension: Dimension,
    collective: Collective,
    algorithm: Algorithm,
    layout: Layout,
    counts: tuple[int, ...],
) -> Pattern:
    """Return what all groups of one dimension move together when each has a message of 1 byte.

    Args:
        dimension: Whose groups.
        collective: What each of them does; in a pipeline, each stage sends the byte to the next and gets one back.
        algorithm: How.
        layout: Degrees of parallelism; `micro_batches`, `zero_stage` and `interleaving` change nothing here.
        counts: Devices on servers 0, 1, ...

    Raises:
        ValueError: the gang does not divide as `Layout.data` wants it.
    """
    groups = rank_groups(dimension, layout, sum(counts))
    if groups.shape[1] == 1:
        return NOTHING
    server = np.repeat(np.arange(len(counts)), counts)
    if dimension == "pipeline":
        return _stages(groups, server)
    between: dict[tuple[int, int], float] = {}
    inside: dict[int, float] = {}
    patterns = []
    # Groups are many, but those that live on the same servers move the same: each kind is looked at once.
    for homes, times in Counter(map(tuple, server[groups].tolist())).items():
        on = Counter(homes)
        pattern = unit_pattern(collective, algorithm, tuple(on.values())).placed(tuple(on), 1.0)
        patterns.append(pattern)
        for source, target, size in pattern.transfers:
            between[source, target] = between.get((source, target), 0.0) + times * size
        for home, size in pattern.inside:
            inside[home] = inside.get(home, 0.0) + times * size
    return Pattern(
        tuple([(source, target, size) for (source, target), size in between.items()]),
        tuple(sorted(inside.items())),
        max(pattern.device_bytes for pattern in patterns),
        max(pattern.rounds_inside for pattern in patterns),
        max(pattern.rounds_between for pattern in patterns),
        any(pattern.sequential for pattern in patterns),
    )


def _stages(pipelines: npt.NDArray[np.int64], server: npt.NDArray[np.int64]) -> Pattern:
    """Return a byte from each stage to the next and one back, over all pipelines (pipelines, stages)."""
    stages = server[pipelines]
    here, there = stages[:, :-1], stages[:, 1:]
    between: dict[tuple[int, int], float] = {}
    inside: dict[int, float] = {}
    for (source, target), times in Counter(
        zip(here.ravel().tolist(), there.ravel().tolist(), strict=True)
    ).items():
        if source == target:
            inside[source] = inside.get(source, 0.0) + 2.0 * times
        else:
            for pair in ((source, target), (target, source)):
                between[pair] = between.get(pair, 0.0) + times
    same = here == there
    sent = np.zeros(stages.shape)  # to the stages before and after in the same server
    sent[:, :-1] += same
    sent[:, 1:] += same
    rounds = (0, 1) if between else (1, 0)
    transfers = tuple([(source, target, size) for (source, target), size in between.items()])
    return Pattern(transfers, tuple(sorted(inside.items())), float(sent.max()), *rounds, sequential=False)
