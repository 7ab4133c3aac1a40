"""Where cells run: in this process, in worker processes, or on Ray; the results are the same bytes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

from dcsim.study.cells import Cell, CellOutcome
from dcsim.study.orphans import die_with_parent

__all__ = ["EXECUTORS", "Executor", "Limits", "default_workers", "run_inline", "run_processes"]

Work = Callable[[Cell], CellOutcome]
_POLL_S = 0.5
_DIED = "the worker process died twice (killed, out of memory, or a crash in native code)"
_ONE_THREAD_EACH = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Workers share the machine's cores; numerical libraries must not each take all of them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an executor may use."""

    workers: int = 1
    timeout_s: float | None = None
    """Of one cell; not enforced inline, where nobody could stop it."""


Executor = Callable[[Work, Sequence[Cell], Limits], Iterator[CellOutcome]]


def run_inline(work: Work, cells: Sequence[Cell], _limits: Limits) -> Iterator[CellOutcome]:
    """Yield outcomes one after the other, from this very process, which no limit can stop."""
    for cell in cells:
        yield work(cell)


@dataclass
class _Flight:
    """The cells that workers hold now, never more than there are workers."""

    futures: dict[Future[CellOutcome], tuple[Cell, float]] = field(default_factory=dict)

    def add(self, future: Future[CellOutcome], cell: Cell) -> None:
        self.futures[future] = (cell, time.monotonic())

    def cells(self) -> list[Cell]:
        return [cell for cell, _ in self.futures.values()]

    def overdue(self, timeout_s: float | None) -> list[Cell]:
        if timeout_s is None:
            return []
        now = time.monotonic()
        return [cell for cell, since in self.futures.values() if now - since > timeout_s]


def run_processes(work: Work, cells: Sequence[Cell], limits: Limits) -> Iterator[CellOutcome]:
    """Yield outcomes from a pool of fresh processes (loky), as they end.

    When a worker dies, nobody can tell which of the cells in flight was the cause: each of them
    is tried again alone, and one that takes its worker down a second time is given up. A cell over
    the time limit is given up with its worker; the others in flight start again.
    """
    queue, suspects = deque(cells), deque[Cell]()
    while queue or suspects:
        if suspects:
            alone = deque([suspects.popleft()])
            died: deque[Cell] = deque()
            yield from _pool_round(work, alone, died, Limits(1, limits.timeout_s))
            yield from (CellOutcome(cell, _DIED) for cell in died)
        else:
            yield from _pool_round(work, queue, suspects, limits)


def _pool_round(work: Work, queue: deque[Cell], died: deque[Cell], limits: Limits) -> Iterator[CellOutcome]:
    """Yield outcomes until the queue is empty or the pool has to be thrown away."""
    import loky

    flight = _Flight()
    workers = min(limits.workers, len(queue))
    pool = loky.ProcessPoolExecutor(
        workers, initializer=die_with_parent, initargs=(os.getpid(),), env=_ONE_THREAD_EACH
    )
    try:
        while queue or flight.futures:
            while queue and len(flight.futures) < limits.workers:
                cell = queue.popleft()
                flight.add(pool.submit(work, cell), cell)
            done, _ = wait(flight.futures, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=lambda f: flight.futures[f][1]):
                if isinstance(future.exception(), BrokenProcessPool):
                    died.extend(flight.cells())
                    return
                yield _outcome(future, flight.futures.pop(future)[0])
            late = flight.overdue(limits.timeout_s)
            if late:
                queue.extendleft(reversed([cell for cell in flight.cells() if cell not in late]))
                yield from (_too_late(cell, limits) for cell in late)
                return
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _outcome(future: Future[CellOutcome], cell: Cell) -> CellOutcome:
    error = future.exception()
    return future.result() if error is None else CellOutcome(cell, f"{type(error).__name__}: {error}")


def _too_late(cell: Cell, limits: Limits) -> CellOutcome:
    return CellOutcome(cell, f"stopped: it took longer than the limit of {limits.timeout_s:g} s a cell")


def _run_ray(work: Work, cells: Sequence[Cell], limits: Limits) -> Iterator[CellOutcome]:
    from dcsim.study.on_ray import run_ray

    return run_ray(work, cells, limits)


EXECUTORS: Mapping[str, Executor] = {"inline": run_inline, "process": run_processes, "ray": _run_ray}
"""By the name that `--executor` takes."""


def default_workers() -> int:
    """Return how many cores this process may use, container limits included."""
    import loky

    count: Any = loky.cpu_count()
    return int(count)
