"""Prose as bytes, for the tiny Transformer."""

from __future__ import annotations

import numpy as np

from trainers.data.dataset import Dataset, dataset_of
from trainers.data.documents import Texts
from trainers.data.prepare import Nothing, Samples, as_they_are, prepared, shuffled_split

__all__ = ["SEQUENCE_LENGTH", "text_data"]

SEQUENCE_LENGTH = 64


def text_data(seed: int, length: int = SEQUENCE_LENGTH) -> Dataset:
    """Return the language reference behind Python's `help()`, cut into sequences of bytes.

    The text is `pydoc_data.topics` of the running interpreter (PSF licence), about half a megabyte; the
    target of each byte is the next one.

    >>> text = text_data(0)
    >>> bool((text.train_x[:, 1:] == text.train_y[:, :-1]).all())
    True
    """

    def encode(texts: Texts) -> tuple[Samples, str]:
        prose = "\n".join(texts.documents[0]).encode("utf-8")
        stream_N = np.frombuffer(prose, dtype=np.uint8)
        count = (len(stream_N) - 1) // length
        x_NxL = stream_N[: count * length].reshape(count, length)
        y_NxL = stream_N[1 : count * length + 1].reshape(count, length)
        return Samples(x_NxL, y_NxL), "UTF-8, the next byte as target"

    parts, stages = prepared(
        Nothing(),
        ("read", _read), ("clean", as_they_are("bytes are taken as they are")), ("encode", encode),
        ("split", shuffled_split(seed)), ("normalise", as_they_are("bytes are taken as they are")),
    )  # fmt: skip
    return dataset_of("pydoc_data.topics of the Python standard library", "PSF-2.0", parts, stages)


def _read(_: Nothing) -> tuple[Texts, str]:
    """Return the help topics as one document."""
    from pydoc_data.topics import topics

    return Texts((tuple(topics[name] for name in sorted(topics)),)), f"{len(topics)} help topics"
