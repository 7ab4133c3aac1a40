"""Caches simulated read by read, as a textbook has them, over traces of reshuffled epochs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Stream", "lru_hits", "no_eviction_hits", "reads"]


@dataclass(frozen=True)
class Stream:
    """One job: it reads all `items` of a dataset every `epoch_s`, or a part of them drawn anew."""

    dataset: int
    items: int
    epoch_s: float
    parts: int = 1
    offset: float = 0.0
    """Part of its first epoch that lies before time 0."""


def reads(streams: Sequence[Stream], until_s: float, seed: int) -> Iterator[tuple[int, int, int]]:
    """Yield (stream, dataset, item) of all reads, in the order of their times."""
    draws = np.random.default_rng(seed)
    times, of, items = [], [], []
    for number, stream in enumerate(streams):
        begin_s = -stream.offset * stream.epoch_s
        while begin_s < until_s:
            order = draws.permutation(stream.items)
            when = begin_s + (np.arange(stream.items) + draws.random()) / stream.items * stream.epoch_s
            mine = draws.random(stream.items) * stream.parts < 1.0
            times.append(when[mine])
            items.append(order[mine])
            of.append(np.full(int(mine.sum()), number))
            begin_s += stream.epoch_s
    when, who, what = np.concatenate(times), np.concatenate(of), np.concatenate(items)
    for at in np.argsort(when, kind="stable")[int((when < 0.0).sum()) :].tolist():
        number = int(who[at])
        yield number, streams[number].dataset, int(what[at])


def lru_hits(
    trace: Iterator[tuple[int, int, int]], capacity: int, streams: int, warm: int
) -> list[tuple[int, int]]:
    """Return (hits, reads) of each stream after the first `warm` reads of an LRU cache of so many items."""
    held: OrderedDict[tuple[int, int], None] = OrderedDict()
    counts = [[0, 0] for _ in range(streams)]
    for number, (stream, dataset, item) in enumerate(trace):
        key = (dataset, item)
        hit = key in held
        if hit:
            held.move_to_end(key)
        else:
            held[key] = None
            if len(held) > capacity:
                held.popitem(last=False)
        if number >= warm:
            counts[stream][0] += hit
            counts[stream][1] += 1
    return [(hits, total) for hits, total in counts]


def no_eviction_hits(
    trace: Iterator[tuple[int, int, int]], capacity: int, streams: int, warm: int
) -> list[tuple[int, int]]:
    """Return (hits, reads) of each stream after the first `warm` reads of a cache that only fills up."""
    held: set[tuple[int, int]] = set()
    counts = [[0, 0] for _ in range(streams)]
    for number, (stream, dataset, item) in enumerate(trace):
        hit = (dataset, item) in held
        if not hit and len(held) < capacity:
            held.add((dataset, item))
        if number >= warm:
            counts[stream][0] += hit
            counts[stream][1] += 1
    return [(hits, total) for hits, total in counts]
