"""Models that stand compiled and train on demand: `python -m trainers.closed_loop.bench_process`.

Two of these, on two cores, tell how much two models slow each other. The first line of standard input is
{"models": {name: batch}, "seed": n}; each further one {"model": name, "seconds": s}, answered by {"step_s": median of
input and step, "steps": n}. A line that comes before those seconds are over ends them. It ends with its input.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from queue import SimpleQueue
from typing import Any

from trainers.allocator import keep_freed_memory

__all__ = ["Bench", "main"]

_LEAD_IN = 0.1
"""Part of the seconds that is not counted: the other process may not have begun yet."""


class Bench:
    """One model, compiled and warmed up."""

    def __init__(self, model: str, batch: int, seed: int) -> None:
        import jax

        from trainers.data import batches
        from trainers.parallel import parallelise
        from trainers.registry import initial_state, load_task

        task = load_task(model)
        dataset = task.card.dataset(seed)
        self._get = jax.device_get
        self._parallel = parallelise(task, "jit", 1)
        self._state = self._parallel.place_state(initial_state(task, dataset, seed))
        self._source = batches(dataset, batch, seed, augment=task.card.augment)
        for _ in range(3):
            self.step()

    def step(self) -> float:
        """Make one step of a training loop and return how long it and its input took [s]."""
        start_s = time.monotonic()
        batch = self._parallel.place_batch(next(self._source))
        self._state, loss = self._parallel.step(self._state, *batch)
        float(self._get(loss).reshape(-1)[0])
        return time.monotonic() - start_s

    def train(self, seconds: float, orders: SimpleQueue[str]) -> dict[str, Any]:
        """Train for so long, or until another order comes; returns what a step took."""
        import numpy as np

        begin_s = time.monotonic()
        times_s: list[float] = []
        while (elapsed_s := time.monotonic() - begin_s) < seconds and orders.empty():
            step_s = self.step()
            if elapsed_s >= _LEAD_IN * seconds or not times_s:
                times_s.append(step_s)
        return {"step_s": float(np.median(times_s)) if times_s else None, "steps": len(times_s)}


def main() -> None:
    """Compile, then do as told."""
    # Ctrl-C reaches the whole terminal; whoever started this gets it as well, and ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    setup = json.loads(sys.stdin.readline())
    benches = {name: Bench(name, batch, setup["seed"]) for name, batch in setup["models"].items()}
    orders: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            orders.put(line)
        orders.put("")

    threading.Thread(target=read, daemon=True).start()
    print(json.dumps({"ready": sorted(benches)}), flush=True)
    while line := orders.get():
        order = json.loads(line)
        print(json.dumps(benches[order["model"]].train(order["seconds"], orders)), flush=True)


if __name__ == "__main__":
    main()
