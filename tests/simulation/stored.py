"""Runs that read and write, followed by hand: jobs of whole steps, and what crossed each link."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dcsim.simulation.kinds import LogKind
from dcsim.workload.jobs import JobTable, concat_jobs, job_table
from tests.simulation.conftest import round_profile
from tests.simulation.deciders import preemption
from tests.simulation.halls import hall, run

__all__ = [
    "FAST",
    "PRIORITY",
    "SHARED",
    "SIZE",
    "STAR",
    "bytes_by_link",
    "checkpointing",
    "interrupted",
    "log",
    "made",
    "periodic",
    "simulated",
    "stepped",
    "storage",
]

FAST = {
    "topology": "star",
    "server_bandwidth_bytes_per_s": 1e9,
    "latency_s": 0.0,
    "switch_power_w": 0.0,
}
"""A network that holds nobody back."""
SHARED = 1e6
"""Bandwidth of the file system, bytes/s."""


SIZE = 5e6
"""Of a checkpoint, in bytes: 5 s to a file system of 1 MB/s."""
PRIORITY = {"ordering": {"name": "priority", "parameters": {"preemptive": 1, "skip": 9}}}
STAR = FAST | {"server_bandwidth_bytes_per_s": 1e6}
"""A network of 1 MB/s."""


def storage(**parts: Any) -> dict[str, Any]:
    """Return a storage part: a file system of 1 MB/s, with changes to it and to the rest."""
    shared = {"bandwidth_bytes_per_s": SHARED, "power_w": 0.0} | parts.pop("shared", {})
    return {"shared": shared, **parts}


def made(**parts: Any) -> Any:
    """Return a hall with a fast network and a file system of 1 MB/s."""
    return hall(**({"network": FAST, "storage": storage()} | parts))


def periodic(interval_s: float | None = 10.0, **changes: Any) -> dict[str, Any]:
    """Return a preemption part with periodic checkpoints that cost nothing but their bytes."""
    return preemption(checkpoint_interval_s=interval_s, **changes)


def stepped(steps: float | Sequence[float], **columns: Any) -> JobTable:
    """Return jobs of the round profile: 1 s a step, four devices each unless said otherwise."""
    each = list(steps) if isinstance(steps, Sequence) else [steps]
    usual: dict[str, Any] = {"submit_s": [0.0] * len(each), "accelerators": 4, "profile": "round"}
    return job_table(steps=each, duration_s=math.nan, **(usual | columns))


def simulated(scenario: Any, jobs: JobTable, **profile: Any) -> Any:
    """Simulate with every guard on; jobs read nothing, and save 5 MB, unless said otherwise."""
    profiles = round_profile(**({"input_bytes_per_sample": 0.0, "checkpoint_bytes": 5e6} | profile))
    return run(scenario, jobs, profiles=profiles)


def log(result: Any, *kinds: LogKind) -> list[tuple[float, str, int]]:
    """Return (time, kind, job) of the rows of some kinds."""
    events = result.events
    columns = zip(events["time_s"].tolist(), events["kind"].tolist(), events["job"].tolist(), strict=True)
    return [(time_s, LogKind(kind).name.lower(), job) for time_s, kind, job in columns if kind in kinds]


def bytes_by_link(result: Any) -> dict[str, float]:
    """Return what crossed each link in all, in bytes or operations; only links that anything crossed."""
    names = result.listed_links.names
    crossed: dict[str, list[float]] = {}
    for link, bytes_ in zip(result.links["link"].tolist(), result.links["bytes"].tolist(), strict=True):
        crossed.setdefault(names[link], []).append(bytes_)
    return {name: math.fsum(parts) for name, parts in crossed.items()}


def checkpointing(checkpoints: dict[str, Any] | None = None, **parts: Any) -> Any:
    """One server of four, a checkpoint of 5 MB after every 10 s of work."""
    return made(**({"servers": 1, "preemption": periodic(), "checkpoints": checkpoints or {}} | parts))


def interrupted(at_s: float, checkpoints: dict[str, Any], on_preempt: str = "kill", **parts: Any) -> Any:
    """A job of 100 steps, pushed out at some time by one that takes 20 s."""
    jobs = concat_jobs(
        stepped(100.0, job_id=["a"], priority=0.0),
        job_table(submit_s=[at_s], duration_s=20.0, accelerators=4, job_id=["b"], priority=1.0),
    )
    rules = periodic(on_preempt=on_preempt, restore_s=99.0)  # not paid: what is restored are bytes
    return simulated(checkpointing(checkpoints, policies=PRIORITY, **({"preemption": rules} | parts)), jobs)
