"""Hit rates of caches whose datasets are read whole, in a new random order every epoch.

Time is counted in epochs of the reader looked at. A reader may read, on the server of the cache, only
its part of each epoch: one of `parts` that are drawn anew (data-parallel training on several servers).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "Reader",
    "competing_lru_hit_rates",
    "lru_hit_rate",
    "lru_occupancy_bytes",
    "no_eviction_hit_rate",
    "unread_fraction",
]

Floats = npt.NDArray[np.float64]

_PHASES = 64
"""Positions within an epoch over which a hit rate is averaged: errors below 1e-4."""
_MOST_STEPS = 100
_MOST_AT_ONCE = 1 << 18
"""Numbers in one array, which bounds the memory."""
_SMALL = 1e-7
_NOTHING = 1e-12
"""A cache that holds less than this part of its datasets is taken for empty: it would be rounding."""
_ALL = 1e-9
"""A cache that lacks less than this part of its datasets is taken to hold them."""


@dataclass(frozen=True, slots=True, order=True)
class Reader:
    """Equal jobs, each of which reads one dataset through the cache in orders of its own."""

    dataset: int
    """Index of the dataset."""
    epoch_s: float
    """How long one epoch takes, > 0."""
    parts: int = 1
    """Servers that share each epoch among them, >= 1; one of them has this cache."""
    count: int = 1
    """How many such jobs, >= 1."""


def no_eviction_hit_rate(cached: float) -> float:
    """Return the hit rate of a cache that holds the fraction `cached` (0..1) and evicts nothing: `cached`.

    Source: Mohan et al., Analyzing and Mitigating Data Stalls in DNN Training, VLDB 2021.

    >>> no_eviction_hit_rate(0.65)
    0.65
    """
    return min(max(cached, 0.0), 1.0)


def lru_hit_rate(cached: float) -> float:
    """Return the hit rate of an LRU cache as large as the fraction `cached` (0..1) of its only dataset.

    An item read at u in one epoch and at v in the next, both uniform, was followed by 1 - u(1 - v) of
    the dataset; it is still there when that is below c. So P(u(1 - v) > 1 - c) = c + (1 - c) ln(1 - c).
    Smaller than c, as a shuffled scan evicts what it is about to need: thrashing (Mohan et al., VLDB 2021).

    >>> [round(lru_hit_rate(c), 3) for c in (0.5, 0.8, 1.0)]
    [0.153, 0.478, 1.0]
    """
    c = min(max(cached, 0.0), 1.0)
    # Below rounding the sum of two terms is noise: its series starts with c^2 / 2.
    if c < 1e-5:
        return c * c * (0.5 + c / 6.0)
    return c + (1.0 - c) * math.log1p(-c) if c < 1.0 else 1.0


def unread_fraction(epochs: Floats, parts: int = 1) -> Floats:
    """Return the part of a dataset that a reader has not read in a window of so many epochs.

    The mean over where in an epoch the window starts; 1 - t + t^3 / 6 for t <= 1 and one part.

    Args:
        epochs: any shape, >= 0.
        parts: servers that share each epoch, >= 1; the reader reads 1 / parts of it.

    >>> unread_fraction(np.array([0.0, 0.5, 1.0, 2.0])).round(4).tolist()
    [1.0, 0.5208, 0.1667, 0.0]
    """
    if parts == 1:  # nothing is unread for two epochs
        left = np.maximum(2.0 - epochs, 0.0)
        early = epochs * (epochs * epochs / 6.0 - 1.0) + 1.0
        return np.where(epochs <= 1.0, early, left * left * left / 6.0)
    q = 1.0 / parts
    whole = np.floor(epochs)
    f = epochs - whole
    # The window takes x of its first epoch and y of its last; whole epochs lie between them.
    within = f - q * f**2 + q**2 * f**3 / 6.0  # integral of (1 - q x)(1 - q y), x + y = f, over x < f
    over = 1.0 + f  # and where x > f: x + y = 1 + f, and one whole epoch fewer
    across = (1.0 - f) * (1.0 - q * over) + q**2 * (over * (1.0 - f**2) / 2.0 - (1.0 - f**3) / 3.0)
    unread = (1.0 - q) ** whole * within + (1.0 - q) ** np.maximum(whole - 1.0, 0.0) * across
    # Within the first epoch a window that starts late enough does not reach the next.
    unread = np.where(whole == 0.0, within + (1.0 - f) * (1.0 - q * f), unread)
    return np.clip(unread, 0.0, 1.0)


def competing_lru_hit_rates(
    size_bytes: Sequence[float], readers: Sequence[Reader], capacity_bytes: float
) -> list[float]:
    """Return (R,) the hit rate of each of the readers of one LRU cache, 0..1.

    Che's approximation (Che, Tung, Wang, IEEE J. Sel. Areas Commun. 20 (2002) 1305), adapted to epochs:
    an item hits when it was read within the characteristic time T in which as many distinct bytes were
    read as the cache holds. Here T depends on where the reader is in its own epoch, which is known
    exactly; of the other readers the mean is taken. So one reader alone has the exact
    c + (1 - c) ln(1 - c), and very many readers of one dataset have c, as independent requests would.

    Args:
        size_bytes: (D,) of each dataset, > 0.
        readers: (R,) at least one.
        capacity_bytes: of the cache, >= 0.

    >>> alone = competing_lru_hit_rates([1e9], [Reader(0, 60.0)], 0.5e9)
    >>> beside = competing_lru_hit_rates([1e9, 1e9], [Reader(0, 60.0), Reader(1, 60.0)], 0.5e9)
    >>> round(alone[0], 3), round(beside[0], 3)
    (0.153, 0.033)
    """
    crowd = _Crowd(size_bytes, readers)
    if capacity_bytes >= crowd.total_bytes * (1.0 - _ALL):
        return [1.0] * len(readers)
    if capacity_bytes <= _NOTHING * crowd.total_bytes:
        return [0.0] * len(readers)
    return crowd.hit_rates(capacity_bytes)


def lru_occupancy_bytes(
    size_bytes: Sequence[float], readers: Sequence[Reader], capacity_bytes: float
) -> list[float]:
    """Return (D,) how many bytes of each dataset an LRU cache holds on average; they sum to what is in use.

    Those read within one characteristic time, the same for all; arguments as above.

    >>> lru_occupancy_bytes([4e9, 4e9], [Reader(0, 60.0), Reader(1, 60.0)], 4e9)
    [2000000000.0, 2000000000.0]
    """
    crowd = _Crowd(size_bytes, readers)
    if capacity_bytes >= crowd.total_bytes * (1.0 - _ALL):
        return [size if d in crowd.members else 0.0 for d, size in enumerate(size_bytes)]
    if capacity_bytes <= _NOTHING * crowd.total_bytes:
        return [0.0] * len(size_bytes)
    unread = crowd.unread(crowd.mean_time_s(capacity_bytes))
    held = [0.0] * len(size_bytes)
    for d, who in crowd.members.items():
        held[d] = size_bytes[d] * (1.0 - float(np.prod(unread[who])))
    scale = capacity_bytes / sum(held)  # the last rounding of the search
    return [bytes_ * scale for bytes_ in held]


class _Crowd:
    """The readers of one cache as arrays: G groups of equal ones.

    Args:
        size_bytes: (D,) of each dataset.
        readers: (G,) the groups.
    """

    def __init__(self, size_bytes: Sequence[float], readers: Sequence[Reader]) -> None:
        self._readers = readers
        self._epoch_s = np.array([reader.epoch_s for reader in readers])
        self._count = np.array([reader.count for reader in readers])
        self.members: dict[int, list[int]] = {}
        """Dataset -> its groups."""
        self._by_parts: dict[int, list[int]] = {}
        for number, reader in enumerate(readers):
            self.members.setdefault(reader.dataset, []).append(number)
            self._by_parts.setdefault(reader.parts, []).append(number)
        self._sizes = {d: size_bytes[d] for d in sorted(self.members)}
        self.total_bytes = sum(self._sizes.values())
        self._bytes_per_s = sum(r.count * size_bytes[r.dataset] / (r.epoch_s * r.parts) for r in readers)

    def unread(self, time_s: Floats) -> Floats:
        """Return (G, ...) what none of each group has read in windows of (...) `time_s`."""
        unread = self._unread_by_one(time_s)
        for number, count in enumerate(self._count.tolist()):
            if count > 1:
                unread[number] **= count
        return unread

    def mean_time_s(self, capacity_bytes: float) -> Floats:
        """Return (1,) the time in which so many distinct bytes are read, wherever readers are in their epochs."""

        def read_bytes(time_s: Floats) -> Floats:
            return self._distinct(self.unread(time_s))

        return self._solved(read_bytes, capacity_bytes, np.array([capacity_bytes / self._bytes_per_s]))

    def hit_rates(self, capacity_bytes: float) -> list[float]:
        """Return (G,) the hit rate of each group, averaged over where a reader of it is in its own epoch."""
        start_s = self.mean_time_s(capacity_bytes)
        at_once = max(1, _MOST_AT_ONCE // (len(self._readers) * _PHASES))
        rates: list[float] = []
        for first in range(0, len(self._readers), at_once):
            those = range(first, min(first + at_once, len(self._readers)))
            rates += self._hit_rates(capacity_bytes, those, float(start_s[0]))
        return rates

    def _hit_rates(self, capacity_bytes: float, those: range, start_s: float) -> list[float]:
        """Return the hit rates of some groups."""
        v = (np.arange(_PHASES) + 0.5) / _PHASES

        def read_bytes(time_s: Floats) -> Floats:
            unread = self._unread_beside(time_s, those)
            for row, me in enumerate(those):
                mine = self._readers[me]
                unread[me, row] *= _unread_by_me(time_s[row] / mine.epoch_s, v, mine.parts)
            return self._distinct(unread)

        time_s = self._solved(read_bytes, capacity_bytes, np.full((len(those), _PHASES), start_s))
        unread = self._unread_beside(time_s, those)
        rates = []
        for row, me in enumerate(those):
            mine = self._readers[me]
            missed = _last_read_before(time_s[row] / mine.epoch_s, v, mine.parts)
            missed = missed * np.prod(unread[self.members[mine.dataset], row], axis=0)
            rates.append(float(np.clip(1.0 - missed.mean(), 0.0, 1.0)))
        return rates

    def _unread_beside(self, time_s: Floats, those: range) -> Floats:
        """Return (G, R, ...) the same for R of the groups, each without the one reader that is looked at."""
        one = self._unread_by_one(time_s)
        unread = one.copy()
        for number, count in enumerate(self._count.tolist()):
            if count > 1:
                unread[number] **= count
        for row, me in enumerate(those):
            unread[me, row] = one[me, row] ** (self._count[me] - 1)
        return unread

    def _unread_by_one(self, time_s: Floats) -> Floats:
        """Return (G, ...) what one reader of each group has not read in windows of (...) `time_s`."""
        unread = np.empty((len(self._readers), *time_s.shape))
        for parts, who in self._by_parts.items():
            epochs = time_s / self._epoch_s[who].reshape(-1, *(1,) * time_s.ndim)
            unread[who] = unread_fraction(epochs, parts)
        return unread

    def _distinct(self, unread: Floats) -> Floats:
        """Return (...) the distinct bytes read by all, of (G, ...) what groups have not read."""
        read = np.zeros(unread.shape[1:])
        for d, size in self._sizes.items():
            read += size * (1.0 - np.prod(unread[self.members[d]], axis=0))
        return read

    def _solved(
        self, read_bytes: Callable[[Floats], Floats], capacity_bytes: float, time_s: Floats
    ) -> Floats:
        """Return the times in which `capacity_bytes` distinct bytes are read, from a first guess.

        Newton's method: distinct bytes grow ever more slowly with the window (each factor of what is unread
        is convex and falls), so that no step but for rounding, and a first one to the left, goes too far.
        """
        enough = _NOTHING * self.total_bytes
        least_s = capacity_bytes / self._bytes_per_s
        for _ in range(_MOST_STEPS):
            read = read_bytes(time_s)
            missing = capacity_bytes - read
            if (np.abs(missing) <= enough).all():
                break
            slope = (read_bytes(time_s * (1.0 + _SMALL)) - read) / (time_s * _SMALL)
            time_s = time_s + missing / np.maximum(slope, _SMALL * self._bytes_per_s)
            time_s = np.maximum(time_s, least_s)
        return time_s


def _unread_by_me(epochs: Floats, phase: Floats, parts: int) -> Floats:
    """Return what a reader at `phase` of its epoch has not read, looking back so many epochs."""
    q = 1.0 / parts
    before = np.maximum(epochs - phase, 0.0)
    whole = np.floor(before)
    now: Floats = 1.0 - q * np.minimum(epochs, phase)
    return now * (1.0 - q) ** whole * (1.0 - q * (before - whole))


def _last_read_before(epochs: Floats, phase: Floats, parts: int) -> Floats:
    """Return the chance that what a reader reads now it last read longer ago than so many epochs.

    In the present epoch it has not read it yet; in each earlier one it did with chance 1 / parts, at a
    uniform position.
    """
    q = 1.0 / parts
    before = np.maximum(epochs - phase, 0.0)
    whole = np.floor(before)
    longer: Floats = (1.0 - q) ** whole * (1.0 - q * (before - whole))
    return longer
