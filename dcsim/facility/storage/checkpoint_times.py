"""How large checkpoints are, how long their bursts take, and how often to write one."""

from __future__ import annotations

import hashlib
import math

__all__ = [
    "BYTES_PER_PARAMETER",
    "SNAPSHOT_BYTES_PER_S",
    "burst_s",
    "checkpoint_bytes",
    "expected_run_s",
    "optimal_interval_s",
    "snapshot_s",
    "stagger_offset_s",
    "young_interval_s",
]

BYTES_PER_PARAMETER = 14.0
"""bf16 weights 2, fp32 master copy 4, two fp32 moments of Adam 8: mixed-precision training
(Micikevicius et al., ICLR 2018; Rajbhandari et al., ZeRO, SC 2020, section 3.1)."""
SNAPSHOT_BYTES_PER_S = 20e9
"""Accelerator to host memory over PCIe 4.0 x16: 25 GB/s of payload at best, less the copies in between."""


def checkpoint_bytes(
    parameters: int, measured_bytes: float = 0.0, bytes_per_parameter: float | None = None
) -> int:
    """Return the size of one checkpoint, in whole bytes.

    Args:
        parameters: of the model, >= 0.
        measured_bytes: as the cost profile says; 0: not known.
        bytes_per_parameter: rules over both; None: as measured, else 14.

    >>> checkpoint_bytes(70_000_000_000) / 1e9, checkpoint_bytes(1000, measured_bytes=8000.0)
    (980.0, 8000)
    """
    if bytes_per_parameter is not None:
        return math.ceil(parameters * bytes_per_parameter)
    return math.ceil(measured_bytes if measured_bytes > 0.0 else parameters * BYTES_PER_PARAMETER)


def snapshot_s(
    size_bytes: float, accelerators: int, bandwidth_bytes_per_s: float | None = None, *, sharded: bool = True
) -> float:
    """Return how long a job stands still while its state is copied to host memory.

    Args:
        size_bytes: of the whole checkpoint, >= 0.
        accelerators: that hold it, >= 1; each copies its part if `sharded`, else the first copies all.
        bandwidth_bytes_per_s: of each; None: 20 GB/s.
        sharded: whether each accelerator copies its own part.

    >>> snapshot_s(160e9, 8)
    1.0
    """
    bandwidth = SNAPSHOT_BYTES_PER_S if bandwidth_bytes_per_s is None else bandwidth_bytes_per_s
    return size_bytes / (bandwidth * (accelerators if sharded else 1))


def burst_s(
    size_bytes: float,
    bandwidth_bytes_per_s: float,
    bursts: int = 1,
    cap_bytes_per_s: float = math.inf,
    latency_s: float = 0.0,
) -> float:
    """Return how long `bursts` equal bursts take that begin together and share one bandwidth fairly.

    Each gets 1 / k of it, unless its own cap is lower: k of them take k times as long.

    >>> burst_s(100e9, 10e9), burst_s(100e9, 10e9, bursts=4), burst_s(100e9, 10e9, 4, cap_bytes_per_s=1e9)
    (10.0, 40.0, 100.0)
    """
    return latency_s + size_bytes / min(cap_bytes_per_s, bandwidth_bytes_per_s / bursts)


def stagger_offset_s(job_id: str, stagger_s: float) -> float:
    """Return by how much a job puts off its periodic checkpoints, 0 <= offset < stagger_s; always the same.

    Spread by a hash of its name, so that jobs which start together do not all write together.

    >>> [round(stagger_offset_s(f"job-{n}", 600.0)) for n in range(4)]
    [44, 268, 211, 68]
    """
    # A plain checksum of names that differ in a digit or two leaves gaps.
    digest = hashlib.blake2b(job_id.encode(), digest_size=4).digest()
    return stagger_s * (int.from_bytes(digest, "little") / 2.0**32)


def young_interval_s(write_s: float, mtbf_s: float) -> float:
    """Return sqrt(2 d M), the first-order best interval between checkpoints.

    Source: Young, A First Order Approximation to the Optimum Checkpoint Interval, CACM 17 (1974) 530.

    >>> round(young_interval_s(300.0, 11_135.0))
    2585
    """
    return math.sqrt(2.0 * write_s * mtbf_s)


def optimal_interval_s(write_s: float, mtbf_s: float) -> float:
    """Return the interval tau (work between checkpoints) with the least expected run time, exactly.

    The zero of its derivative, tau = M (1 + W(-exp(-d / M - 1))), W the principal branch of Lambert's
    function: of Daly, Future Generation Computer Systems 22 (2006) 303, before he approximates it.

    Args:
        write_s: d, of one checkpoint, >= 0.
        mtbf_s: M, mean time between failures of the whole job, > 0; exponential.

    >>> round(optimal_interval_s(300.0, 11_135.0))
    2389
    """
    from scipy.special import lambertw

    return float(mtbf_s * (1.0 + lambertw(-math.exp(-write_s / mtbf_s - 1.0)).real))


def expected_run_s(
    work_s: float, interval_s: float, write_s: float, restart_s: float, mtbf_s: float
) -> float:
    """Return the expected run time of `work_s` of work under exponential failures.

    T = M exp(R / M) (exp((tau + d) / M) - 1) W / tau (Daly 2006); failures may strike while a checkpoint
    is written and while the job restarts.

    >>> round(expected_run_s(1e6, 2389.0, 300.0, 60.0, 11_135.0))
    1279996
    """
    growth = math.expm1((interval_s + write_s) / mtbf_s)
    return mtbf_s * math.exp(restart_s / mtbf_s) * growth * work_s / interval_s
