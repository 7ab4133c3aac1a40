"""The type that a network computes in; its parameters are fp32 whatever it is, and so are its logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from trainers.recipe import Precision

__all__ = ["COMPUTE_DTYPES"]

COMPUTE_DTYPES: Mapping[Precision, Any] = {"fp32": jnp.float32, "bf16": jnp.bfloat16}
"""By the precision of a recipe (mixed precision: Micikevicius et al., ICLR 2018; bfloat16 needs no loss scaling)."""
