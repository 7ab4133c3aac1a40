"""`prepare`: prepare a model's data and say what each stage took."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from trainers.commands.arguments import model, say, seed
from trainers.data.prepare import Stage
from trainers.registry import card

__all__ = ["add", "run", "stage_table"]


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    parser = commands.add_parser("prepare", help="prepare a model's data and print what each stage took")
    parser.add_argument("model", type=model)
    parser.add_argument("--seed", type=seed, default=0)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prepare the data and print the stages."""
    dataset = card(options.model).dataset(options.seed)
    say(f"{dataset.name} ({dataset.licence})")
    for line in stage_table(dataset.stages):
        say(line)
    kept = f"{len(dataset.train_x)} samples to train on, {len(dataset.test_x)} held out"
    say(f"{kept}, {dataset.bytes_per_sample} B each")
    return 0


def stage_table(stages: Sequence[Stage]) -> list[str]:
    """Return lines that stand under each other: times, rows and bytes of each stage, their sum, then what was done.

    >>> for line in stage_table([Stage("read", 0.25, 0.125, 0, 10, 500, 4000, "parsed")]):
    ...     print(line)
    stage         wall s    cpu s   rows in  rows out      bytes in     bytes out
    read          0.2500   0.1250         0        10           500         4,000
    together      0.2500   0.1250         0        10           500         4,000
    read: parsed
    """
    head = f"{'stage':<10}{'wall s':>10}{'cpu s':>9}{'rows in':>10}{'rows out':>10}{'bytes in':>14}{'bytes out':>14}"
    first, last = stages[0], stages[-1]
    whole = Stage(
        "together", sum(each.wall_s for each in stages), sum(each.cpu_s for each in stages),
        first.rows_in, last.rows_out, first.bytes_in, last.bytes_out, "",
    )  # fmt: skip
    lines = [
        f"{each.name:<10}{each.wall_s:>10.4f}{each.cpu_s:>9.4f}{each.rows_in:>10,}{each.rows_out:>10,}"
        f"{each.bytes_in:>14,}{each.bytes_out:>14,}"
        for each in (*stages, whole)
    ]
    return [head, *lines, *(f"{each.name}: {each.note}" for each in stages if each.note)]
