"""Elastic gangs: what another width buys, with the statistical efficiency of larger batches."""

from __future__ import annotations

import math

__all__ = ["relative_progress"]


def relative_progress(
    width: int, asked: int, batch_per_accelerator: int, noise_scale_samples: float
) -> float:
    """Return the progress of one step at `width` over that of one step at the width asked for.

    A step at `width` sees width * batch samples. With gradient noise scale phi a sample of a batch B
    is worth phi / (phi + B) of one of a tiny batch, so the worth of a step is B phi / (phi + B):
    McCandlish et al., An Empirical Model of Large-Batch Training (2018), equation 2.8, and the
    statistical efficiency of Pollux (Qiao et al., OSDI 2021, section 3.1).

    Args:
        width: accelerators, >= 1.
        asked: accelerators at which the job's steps are counted, >= 1.
        batch_per_accelerator: samples a step on each; 0: not known, then samples are all worth the same.
        noise_scale_samples: phi, > 0; NaN: samples are all worth the same.

    >>> relative_progress(8, 4, 32, math.nan)
    2.0
    >>> relative_progress(8, 4, 32, 128.0)  # 256 samples instead of 128: at 2/3 of their worth
    1.3333333333333333
    """
    scale = width / asked
    if math.isnan(noise_scale_samples) or batch_per_accelerator == 0:
        return scale
    here = batch_per_accelerator * width
    there = batch_per_accelerator * asked
    return scale * (noise_scale_samples + there) / (noise_scale_samples + here)
