"""Strategies for checkpoints as bytes, and for when they are due."""

from __future__ import annotations

from hypothesis import strategies as st

from dcsim.spec.checkpoints import CheckpointSpec
from dcsim.spec.preemption import PreemptionSpec
from dcsim.spec.storage import StorageSpec

__all__ = ["checkpoints", "preemptions"]


@st.composite
def checkpoints(draw: st.DrawFn, storage: StorageSpec) -> CheckpointSpec:
    """Draw how checkpoints are written to a storage that is there.

    Args:
        draw: given by Hypothesis.
        storage: where to; the object store occurs where it has one.
    """
    places = ["shared", *(["object"] if storage.object_store is not None else [])]
    if storage.local.capacity_bytes > 0.0:
        places.append("local")
    mode = draw(st.sampled_from(("synchronous", "asynchronous")))
    return CheckpointSpec(
        target=draw(st.sampled_from(places)),
        mode=mode,
        sharded=draw(st.booleans()),
        keep=draw(st.integers(1, 3)),
        stagger_s=draw(st.sampled_from((0.0, 2.0))),
        snapshot_bandwidth_bytes_per_s=draw(st.sampled_from((None, 1e8))) if mode == "asynchronous" else None,
        bytes_per_parameter=draw(st.sampled_from((None, 1_000.0, 14.0))),
        on_full=draw(st.sampled_from(("skip", "evict_oldest"))),
    )


@st.composite
def preemptions(draw: st.DrawFn) -> PreemptionSpec:
    """Draw what it costs to stop a job, so little that short rounds are long enough to get on."""
    kills = draw(st.booleans())
    return PreemptionSpec(
        on_preempt="kill" if kills else "checkpoint",
        checkpoint_s=draw(st.sampled_from((0.0, 2.0, 0.1))),
        start_s=draw(st.sampled_from((0.0, 1.0))),
        restore_s=draw(st.sampled_from((0.0, 3.0, 0.7))),
        requeue_s=draw(st.sampled_from((0.0, 4.0))),
        checkpoint_interval_s=draw(st.sampled_from((5.0, 3.3) if kills else (None, 5.0))),
    )
