"""One training step over several devices, in one of six ways; each gives what one device would give.

=============  ========================================================================================
contract       what every mode hands out
placement      arrays onto a mesh of devices and back
rules          which array is divided along which axis, by its path and shape
data_parallel  copies of the state: `pmap`, sharded `jit`, `shard_map`
fsdp           divided state, gathered for use
tensor         divided layers
blocks         a network taken apart around its row of equal blocks
pipeline       the row cut into stages
=============  ========================================================================================
"""

from __future__ import annotations

from typing import get_args

from dcsim.workload.profile import Mode
from trainers.parallel.contract import Parallel
from trainers.parallel.data_parallel import pmap_parallel, shard_map_parallel, sharded_jit
from trainers.parallel.fsdp import fsdp_parallel
from trainers.parallel.pipeline import pipeline_parallel
from trainers.parallel.placement import mesh_devices
from trainers.parallel.tensor import tensor_parallel
from trainers.registry import Task

__all__ = ["DATA_PARALLEL", "MODES", "Mode", "Parallel", "parallelise"]

MODES: tuple[Mode, ...] = get_args(Mode)
"""All of them, in the order of the table in decision 0092."""
DATA_PARALLEL: tuple[Mode, ...] = ("pmap", "jit", "shard_map")
"""Those that keep a whole copy of the state on every device and all-reduce the gradients."""


def parallelise(
    task: Task, mode: Mode, devices: int, *, shards: int | None = None, micro_batches: int | None = None
) -> Parallel:
    """Return the training step of `task` over the first `devices` devices.

    Args:
        task: what is trained.
        mode: how the devices share a step.
        devices: how many; in a program of several processes, of all of them together.
        shards: of tensor: devices that share a layer; of pipeline: stages. It divides `devices`, and the rest is data
            parallelism. None: all devices.
        micro_batches: of pipeline: parts of a column's samples that follow one another. None: as many as stages.

    Raises:
        ValueError: if JAX has fewer devices, for an unknown mode, or for shards that do not divide the devices.
    """
    here = len(mesh_devices())
    if devices < 1 or devices > here:
        raise ValueError(f"{devices} devices -> expected 1 to {here}, which is what JAX has here")
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} -> expected one of {', '.join(MODES)}")
    if shards is not None and mode not in {"tensor", "pipeline"}:
        raise ValueError(f"shards in mode {mode} -> expected them in mode tensor or pipeline only")
    if micro_batches is not None and mode != "pipeline":
        raise ValueError(f"micro-batches in mode {mode} -> expected them in mode pipeline only")
    parts = devices if shards is None else shards
    if parts < 1 or devices % parts:
        raise ValueError(f"{parts} shards -> expected a divisor of {devices}, the number of devices")
    if micro_batches is not None and micro_batches < 1:
        raise ValueError(f"{micro_batches} micro-batches -> expected an integer >= 1")
    if mode == "tensor":
        return tensor_parallel(task, devices, parts)
    if mode == "pipeline":
        return pipeline_parallel(task, devices, parts, micro_batches or parts)
    make = {
        "pmap": pmap_parallel,
        "jit": sharded_jit,
        "shard_map": shard_map_parallel,
        "fsdp": fsdp_parallel,
    }[mode]
    return make(task, devices)
