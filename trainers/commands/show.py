"""`show`: print a profile."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trainers.commands.arguments import say

__all__ = ["add", "run"]


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    show = commands.add_parser("show", help="print a profile")
    show.add_argument("profile", type=Path)
    show.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what a profile says, and its hash."""
    from dcsim.workload.profile_store import load_profile
    from trainers.provenance import host_difference
    from trainers.show import describe

    profile, sha256 = load_profile(options.profile)
    say(describe(profile))
    difference = host_difference(profile)
    if difference is not None:
        say(f"note           {difference}")
    say(f"sha256         {sha256}")
    return 0
