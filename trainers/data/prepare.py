"""Preparation as work of its own: read, clean, split, normalise and encode, each with what it took.

The split comes before whatever looks at more than one sample at a time, so that means, deviations and vocabularies
know the training part alone and nothing of what is held out (Kaufman et al., Leakage in Data Mining, ACM TKDD 2012).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = [
    "HELD_OUT",
    "Extent",
    "Nothing",
    "Parts",
    "Samples",
    "Stage",
    "as_they_are",
    "clean_samples",
    "prepared",
    "shuffled_split",
    "standardised",
]

HELD_OUT = 0.1
"""Share of what is kept for testing."""


class Extent(Protocol):
    """What has a size."""

    @property
    def rows(self) -> int:
        """Samples, paragraphs or sequences."""

    @property
    def size_bytes(self) -> int:
        """Bytes that they take."""


@dataclass(frozen=True)
class Stage:
    """What one stage of preparation took in, gave out and cost."""

    name: str
    wall_s: float
    cpu_s: float
    """Of this process, over all its threads."""
    rows_in: int
    rows_out: int
    bytes_in: int
    bytes_out: int
    note: str
    """What it found or did, in words."""


@dataclass(frozen=True)
class Nothing:
    """What generated data come from; of files, their bytes."""

    size_bytes: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Samples:
    """Inputs and their targets, one a row."""

    x: npt.NDArray[Any]
    y: npt.NDArray[Any]

    @property
    def rows(self) -> int:
        """Samples."""
        return len(self.x)

    @property
    def size_bytes(self) -> int:
        """Bytes of inputs and targets."""
        return int(self.x.nbytes + self.y.nbytes)


Part_co = TypeVar("Part_co", bound=Extent, covariant=True)


@dataclass(frozen=True)
class Parts(Generic[Part_co]):
    """What is trained on and what is held out."""

    train: Part_co
    test: Part_co

    @property
    def rows(self) -> int:
        """Of both parts."""
        return self.train.rows + self.test.rows

    @property
    def size_bytes(self) -> int:
        """Of both parts."""
        return self.train.size_bytes + self.test.size_bytes


def prepared(
    source: Extent, *work: tuple[str, Callable[[Any], tuple[Any, str]]]
) -> tuple[Any, tuple[Stage, ...]]:
    """Do one stage after another and return what the last gives, and what each took.

    Args:
        source: what the first stage takes.
        work: the name of each stage, and what it does: from what the stage before gave, to what the next
            takes and a note on what was done.

    >>> rows = Samples(np.array([[1.0], [np.nan], [1.0]]), np.arange(3))
    >>> kept, (stage,) = prepared(rows, ("clean", clean_samples))
    >>> stage.rows_in, stage.rows_out, stage.bytes_in, stage.bytes_out
    (3, 1, 48, 16)
    """
    stages: list[Stage] = []
    data = source
    for name, do in work:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        after, note = do(data)
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
        stages.append(
            Stage(name, wall_s, cpu_s, data.rows, after.rows, data.size_bytes, after.size_bytes, note)
        )
        data = after
    return data, tuple(stages)


def as_they_are(note: str) -> Callable[[Extent], tuple[Extent, str]]:
    """Return a stage that has nothing to do, and says why."""
    return lambda data: (data, note)


def clean_samples(samples: Samples) -> tuple[Samples, str]:
    """Drop samples that hold a value which is no finite number, and those whose inputs were seen before.

    Columns that never change are counted and kept: a network's width is part of its definition.

    >>> kept, note = clean_samples(Samples(np.array([[1.0, 2.0], [1.0, np.inf], [1.0, 2.0]]), np.arange(3)))
    >>> kept.y.tolist(), note
    ([0], '1 not finite, 1 repeated, 2 of 2 columns constant')
    """
    flat_NxI = samples.x.reshape(len(samples.x), -1)
    finite_N = np.isfinite(flat_NxI).all(axis=1) & np.isfinite(samples.y.reshape(len(flat_NxI), -1)).all(
        axis=1
    )
    first: dict[bytes, int] = {}
    for place in np.flatnonzero(finite_N):
        first.setdefault(flat_NxI[place].tobytes(), int(place))
    kept_N = np.array(list(first.values()), dtype=np.intp)
    kept = samples if len(kept_N) == len(flat_NxI) else Samples(samples.x[kept_N], samples.y[kept_N])
    flat_NxI = flat_NxI[kept_N]
    constant = int((flat_NxI == flat_NxI[:1]).all(axis=0).sum())
    broken = int((~finite_N).sum())
    repeated = len(finite_N) - broken - len(kept_N)
    return (
        kept,
        f"{broken} not finite, {repeated} repeated, {constant} of {flat_NxI.shape[1]} columns constant",
    )


def shuffled_split(seed: int, held_out: float = HELD_OUT) -> Callable[[Samples], tuple[Parts[Samples], str]]:
    """Return the stage that shuffles the samples and keeps a share of them for testing."""

    def split(samples: Samples) -> tuple[Parts[Samples], str]:
        order_N = np.random.default_rng([seed, samples.rows]).permutation(samples.rows)
        count = int(samples.rows * held_out)
        test, train = (
            Samples(samples.x[part], samples.y[part]) for part in (order_N[:count], order_N[count:])
        )
        return Parts(train, test), f"{train.rows} to train on, {test.rows} held out, at random"

    return split


def standardised(parts: Parts[Samples]) -> tuple[Parts[Samples], str]:
    """Shift and scale each input to mean 0 and deviation 1 over the training part, whose figures both parts get."""
    mean_I, deviation_I = parts.train.x.mean(axis=0), parts.train.x.std(axis=0)
    scale_I = np.where(deviation_I > 0, deviation_I, 1.0)

    def scaled(part: Samples) -> Samples:
        return Samples(((part.x - mean_I) / scale_I).astype(np.float32), part.y)

    return Parts(scaled(parts.train), scaled(parts.test)), "mean and deviation of the training part"
