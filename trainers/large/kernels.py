"""How long kernels take on a device: tiles over processors, depth, memory, and the host that dispatches them.

A product (M, K) x (K, N) is cut into tiles, which the processors take in waves (NVIDIA, Matrix Multiplication Background
User's Guide, 2020, "tile quantization" and "wave quantization"); cuBLAS chooses the tile, and may divide K. All
else is a stream of bytes. No kernel is faster than its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dcsim.facility.hardware import Accelerator
from trainers.large.efficiency import Efficiency
from trainers.large.operators import Kernel

__all__ = ["PROCESSORS", "device_s", "host_s", "kernel_times_s", "product_rate"]

Floats = npt.NDArray[np.float64]

PROCESSORS = {
    "V100": 80, "V100M16": 80, "V100M32": 80, "P100": 56, "T4": 40, "A10": 72, "A40": 84, "A100-40": 108,
    "A100-80": 108, "H100": 132, "H200": 132, "B200": 148,
}  # fmt: skip
"""Streaming multiprocessors by device (NVIDIA's architecture papers); others are taken as one that no wave leaves idle."""

_TILES = ((256, 128, 0), (128, 256, 0), (128, 128, 1), (128, 64, 2), (64, 128, 2), (64, 64, 3))
"""(rows, columns, halvings of area) of cuBLAS's tiles of 16-bit products on Tensor Cores."""
_SPLITS = (1, 2, 4, 8, 16)
"""Parts that K may be divided into; their sums are added up in fp32."""


def kernel_times_s(
    kernels: Sequence[Kernel], device: Accelerator, precision: str, efficiency: Efficiency
) -> Floats:
    """Return (len(kernels),) how long each takes on the device, the pause between kernels included [s]."""
    table = _table(tuple(kernels))
    bandwidth = efficiency.memory_fraction * device.memory_bandwidth_bytes_per_s
    memory_s = table[:, 0] / bandwidth
    product_s = np.zeros(len(table))
    products = table[:, 1] > 0.0
    if products.any():
        product_s[products] = _product_s(table[products], device, precision, efficiency, bandwidth)
    return np.maximum(memory_s, product_s) + efficiency.kernel_s


def device_s(kernels: Sequence[Kernel], device: Accelerator, precision: str, efficiency: Efficiency) -> float:
    """Return how long all take one after the other, if the host keeps up [s]."""
    return float(kernel_times_s(kernels, device, precision, efficiency).sum())


def host_s(kernels: Sequence[Kernel], efficiency: Efficiency) -> float:
    """Return how long the host takes to dispatch them [s]."""
    return efficiency.operator_s * sum(kernel.operators for kernel in kernels)


def product_rate(device: Accelerator, precision: str) -> float:
    """Return the peak rate of matrix products [FLOP/s]; 0: the device has none in that precision.

    Of fp32, that of tf32 where there is one, and on a TPU that of bf16, in which JAX multiplies fp32 matrices.
    """
    rates = device.peak_flop_per_s
    if precision == "fp32":
        return rates.get("tf32", rates.get("fp32", rates.get("bf16", 0.0)))
    return rates.get(precision, 0.0)


@lru_cache(maxsize=4096)
def _table(kernels: tuple[Kernel, ...]) -> Floats:
    """Return (kernels, 7): bytes, M, N, K, copies, part that is done, 0."""
    rows = [
        (k.size_bytes, k.rows, k.columns, k.depth, k.copies, k.flop_fraction, 0.0)
        for k in kernels
    ]  # fmt: skip
    return np.array(rows, dtype=float).reshape(-1, 7)


def _product_s(
    table: Floats, device: Accelerator, precision: str, efficiency: Efficiency, bandwidth: float
) -> Floats:
    """Return the least time over tiles and splits of K of each product [s]."""
    m, n, k, copies, done = (table[:, column, None, None] for column in range(1, 6))
    rate = efficiency.product_fraction * product_rate(device, precision)
    tiles = np.array(_TILES, dtype=float)[None, :, None, :]
    splits = np.array(_SPLITS, dtype=float)[None, None, :]
    count = np.ceil(m / tiles[..., 0]) * np.ceil(n / tiles[..., 1]) * copies * splits
    processors = PROCESSORS.get(device.name)
    waves = count if processors is None else np.ceil(count / processors) * processors
    depth = k / splits + efficiency.ramp_depth
    loss = efficiency.small_tile_fraction ** tiles[..., 2]
    time_s = 2.0 * waves * tiles[..., 0] * tiles[..., 1] * depth * done / (rate * loss)
    sums_s = np.where(splits > 1, 8.0 * m * n * copies * splits / bandwidth, 0.0)
    best: Floats = (time_s + sums_s).min(axis=(1, 2))
    return best
