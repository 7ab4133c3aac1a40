"""What the values of options must look like, and how a command speaks."""

from __future__ import annotations

import argparse
from typing import get_args

from trainers.modes import PLAIN_MODES
from trainers.recipe import Precision
from trainers.registry import card

__all__ = ["batches", "fraction", "mode_list", "model", "positive", "positive_list", "precision_list", "say"]


def positive(text: str) -> int:
    """Return an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} -> expected an integer >= 1")
    return value


def positive_list(text: str) -> tuple[int, ...]:
    """Return integers of at least 1, written with commas between."""
    return tuple(positive(part) for part in text.split(","))


def fraction(text: str) -> float:
    """Return a number above 0 and below 1."""
    value = float(text)
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text} -> expected a number above 0 and below 1")
    return value


def mode_list(text: str) -> tuple[str, ...]:
    """Return ways of sharing a step, written with commas between."""
    parts = tuple(text.split(","))
    for part in parts:
        if part not in PLAIN_MODES:
            raise argparse.ArgumentTypeError(f"{part!r} -> expected some of {','.join(PLAIN_MODES)}")
    return parts


def precision_list(text: str) -> tuple[Precision, ...]:
    """Return precisions, written with commas between."""
    known: tuple[Precision, ...] = get_args(Precision)
    parts = text.split(",")
    for part in parts:
        if part not in known:
            raise argparse.ArgumentTypeError(f"{part!r} -> expected some of {','.join(known)}")
    return tuple(precision for precision in known if precision in parts)


def batches(text: str) -> tuple[tuple[int, ...], tuple[int, int] | None]:
    """Return (sizes as given, range to choose from); one of them is empty.

    >>> batches("8..128"), batches("32,64")
    (((), (8, 128)), ((32, 64), None))
    """
    if ".." not in text:
        return positive_list(text), None
    low, high = (positive(part) for part in text.split("..", 1))
    if low >= high:
        raise argparse.ArgumentTypeError(f"{text} -> expected a smaller and a larger number, e.g. 8..128")
    return (), (low, high)


def model(text: str) -> str:
    """Return the name of a task that there is."""
    try:
        return card(text).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)
