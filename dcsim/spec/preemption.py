"""What a scenario says of stopping a job and starting it again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dcsim.spec.model import SpecModel
from dcsim.spec.quantities import DurationS

__all__ = ["PreemptionSpec"]


class PreemptionSpec(SpecModel):
    """What preemption, periodic checkpoints and restarts cost, and whether wall-time limits kill."""

    on_preempt: Literal["checkpoint", "kill"] = "checkpoint"
    """checkpoint: a preempted job saves its state before it goes; kill: it goes at once, and does again
    what it has done since its last checkpoint."""
    checkpoint_s: DurationS = Field(default=30.0, ge=0)
    """Writing a checkpoint; the job holds its accelerators and makes no progress."""
    start_s: DurationS = Field(default=0.0, ge=0)
    """From the first grant (and the servers awake) until a job makes progress: loading, compiling."""
    restore_s: DurationS = Field(default=30.0, ge=0)
    """From the grant (and the servers awake) of a later attempt until it makes progress."""
    requeue_s: DurationS = Field(default=0.0, ge=0)
    """From the release of a preempted job until it may start again."""
    checkpoint_interval_s: DurationS | None = Field(default=None, ge=1)
    """Running time between periodic checkpoints, at least 1 s, counted anew from each start; None: none are written."""
    enforce_time_limits: bool = True
    """Whether a job is killed at its wall-time limit; else the limit is but an estimate."""
