"""Augmentation on the host: images turned, shifted, sheared, zoomed and mirrored anew each time they are drawn.

The parameters mean what those of Keras' `ImageDataGenerator` mean, shear excepted, which is in radians here as it was
in Keras when the recipes with 0.2 were written (Chollet, Building powerful image classification models using very
little data, 2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainers.data.dataset import Array

__all__ = ["Affine", "affine_maps", "warp"]


@dataclass(frozen=True)
class Affine:
    """A random affine map of each image; called as augment(draws, x) with x of shape B x ..., bytes or floats.

    >>> turn = Affine((2, 2, 1), flip=True)
    >>> x_BxI = np.array([[1, 2, 3, 4]], dtype=np.uint8)
    >>> sorted({tuple(turn(np.random.default_rng(seed), x_BxI)[0].tolist()) for seed in range(9)})
    [(1, 2, 3, 4), (2, 1, 4, 3)]
    """

    shape: tuple[int, int, int]
    """Rows, columns and colours of an image, however the samples are shaped."""
    rotation_deg: float = 0.0
    """Turned by an angle drawn evenly from - this to + this."""
    shift: float = 0.0
    """Moved by up to this share of the height and, drawn apart, of the width."""
    shear_rad: float = 0.0
    """Slanted by an angle of up to this either way."""
    zoom: float = 0.0
    """Scaled by factors from 1 - this to 1 + this, drawn apart for rows and columns."""
    flip: bool = False
    """Whether every other image, at random, is mirrored left to right."""

    def __call__(self, draws: np.random.Generator, x: Array) -> Array:
        """Return changed images of the same shape and type; what comes from outside is the nearest pixel."""
        images_BxXxYxC = x.reshape(-1, *self.shape)
        warped = warp(images_BxXxYxC, affine_maps(self, draws, len(images_BxXxYxC)))
        return warped.reshape(x.shape)


def affine_maps(ranges: Affine, draws: np.random.Generator, count: int) -> Array:
    """Draw maps from where a pixel is in the new image to where it is in the old one, about the middle.

    M = rotation . shift . shear . zoom . flip in homogeneous coordinates (row, column, 1), as Keras composes them:
    a shift of + s takes each pixel from s further down, so the picture moves up; a zoom above 1 makes it smaller.

    Returns:
        Shape B x 2 x 3.

    >>> affine_maps(Affine((28, 28, 1)), np.random.default_rng(0), 1)[0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    rows, columns, _ = ranges.shape
    # All are drawn whatever the ranges, so that one range changed leaves the other draws as they were.
    unit_Bx6 = draws.uniform(-1.0, 1.0, size=(count, 6))
    angle_B = np.deg2rad(ranges.rotation_deg) * unit_Bx6[:, 0]
    down_B, right_B = ranges.shift * rows * unit_Bx6[:, 1], ranges.shift * columns * unit_Bx6[:, 2]
    shear_B = ranges.shear_rad * unit_Bx6[:, 3]
    zoom_rows_B, zoom_columns_B = 1.0 + ranges.zoom * unit_Bx6[:, 4], 1.0 + ranges.zoom * unit_Bx6[:, 5]
    mirrored_B = np.where(ranges.flip & (draws.random(count) < 0.5), -1.0, 1.0)
    cos_B, sin_B = np.cos(angle_B), np.sin(angle_B)
    rotation_Bx2x2 = _matrices(cos_B, -sin_B, sin_B, cos_B)
    shear_Bx2x2 = _matrices(np.ones(count), -np.sin(shear_B), np.zeros(count), np.cos(shear_B))
    zoom_Bx2x2 = _matrices(zoom_rows_B, np.zeros(count), np.zeros(count), zoom_columns_B * mirrored_B)
    offset_Bx2x1 = rotation_Bx2x2 @ np.stack([down_B, right_B], axis=1)[:, :, None]
    return np.concatenate([rotation_Bx2x2 @ shear_Bx2x2 @ zoom_Bx2x2, offset_Bx2x1], axis=2)


def _matrices(top_left_B: Array, top_right_B: Array, low_left_B: Array, low_right_B: Array) -> Array:
    """Return 2 x 2 matrices, one an image."""
    return np.stack([top_left_B, top_right_B, low_left_B, low_right_B], axis=1).reshape(-1, 2, 2)


def warp(images_BxXxYxC: Array, maps_Bx2x3: Array) -> Array:
    """Return the images with each pixel taken from where its map says, between four pixels by their distance.

    Args:
        images_BxXxYxC: bytes or floats.
        maps_Bx2x3: in pixels about the middle of the image; see `affine_maps`.
    """
    rows, columns = images_BxXxYxC.shape[1:3]
    middle_row, middle_column = (rows - 1) / 2, (columns - 1) / 2
    row_X = np.arange(rows, dtype=np.float32)[:, None] - np.float32(middle_row)
    column_Y = np.arange(columns, dtype=np.float32)[None, :] - np.float32(middle_column)
    warped = np.empty_like(images_BxXxYxC)
    for image, at, out in zip(images_BxXxYxC, maps_Bx2x3.astype(np.float32), warped, strict=True):
        row_XxY = at[0, 0] * row_X + (at[0, 1] * column_Y + (at[0, 2] + np.float32(middle_row)))
        column_XxY = at[1, 0] * row_X + (at[1, 1] * column_Y + (at[1, 2] + np.float32(middle_column)))
        out[:] = _between(image, row_XxY, column_XxY)
    return warped


def _between(image_XxYxC: Array, row_XxY: Array, column_XxY: Array) -> Array:
    """Return the image at places between its pixels, bilinearly; beyond its edge, that of the edge."""
    rows, columns, colours = image_XxYxC.shape
    row_XxY = np.clip(row_XxY, 0, rows - 1)
    column_XxY = np.clip(column_XxY, 0, columns - 1)
    # The last row and column are reached from the one before, at distance 1.
    top_XxY = np.minimum(row_XxY.astype(np.int32), max(rows - 2, 0))
    left_XxY = np.minimum(column_XxY.astype(np.int32), max(columns - 2, 0))
    down_XxYx1, right_XxYx1 = (row_XxY - top_XxY)[..., None], (column_XxY - left_XxY)[..., None]
    flat = image_XxYxC.reshape(rows * columns, colours).astype(np.float32)
    corner_XxY = top_XxY * columns + left_XxY
    below, beside = (columns if rows > 1 else 0), (1 if columns > 1 else 0)
    upper: Array = flat.take(corner_XxY, axis=0)
    upper += right_XxYx1 * (flat.take(corner_XxY + beside, axis=0) - upper)
    lower = flat.take(corner_XxY + below, axis=0)
    lower += right_XxYx1 * (flat.take(corner_XxY + (below + beside), axis=0) - lower)
    upper += down_XxYx1 * (lower - upper)
    if np.issubdtype(image_XxYxC.dtype, np.integer):
        upper += 0.5  # cut off on conversion: rounds to the nearest
    return upper
