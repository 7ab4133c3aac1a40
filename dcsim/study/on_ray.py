"""Cells on Ray: one task each, on this machine or on a cluster that shares the file system."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from dcsim.errors import MissingExtraError
from dcsim.study.cells import Cell, CellOutcome
from dcsim.study.executors import Limits

__all__ = ["run_ray"]

_POLL_S = 0.5


def run_ray(
    work: Callable[[Cell], CellOutcome], cells: Sequence[Cell], limits: Limits
) -> Iterator[CellOutcome]:
    """Yield outcomes of Ray tasks as they end; a task whose worker dies is tried once more by Ray.

    Connects to a running Ray where there is one (`RAY_ADDRESS`), else starts one of `limits.workers`
    cores and stops it at the end. Every node must see the study's folder under the same path.

    Raises:
        MissingExtraError: ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("the ray executor", "ray") from error

    ours = not ray.is_initialized()
    if ours:
        _start(ray, limits.workers)
    try:
        yield from _rounds(ray, work, deque(cells), limits)
    finally:
        if ours:
            ray.shutdown()


def _start(ray: ModuleType, workers: int) -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    folders = os.environ.get("DCSIM_DATA_DIRS", "")
    options: dict[str, Any] = {
        "log_to_driver": False,
        "configure_logging": False,
        "runtime_env": {
            "env_vars": {"PYTHONPATH": paths, "DCSIM_DATA_DIRS": folders, "OMP_NUM_THREADS": "1"}
        },
    }
    if "RAY_ADDRESS" not in os.environ:
        options |= {"num_cpus": workers, "include_dashboard": False}
    ray.init(**options)


def _rounds(
    ray: ModuleType, work: Callable[[Cell], CellOutcome], queue: deque[Cell], limits: Limits
) -> Iterator[CellOutcome]:

    def run_one(cell: Cell) -> CellOutcome:
        return work(cell)

    task = ray.remote(num_cpus=1, max_retries=1)(run_one)
    flight: dict[Any, tuple[Cell, float]] = {}
    while queue or flight:
        while queue and len(flight) < limits.workers:
            cell = queue.popleft()
            flight[task.remote(cell)] = (cell, time.monotonic())
        done, _ = ray.wait(list(flight), num_returns=1, timeout=_POLL_S)
        for reference in done:
            yield _collect(ray, reference, flight.pop(reference)[0])
        now = time.monotonic()
        for reference, (cell, since) in list(flight.items()):
            if limits.timeout_s is not None and now - since > limits.timeout_s:
                ray.cancel(reference, force=True)
                del flight[reference]
                yield CellOutcome(
                    cell, f"stopped: it took longer than the limit of {limits.timeout_s:g} s a cell"
                )


def _collect(ray: ModuleType, reference: object, cell: Cell) -> CellOutcome:
    try:
        outcome: CellOutcome = ray.get(reference)
    except ray.exceptions.RayError as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else ""
        return CellOutcome(cell, f"{type(error).__name__}: {first_line}")
    return outcome
