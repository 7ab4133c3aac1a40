"""`distributed`: train a model by several processes, on this machine or as one process of a cluster."""

from __future__ import annotations

import argparse
from typing import Any

from dcsim.errors import InputError, Problem
from trainers import require_jax
from trainers.commands.arguments import model, positive, say, seed
from trainers.commands.outputs import out_file
from trainers.distributed import ACROSS_PROCESSES, Membership, Run, join, launch, train_as_member
from trainers.launch import die_with_parent

__all__ = ["add", "run"]

DESCRIPTION = """\
On this machine:  python -m trainers distributed digits_mlp --processes 2
On a cluster, the same on every machine but for the number:
  python -m trainers distributed digits_mlp --backend gpu --coordinator node0:1234 --num-processes 4 --process-id 0
Under Slurm, Open MPI, Kubernetes or on a TPU pod, which tell JAX who is who:
  srun python -m trainers distributed digits_mlp --backend gpu
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    parser = commands.add_parser(
        "distributed",
        help="train a model by several processes",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=model)
    parser.add_argument("--processes", type=positive, help="start so many here and wait for them")
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 listens")
    parser.add_argument("--num-processes", type=positive, metavar="N", help="with --coordinator")
    parser.add_argument("--process-id", type=int, metavar="I", help="with --coordinator: of this one, from 0")
    parser.add_argument("--devices", type=positive, default=1, help="virtual CPU devices of each process")
    parser.add_argument("--backend", choices=("cpu", "cuda", "gpu", "rocm", "tpu"), default="cpu")
    parser.add_argument("--mode", choices=ACROSS_PROCESSES, default="jit")
    parser.add_argument("--steps", type=positive, default=200)
    parser.add_argument("--batch", type=positive, help="samples per device")
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--out", type=out_file, metavar="FILE", help="losses and parameters, as .npz")
    parser.add_argument(
        "--timeout-s", type=float, default=3600.0, help="with --processes: stop them all then"
    )
    parser.add_argument("--die-with-parent", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Start the processes, or be one of them."""
    require_jax()
    from trainers.registry import card

    task = Run(
        model=options.model, steps=options.steps, batch=options.batch or card(options.model).batches[0],
        mode=options.mode, seed=options.seed, devices=options.devices, backend=options.backend, out=options.out,
    )  # fmt: skip
    membership = Membership(options.coordinator, options.num_processes, options.process_id)
    if options.processes is not None:
        _only_here(membership, options)
        launch(task, options.processes, timeout_s=options.timeout_s, say=say)
        return 0
    if options.die_with_parent:
        die_with_parent()
    join(membership, task)
    import jax

    train_as_member(task, say)
    jax.distributed.shutdown()
    return 0


def _only_here(membership: Membership, options: argparse.Namespace) -> None:
    """Refuse options that belong to a cluster, and several processes on one accelerator."""
    given = {
        "--coordinator": membership.coordinator,
        "--num-processes": membership.processes,
        "--process-id": membership.number,
    }
    wrong = [
        Problem("distributed", None, name, str(value), "nothing beside --processes")
        for name, value in given.items()
        if value is not None
    ]
    if options.backend != "cpu":
        hint = "processes of one machine would fight for its accelerators"
        wrong.append(
            Problem("distributed", None, "--backend", options.backend, "cpu beside --processes", hint)
        )
    if not options.timeout_s > 0:
        wrong.append(Problem("distributed", None, "--timeout-s", str(options.timeout_s), "a number > 0"))
    if wrong:
        raise InputError(wrong)
