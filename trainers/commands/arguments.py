"""What the values of options must look like, and how a command speaks."""

from __future__ import annotations

import argparse
import math
from typing import get_args

from trainers.modes import PLAIN_MODES
from trainers.recipe import Precision
from trainers.registry import card

__all__ = [
    "above_zero",
    "batches",
    "call_batch",
    "call_batches",
    "device",
    "fraction",
    "mode_list",
    "model",
    "not_negative",
    "positive",
    "positive_list",
    "precision_list",
    "say",
    "seed",
    "share",
]


INTEGER_MAX = 2**63 - 1
"""What numpy takes."""
SEED_MAX = 2**63 - 1
"""What numpy and JAX both take."""
CALL_SAMPLES_MAX = 2**14
"""Of a timed call: activations of so many fill about a gigabyte in a small network."""


def positive(text: str) -> int:
    """Return an integer from 1 to 2^63 - 1.

    >>> positive("12")
    12
    """
    value = _integer(text)
    if not 1 <= value <= INTEGER_MAX:
        raise _wrong(text, "an integer from 1 to 2^63 - 1")
    return value


def not_negative(text: str) -> int:
    """Return an integer from 0 to 2^63 - 1."""
    value = _integer(text)
    if not 0 <= value <= INTEGER_MAX:
        raise _wrong(text, "an integer from 0 to 2^63 - 1")
    return value


def seed(text: str) -> int:
    """Return an integer that random numbers can be drawn from: 0 to 2^63 - 1.

    >>> seed("7")
    7
    """
    value = _integer(text)
    if not 0 <= value <= SEED_MAX:
        raise _wrong(text, "an integer from 0 to 2^63 - 1")
    return value


def call_batch(text: str) -> int:
    """Return the samples of a timed call: 1 to 2^14."""
    value = _integer(text)
    if not 1 <= value <= CALL_SAMPLES_MAX:
        raise _wrong(text, f"an integer from 1 to {CALL_SAMPLES_MAX}")
    return value


def call_batches(text: str) -> tuple[int, ...]:
    """Return the samples of timed calls, written with commas between."""
    return tuple(call_batch(part) for part in text.split(","))


def positive_list(text: str) -> tuple[int, ...]:
    """Return integers of at least 1, written with commas between."""
    try:
        return tuple(positive(part) for part in text.split(","))
    except argparse.ArgumentTypeError:
        raise _wrong(text, "integers >= 1 with commas between, e.g. 1,2") from None


def above_zero(text: str) -> float:
    """Return a finite number above 0.

    >>> above_zero("0.25")
    0.25
    """
    value = _number(text)
    if not 0.0 < value < math.inf:
        raise _wrong(text, "a number above 0")
    return value


def fraction(text: str) -> float:
    """Return a number above 0 and below 1."""
    value = _number(text)
    if not 0.0 < value < 1.0:
        raise _wrong(text, "a number above 0 and below 1")
    return value


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    value = _number(text)
    if not 0.0 <= value <= 1.0:
        raise _wrong(text, "a number from 0 to 1")
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
        raise _wrong(text, "a smaller and a larger number, e.g. 8..128")
    return (), (low, high)


def model(text: str) -> str:
    """Return the name of a task that there is."""
    try:
        return card(text).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def device(text: str) -> str:
    """Return the name of a device of the hardware catalogue."""
    from dcsim.facility.hardware import CATALOGUE
    from dcsim.spec.names import nearest

    if text not in CATALOGUE:
        hint = nearest(text, CATALOGUE)
        raise _wrong(text, f"one of {', '.join(CATALOGUE)}" + (f", {hint}" if hint else ""))
    return text


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def _integer(text: str) -> int:
    """Return the integer, or -1, which none of the options takes."""
    try:
        return int(text)
    except ValueError:
        return -1


def _number(text: str) -> float:
    """Return the number, or NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _wrong(text: str, expected: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{text[:80]!r} -> expected {expected}")
