"""`train`: train a model, follow how good it becomes, and keep what it came to."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from dcsim.errors import InputError, Problem
from dcsim.workload.profile import Mode
from trainers import require_jax
from trainers.commands.arguments import model, say, seed
from trainers.commands.outputs import out_folder
from trainers.commands.recipe_options import add_recipe_options, as_options, recipe_from
from trainers.interrupt import Interrupt
from trainers.provenance import load_average
from trainers.recipe import STEPS_MAX, Recipe, run_problems
from trainers.registry import card
from trainers.stages import Stages

if TYPE_CHECKING:
    from trainers.curve import CurvePoint
    from trainers.data import Dataset

__all__ = ["add", "run"]

EXIT_SIGNAL = 128


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    train = commands.add_parser("train", help="train a model and say how good it became")
    train.add_argument("model", type=model)
    train.add_argument("--steps", type=int, help="updates (default: the model's own number)")
    train.add_argument("--epochs", type=float, help="passes over the data, instead of --steps")
    train.add_argument("--batch", type=int, help="samples per device (default: the model's own, shared out)")
    train.add_argument("--devices", type=int, default=1, help="on a CPU host: virtual ones")
    train.add_argument("--mode", default="jit", help=f"{', '.join(get_args(Mode))} (default: jit)")
    train.add_argument("--seed", type=seed, default=0)
    train.add_argument(
        "--eval-every", type=int, help="steps between points of the curve (default: ten points)"
    )
    train.add_argument("--checkpoint", type=out_folder, metavar="DIR", help="keep checkpoints there")
    train.add_argument(
        "--every", type=int, default=0, help="steps between checkpoints (default: at the end only)"
    )
    train.add_argument("--keep", type=int, default=3, help="checkpoints that stay")
    train.add_argument(
        "--resume", action="store_true", help="go on from the latest checkpoint, if there is one"
    )
    train.add_argument(
        "--out", type=out_folder, metavar="DIR", help="write summary.json and the learning curve there"
    )
    add_recipe_options(train)
    train.set_defaults(run=run)


@dataclass(frozen=True)
class _Plan:
    """What the options come to."""

    steps: int
    batch: int
    recipe: Recipe
    eval_every: int


def run(options: argparse.Namespace) -> int:
    """Train as the options say; 130 where it was interrupted."""
    require_jax()
    stages = Stages()
    load = load_average()
    with stages("data"):
        dataset = card(options.model).dataset(options.seed)
    plan = _plan(options, dataset)
    from trainers.devices import use_virtual_devices

    use_virtual_devices(options.devices)
    with stages("import"):
        from trainers.evaluate import evaluate
        from trainers.outcome import Outcome, metrics_table, write_outcome
        from trainers.registry import load_task
        from trainers.train import train
    task = load_task(options.model, plan.recipe, plan.steps)
    with Interrupt() as interrupt:
        training = train(
            task, dataset,
            steps=plan.steps, batch=plan.batch, devices=options.devices, mode=options.mode, seed=options.seed,
            evaluate_every=plan.eval_every, on_evaluate=_tell,
            checkpoints=_checkpoints(options), checkpoint_every=options.every, resume=options.resume,
            stop=interrupt.requested, stages=stages,
        )  # fmt: skip
        with stages("evaluate"):
            metrics = training.metrics or evaluate(task, training.state, dataset, batch=plan.batch)
    outcome = Outcome(
        task, dataset, training, metrics, plan.batch, options.devices, options.mode, options.seed,
        _command(options), load,
    )  # fmt: skip
    say("\n" + metrics_table(metrics))
    if options.out is not None:
        for path in write_outcome(outcome, options.out):
            say(f"wrote {path}")
    return 0 if training.finished else _stopped(options, int(training.state.step), interrupt)


def _plan(options: argparse.Namespace, dataset: Dataset) -> _Plan:
    """Return what to do, or refuse with everything that is wrong with the options."""
    chosen = card(options.model)
    batch = (
        options.batch if options.batch is not None else max(1, chosen.train_batch // max(1, options.devices))
    )
    steps = options.steps if options.steps is not None else chosen.train_steps
    if options.epochs is not None and options.epochs > 0 and math.isfinite(options.epochs):
        # A number of epochs may be too large for any count of steps, but not for the message that refuses it.
        wanted = options.epochs * (len(dataset.train_x) / max(1, batch * options.devices))
        steps = math.ceil(min(wanted, STEPS_MAX + 1.0))
    recipe = recipe_from(options, chosen.recipe, steps)
    wrong = run_problems(recipe, steps=steps, batch=batch, schedule_steps=max(0, steps))
    problems = [*map(as_options, wrong), *_problems(options, batch, len(dataset.train_x))]
    if problems:
        raise InputError(problems)
    eval_every = max(1, steps // 10) if options.eval_every is None else options.eval_every
    return _Plan(steps, batch, recipe, eval_every)


def _problems(options: argparse.Namespace, batch: int, samples: int) -> Iterator[Problem]:
    """Yield what is wrong with the options besides the recipe, the steps and the batch."""
    modes, epochs, devices = get_args(Mode), options.epochs, max(1, options.devices)
    share, every = samples // devices, options.eval_every or 0
    kept = options.checkpoint is not None or not (options.resume or options.every)
    checks = [
        ("--epochs", epochs, epochs is None or (epochs > 0 and math.isfinite(epochs)), "a number > 0"),
        ("--epochs", epochs, epochs is None or options.steps is None, "--steps or --epochs, not both"),
        ("--devices", options.devices, options.devices >= 1, "an integer >= 1"),
        ("--batch", batch, batch <= share, f"at most {share}: {samples} samples on {devices} devices"),
        ("--mode", options.mode, options.mode in modes, f"one of {', '.join(modes)}"),
        ("--every", options.every, options.every >= 0, "an integer >= 0"),
        ("--eval-every", every, every >= 0, "an integer >= 0"),
        ("--keep", options.keep, options.keep >= 1, "an integer >= 1"),
        ("--checkpoint", "not given", kept, "DIR, with --every or --resume"),
    ]
    for option, got, holds, expected in checks:
        if not holds:
            yield Problem("options", None, option, str(got), expected)


def _checkpoints(options: argparse.Namespace) -> Any:  # noqa: ANN401 - Checkpoints or None; imports JAX
    if options.checkpoint is None:
        return None
    from trainers.checkpoint import Checkpoints

    return Checkpoints(options.checkpoint, keep=options.keep)


def _tell(point: CurvePoint) -> None:
    """Print a point of the curve on a line."""
    test = {name: value for name, value in point.test.items() if name in {"loss", "accuracy", "perplexity"}}
    told = "  ".join(f"{name} {value:.4f}" for name, value in test.items())
    loss = point.train["loss"] if point.batch_loss is None else point.batch_loss
    say(f"step {point.step:6d}  loss {loss:.4f}  held out: {told}")


def _command(options: argparse.Namespace) -> str:
    """Return what repeats the run, without the names of folders."""
    left_out = {"command", "run", "model", "checkpoint", "every", "keep", "resume", "out"}
    given = [
        f"--{name.replace('_', '-')} {value}"
        for name, value in sorted(vars(options).items())
        if name not in left_out and value is not None
    ]
    return " ".join(["python -m trainers train", options.model, *given])


def _stopped(options: argparse.Namespace, step: int, interrupt: Interrupt) -> int:
    """Say how to go on, and return the exit code of a signal."""
    if options.checkpoint is None:
        say(f"stopped after step {step}; nothing is kept of it: --checkpoint DIR would keep it")
    else:
        say(f"stopped after step {step}, which is kept: the same command with --resume goes on from there")
    return EXIT_SIGNAL + (interrupt.signal or 0)
