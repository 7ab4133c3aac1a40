"""A real dispatcher: starts jobs, each a process on a core of its own, in the order of a policy.

It sleeps until a job comes or a process ends, and takes no time of the cores meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from dcsim.errors import DcsimError
from trainers.closed_loop.jobs import POLICIES, QueuedJob

__all__ = ["POLICIES", "ClosedLoopError", "Dispatcher", "JobRun", "run_of", "start_on_core"]

_PINS = hasattr(os, "sched_setaffinity")  # Linux
_TAIL = 2_000


class ClosedLoopError(DcsimError):
    """A job of the small cluster failed, or the simulation of it did."""


@dataclass(frozen=True)
class JobRun:
    """What became of one job; instants in seconds from the start of the run."""

    name: str
    core: int
    submit_s: float
    start_s: float
    """Its process was started."""
    end_s: float
    """Its process is gone, and the core free."""
    events_s: Mapping[str, float]
    """When what was done, by name of the event."""
    step_s: float | None = None
    """Median of its steps, input apart."""
    input_s: float | None = None
    """Median of preparing and placing their batches."""
    tail_s: float | None = None
    """Mean of input and step over those medians."""
    warm_up_s: float | None = None
    """What its first few steps took beyond that."""
    bare_s: float | None = None
    """Median step on one kept batch; of probes only."""

    @property
    def completion_s(self) -> float:
        """From submission to end: its job completion time."""
        return self.end_s - self.submit_s

    def record(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def run_of(record: Mapping[str, Any]) -> JobRun:
    """Return the run of a record."""
    return JobRun(**record)


def start_on_core(command: Sequence[str], core: int | None, **options: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401
    """Start a process that runs on one core from its first instruction; None, or not on Linux: on any."""
    if core is None or not _PINS:
        return subprocess.Popen(command, **options)  # noqa: S603 - our own command line
    before = os.sched_getaffinity(0)  # of this thread; a child inherits it
    os.sched_setaffinity(0, {core})
    try:
        return subprocess.Popen(command, **options)  # noqa: S603 - our own command line
    finally:
        os.sched_setaffinity(0, before)


class Dispatcher:
    """Serves one line of jobs.

    Args:
        cores: numbers of those that jobs may have, one each.
        command: the command line of a job.
        folder: for what the jobs write; made if missing.
        progress: called with a line of text now and then.
    """

    def __init__(
        self,
        cores: Sequence[int],
        command: Callable[[QueuedJob], Sequence[str]],
        folder: Path,
        progress: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._cores = tuple(cores)
        self._command = command
        self._folder = folder
        self._progress = progress
        self._ended: SimpleQueue[tuple[int, float]] = SimpleQueue()
        self._running: dict[int, tuple[QueuedJob, subprocess.Popen[bytes], float]] = {}
        self._origin_s = 0.0

    def run(self, jobs: Sequence[QueuedJob], policy: str) -> list[JobRun]:
        """Run all jobs and return what became of them, in their order; nothing of them is left, whatever happens.

        Raises:
            ClosedLoopError: a job failed; the message has the end of what it said.
            KeyError: there is no such policy.
        """
        key = POLICIES[policy]
        self._folder.mkdir(parents=True, exist_ok=True)
        coming = sorted(jobs, key=lambda job: job.submit_s)
        waiting: list[QueuedJob] = []
        free = list(self._cores)
        runs: dict[str, JobRun] = {}
        self._origin_s = time.monotonic()
        try:
            while len(runs) < len(jobs):
                while coming and coming[0].submit_s <= time.monotonic() - self._origin_s:
                    waiting.append(coming.pop(0))
                while free and waiting:
                    job = min(waiting, key=key)
                    waiting.remove(job)
                    self._start(job, free.pop(0))
                found = self._next(coming[0].submit_s if coming else None)
                if found is not None:
                    run = self._finish(*found)
                    runs[run.name] = run
                    free = sorted([*free, run.core])
        finally:
            self._stop()
        return [runs[job.name] for job in jobs]

    def _next(self, until_s: float | None) -> tuple[int, float] | None:
        """Sleep until a process ends: (core, instant); None: a job comes before."""
        left_s = None if until_s is None else max(0.0, self._origin_s + until_s - time.monotonic())
        try:
            return self._ended.get(timeout=left_s)
        except Empty:
            return None

    def _start(self, job: QueuedJob, core: int) -> None:
        self._progress(f"{time.monotonic() - self._origin_s:6.1f} s  {job.name} {job.model} on core {core}")
        start_s = time.monotonic()
        with self._file(job, "out").open("wb") as out, self._file(job, "err").open("wb") as err:
            process = start_on_core(
                self._command(job), core, stdin=subprocess.PIPE, stdout=out, stderr=err, env=_environment()
            )
        self._running[core] = (job, process, start_s)

        def wait() -> None:
            process.wait()
            self._ended.put((core, time.monotonic()))

        threading.Thread(target=wait, daemon=True).start()

    def _finish(self, core: int, end_s: float) -> JobRun:
        job, process, start_s = self._running.pop(core)
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode:
            words = self._file(job, "err").read_text(errors="replace")[-_TAIL:]
            raise ClosedLoopError(f"{job.name} ({job.model}) ended with code {process.returncode}\n{words}")
        lines = [json.loads(line) for line in self._file(job, "out").read_text().splitlines() if line]
        said = {name: value for line in lines for name, value in line.items()}
        return JobRun(
            name=job.name,
            core=core,
            submit_s=job.submit_s,
            start_s=start_s - self._origin_s,
            end_s=end_s - self._origin_s,
            events_s={line["event"]: line["s"] - self._origin_s for line in lines},
            **{name: said.get(name) for name in ("step_s", "input_s", "tail_s", "warm_up_s", "bare_s")},
        )

    def _file(self, job: QueuedJob, ending: str) -> Path:
        return self._folder / f"{job.name}.{ending}"

    def _stop(self) -> None:
        """End what still runs, and wait until it is gone."""
        for _, process, _ in self._running.values():
            process.kill()
        for _, process, _ in self._running.values():
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        self._running.clear()


def _environment() -> dict[str, str]:
    """Return the environment of a job: no thread pools wider than its core, whatever library asks."""
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "XLA_FLAGS": "",
        "JAX_PLATFORMS": "cpu",
    }
