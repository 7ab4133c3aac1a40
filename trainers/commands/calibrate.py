"""`calibrate`: measure models and write their cost profiles."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dcsim.errors import InputError, Problem
from trainers.commands.arguments import (
    above_zero,
    batches,
    device,
    fraction,
    mode_list,
    model,
    positive,
    positive_list,
    precision_list,
    say,
    seed,
)
from trainers.commands.outputs import out_folder
from trainers.modes import PLAIN_MODES

__all__ = ["add", "run"]

STEP_SAMPLES_MAX = 2**20
"""Far more than any of the data sets holds; a batch of more copies its samples until the memory is full."""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    parser = commands.add_parser("calibrate", help="measure models and write their cost profiles")
    parser.add_argument("model", nargs="+", type=model, metavar="MODEL")
    parser.add_argument("--devices", type=positive_list, default=(1, 2), help="device counts, e.g. 1,2")
    parser.add_argument(
        "--batch",
        type=batches,
        default=((), None),
        help="samples per device: a range to choose from, e.g. 8..128 (default: the model's), or a list to measure as "
        "given, e.g. 32,64,128",
    )
    parser.add_argument(
        "--modes", type=mode_list, default=("pmap", "jit"), help=f"of {', '.join(PLAIN_MODES)}"
    )
    parser.add_argument(
        "--precision", type=precision_list, default=("fp32",), help="fp32, bf16 or both: a profile each"
    )
    parser.add_argument(
        "--target",
        type=fraction,
        default=0.05,
        help="choose points until the mean |relative error| is below this",
    )
    parser.add_argument("--points", type=positive, default=12, help="most points to choose")
    parser.add_argument("--steps", type=positive, default=200, help="most timed steps of each configuration")
    parser.add_argument(
        "--budget-s",
        type=above_zero,
        help="time for a profile: 90, with --quick 30 (12 steps, and half a second of them, are always timed)",
    )
    parser.add_argument("--out", type=out_folder, default=Path("profiles"))
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument(
        "--max-spread", type=above_zero, default=0.25, help="refuse points whose halves differ by more"
    )
    parser.add_argument(
        "--force", action="store_true", help="write noisy profiles too, with a warning inside"
    )
    parser.add_argument("--quick", action="store_true", help="fewer configurations")
    parser.add_argument("--backend", choices=("cpu", "gpu", "tpu"), default="cpu")
    parser.add_argument(
        "--device", type=device, default="cpu-core", help="its name in the hardware catalogue, e.g. A100-80"
    )
    parser.add_argument(
        "--freed-memory", choices=("kept", "returned"), default="kept",
        help="time steps of a process that keeps what they free, as those of this package do, or of one that returns it to "
        "the system, as glibc does by itself",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Calibrate each model as the options say."""
    from trainers.calibrate import Settings, calibrate_together
    from trainers.show import describe

    if wrong := _problems(options):
        raise InputError(wrong)
    sizes, batch_range = options.batch
    for name in options.model:
        wanted = [
            Settings(
                model=name, devices=options.devices, batches=sizes, batch_range=batch_range, modes=options.modes,
                precision=precision, steps=options.steps, budget_s=options.budget_s or (30.0 if options.quick else 90.0),
                target=options.target, points=options.points, max_spread=options.max_spread, seed=options.seed,
                quick=options.quick, backend=options.backend, device=options.device,
                freed_memory=options.freed_memory,
            )
            for precision in options.precision
        ]  # fmt: skip
        profiles = calibrate_together(wanted, options.out, say, force=options.force)
        for settings, profile in zip(wanted, profiles, strict=True):
            say(describe(profile))
            say(f"wrote {options.out / f'{settings.name}.json'}")
    return 0


def _problems(options: argparse.Namespace) -> list[Problem]:
    """Return what is wrong with options that are fine each for itself."""
    sizes, batch_range = options.batch
    wrong = []
    if options.quick and batch_range is not None:
        got = f"a range, {batch_range[0]}..{batch_range[1]}, with --quick"
        wrong.append(Problem("--batch", None, "", got, "one of them, or a list such as --batch 32,64,128"))
    largest = max(sizes or batch_range or (1,)) * max(options.devices)
    if largest > STEP_SAMPLES_MAX:
        got = f"{largest:,} samples a step on {max(options.devices)} devices"
        wrong.append(Problem("--batch", None, "", got, f"at most {STEP_SAMPLES_MAX:,}"))
    return wrong
