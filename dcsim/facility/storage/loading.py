"""Data loading beside compute: how far it overlaps, and by how much a starved job is slower."""

from __future__ import annotations

import math

__all__ = ["overlap_fraction", "read_ahead_bytes_per_s", "stall_factor", "step_time_s"]


def overlap_fraction(prefetch_bytes: float | None, step_bytes: float) -> float:
    """Return the part of a step's input that is read while the step before is computed, 0..1.

    Args:
        prefetch_bytes: how far a server reads ahead; None: as far as helps.
        step_bytes: what a step reads on it, >= 0.

    >>> overlap_fraction(None, 1e9), overlap_fraction(0.25e9, 1e9), overlap_fraction(0.0, 1e9)
    (1.0, 0.25, 0.0)
    """
    if prefetch_bytes is None or prefetch_bytes >= step_bytes:
        return 1.0
    return prefetch_bytes / step_bytes


def step_time_s(compute_s: float, input_s: float, overlap: float = 1.0) -> float:
    """Return the time of one step whose next input is read meanwhile, as far as `overlap` (0..1) says.

    With all of it read ahead the longer of the two counts, with nothing their sum (Mohan et al.,
    Analyzing and Mitigating Data Stalls in DNN Training, VLDB 2021: fetch stalls).

    >>> step_time_s(2.0, 3.0), step_time_s(2.0, 3.0, 0.5), step_time_s(2.0, 3.0, 0.0)
    (3.0, 3.5, 5.0)
    """
    return max(compute_s, overlap * input_s) + (1.0 - overlap) * input_s


def read_ahead_bytes_per_s(prefetch_bytes: float | None, latency_s: float) -> float:
    """Return the most that a stream with so many bytes on their way gets at this latency: Little's law.

    >>> read_ahead_bytes_per_s(64e6, 0.03) / 1e9  # doctest: +ELLIPSIS
    2.13...
    >>> read_ahead_bytes_per_s(None, 0.03)
    inf
    """
    if prefetch_bytes is None or prefetch_bytes == 0.0 or latency_s == 0.0:
        return math.inf
    return prefetch_bytes / latency_s


def stall_factor(
    readers: int, bytes_per_s: float, bandwidth_bytes_per_s: float, hit_rate: float = 0.0
) -> float:
    """Return by what factor jobs are slower that read through one bandwidth, >= 1.

    Args:
        readers: jobs that each read everything themselves; 1 for jobs that share one read.
        bytes_per_s: what each would read unhindered.
        bandwidth_bytes_per_s: what they get together, > 0.
        hit_rate: part that comes from a cache which holds nobody back, 0..1.

    Eight jobs of a hyper-parameter search on one disk, each wanting 0.7125 of it, beside one coordinated
    read: 5.7 times, the most that CoorDL gained in such a search (Mohan et al., VLDB 2021, abstract).

    >>> stall_factor(8, 0.7125, 1.0), stall_factor(1, 0.7125, 1.0), stall_factor(8, 0.7125, 1.0, 0.9)
    (5.7, 1.0, 1.0)
    """
    return max(1.0, readers * bytes_per_s * (1.0 - hit_rate) / bandwidth_bytes_per_s)
