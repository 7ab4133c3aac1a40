"""A linear relation with a little noise."""

from __future__ import annotations

import numpy as np

from trainers.data.dataset import Dataset, dataset_of
from trainers.data.prepare import Nothing, Parts, Samples, as_they_are, clean_samples, prepared

__all__ = ["linear_data"]

_SAMPLES = 100


def linear_data(seed: int) -> Dataset:
    """Return 100 samples of 10 inputs whose target is linear in them, with a little noise.

    >>> linear_data(0).train_x.shape
    (100, 10)
    """

    def generate(_: Nothing) -> tuple[Samples, str]:
        draws = np.random.default_rng([seed, 100, 10])
        weights_I = draws.normal(size=10)
        xs, ys = [], []
        for _part in ("train", "test"):
            x_NxI = draws.normal(size=(_SAMPLES, 10)).astype(np.float32)
            noise_N = draws.normal(scale=0.01, size=_SAMPLES)
            xs.append(x_NxI)
            ys.append((x_NxI @ weights_I + 0.5 + noise_N).astype(np.float32))
        return Samples(np.concatenate(xs), np.concatenate(ys)), "drawn"

    def split(samples: Samples) -> tuple[Parts[Samples], str]:
        train, test = (
            Samples(samples.x[part], samples.y[part]) for part in (slice(_SAMPLES), slice(_SAMPLES, None))
        )
        return Parts(train, test), "the first half to train on"

    parts, stages = prepared(
        Nothing(),
        ("generate", generate), ("clean", clean_samples), ("split", split),
        ("normalise", as_they_are("drawn with mean 0 and deviation 1")), ("encode", as_they_are("numbers already")),
    )  # fmt: skip
    return dataset_of("100 x 10 inputs, linear target", "generated", parts, stages)
