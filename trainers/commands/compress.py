"""`compress`: train a model, make it smaller in several ways, and compare."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from dcsim.errors import InputError, Problem
from trainers import require_jax
from trainers.commands.arguments import call_batch, model, positive, say, seed
from trainers.commands.outputs import out_folder
from trainers.recipe import STEPS_MAX
from trainers.registry import CARDS, card

__all__ = ["add", "run"]


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    compress = commands.add_parser("compress", help="prune, quantise and distil a model, and compare")
    compress.add_argument("model", type=model)
    compress.add_argument("--steps", type=positive, help="of training (default: the model's own number)")
    compress.add_argument(
        "--prune", type=float, action="append", default=[], help="share of weights to leave out"
    )
    compress.add_argument("--fine-tune", type=int, help="steps after pruning (default: a fifth of --steps)")
    compress.add_argument("--int8", action="store_true", help="quantise the weights, and the products")
    compress.add_argument("--student", type=model, help="a smaller model to teach")
    compress.add_argument("--batch", type=call_batch, default=32, help="samples of a timed call")
    compress.add_argument("--calls", type=positive, default=200, help="timed calls")
    compress.add_argument("--seed", type=seed, default=0)
    compress.add_argument("--out", type=out_folder, metavar="DIR", help="write compress.json there")
    compress.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compress as the options say; without any of the ways, all of them that the model allows."""
    require_jax()
    if wrong := _problems(options):
        raise InputError(wrong)
    from trainers.compress import Study, variants_table
    from trainers.registry import load_task
    from trainers.train import train

    chosen = card(options.model)
    dataset = chosen.dataset(options.seed)
    steps = options.steps or chosen.train_steps
    task = load_task(options.model, None, steps)
    say(f"training {options.model} for {steps} steps")
    trained = train(task, dataset, steps=steps, batch=chosen.train_batch, seed=options.seed)
    study = Study(
        load_task(options.model), dataset, trained.state.params,
        train_batch=chosen.train_batch, batch=options.batch, calls=options.calls, seed=options.seed,
    )  # fmt: skip
    every = not (options.prune or options.int8 or options.student)
    more = steps // 5 if options.fine_tune is None else options.fine_tune
    variants = [study.original()]
    for sparsity in options.prune or ([0.5, 0.8, 0.9] if every else []):
        say(f"pruning {sparsity:.0%}")
        variants += [study.pruned(sparsity, 0), *([study.pruned(sparsity, more)] if more else [])]
    if options.int8 or every:
        say("quantising")
        variants += [study.int8(products=False), study.int8(products=True)]
    if options.student:
        say(f"teaching {options.student}")
        student = load_task(options.student, None, steps)
        variants += [study.student(student, steps, taught=taught) for taught in (False, True)]
    say("\n" + variants_table(variants))
    if options.out is not None:
        _write(options, variants)
    return 0


def _problems(options: argparse.Namespace) -> list[Problem]:
    """Return everything that is wrong with the options."""
    wrong = [
        Problem("options", None, "--prune", str(sparsity), "a number >= 0 and < 1")
        for sparsity in options.prune
        if not 0.0 <= sparsity < 1.0
    ]
    if options.fine_tune is not None and not 0 <= options.fine_tune <= STEPS_MAX:
        expected = f"an integer from 0 to {STEPS_MAX}"
        wrong.append(Problem("options", None, "--fine-tune", str(options.fine_tune), expected))
    if options.student:
        teacher, student = card(options.model), card(options.student)
        alike = student.kind == teacher.kind in {"classes", "tokens"} and student.dataset is teacher.dataset
        if not alike:
            able = [
                each.name
                for each in CARDS.values()
                if each.kind == teacher.kind in {"classes", "tokens"} and each.dataset is teacher.dataset
            ]
            expected = f"a model of the same data: {', '.join(able)}" if able else "none: it cannot teach"
            wrong.append(Problem("options", None, "--student", options.student, expected))
    return wrong


def _write(options: argparse.Namespace, variants: list[Any]) -> None:
    """Write the variants with their units and provenance."""
    from trainers.files import finite_json, write_text
    from trainers.provenance import host_cpu, load_average, package_versions

    path = options.out / "compress.json"
    content = {
        "model": options.model,
        "seed": options.seed,
        "variants": [asdict(each) for each in variants],
        "units": {
            "size_bytes": "B",
            "p50_s": "s",
            "p99_s": "s; null from fewer than 100 calls",
            "flops": "floating-point operations of a batch",
        },
        "provenance": {
            "host_cpu": host_cpu(),
            "load_average_end": load_average(),
            "packages": package_versions(),
        },
    }
    write_text(path, finite_json(content) + "\n")
    say(f"wrote {path}")
