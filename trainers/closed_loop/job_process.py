"""One real training job: `python -m trainers.closed_loop.job_process JOB`, which it tells about in lines of JSON.

JOB is a `QueuedJob` as JSON. Each line is {"event": name, "s": instant}; instants are of the clock that all processes
of a machine share. The last line says how long a step and its input took. The job ends when its standard input does,
so that it never outlives whoever started it.
"""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable

from trainers.allocator import keep_freed_memory
from trainers.closed_loop.jobs import QueuedJob, job_of

__all__ = ["EVENTS", "LoopTimes", "end_with_parent", "main", "run_job", "tell"]

EVENTS = ("began", "imported", "prepared", "compiled", "trained")
"""In order: the interpreter runs; libraries are there; data and parameters are; the first step is done; all are.

A probe adds `bared`: it has made its steps on one kept batch."""


WARM_UP_STEPS = 3
"""After the first: they fill caches, and may compile once more."""


def tell(event: str, **more: object) -> None:
    """Write one line."""
    print(json.dumps({"event": event, "s": time.monotonic(), **more}), flush=True)


def end_with_parent() -> None:
    """Let this process end at once when its standard input does; waiting for that costs nothing."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def run_job(job: QueuedJob, say: Callable[..., None] = tell) -> None:
    """Train as a job says, and say when what was done."""
    import jax

    jax.config.update("jax_platforms", "cpu")
    from trainers.data import batches
    from trainers.parallel import parallelise
    from trainers.registry import initial_state, load_task

    jax.devices()  # starts the backend
    task = load_task(job.model, steps=job.steps)
    say("imported")
    dataset = task.card.dataset(job.seed)
    parallel = parallelise(task, "jit", 1)
    state = parallel.place_state(initial_state(task, dataset, job.seed))
    source = batches(dataset, job.batch, job.seed, augment=task.card.augment)
    say("prepared")
    loop = LoopTimes()
    for number in range(job.steps):
        start_s = time.monotonic()
        batch = parallel.place_batch(next(source))
        ready_s = time.monotonic()
        state, loss = parallel.step(state, *batch)
        # As a training loop does that writes down its loss.
        float(jax.device_get(loss).reshape(-1)[0])
        if number == 0:
            jax.block_until_ready(state)
            say("compiled")
            continue
        loop.add(ready_s - start_s, time.monotonic() - ready_s)
    jax.block_until_ready(state)
    say("trained", **loop.record())
    if job.bare_steps:
        bare_s = []
        for _ in range(job.bare_steps):
            start_s = time.monotonic()
            state, loss = parallel.step(state, *batch)
            jax.block_until_ready((state, loss))
            bare_s.append(time.monotonic() - start_s)
        say("bared", bare_s=statistics.median(bare_s))


class LoopTimes:
    """How long the steps of a training loop took, the first one left out."""

    def __init__(self) -> None:
        self._input_s: list[float] = []
        self._step_s: list[float] = []

    def add(self, input_s: float, step_s: float) -> None:
        """Take the times [s] of one more step: of its input, and of the step itself."""
        self._input_s.append(input_s)
        self._step_s.append(step_s)

    def record(self) -> dict[str, float]:
        """Return the medians, the mean beyond them, and what the first few steps took beyond that [s].

        >>> loop = LoopTimes()
        >>> for step_s in (5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5):
        ...     loop.add(0.5, step_s)
        >>> loop.record()
        {'input_s': 0.5, 'step_s': 1.0, 'tail_s': 0.1, 'warm_up_s': 4.0}
        """
        if not self._step_s:
            return {}
        input_s, step_s = statistics.median(self._input_s), statistics.median(self._step_s)
        extra_s = [
            one + other - input_s - step_s for one, other in zip(self._input_s, self._step_s, strict=True)
        ]
        first, later = extra_s[:WARM_UP_STEPS], extra_s[WARM_UP_STEPS:]
        return {
            "input_s": input_s,
            "step_s": step_s,
            "tail_s": max(0.0, statistics.fmean(later)) if later else 0.0,
            "warm_up_s": max(0.0, math.fsum(first)),
        }


def main() -> None:
    """Run the job that the command line gives."""
    # Ctrl-C reaches the whole terminal; whoever started this gets it as well, and ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    tell("began")
    end_with_parent()
    run_job(job_of(json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
