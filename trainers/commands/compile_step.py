"""`compile`: compile a model's step for a TPU topology, without a TPU, and write its profile."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dcsim.errors import InputError, Problem
from trainers.commands.arguments import model, positive_list, say, seed
from trainers.commands.outputs import out_folder

__all__ = ["add", "run"]

BATCH_MAX = 2**20
"""Samples per device; far more than any of the data sets holds."""

MODES = ("jit", "shard_map", "fsdp", "tensor", "pipeline", "pmap")


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    parser = commands.add_parser(
        "compile", help="compile models for TPUs, without one, and write their profiles"
    )
    parser.add_argument("model", nargs="+", type=model, metavar="MODEL")
    parser.add_argument(
        "--topology", default="v5e:2x2", help="e.g. v5e:2x2 (the default), v5p:2x2x1, v6e:2x4"
    )
    parser.add_argument("--mode", choices=MODES, default="jit", help="how the devices share a step")
    parser.add_argument("--batch", type=positive_list, default=(), help="samples per device, e.g. 32,128")
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--out", type=out_folder, default=Path("profiles"), help="folder for MODEL.json")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compile each model as the options say."""
    from dcsim.workload.profile_store import save_profile
    from trainers.aot import Settings, compile_profile
    from trainers.show import describe

    if wrong := [size for size in options.batch if size > BATCH_MAX]:
        raise InputError(
            [Problem("--batch", None, "", f"{size:,}", f"at most {BATCH_MAX:,} samples") for size in wrong]
        )
    for name in options.model:
        profile = compile_profile(Settings(name, options.topology, options.mode, options.batch, options.seed))
        path = options.out / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_profile(profile, path)
        say(describe(profile))
        say(f"wrote {path}")
    return 0
