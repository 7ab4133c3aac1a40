"""A data set: inputs and targets for training, others for testing, and what preparing them cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainers.data.prepare import Parts, Samples, Stage

__all__ = ["Array", "Augment", "Dataset", "batches", "dataset_of"]

Array = npt.NDArray[Any]
Augment = Callable[[np.random.Generator, Array], Array]
"""From samples (B x ...) to changed ones of the same shape and type."""


@dataclass(frozen=True)
class Dataset:
    """Inputs and targets for training, and others for testing, in the types they are stored in."""

    name: str
    licence: str
    train_x: Array
    """Shape N x ..., one sample a row."""
    train_y: Array
    """Shape N or N x L; in a sequence, a target below 0 is not to be predicted."""
    test_x: Array
    test_y: Array
    stages: tuple[Stage, ...] = ()
    """What preparing it took, in order."""
    vocabulary: tuple[str, ...] = ()
    """The words that tokens number, of the training part alone; empty where tokens are no words."""

    @property
    def bytes_per_sample(self) -> int:
        """Bytes of one sample and its target, as stored."""
        return int(self.train_x[0].nbytes + self.train_y[0].nbytes)

    @property
    def bytes_total(self) -> int:
        """Bytes of all samples and targets, as stored."""
        return int(sum(part.nbytes for part in (self.train_x, self.train_y, self.test_x, self.test_y)))


def dataset_of(
    name: str,
    licence: str,
    parts: Parts[Samples],
    stages: tuple[Stage, ...],
    vocabulary: tuple[str, ...] = (),
) -> Dataset:
    """Return prepared parts as a data set."""
    train, test = parts.train, parts.test
    return Dataset(name, licence, train.x, train.y, test.x, test.y, stages, vocabulary)


def batches(
    dataset: Dataset, batch: int, seed: int, *, first: int = 0, augment: Augment | None = None
) -> Iterator[tuple[Array, Array]]:
    """Yield training batches of `batch` samples for ever, reshuffled every epoch.

    Batch number k depends on (seed, batch, k) alone, so that a resumed run goes on with what it would have seen.

    Args:
        dataset: where samples come from; a batch larger than it repeats samples.
        batch: samples.
        seed: of the order and of the augmentation.
        first: number of the first batch to yield.
        augment: applied to the inputs.

    >>> from trainers.data import linear_data
    >>> x_BxI, y_B = next(batches(linear_data(0), 32, seed=1))
    >>> x_BxI.shape, y_B.shape
    ((32, 10), (32,))
    """
    size = len(dataset.train_x)
    orders: dict[int, Array] = {}
    for number in itertools.count(first):
        places_B = np.arange(number * batch, (number + 1) * batch)
        epochs = range(int(places_B[0] // size), int(places_B[-1] // size) + 1)
        orders = {
            epoch: orders[epoch]
            if epoch in orders
            else np.random.default_rng([seed, batch, epoch]).permutation(size)
            for epoch in epochs
        }
        chosen_B = np.concatenate([orders[epoch] for epoch in epochs])[places_B - epochs[0] * size]
        x = dataset.train_x[chosen_B]
        if augment is not None:
            x = augment(np.random.default_rng([seed, batch, 1 << 32, number]), x)
        yield x, dataset.train_y[chosen_B]
