"""A disc in a ring: the smallest classes that no straight line divides."""

from __future__ import annotations

import numpy as np

from trainers.data.dataset import Dataset, dataset_of
from trainers.data.prepare import Nothing, Parts, Samples, clean_samples, prepared, standardised

__all__ = ["rings_data"]

_SAMPLES = 100
_NOISE = 0.05


def rings_data(seed: int) -> Dataset:
    """Return 100 points of a plane in a disc (0) or in a ring around it (1), and 100 others for testing.

    The disc has a radius of 0.5, the ring goes from 1.0 to 1.2; both are blurred by noise of 0.05.

    >>> rings = rings_data(0)
    >>> rings.train_x.shape, sorted(set(rings.train_y.tolist()))
    ((100, 2), [0, 1])
    """

    def generate(_: Nothing) -> tuple[Samples, str]:
        draws = np.random.default_rng([seed, 2, 5, 2])
        y_N = np.arange(2 * _SAMPLES) % 2
        angle_N, share_N = 2 * np.pi * draws.random(2 * _SAMPLES), draws.random(2 * _SAMPLES)
        radius_N = np.where(y_N == 0, 0.5 * np.sqrt(share_N), 1.0 + 0.2 * share_N)
        x_NxI = np.stack([radius_N * np.cos(angle_N), radius_N * np.sin(angle_N)], axis=1)
        return Samples(x_NxI + draws.normal(scale=_NOISE, size=x_NxI.shape), y_N), "drawn"

    def split(samples: Samples) -> tuple[Parts[Samples], str]:
        train, test = (
            Samples(samples.x[part], samples.y[part]) for part in (slice(_SAMPLES), slice(_SAMPLES, None))
        )
        return Parts(train, test), "the first half to train on"

    def encode(parts: Parts[Samples]) -> tuple[Parts[Samples], str]:
        train, test = (Samples(part.x, part.y.astype(np.uint8)) for part in (parts.train, parts.test))
        return Parts(train, test), "labels as bytes"

    parts, stages = prepared(
        Nothing(),
        ("generate", generate), ("clean", clean_samples), ("split", split), ("normalise", standardised), ("encode", encode),
    )  # fmt: skip
    return dataset_of("100 points in a disc and a ring", "generated", parts, stages)
