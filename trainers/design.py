"""What to measure next, so that few points say what all of a range costs.

Pure functions of what was measured so far: the same measurements always give the same next point, so that an
interrupted calibration goes on as if nothing had happened. See docs/decisions/0093-design-of-experiments.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import stats

from trainers.fit import Sample
from trainers.surface import Residual, left_out, mean_error, unresolved

__all__ = ["Gap", "Space", "gaps", "next_point", "predicted_error"]

_WORST_TO_MEAN = 2.4
"""Largest error that is allowed beside a mean of 1, e.g. 12 % beside 5 %."""
_WINDOW = 8
"""A gap is halved within this part of its width around its middle."""
_KIND_SHARES = (1 / 2, 1 / 4, 1 / 8, 1 / 8)
"""Of all integers: the odd ones, those divisible by 2 but not by 4, by 4 but not by 8, and by 8."""
_NOISE_GAIN = 1.5
"""Variance of (a point less the mean of its neighbours), over that of a point."""
_CONFIDENCE = 0.8


@dataclass(frozen=True)
class Space:
    """All that may be measured: every batch of a range, on each number of devices."""

    devices: tuple[int, ...]
    """Ascending."""
    batch_min: int
    batch_max: int
    """Samples per device, both ends included."""


@dataclass(frozen=True)
class Gap:
    """Two measured neighbours of one number of devices, and what may be hidden between them."""

    devices: int
    low: int
    high: int
    """Batches per device; something lies between."""
    error_relative: float
    """Estimated |relative error| of a prediction in it, noise apart."""
    share: float
    """Of all configurations."""
    jump: bool
    """The curve is cut here."""


def next_point(
    samples: Sequence[Sample], space: Space, *, noise_relative: float, target: float, limit: int
) -> tuple[int, int] | None:
    """Return (devices, batch per device) to measure next; None when it is enough.

    First a coarse grid: both ends on each number of devices, then the middle and the quarters on the fewest and one
    batch between on the others. Then the gap that adds most to the mean error at random configurations is halved, again
    and again, which closes in on jumps. Enough is when left-out points, with 80 % confidence, are predicted within
    `target` in the mean and no gap hides a jump of more than 2.4 times that on either side of its middle; or when `limit`
    points are measured; or when nothing is left to measure.

    Args:
        samples: measured so far, all inside the space.
        space: what may be measured.
        noise_relative: standard deviation of one measurement, relative; what lies below is not looked for.
        target: mean |relative error|.
        limit: most points.

    >>> space = Space((1,), 8, 128)
    >>> next_point([], space, noise_relative=0.03, target=0.05, limit=12)
    (1, 8)
    """
    if len(samples) >= limit:
        return None
    measured = {(sample.devices, sample.batch_per_device) for sample in samples}
    found = [gap for gap in gaps(samples, space, noise_relative) if gap.high - gap.low > 1] if samples else []
    wide = [gap for gap in found if gap.error_relative > _WORST_TO_MEAN * target]
    # A jump to be closed in on needs the points more than the rest of the grid of its curve does.
    closing_in = any(gap.jump for gap in wide)
    for devices, batch in _grid(space):
        if (devices, batch) not in measured and not (closing_in and devices == space.devices[0]):
            return devices, batch
    if not found or (not wide and predicted_error(samples, noise_relative) <= target):
        return None
    # Other numbers of devices take the shape of the base curve: while that is open, theirs cannot be judged. And where
    # noise hides every error the widest gap is halved: more points are all that helps.
    candidates = [gap for gap in wide if gap.jump] or found
    worst = max(
        candidates, key=lambda gap: (gap.error_relative * gap.share, gap.share, -gap.devices, -gap.low)
    )
    row = [sample.batch_per_device for sample in samples if sample.devices == worst.devices]
    return worst.devices, _between(worst.low, worst.high, row)


def predicted_error(samples: Sequence[Sample], noise_relative: float) -> float:
    """Return the mean |relative error| at random configurations that is not exceeded with 80 % confidence.

    Student's upper limit of the mean over left-out points, and what gaps with jumps add; infinite where fewer than
    two points can be left out.
    """
    residuals = left_out(samples, noise_relative) if samples else ()
    if len(residuals) < 2:
        return math.inf
    mean = mean_error(residuals, unresolved(samples, noise_relative))
    spread = float(np.std([abs(each.error_relative) for each in residuals], ddof=1))
    limit = float(stats.t.ppf(_CONFIDENCE, len(residuals) - 1))
    return mean + limit * spread / math.sqrt(len(residuals))


def gaps(samples: Sequence[Sample], space: Space, noise_relative: float) -> Iterator[Gap]:
    """Yield each pair of measured neighbours and how wrong predictions between them may be.

    Where the base curve is cut (`trainers.regimes`) that is half the jump; elsewhere the mean of what the ends of the gap
    show when they are left out, noise apart, or the mean of all others where neither can be.
    """
    errors = {each.sample: _beyond_noise(each, noise_relative) for each in left_out(samples, noise_relative)}
    usual = sum(errors.values()) / len(errors) if errors else 0.0
    jumps = {each.sample: each.error_relative for each in unresolved(samples, noise_relative)}
    width = max(1, space.batch_max - space.batch_min)
    for devices in space.devices:
        row = sorted(sample for sample in samples if sample.devices == devices)
        for left, right in pairwise(row):
            known = [errors[side] for side in (left, right) if side in errors] or [usual]
            error = jumps.get(left, sum(known) / len(known))
            share = (right.batch_per_device - left.batch_per_device) / width
            # A jump of the base curve is one of all numbers of devices: they take its shape.
            if left not in jumps:
                share /= len(space.devices)
            yield Gap(devices, left.batch_per_device, right.batch_per_device, error, share, left in jumps)


def _beyond_noise(residual: Residual, noise_relative: float) -> float:
    """Return the part of an error that noise does not explain."""
    return math.sqrt(max(0.0, residual.error_relative**2 - _NOISE_GAIN * noise_relative**2))


def _grid(space: Space) -> Iterator[tuple[int, int]]:
    """Yield the coarse grid, the most useful points first."""
    base, *others = space.devices
    rows: dict[int, list[int]] = {devices: [] for devices in space.devices}

    def use(devices: int, batch: int) -> Iterator[tuple[int, int]]:
        if batch not in rows[devices]:
            rows[devices].append(batch)
            yield devices, batch

    for devices in space.devices:
        yield from use(devices, space.batch_min)
        yield from use(devices, space.batch_max)
    middle = _between(space.batch_min, space.batch_max, rows[base])
    yield from use(base, middle)
    quarter = _between(space.batch_min, middle, rows[base])
    yield from use(base, quarter)
    # Where the base has no point: so the point tests the shape of the base curve, too.
    for devices in others:
        yield from use(devices, _between(quarter, middle, [*rows[base], *rows[devices]]))
    yield from use(base, _between(middle, space.batch_max, rows[base]))


def _between(low: int, high: int, measured: Sequence[int]) -> int:
    """Return a batch near the middle of a gap, of a divisibility by 2 that was measured too rarely so far.

    Programs treat batches that are multiples of 2, 4 or 8 differently; halving alone would only ever see such.
    """
    if high - low < 2:
        return low
    middle, reach = (low + high) / 2, (high - low) / _WINDOW
    nearby = [batch for batch in range(low + 1, high) if abs(batch - middle) <= max(0.5, reach)]
    counts = [sum(_divisibility(batch) == kind for batch in measured) for kind in range(len(_KIND_SHARES))]

    def rarity(batch: int) -> tuple[float, float, int]:
        kind = _divisibility(batch)
        return (counts[kind] + 1) / _KIND_SHARES[kind], abs(batch - middle), batch

    return min(nearby, key=rarity)


def _divisibility(batch: int) -> int:
    """Return how often a batch can be halved, at most 3.

    >>> [_divisibility(batch) for batch in (7, 6, 12, 64)]
    [0, 1, 2, 3]
    """
    return min((batch & -batch).bit_length() - 1, len(_KIND_SHARES) - 1)
