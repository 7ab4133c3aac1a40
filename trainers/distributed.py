"""Training shared by several processes, on this machine or on many: one program, all their devices.

JAX lets processes that know of each other see all devices at once; a step over a mesh of them is the same program as
in one process, and its collectives cross between processes: by gloo between CPUs, by NCCL between GPUs, over the
chips' own links between TPUs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dcsim.errors import InputError, Problem
from dcsim.workload.profile import Mode
from trainers.launch import free_port, run_together

if TYPE_CHECKING:
    from trainers.train import Training

__all__ = [
    "ACROSS_PROCESSES",
    "Membership",
    "Run",
    "join",
    "launch",
    "membership_problems",
    "save",
    "train_as_member",
]

ACROSS_PROCESSES: tuple[Mode, ...] = ("jit", "shard_map", "fsdp", "tensor", "pipeline")
"""`pmap` sees the devices of its own process only."""


@dataclass(frozen=True)
class Membership:
    """How a process finds the others."""

    coordinator: str | None = None
    """host:port of process 0; None: found out from the cluster (Slurm, Open MPI, Kubernetes, TPU pods)."""
    processes: int | None = None
    number: int | None = None
    """Of this process, from 0."""


@dataclass(frozen=True)
class Run:
    """What the processes do together."""

    model: str
    steps: int
    batch: int
    """Samples a device and step."""
    mode: Mode = "jit"
    seed: int = 0
    devices: int = 1
    """Virtual devices of each process, on the CPU; elsewhere it uses those it has."""
    backend: str = "cpu"
    out: Path | None = None
    """Where process 0 writes losses and parameters (.npz)."""


def membership_problems(membership: Membership) -> tuple[Problem, ...]:
    """Return what does not fit together in how a process finds the others.

    >>> for problem in membership_problems(Membership("node7:1234", processes=2, number=2)):
    ...     print(problem)
    distributed: --process-id: 2 -> expected 0 to 1
    """
    wrong = []
    given = {"--num-processes": membership.processes, "--process-id": membership.number}
    if membership.coordinator is not None:
        host, _, port = membership.coordinator.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            wrong.append(Problem("distributed", None, "--coordinator", membership.coordinator, "HOST:PORT"))
    for name, value in given.items():
        if (value is None) != (membership.coordinator is None):
            got = "nothing" if value is None else str(value)
            wrong.append(
                Problem(
                    "distributed",
                    None,
                    name,
                    got,
                    "it together with --coordinator",
                    "or neither, in a cluster",
                )
            )
    count, number = membership.processes, membership.number
    if count is not None and number is not None and not 0 <= number < count:
        wrong.append(Problem("distributed", None, "--process-id", str(number), f"0 to {count - 1}"))
    return tuple(wrong)


def join(membership: Membership, run: Run) -> None:
    """Make this process one of several; JAX must not have started yet.

    Raises:
        InputError: if the membership contradicts itself, or no cluster is found that could complete it.
    """
    problems = membership_problems(membership)
    if problems:
        raise InputError(problems)
    from trainers.devices import use_virtual_devices

    if run.backend == "cpu":
        use_virtual_devices(run.devices)
    import jax

    jax.config.update("jax_platforms", run.backend)
    if run.backend == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(membership.coordinator, membership.processes, membership.number)
    except ValueError as error:
        # What JAX raises where it recognises no cluster.
        got = f"no cluster that JAX recognises ({error})"
        expected = "--processes N on this machine, or --coordinator, --num-processes and --process-id"
        raise InputError([Problem("distributed", None, "", got, expected)]) from error


def train_as_member(run: Run, say: Callable[[str], None]) -> Training:
    """Train over the devices of all processes that have joined; every process returns the whole result.

    Args:
        run: the same in every process.
        say: called in process 0 only.

    Raises:
        ValueError: for a mode that does not reach across processes.
    """
    if run.mode not in ACROSS_PROCESSES:
        raise ValueError(f"mode {run.mode!r} -> expected one of {', '.join(ACROSS_PROCESSES)}")
    import jax

    from trainers.registry import load_task
    from trainers.train import train

    first = jax.process_index() == 0
    every = max(1, run.steps // 10)

    def told(step: int, loss: float) -> None:
        if first and step % every == 0:
            say(f"step {step:5d}  loss {loss:.4f}")

    if first:
        say(f"{jax.process_count()} processes, {jax.device_count()} devices, {run.mode}")
    task = load_task(run.model, steps=run.steps)
    training = train(
        task, task.card.dataset(run.seed),
        steps=run.steps, batch=run.batch, devices=jax.device_count(), mode=run.mode, seed=run.seed, on_step=told,
    )  # fmt: skip
    if first and run.out is not None:
        save(training, run.out)
        say(f"wrote {run.out}")
    return training


def save(training: Training, path: Path) -> None:
    """Write losses and parameters as numpy arrays, named `losses` and `params/MODULE/.../NAME`; all of them or no file."""
    import jax
    import numpy as np

    named = {
        "/".join(["params", *(str(key.key) for key in where)]): leaf
        for where, leaf in jax.tree_util.tree_flatten_with_path(training.state.params)[0]
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as stream:
        np.savez(stream, losses=np.array(training.losses), **named)
    beside.replace(path)


def launch(run: Run, processes: int, *, timeout_s: float, say: Callable[[str], None]) -> None:
    """Start the processes of a run on this machine, with a coordinator on a free port, and wait for them.

    Args:
        run: what they do.
        processes: how many, each with `run.devices` virtual devices.
        timeout_s: for all of it [s].
        say: called with what process 0 says.

    Raises:
        LaunchError: if one of them fails, with its last words, or if they do not end in time.
    """
    port = free_port()
    shared = [
        run.model, "--steps", run.steps, "--batch", run.batch, "--mode", run.mode, "--seed", run.seed,
        "--devices", run.devices, "--backend", run.backend,
        "--coordinator", f"127.0.0.1:{port}", "--num-processes", processes, "--die-with-parent",
        *(["--out", run.out] if run.out is not None else []),
    ]  # fmt: skip
    commands = [
        [sys.executable, "-m", "trainers", "distributed", *map(str, shared), "--process-id", str(number)]
        for number in range(processes)
    ]
    run_together(commands, timeout_s=timeout_s, say=say)
