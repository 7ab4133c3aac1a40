"""How much of its data sheet a device and its links give: the one table of figures that predictions rest on."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ASSUMED", "Efficiency"]


@dataclass(frozen=True)
class Efficiency:
    """Physical parameters of kernels, host and links; see docs/explanation/large-models.md for each source."""

    product_fraction: float
    """Of the peak rate that a large matrix product reaches while its tiles fill all processors."""
    small_tile_fraction: float
    """Of that, what tiles of half the area reach: each loads more bytes an operation."""
    ramp_depth: float
    """K that a tile spends on filling and draining its pipeline: a product of depth K takes as long as K + this."""
    memory_fraction: float
    """Of the memory bandwidth that passes over large arrays reach."""
    kernel_s: float
    """Device time between two kernels [s]."""
    operator_s: float
    """Host time that a framework takes to dispatch an operator [s]; the device waits where it is faster."""
    inside_fraction: float
    """Of the bandwidth between devices of a server that rings reach on large messages."""
    inside_call_s: float
    """Of a collective inside a server, before its first byte [s]."""
    inside_round_s: float
    """Of each round of a ring inside a server [s]."""
    between_fraction: float
    """Of the bandwidth between servers that large messages reach."""
    between_round_s: float
    """Of each round between servers, latency of the links aside [s]."""
    optimizer_bytes: float
    """Read and written by an update for each weight of a device [B]."""
    step_s: float
    """Host time of a step that no computing hides: data, loss, logging [s]."""


ASSUMED = Efficiency(
    product_fraction=0.80,
    small_tile_fraction=0.90,
    ramp_depth=128.0,
    memory_fraction=0.80,
    kernel_s=2e-6,
    operator_s=20e-6,
    inside_fraction=0.77,
    inside_call_s=10e-6,
    inside_round_s=3e-6,
    between_fraction=0.80,
    between_round_s=5e-6,
    optimizer_bytes=48.0,
    step_s=5e-3,
)
"""Without any fit; from published measurements of kernels, frameworks and links."""
