"""Profiles for TPUs without a TPU: steps compiled ahead of time for a topology by libtpu, and never run.

What the compiler says is exact: the program, its FLOPs, what it holds and what it sends. How long it takes is not
compiled but reckoned: the roofline at stated parts of the peaks, the links of a slice at theirs, and a least time from one
operator to the next. See docs/decisions/0094-operators-and-prediction.md.
"""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dcsim.errors import DcsimError, InputError, MissingExtraError, Problem
from dcsim.facility.hardware import CATALOGUE, Accelerator
from dcsim.workload.profile import (
    CollectiveTraffic,
    CostProfile,
    EnergyMeasurement,
    Mode,
    OperatorCost,
    StepTimeFit,
)
from trainers import require_jax
from trainers.fit import Sample, fit_step_time, relative_errors
from trainers.hlo import StepCost, collective_kinds, collectives, step_cost
from trainers.operators import ModuleCost, module_cost, operator_costs
from trainers.predict import ASSUMED, CALL_S
from trainers.provenance import load_average, provenance
from trainers.roofline import step_time_s, with_efficiencies
from trainers.scaling import Network, all_reduce_s

__all__ = [
    "Compiled",
    "Settings",
    "Topology",
    "TopologyError",
    "compile_profile",
    "compile_steps",
    "compute_time_s",
    "exchange_s",
    "load_topology",
]

_DEVICE_NAMES = {"TPU v5 lite": "TPU-v5e", "TPU v5": "TPU-v5p", "TPU v6 lite": "TPU-v6e"}
"""By what JAX calls a device: the catalogue's name of the same chip. A device of TPU v4 and older is half a chip."""

