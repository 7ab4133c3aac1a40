"""What the values of options must look like, and how a command speaks."""

from __future__ import annotations

import argparse

from trainers.registry import card

__all__ = ["mode_list", "model", "positive", "positive_list", "say"]


def positive(text: str) -> int:
    """Return an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} -> expected an integer >= 1")
    return value


def positive_list(text: str) -> tuple[int, ...]:
    """Return integers of at least 1, written with commas between."""
    return tuple(positive(part) for part in text.split(","))


def mode_list(text: str) -> tuple[str, ...]:
    """Return ways of sharing a step, written with commas between."""
    parts = tuple(text.split(","))
    for part in parts:
        if part not in ("pmap", "jit"):
            raise argparse.ArgumentTypeError(f"{part!r} -> expected pmap, jit or both with a comma between")
    return parts


def model(text: str) -> str:
    """Return the name of a task that there is."""
    try:
        return card(text).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)
