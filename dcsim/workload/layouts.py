"""How a gang divides its model, as one line of text: `tensor=8 pipeline=4 micro_batches=16`."""

from __future__ import annotations

from collections.abc import Mapping

from dcsim.spec.parallelism import ParallelismSpec
from dcsim.workload.parallel import Layout

__all__ = ["divides", "layout_of", "layout_text"]


def layout_text(parallelism: ParallelismSpec | None) -> str | None:
    """Return what is not the default of a layout; None where nothing is.

    >>> layout_text(ParallelismSpec(tensor=8, pipeline=4)), layout_text(ParallelismSpec())
    ('tensor=8 pipeline=4', None)
    """
    if parallelism is None:
        return None
    said: Mapping[str, int] = parallelism.model_dump()
    plain = Layout()._asdict()
    return " ".join(f"{name}={value}" for name, value in said.items() if value != plain[name]) or None


def divides(text: str, accelerators: float) -> bool:
    """Return whether a text is a layout of a gang of so many accelerators.

    >>> divides("tensor=4", 8), divides("tensor=4", 6), divides("tensor=x", 8), divides("", 6)
    (True, False, False, True)
    """
    if not text:
        return True
    try:
        layout_of(text).data(int(accelerators))
    except ValueError:
        return False
    return True


def layout_of(text: str) -> Layout:
    """Return the layout that a text says.

    Raises:
        ValueError: a word that is none of its degrees, one said twice, or out of range; the message says which.

    >>> layout_of("tensor=2 zero_stage=1").tensor
    2
    >>> layout_of("tensors=2")
    Traceback (most recent call last):
    ValueError: 'tensors=2' -> expected NAME=NUMBER with one of tensor, pipeline, context, expert, micro_batches, zero_stage, interleaving
    """
    degrees: dict[str, int] = {}
    known = Layout()._asdict()
    for word in text.split():
        name, _, number = word.partition("=")
        if name not in known or name in degrees or not (number.isascii() and number.isdigit()):
            msg = f"{word[:50]!r} -> expected NAME=NUMBER with one of {', '.join(known)}"
            raise ValueError(msg)
        least, most = (0, 3) if name == "zero_stage" else (1, 1_000_000)
        degrees[name] = int(number[:9])
        if not least <= degrees[name] <= most:
            msg = f"{word[:50]!r} -> expected {least:,} to {most:,}"
            raise ValueError(msg)
    return Layout(**degrees)
