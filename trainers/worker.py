"""Measures one device count in a process of its own: `python -m trainers.worker`.

The number of virtual devices and the cores of a process cannot change once JAX has started, so
`calibrate` starts one worker for each device count. A worker reads a `WorkerJob` as JSON from its
standard input and writes lines of JSON: {"progress": text}, and at the end {"report": ...}.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from dcsim.workload.profile import MeasuredPoint
from trainers.devices import CoreWatch, available_cores, pin_to_cores, use_virtual_devices

__all__ = ["WorkerJob", "WorkerReport", "main", "run_job"]


@dataclass(frozen=True)
class WorkerJob:
    """What one worker measures."""

    model: str
    devices: int
    configurations: Sequence[tuple[int, str]]
    """(batch per device, mode)."""
    steps: int
    budget_s: float
    max_spread: float
    seed: int
    backend: str = "cpu"


@dataclass(frozen=True)
class WorkerReport:
    """What one worker found; plain values, so that it can be written as JSON."""

    devices: int
    cores: int
    """Cores the worker ran on."""
    taken_share: float | None
    """Share of those cores that other processes took meanwhile; None where the system does not say."""
    points: Sequence[dict[str, object]]
    """`MeasuredPoint`s."""
    memory_bytes: Sequence[float]
    """Per device, of each point."""
    energy_per_step_j: Sequence[float | None]
    energy_method: str
    all_reduce_bytes: float
    all_reduce_count: int
    parameters: int
    checkpoint_bytes: int
    sample_bytes: int
    dataset_bytes: int
    dataset: str
    import_time_s: float

    def measured_points(self) -> tuple[MeasuredPoint, ...]:
        """Return the points as the schema has them."""
        return tuple(MeasuredPoint.model_validate(point) for point in self.points)


def run_job(job: WorkerJob, progress: Callable[[str], None]) -> WorkerReport:
    """Measure a job in this process, which must not have started JAX yet."""
    cores = pin_to_cores(job.devices) if job.backend == "cpu" else available_cores()
    # One device alone sends nothing; what two would send is read from a step compiled for two.
    use_virtual_devices(max(2, job.devices))
    start_s = time.perf_counter()
    import jax

    jax.config.update("jax_platforms", job.backend)
    from trainers.energy import find_counter
    from trainers.measure import Configuration, measure, prepare
    from trainers.registry import initial_state, load_task, parameter_count

    task = load_task(job.model)
    import_time_s = time.perf_counter() - start_s
    progress(f"imported JAX in {import_time_s:.1f} s")
    dataset = task.card.dataset(job.seed)
    state = initial_state(task, dataset, job.seed)
    counter = find_counter(job.backend)
    watch = CoreWatch(cores)
    configurations = [Configuration(job.devices, batch, mode) for batch, mode in job.configurations]  # type: ignore[arg-type]
    measurements = measure(
        task, dataset, state, configurations,
        steps=job.steps, budget_s=job.budget_s - import_time_s, max_spread=job.max_spread, seed=job.seed,
        counter=None if isinstance(counter, str) else counter, progress=progress,
    )  # fmt: skip
    taken_share = watch.taken_share()
    traffic = measurements[0].cost.all_reduce
    if job.devices == 1:
        smallest = min(batch for batch, _ in job.configurations)
        traffic = prepare(task, dataset, state, Configuration(2, smallest, "jit"), job.seed).cost.all_reduce
    return WorkerReport(
        devices=job.devices,
        cores=cores,
        taken_share=taken_share,
        points=[measurement.point.model_dump() for measurement in measurements],
        memory_bytes=[measurement.cost.memory_bytes for measurement in measurements],
        energy_per_step_j=[measurement.energy_per_step_j for measurement in measurements],
        energy_method=counter if isinstance(counter, str) else counter.method,
        all_reduce_bytes=traffic.size_bytes,
        all_reduce_count=traffic.count,
        parameters=parameter_count(state),
        checkpoint_bytes=sum(int(leaf.nbytes) for leaf in jax.tree.leaves(state)),
        sample_bytes=dataset.bytes_per_sample,
        dataset_bytes=dataset.bytes_total,
        dataset=f"{dataset.name} ({dataset.licence})",
        import_time_s=import_time_s,
    )


def _say(**message: object) -> None:
    print(json.dumps(message), flush=True)


def main() -> None:
    """Read a job, do it, write the report."""
    job = WorkerJob(**json.load(sys.stdin))
    report = run_job(job, progress=lambda text: _say(progress=text))
    _say(report=asdict(report))


if __name__ == "__main__":
    main()
