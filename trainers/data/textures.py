"""Images of two textures: noise of short waves, and of longer ones."""

from __future__ import annotations

import numpy as np

from trainers.data.dataset import Array, Dataset, dataset_of
from trainers.data.prepare import (
    Nothing,
    Parts,
    Samples,
    as_they_are,
    clean_samples,
    prepared,
    shuffled_split,
)

__all__ = ["SIDE", "texture", "textures_data"]

SIDE = 150
"""Rows and columns of an image."""
_IMAGES = 600
_FINE, _COARSE = (5.0, 7.0), (9.0, 12.0)
"""Wavelengths in the middle of an image's band, in pixels."""
_OCTAVES = 0.33
"""Deviation of a band."""
_HELD_OUT = 0.2


def textures_data(seed: int, images: int = _IMAGES, side: int = SIDE) -> Dataset:
    """Return images of two kinds of noise: in a band of short waves (0) or of longer ones (1).

    Mean, contrast, colours and whether and where waves have a direction are drawn anew for each image and alike for both
    kinds: what tells them apart is the wavelength, 5 to 7 pixels or 9 to 12. No mean or deviation shows it, it survives
    turning, mirroring and shear, and a zoom by a fifth leaves most of it. A fifth of the images is held out.

    Args:
        seed: of the images and of the choice of those held out.
        images: how many, half of each kind.
        side: rows and columns.
    """

    def generate(_: Nothing) -> tuple[Samples, str]:
        draws = np.random.default_rng([seed, images, side])
        y_N = np.arange(images) % 2
        x_NxXxYx3 = np.stack([texture(draws, coarse=bool(kind), side=side) for kind in y_N])
        return Samples(x_NxXxYx3, y_N), "drawn"

    def encode(parts: Parts[Samples]) -> tuple[Parts[Samples], str]:
        train, test = (Samples(part.x, part.y.astype(np.uint8)) for part in (parts.train, parts.test))
        return Parts(train, test), "labels as bytes"

    parts, stages = prepared(
        Nothing(),
        ("generate", generate), ("clean", clean_samples), ("split", shuffled_split(seed, _HELD_OUT)),
        ("normalise", as_they_are("0 to 255 already; networks divide")), ("encode", encode),
    )  # fmt: skip
    return dataset_of(f"{images} images of two textures, {side} x {side} x 3", "generated", parts, stages)


def texture(draws: np.random.Generator, *, coarse: bool, side: int = SIDE) -> Array:
    """Draw one image, bytes of shape side x side x 3.

    White noise is filtered: wavelengths about one drawn from the kind's range pass, a third of an octave wide, and in
    half of the images those waves only that run within some 30 degrees of one direction. The result is scaled to
    deviation 1 and laid on a drawn colour with a drawn contrast, before white noise is added.
    """
    down_XxK = np.fft.fftfreq(side)[:, None]
    right_XxK = np.fft.rfftfreq(side)[None, :]
    with np.errstate(divide="ignore"):
        octaves_XxK = np.log2(np.hypot(down_XxK, right_XxK) * draws.uniform(*(_COARSE if coarse else _FINE)))
    passed_XxK = np.exp(-((octaves_XxK / _OCTAVES) ** 2) / 2)
    direction_rad = draws.uniform(0.0, np.pi)
    if draws.random() < 0.5:
        # Opposite directions are the same wave, hence the period of pi.
        apart_XxK = np.angle(np.exp(2j * (np.arctan2(down_XxK, right_XxK) - direction_rad))) / 2
        passed_XxK = passed_XxK * np.exp(-((apart_XxK / np.deg2rad(30.0)) ** 2) / 2)
    waves_XxY = np.fft.irfft2(np.fft.rfft2(draws.normal(size=(side, side))) * passed_XxK, s=(side, side))
    waves_XxY /= waves_XxY.std()
    base_3, contrast = draws.uniform(90.0, 165.0, size=3), draws.uniform(20.0, 45.0)
    hue_3 = draws.uniform(0.5, 1.0, size=3)
    grain_XxYx3 = draws.normal(scale=8.0, size=(side, side, 3))
    image_XxYx3 = base_3 + contrast * hue_3 * waves_XxY[..., None] + grain_XxYx3
    return np.clip(np.rint(image_XxYx3), 0, 255).astype(np.uint8)
