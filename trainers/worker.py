"""Measures on one number of devices, one point after another: `python -m trainers.worker`.

The number of virtual devices and the cores of a process cannot change once JAX has started, so `calibrate` starts one
worker for each device count on a processor, and one for all on graphics cards and TPUs. A worker reads lines of JSON from its standard input, first a `Setup`, then `Request`s, and
answers each with one line of JSON: {"ready": text}, {"reading": a `Reading`} or {"failed": text}. It ends with its
input, or with the process that started it.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Any

from dcsim.workload.profile import MeasuredPoint
from trainers.allocator import FreedMemory, keep_freed_memory
from trainers.devices import available_cores, pin_to_cores, use_virtual_devices

if TYPE_CHECKING:
    from trainers.measure import Bench
    from trainers.recipe import Precision

__all__ = ["Reading", "Request", "Setup", "Worker", "main", "serve"]

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when the one that started it ends."""


@dataclass(frozen=True)
class Setup:
    """What cannot change while a worker lives."""

    devices: int
    seed: int
    backend: str = "cpu"
    started_unix_s: float = 0.0
    """When the process was started; 0: not said."""
    freed_memory: FreedMemory = "kept"


@dataclass(frozen=True)
class Request:
    """One point to measure."""

    model: str
    batch_per_device: int
    mode: str
    anchor: tuple[int, str] | None = None
    """(batch per device, mode) that is timed beside it; None: itself."""
    devices: int = 0
    """That share the step, where the worker has more; 0: all it was set up for."""
    precision: str = "fp32"
    steps: int = 200
    budget_s: float = 10.0
    """Wall time, compilation included; 12 steps are always timed."""
    max_spread: float = 0.25
    alone: bool = False
    """Time the anchor after the point and not beside it, so that nothing else was compiled before."""
    traffic: bool = False
    """Compile for two devices as well, where there is but one, to see what they would send."""


@dataclass(frozen=True)
class Reading:
    """What a worker found; plain values, so that it can be written as JSON."""

    devices: int
    cores: int
    """Cores the worker ran on."""
    precision: str
    point: Mapping[str, Any]
    """A `MeasuredPoint`."""
    anchor: tuple[int, str]
    anchor_s: float
    """Median step of the anchor meanwhile."""
    taken_share: float | None
    """Share of the cores that other processes took meanwhile; None where the system does not say."""
    memory_bytes: float
    """Per device."""
    energy_per_step_j: float | None
    energy_method: str
    energy_devices: int | None
    """Devices whose energy that is; None: not told apart from the rest of the host."""
    all_reduce_bytes: float
    all_reduce_count: int
    collectives: Sequence[Mapping[str, Any]]
    """`CollectiveKind`s of the compiled step."""
    operators: Sequence[Mapping[str, Any]]
    """`OperatorCost`s of the compiled step; on one device only."""
    parameters: int
    checkpoint_bytes: int
    sample_bytes: int
    dataset_bytes: int
    dataset: str
    device_kind: str
    """What JAX calls the device."""
    process_s: float
    """From the start of the process until its libraries were there."""
    data_s: float
    """Reading the data set and drawing the parameters."""
    warm_up_s: float
    """The first steps, with what they compile once more."""
    warm_up_steps: int = 3
    """How many those are."""
    anchor_beside: bool = True
    """Whether the anchor was timed in the same rounds; else after them, when a short disturbance may have passed."""
    mean_step_s: float | None = None
    """Mean wall time of the steps whose energy is counted; None: an earlier version did not keep it."""
    freed_memory: FreedMemory = "kept"
    """What the worker did with it, whatever it was asked for."""

    def measured_point(self) -> MeasuredPoint:
        """Return the point as the schema has it."""
        return MeasuredPoint.model_validate(self.point)

    @property
    def key(self) -> tuple[int, int, str]:
        """(devices, batch per device, mode)."""
        return self.devices, int(self.point["batch_per_device"]), str(self.point["mode"])


