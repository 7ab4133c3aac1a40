"""Questions fixed by name, and what shows that an answer depends on anything but the question."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np
import numpy.typing as npt

from dcsim.policies.active import ActiveJobs, TenantsView
from dcsim.policies.power_view import IdleView, PowerView
from dcsim.policies.views import ClusterView, GridView, JobsView, PlacementRequest
from dcsim.rng import stream
from dcsim.testing.strategies.active import LinearProgress
from dcsim.testing.strategies.power import make_power_view
from dcsim.testing.strategies.views import make_cluster_view, make_grid_view

__all__ = [
    "answers_under_hash_seeds",
    "frozen_state",
    "same_columns",
    "same_jobs_view",
    "same_view",
    "sample_active_jobs",
    "sample_grid_view",
    "sample_idle_view",
    "sample_jobs_view",
    "sample_power_view",
    "sample_problems",
]

_TIME_LIMIT_S = 120.0
_ASK = """
import pickle, sys
policy, method, questions = pickle.load(sys.stdin.buffer)
for question in questions:
    answer = getattr(policy, method)(*question)
    parts = [getattr(answer, name) for name in getattr(type(answer), "__slots__", ())] or [answer]
    print(*(part.tolist() if hasattr(part, "tolist") else part for part in parts))
"""


def sample_problems(count: int, servers: int | None = None) -> list[tuple[ClusterView, PlacementRequest]]:
    """Return `count` fixed problems: views of `servers` (None: 1 to 12) servers and requests.

    >>> len(sample_problems(3, servers=50)[0][0].rack)
    50
    """
    draw = stream(0, "testing", "problems", servers or 0)
    found = []
    for number in range(count):
        size = servers or int(draw.integers(1, 13))
        total = draw.choice([1, 4, 8], size=size)
        free = draw.integers(0, total + 1)
        view = make_cluster_view(total.tolist(), free.tolist(), (np.arange(size) // 4).tolist())
        allowed = None
        if number % 3 == 0:
            allowed = draw.random(size) < 0.8
            allowed.flags.writeable = False
        widest = int(free.sum()) if number % 2 else 8
        width = int(draw.integers(1, max(2, widest + 1)))
        found.append((view, PlacementRequest(width, max_servers=(0, 2, 1)[number % 3], allowed=allowed)))
    return found


def sample_jobs_view(count: int) -> JobsView:
    """Return the columns of `count` fixed jobs, not writeable.

    >>> len(sample_jobs_view(5))
    5
    """
    draw = stream(0, "testing", "jobs", count)
    submit_s = np.sort(draw.exponential(100.0, count).cumsum())
    width = draw.integers(0, 65, count)
    columns: tuple[npt.NDArray[Any], ...] = (
        submit_s,
        width,
        draw.lognormal(6.0, 1.5, count),
        draw.choice([0.0, 3600.0], count),
        draw.integers(0, 4, count),
        draw.random(count),
        draw.integers(-2, 3, count).astype(np.float64),
        submit_s + draw.choice([np.nan, 600.0, 7200.0], count),
        draw.choice([np.nan, 900.0], count),
        np.where(width % 3 == 2, (width + 1) // 2, 0),
        np.where(width % 3 == 2, width * 2, 0),
        np.where((width == 1) & (draw.random(count) < 0.5), 0.5, 1.0),
        draw.choice([0.0, 4.0], count),
        draw.choice([0.0, 2.0**30], count),
        np.zeros(count),
    )
    for column in columns:
        column.flags.writeable = False
    return JobsView(*columns)


def sample_active_jobs(
    jobs: JobsView, count: int, *, knows_progress: bool, thresholds: tuple[float, ...] = ()
) -> ActiveJobs:
    """Return a fixed view in which the first `count` of `jobs` are present, every other one running.

    >>> len(sample_active_jobs(sample_jobs_view(5), 3, knows_progress=True))
    3
    """
    draw = stream(0, "testing", "active", len(jobs), count)
    rows = np.arange(count)
    asked, runs = jobs.accelerators[rows], rows % 2 == 0
    now_s = float(jobs.submit_s[count - 1]) + 100.0 if count else 0.0
    held_s = draw.exponential(500.0, count)
    service = held_s * asked
    total = np.array([int(asked[runs].sum()) + 64])
    columns: dict[str, npt.NDArray[Any]] = {
        "row": rows,
        "width": np.where(runs, asked, 0),
        "running": runs,
        "accelerator_type": np.where(runs & (asked > 0), 0, -1),
        "attained_accelerator_s": service,
        "reached_s": np.array([np.where(service >= limit, now_s - held_s, np.nan) for limit in thresholds])
        .reshape(len(thresholds), count)
        .T.copy(),
        "held_s": held_s,
        "type_held_s": held_s[:, None].copy(),
        "waiting_since_s": np.where(runs, now_s, jobs.submit_s[rows]),
        "left_fraction": draw.random(count) if knows_progress else np.full(count, np.nan),
        "startup_left_s": np.where(runs, 0.0, jobs.startup_s[rows]),
        "type_accelerators": total,
        "ended_service_accelerator_s": draw.exponential(1e4, 50),
    }
    weight, guaranteed = np.array([1.0, 2.0, 1.0, 0.5]), np.array([0, 8, 0, 0])
    for column in (*columns.values(), weight, guaranteed):
        column.flags.writeable = False
    return ActiveJobs(
        now_s=now_s,
        **columns,
        free_accelerators=64,
        total_cpu_cores=64.0,
        total_memory_bytes=2.0**39,
        tenants=TenantsView(weight, guaranteed),
        steps_per_s=LinearProgress((1.0,), (int(total[0]),)),
    )


def sample_power_view(jobs: JobsView, count: int) -> PowerView:
    """Return a fixed view in which up to `count` of `jobs` with accelerators compute, over the budget they have.

    >>> len(sample_power_view(sample_jobs_view(50), 10))
    10
    """
    draw = stream(0, "testing", "power", len(jobs), count)
    rows = np.flatnonzero(jobs.accelerators > 0)[:count]
    width = jobs.accelerators[rows]
    peak_w = draw.choice([250.0, 400.0, 700.0], len(rows)) * width
    return make_power_view(
        peak_w.tolist(),
        alpha=draw.choice([0.2, 0.4, 0.6], len(rows)).tolist(),
        beta=draw.uniform(1.0, 6.0, len(rows)).tolist(),
        exchange=draw.choice([0.0, 0.2], len(rows)).tolist(),
        progress_fraction=draw.choice([1.0, 0.7], len(rows)).tolist(),
        width=width.tolist(),
        row=rows.tolist(),
        rack=(np.arange(len(rows)) % 3).tolist(),
        others_w=1000.0,
        budget_w=1000.0 + 0.8 * float(peak_w.sum()),
        rack_budget_w=[math.inf, 500.0 + 0.2 * float(peak_w.sum()), math.inf],
        now_s=float(jobs.submit_s[rows].max(initial=0.0)),
    )


def sample_grid_view(now_s: float) -> GridView:
    """Return a fixed forecast of a day.

    >>> sample_grid_view(0.0).carbon_kg_per_j > 0.0
    True
    """
    hours = np.arange(24.0)
    carbon = (300.0 + 200.0 * np.sin(hours)) / 3.6e9
    return make_grid_view(carbon.tolist(), (0.1 + 0.05 * np.cos(hours)).tolist(), now_s=now_s)


def sample_idle_view(count: int) -> IdleView:
    """Return fixed idle servers, and `count` jobs that came so far.

    >>> sample_idle_view(5).servers
    100
    """
    jobs = sample_jobs_view(count)
    now_s = float(jobs.submit_s.max(initial=0.0)) + 60.0
    return IdleView(now_s, 20, 30, 120.0, 100, jobs.submit_s, jobs.accelerators, 8.0)


def same_view(
    problem: tuple[ClusterView, PlacementRequest], before: tuple[ClusterView, PlacementRequest]
) -> bool:
    """Return whether a view and a request are as they were and still cannot be written.

    >>> same_view(sample_problems(1)[0], sample_problems(1)[0])
    True
    """
    return all(same_columns(now, then) for now, then in zip(problem, before, strict=True))


def same_jobs_view(view: JobsView, before: JobsView) -> bool:
    """Return whether a view of jobs is as it was and still cannot be written.

    >>> same_jobs_view(sample_jobs_view(3), sample_jobs_view(4))
    False
    """
    return same_columns(view, before)


def same_columns(now: Any, then: Any) -> bool:  # noqa: ANN401  two records of one class
    """Return whether a record is as it was, its arrays and those of records in it still not writeable.

    >>> same_columns(sample_jobs_view(3), sample_jobs_view(3))
    True
    """
    for field in fields(now):
        value, old = getattr(now, field.name), getattr(then, field.name)
        if isinstance(value, np.ndarray):
            if value.flags.writeable or not _equal(value, old):
                return False
        elif is_dataclass(value) and not callable(value):
            if not same_columns(value, old):
                return False
        elif not callable(value) and value != old and not (value != value and old != old):  # noqa: PLR0124  NaN
            return False
    return True


def _equal(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    """Return whether two columns are equal, NaN being equal to NaN."""
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f" and other.dtype.kind == "f")


def frozen_state(policy: object) -> str:
    """Return the attributes of a policy as text, to see whether they change."""
    return repr(sorted(getattr(policy, "__dict__", {}).items()))


def answers_under_hash_seeds(
    policy: object, method: str, questions: Sequence[tuple[Any, ...]], hash_seeds: Sequence[int]
) -> list[str]:
    """Return what a policy answers in a new process under each PYTHONHASHSEED.

    Args:
        policy: sent to the process by value, so its class may stand in a test module.
        method: called with each question.
        questions: arguments.
        hash_seeds: one process each.

    Raises:
        AssertionError: the policy fails in the other process.
    """
    home = sys.modules.get(type(policy).__module__)
    question = _by_value((policy, method, list(questions)), home)
    answers = []
    for seed in hash_seeds:
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(  # noqa: S603  our own interpreter and script
            [sys.executable, "-c", _ASK],
            input=question,
            env=environment,
            capture_output=True,
            timeout=_TIME_LIMIT_S,
            check=False,
        )
        if done.returncode:
            msg = f"the policy fails in a new process:\n{done.stderr.decode(errors='replace')}"
            raise AssertionError(msg)
        answers.append(done.stdout.decode())
    return answers


def _by_value(content: object, home: ModuleType | None) -> bytes:
    """Return a pickle that does not need the module the policy is defined in."""
    if home is None or home.__name__.split(".")[0] == "dcsim":
        return bytes(cloudpickle.dumps(content))
    cloudpickle.register_pickle_by_value(home)
    try:
        return bytes(cloudpickle.dumps(content))
    finally:
        cloudpickle.unregister_pickle_by_value(home)
