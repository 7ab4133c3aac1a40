"""`calibrate`: measure models and write their cost profiles."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

from dcsim.errors import InputError
from trainers.commands.arguments import (
    batches,
    fraction,
    mode_list,
    model,
    positive,
    positive_list,
    precision_list,
    say,
)
from trainers.modes import PLAIN_MODES

__all__ = ["add", "run"]


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
    parser.add_argument("--steps", type=positive, default=200, help="timed steps of each configuration")
    parser.add_argument(
        "--budget-s", type=float, help="time for a model: 90, with --quick 30 (12 steps are always timed)"
    )
    parser.add_argument("--out", type=Path, default=Path("profiles"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--max-spread", type=float, default=0.25, help="refuse points whose halves differ by more"
    )
    parser.add_argument(
        "--force", action="store_true", help="write noisy profiles too, with a warning inside"
    )
    parser.add_argument("--quick", action="store_true", help="fewer configurations")
    parser.add_argument("--backend", choices=("cpu", "gpu", "tpu"), default="cpu")
    parser.add_argument(
        "--device", default="cpu-core", help="its name in the hardware catalogue, e.g. A100-80"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Calibrate each model as the options say."""
    from trainers.calibrate import Settings, calibrate
    from trainers.show import describe

    if options.quick and options.batch[1] is not None:
        raise InputError(
            "--quick with a range of batches -> expected one of them, or a list such as --batch 32,64,128"
        )
    for name, precision in itertools.product(options.model, options.precision):
        sizes, batch_range = options.batch
        settings = Settings(
            model=name, devices=options.devices, batches=sizes, batch_range=batch_range, modes=options.modes,
            precision=precision, steps=options.steps, budget_s=options.budget_s or (30.0 if options.quick else 90.0),
            target=options.target, points=options.points, max_spread=options.max_spread, seed=options.seed,
            quick=options.quick, backend=options.backend, device=options.device,
        )  # fmt: skip
        profile = calibrate(settings, options.out, say, force=options.force)
        say(describe(profile))
        say(f"wrote {options.out / f'{settings.name}.json'}")
    return 0