class Worker:
    """Measures points in this process, which must not have started JAX yet."""

    def __init__(self, setup: Setup) -> None:
        start_s = time.time()
        self._setup = setup
        kept = setup.freed_memory == "kept" and keep_freed_memory()
        self._freed_memory: FreedMemory = "kept" if kept else "returned"
        self.cores = pin_to_cores(setup.devices) if setup.backend == "cpu" else available_cores()
        # No more than share a step: beside an idle second one a step of one device took 1.2 to 1.6 times as long, since
        # XLA then hands it to another thread.
        use_virtual_devices(setup.devices)
        import jax

        jax.config.update("jax_platforms", setup.backend)
        for module in ("measure", "operators", "registry"):
            importlib.import_module(f"trainers.{module}")
        self.device_kind = str(jax.devices()[0].device_kind)
        self.process_s = max(0.0, time.time() - (setup.started_unix_s or start_s))
        self._places: dict[tuple[str, str], _Place] = {}

    def measure(self, request: Request) -> Reading:
        """Measure one point."""
        from trainers.energy import find_counter
        from trainers.hlo import collective_kinds
        from trainers.measure import WARM_UP_STEPS, measure, median_step_s
        from trainers.operators import operator_costs

        start_s = time.perf_counter()
        place = self._place(request.model, request.precision)
        devices, seed = request.devices or self._setup.devices, self._setup.seed
        anchor_key = request.anchor or (request.batch_per_device, request.mode)
        key = request.batch_per_device, request.mode
        if request.alone:
            bench = anchor = place.bench(devices, *key, seed)
        else:
            anchor = place.anchor(devices, anchor_key, seed)
            bench = anchor if key == anchor_key else place.bench(devices, *key, seed)
        answer = find_counter(self._setup.backend, devices=devices)
        counter = None if isinstance(answer, str) else answer
        found = measure(
            bench, anchor, cores=self.cores, steps=request.steps, max_spread=request.max_spread, seed=seed, counter=counter,
            budget_s=request.budget_s - (time.perf_counter() - start_s),
        )  # fmt: skip
        anchor_s = found.anchor_s
        if request.alone and key != anchor_key:
            anchor_s = median_step_s(place.anchor(devices, anchor_key, seed))
        traffic = found.cost.all_reduce
        if request.traffic and devices == 1:
            traffic = place.traffic(seed)
        samples = request.batch_per_device * devices
        return Reading(
            devices=devices, cores=self.cores, precision=request.precision, point=found.point.model_dump(mode="json"),
            anchor=anchor_key, anchor_s=anchor_s, taken_share=found.taken_share,
            memory_bytes=found.cost.memory_bytes, energy_per_step_j=found.energy_per_step_j,
            energy_method=counter.method if counter else str(answer),
            energy_devices=counter.devices if counter else None,
            all_reduce_bytes=traffic.size_bytes, all_reduce_count=traffic.count,
            collectives=[
                each.model_dump(mode="json")
                for each in (collective_kinds(bench.compiled, devices, found.point.mode) if devices > 1 else ())
            ],
            operators=[
                each.model_dump(mode="json")
                for each in (operator_costs(bench.compiled, samples) if devices == 1 else ())
            ],
            **place.facts(), device_kind=self.device_kind, process_s=self.process_s, warm_up_s=found.warm_up_s,
            warm_up_steps=WARM_UP_STEPS, anchor_beside=not request.alone, mean_step_s=found.mean_step_s,
            freed_memory=self._freed_memory,
        )  # fmt: skip

    def _place(self, model: str, precision: str) -> _Place:
        """Return the task with its data, loaded once."""
        if (model, precision) not in self._places:
            self._places = {(model, precision): _Place(model, precision, self._setup.seed)}
        return self._places[model, precision]


class _Place:
    """One task in one precision, its data and first state, and the bench that stays warm."""

    def __init__(self, model: str, precision: Precision | str, seed: int) -> None:
        from dataclasses import replace

        from trainers.registry import card, initial_state, load_task

        start_s = time.perf_counter()
        chosen = card(model)
        self._task = load_task(model, replace(chosen.recipe, precision=precision))  # type: ignore[arg-type]
        self._dataset = chosen.dataset(seed)
        self._state = initial_state(self._task, self._dataset, seed)
        self._data_s = time.perf_counter() - start_s
        self._anchors: dict[int, Bench] = {}

    def bench(self, devices: int, batch: int, mode: str, seed: int) -> Bench:
        """Compile and warm up a configuration."""
        from trainers.measure import Configuration, prepare

        configuration = Configuration(devices, batch, mode)  # type: ignore[arg-type]
        return prepare(self._task, self._dataset, self._state, configuration, seed)

    def anchor(self, devices: int, key: tuple[int, str], seed: int) -> Bench:
        """Return the bench of the anchor of so many devices, made once."""
        kept = self._anchors.get(devices)
        if kept is None or (kept.configuration.batch_per_device, kept.configuration.mode) != key:
            self._anchors[devices] = kept = self.bench(devices, *key, seed)
        return kept

    def traffic(self, seed: int) -> Any:  # noqa: ANN401 - trainers.hlo.Collective, imported with JAX only
        """Return the all-reduces of a step of two devices, if there are two; none if not."""
        import jax

        return self.bench(min(2, jax.device_count()), 1, "jit", seed).cost.all_reduce

    def facts(self) -> dict[str, Any]:
        """Return what does not depend on the point."""
        import jax

        from trainers.registry import parameter_count

        data = self._dataset
        return {
            "parameters": parameter_count(self._state),
            "checkpoint_bytes": sum(int(leaf.nbytes) for leaf in jax.tree.leaves(self._state)),
            "sample_bytes": data.bytes_per_sample,
            "dataset_bytes": data.bytes_total,
            "dataset": f"{data.name} ({data.licence})",
            "data_s": self._data_s,
        }


def serve(lines: IO[str]) -> Iterator[dict[str, Any]]:
    """Yield the answer to each line of a worker's input."""
    try:
        worker = Worker(Setup(**json.loads(next(lines))))
    except Exception as error:  # noqa: BLE001 - JAX raises what it likes where there is no such device
        yield {"failed": _last_words(error)}
        return
    yield {"ready": f"JAX on {worker.cores} cores in {worker.process_s:.1f} s"}
    for line in lines:
        content = json.loads(line)
        anchor = content.pop("anchor", None)
        request = Request(**content, anchor=None if anchor is None else (int(anchor[0]), str(anchor[1])))
        try:
            yield {"reading": asdict(worker.measure(request))}
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller is told and decides
            yield {"failed": _last_words(error)}


def _last_words(error: Exception) -> str:
    """Return the kind of an error and what it says, without the frames, which are nothing to a user."""
    return "".join(traceback.format_exception_only(error)).strip()


def _die_with_parent() -> None:
    """Ask Linux to end this process with the one that started it; elsewhere the end of the input does."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (AttributeError, OSError, TypeError):
        return


def main() -> None:
    """Answer until the input ends."""
    _die_with_parent()
    # Ctrl-C reaches the whole terminal; the caller, which gets it as well, ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for answer in serve(sys.stdin):
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
