"""Ways of sharing a step that a calibration can measure; naming them imports no JAX."""

from __future__ import annotations

from dcsim.workload.profile import Mode

__all__ = ["PLAIN_MODES"]

PLAIN_MODES: tuple[Mode, ...] = ("jit", "pmap", "shard_map", "fsdp")
"""Those of `trainers.parallel` that need no degrees; surface and fit are made of the first that is asked for."""
