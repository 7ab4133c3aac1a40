"""`list`: name the models."""

from __future__ import annotations

import argparse
from typing import Any

from trainers.commands.arguments import say
from trainers.registry import CARDS

__all__ = ["add", "run"]


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    commands.add_parser("list", help="name the models").set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print a line for each model."""
    for each in CARDS.values():
        say(f"{each.name:<20}{each.summary}; {each.optimizer}")
    return 0