_QUIET = {
    "TPU_SKIP_MDS_QUERY": "1",  # there is no metadata server to ask
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    # Nothing is run, so two processes may well compile at the same time.
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_MIN_LOG_LEVEL": "3",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


class TopologyError(DcsimError):
    """libtpu cannot be used, or a step cannot be compiled for a topology."""


@dataclass(frozen=True)
class Settings:
    """What to compile."""

    model: str
    topology: str = "v5e:2x2"
    mode: Mode = "jit"
    batches: tuple[int, ...] = ()
    """Samples a device; empty: the smallest and the largest of the model's own."""
    seed: int = 0

    @property
    def command(self) -> str:
        """The command line that repeats it, without folders."""
        sizes = ",".join(str(size) for size in self.batches)
        words = f"python -m trainers compile {self.model} --topology {self.topology} --mode {self.mode}"
        return f"{words} --batch {sizes} --seed {self.seed}"


@dataclass(frozen=True)
class Topology:
    """A slice of TPUs that is only compiled for."""

    name: str
    devices: Sequence[Any]
    device: Accelerator
    """One of them, as the hardware catalogue has it."""
    device_kind: str


@dataclass(frozen=True)
class Compiled:
    """One step as the compiler left it, on one device."""

    batch_per_device: int
    executable: Any
    """jax.stages.Compiled; it cannot be run here."""
    cost: StepCost
    module: ModuleCost
    operators: tuple[OperatorCost, ...]
    compile_time_s: float


def load_topology(name: str) -> Topology:
    """Return a TPU topology such as v5e:2x2.

    Raises:
        MissingExtraError: if JAX or libtpu is not installed.
        InputError: for a topology that libtpu does not know, or whose chips the hardware catalogue does not have.
        TopologyError: if libtpu is held by another process.
    """
    require_jax()
    if importlib.util.find_spec("libtpu") is None:
        raise MissingExtraError("compiling for a TPU topology", "tpu-aot")
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    from jax.errors import JaxRuntimeError
    from jax.experimental import topologies

    try:
        found = topologies.get_topology_desc(platform="tpu", topology_name=name)
    except JaxRuntimeError as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        if "lockfile" in reason:
            raise TopologyError(
                f"libtpu is held by another process: wait for it, or set ALLOW_MULTIPLE_LIBTPU_LOAD=1 ({reason})"
            ) from None
        expected = "a topology that libtpu knows, e.g. v5e:2x2, v5p:2x2x1, v6e:2x4"
        raise InputError([Problem("--topology", None, "", name, expected, reason)]) from None
    kind = str(getattr(found.devices[0], "device_kind", "unknown"))
    if kind not in _DEVICE_NAMES:
        expected = f"a topology of {', '.join(_DEVICE_NAMES.values())}"
        hint = f"a device of {kind} is not one chip of the hardware catalogue"
        raise InputError([Problem("--topology", None, "", name, expected, hint)])
    return Topology(name, found.devices, CATALOGUE[_DEVICE_NAMES[kind]], kind)


def compile_steps(settings: Settings, topology: Topology) -> tuple[list[Compiled], dict[str, Any]]:
    """Return the model's step compiled for each batch, ascending, and what is known of model and data.

    Raises:
        InputError: if a step does not fit into a chip's memory.
        TopologyError: if the compiler gives up on it.
    """
    import jax

    from trainers.data import batches
    from trainers.parallel import parallelise
    from trainers.parallel.placement import on_devices
    from trainers.registry import initial_state, load_task, parameter_count

    task = load_task(settings.model)
    dataset = task.card.dataset(settings.seed)
    state = initial_state(task, dataset, settings.seed)
    count = len(topology.devices)
    found = []
    for batch in settings.batches:
        x, y = next(batches(dataset, batch, settings.seed))
        # Only shapes matter, so that a step may hold more samples than the data set.
        whole = tuple(jax.ShapeDtypeStruct((batch * count, *part.shape[1:]), part.dtype) for part in (x, y))
        with on_devices(topology.devices):
            try:
                parallel = parallelise(task, settings.mode, count)
                arguments = parallel.abstract(state, whole)  # type: ignore[arg-type]
            except ValueError as error:
                got = f"{settings.mode} of {settings.model} on {count} devices"
                raise InputError(f"--mode: {got}: {error}") from None
            found.append(_compiled(parallel.step, arguments, batch, topology))
    facts = {
        "parameters": parameter_count(state),
        "checkpoint_bytes": float(sum(int(leaf.nbytes) for leaf in jax.tree.leaves(state))),
        "input_bytes_per_sample": float(dataset.bytes_per_sample),
        "dataset_bytes": float(dataset.bytes_total),
        "dataset": dataset.name,
        "card": task.card,
        "precision": task.recipe.precision,
    }
    return found, facts


def _compiled(step: Any, arguments: Any, batch: int, topology: Topology) -> Compiled:  # noqa: ANN401 - JAX's own
    from jax.errors import JaxRuntimeError

    start_s = time.perf_counter()
    try:
        executable = step.lower(*arguments).compile()
    except JaxRuntimeError as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        if "RESOURCE_EXHAUSTED" in reason:
            raise InputError([_too_large(batch, reason[:160], topology)]) from None
        raise TopologyError(f"batch {batch} on {topology.name}: {reason}") from None
    cost = step_cost(executable)
    if cost.memory_bytes > topology.device.memory_bytes:
        raise InputError([_too_large(batch, f"{cost.memory_bytes / 2**30:.3g} GiB a device", topology)])
    text = executable.as_text()
    return Compiled(
        batch,
        executable,
        cost,
        module_cost(text),
        operator_costs(executable, batch),
        time.perf_counter() - start_s,
    )


def _too_large(batch: int, got: str, topology: Topology) -> Problem:
    chip = topology.device
    expected = f"at most {chip.memory_bytes / 2**30:.3g} GiB, the memory of a {chip.name}"
    hint = "a smaller batch, or --mode fsdp, which divides the state"
    return Problem("--batch", None, str(batch), got, expected, hint)


def compile_profile(settings: Settings) -> CostProfile:
    """Compile a model's step for a TPU topology and return its profile, of origin `compiled`.

    Raises:
        MissingExtraError: if JAX or libtpu is not installed.
        InputError: for an unknown topology, or a step that does not fit into a chip's memory.
        TopologyError: if the compiler cannot be used or gives up.
    """
    from trainers.registry import card

    load, start_s = load_average(), time.perf_counter()
    topology = load_topology(settings.topology)
    import_time_s = time.perf_counter() - start_s
    sizes = settings.batches or (card(settings.model).batches[0], card(settings.model).batches[-1])
    settings = Settings(
        settings.model, settings.topology, settings.mode, tuple(sorted(set(sizes))), settings.seed
    )
    steps, facts = compile_steps(settings, topology)
    last, device, count = steps[-1], topology.device, len(topology.devices)
    chosen = facts["card"]
    warnings = _warnings(settings, topology, steps)
    return CostProfile(
        name=settings.model,
        description=f"{chosen.summary}; compiled for {count} x {device.name} ({settings.topology}), not timed",
        origin="compiled",
        device=device.name,
        precision=facts["precision"],
        parameters=facts["parameters"],
        optimizer=chosen.optimizer,
        flops_per_sample=last.module.flops / last.batch_per_device,
        bytes_accessed_per_sample=last.module.size_bytes / last.batch_per_device,
        input_bytes_per_sample=facts["input_bytes_per_sample"],
        checkpoint_bytes=facts["checkpoint_bytes"],
        dataset_bytes=facts["dataset_bytes"],
        memory_bytes_per_device=max(step.cost.memory_bytes for step in steps),
        collectives=CollectiveTraffic(
            all_reduce_bytes=last.cost.all_reduce.size_bytes,
            all_reduce_count=last.cost.all_reduce.count,
            compiled=collective_kinds(last.executable, count, settings.mode),
        ),
        points=(),
        fit=_fit(settings, topology, steps, facts["precision"]),
        energy=EnergyMeasurement(energy_per_step_j=None, method="not measured: compiled, never run"),
        operators=with_efficiencies(last.operators, device, facts["precision"], ASSUMED),
        provenance=provenance(
            command=settings.command,
            dataset=facts["dataset"],
            backend="tpu",
            seed=settings.seed,
            import_time_s=import_time_s,
            load_average_start=load,
            warnings=warnings,
            device_kind=topology.device_kind,
        ),
    )


def _fit(settings: Settings, topology: Topology, steps: Sequence[Compiled], precision: str) -> StepTimeFit:
    """Return the line through the reckoned steps of all batches."""
    count = len(topology.devices)
    samples = [
        Sample(1, step.batch_per_device, compute_time_s(step, topology.device, precision)) for step in steps
    ]
    line = fit_step_time(samples)
    residuals = relative_errors(line, samples)
    sent_s = exchange_s(steps[-1], topology)
    return StepTimeFit(
        overhead_s=line.overhead_s,
        per_sample_s=line.per_sample_s,
        per_device_s=sent_s / (count - 1) if count > 1 else 0.0,
        mode=settings.mode,
        devices_min=count,
        devices_max=count,
        batch_per_device_min=steps[0].batch_per_device,
        batch_per_device_max=steps[-1].batch_per_device,
        residual_relative=math.sqrt(sum(error * error for error in residuals) / len(residuals)),
        held_out_error_relative=None,
    )


def compute_time_s(step: Compiled, device: Accelerator, precision: str) -> float:
    """Return the roofline of a compiled step at `ASSUMED` parts of the peaks, and the start of its operators [s]."""
    started = sum(cost.calls for kind, cost in step.module.kinds.items() if kind != "data_movement")
    # Copies between HBM and the chip's own memory run beside everything else.
    roof_s = step_time_s(step.operators, step.batch_per_device, device, precision, ASSUMED)
    return roof_s + started * CALL_S[device.kind]


def exchange_s(step: Compiled, topology: Topology) -> float:
    """Return how long a step's collectives take one after the other on the slice's links [s].

    An all-reduce of m bytes as a ring, 2 (n - 1) / n m / B; each other collective as (n - 1) / n of the larger of
    operand and result; a permutation whole.
    """
    count, rate = len(topology.devices), topology.device.link_bandwidth_bytes_per_s
    network = Network(math.inf, 0.0, count, rate)
    total_s = 0.0
    for kind, each in collectives(step.executable.as_text()).items():
        if kind == "all-reduce":
            total_s += all_reduce_s(each.size_bytes, count, network)
        elif kind == "collective-permute":
            total_s += each.size_bytes / rate
        else:
            grown = count if kind == "reduce-scatter" else 1
            total_s += (count - 1) / count * grown * each.size_bytes / rate
    return total_s


def _warnings(settings: Settings, topology: Topology, steps: Sequence[Compiled]) -> list[str]:
    """Return what a reader must know before trusting the numbers."""
    chip, last = topology.device, steps[-1]
    parts = f"{ASSUMED.matmul:.0%} of the peak in products and {ASSUMED.memory:.0%} of the memory bandwidth"
    links = f"links at {chip.link_bandwidth_bytes_per_s / 1e9:g} GB/s without latency, nothing hidden behind computing"
    said = [
        f"compiled, not timed: a roofline at {parts} of {chip.name}, {CALL_S['tpu'] * 1e6:.1f} us an operator; assumed",
        links,
    ]
    bound_s = last.executable.cost_analysis().get("optimal_seconds", -1.0)
    if bound_s > 0.0:  # negative where it does not know
        said.append(
            f"the compiler's own bound is {bound_s * 1e6:.3g} us for batch {last.batch_per_device} a device"
        )
    if settings.mode in {"fsdp", "tensor", "pipeline"}:
        said.append(
            f"mode {settings.mode}: collectives other than all-reduce are in collectives.compiled only"
        )
    return [*said, *last.module.unknown]
