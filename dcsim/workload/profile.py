"""The cost profile: what one training job costs, and how that was found (versioned JSON).

Written by `trainers`, read by the simulator. No JAX here. `CostProfile.origin` says whether a profile was measured by
a real run, only compiled, predicted from an architecture, or taken over from somebody's table; what such a source does
not say is None, never 0. Parts that say nothing are left out of the file, so that profiles keep their bytes and hash.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from dcsim.workload.collectives import Collective

__all__ = [
    "PROFILE_VERSION",
    "CollectiveKind",
    "CollectiveTraffic",
    "CostProfile",
    "DimensionTraffic",
    "EnergyMeasurement",
    "HeldOutPoint",
    "MeasuredPoint",
    "Mode",
    "OperatorCost",
    "OperatorKind",
    "Origin",
    "PredictedStep",
    "Provenance",
    "StartUp",
    "StepTimeFit",
    "StepTimeKnot",
    "StepTimeSurface",
]

PROFILE_VERSION = 1

Mode = Literal["pmap", "jit", "shard_map", "fsdp", "tensor", "pipeline"]
"""How devices share a step: copies with averaged gradients (the first three), sharded state, sharded layers, stages."""
Origin = Literal["measured", "compiled", "predicted", "imported"]
"""How the step times came about; only `measured` ones were timed by the trainers themselves."""
OperatorKind = Literal[
    "matmul",
    "convolution",
    "elementwise",
    "reduction",
    "data_movement",
    "gather_scatter",
    "collective",
    "other",
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class MeasuredPoint(_Part):
    """Step times of one configuration, warm-up passes left out; None: the source does not say."""

    devices: int = Field(ge=1)
    batch_per_device: int = Field(ge=1)
    mode: Mode
    steps: int | None = Field(ge=1)
    """Timed steps."""
    step_time_s: float = Field(gt=0)
    """Median."""
    step_time_low_s: float | None = Field(gt=0)
    """10th percentile."""
    step_time_high_s: float | None = Field(gt=0)
    """90th percentile."""
    cpu_time_per_step_s: float | None = Field(ge=0)
    split_half_spread: float | None = Field(ge=0)
    """|median of first half - median of second half| / median: noise of the host."""
    compile_time_s: float | None = Field(ge=0)
    flops_per_device: float | None = Field(ge=0)
    """Of one compiled step."""
    bytes_accessed_per_device: float | None = Field(ge=0)
    temporary_bytes: float | None = Field(ge=0)
    argument_bytes: float | None = Field(ge=0)
    page_faults_per_step: float | None = Field(default=None, ge=0)
    """Pages that the operating system gave to the process in each step; None: not recorded."""

    @model_serializer(mode="wrap")
    def _without_faults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what was not recorded, so that a profile without it keeps its bytes and its hash."""
        record: dict[str, Any] = handler(self)
        return {
            name: value
            for name, value in record.items()
            if name != "page_faults_per_step" or value is not None
        }


class DimensionTraffic(_Part):
    """What one kind of parallelism makes a model's devices exchange, before the model is divided.

    A step of s samples moves m = bytes_per_step + s * bytes_per_sample, with m as its collective means it
    (`dcsim.workload.collectives`); `dcsim.workload.parallel` divides it among groups of devices.
    """

    dimension: Literal["tensor", "pipeline", "context", "expert", "expert_data"]
    """expert_data: gradients of the experts, exchanged among the devices that hold the same ones."""
    collective: Collective
    bytes_per_step: float = Field(default=0.0, ge=0)
    """Whatever the batch is, e.g. gradients [B]."""
    bytes_per_sample: float = Field(default=0.0, ge=0)
    """E.g. activations of all layers; of a pipeline, those that cross one boundary of stages, one way [B]."""
    messages_per_step: int = Field(default=1, ge=0)
    """Calls of the collective by the whole model in one micro-batch; of expert_data, in one step."""
    overlap_fraction: float = Field(default=0.0, ge=0, le=1)
    """Part of the time of computing behind which these may hide."""


class CollectiveKind(_Part):
    """All collectives of one kind in the compiled step of one configuration."""

    kind: Collective
    devices: int = Field(ge=1)
    mode: Mode
    count: int = Field(ge=1)
    """Calls in a step, those in loops once a turn."""
    size_bytes: float = Field(ge=0)
    """Of their results on one device, summed [B]."""


class CollectiveTraffic(_Part):
    """What the compiled step's HLO moves between devices."""

    all_reduce_bytes: float = Field(ge=0)
    """Operand bytes of all all-reduces of one step: 4 x parameters + 4 for the loss."""
    all_reduce_count: int = Field(ge=0)
    overlap_fraction: float = Field(default=0.0, ge=0, le=1)
    """Part of the time of computing behind which the all-reduces may hide; 0: all of them are waited for."""
    parallel: tuple[DimensionTraffic, ...] = ()
    """What other kinds of parallelism add where a job uses them; each (dimension, collective) once."""
    compiled: tuple[CollectiveKind, ...] = ()
    """What the compiler put into the steps that were looked at; for the reader, the simulator does not use it."""

    @field_validator("parallel")
    @classmethod
    def _distinct(cls, parallel: tuple[DimensionTraffic, ...]) -> tuple[DimensionTraffic, ...]:
        kinds = [(entry.dimension, entry.collective) for entry in parallel]
        if len(set(kinds)) < len(kinds):
            msg = "each pair of dimension and collective once"
            raise ValueError(msg)
        return parallel

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what says nothing, so that a profile without it keeps its bytes and its hash."""
        record: dict[str, Any] = handler(self)
        silent = {
            "overlap_fraction": not self.overlap_fraction,
            "parallel": not self.parallel,
            "compiled": not self.compiled,
        }
        return {name: value for name, value in record.items() if not silent.get(name, False)}


class OperatorCost(_Part):
    """What all operators of one kind cost one sample, in the compiled step of the largest batch on one device."""

    kind: OperatorKind
    flops_per_sample: float = Field(ge=0)
    bytes_per_sample: float = Field(ge=0)
    """Operands read and results written [B]."""
    efficiency: float | None = Field(default=None, gt=0, le=1)
    """Part of the roofline that this kind reaches on `CostProfile.device`, learnt from measured steps; None: not known."""
    calls_per_step: float | None = Field(default=None, ge=0)
    """Operators of this kind that a device starts one after the other in a step, whatever its batch; None: not known."""


class StepTimeFit(_Part):
    """step_time_s = overhead_s + per_sample_s * batch_per_device + per_device_s * (devices - 1)."""

    overhead_s: float = Field(ge=0)
    per_sample_s: float = Field(ge=0)
    per_device_s: float = Field(ge=0)
    mode: Mode = "jit"
    """Mode of the fitted points."""
    devices_min: int
    devices_max: int
    batch_per_device_min: int
    batch_per_device_max: int
    residual_relative: float = Field(ge=0)
    """Root mean square of relative residuals on the fitted points."""
    held_out_error_relative: float | None
    """Mean |relative error| on the held-out points; None when there was none."""


class StepTimeKnot(_Part):
    """One corner of a `StepTimeSurface`."""

    devices: int = Field(ge=1)
    batch_per_device: int = Field(ge=1)
    step_time_s: float = Field(gt=0)


class StepTimeSurface(_Part):
    """Step time between what was measured, and how sure that is; where there is one, it goes before the fit.

    Linear in the batch between the knots of one number of devices n, and linear in 1 - 1/n, a ring's cost, between two
    numbers of devices, which the simulator flags; see `dcsim.workload.surface`.
    """

    mode: Mode = "jit"
    knots: tuple[StepTimeKnot, ...] = Field(min_length=1)
    """Ascending by (devices, batch_per_device), each pair once."""
    interval_relative: float = Field(ge=0)
    """Half width of the interval of a prediction between the knots of one number of devices, relative to it."""
    coverage: float = Field(gt=0, lt=1)
    """Share of new measurements that the interval is meant to hold."""
    regimes: tuple[int, ...] = ()
    """Batches per device above which a sample takes markedly longer or shorter, ascending."""


class StartUp(_Part):
    """What a job does before its first step; medians over the points of the fewest devices [s]."""

    process_s: float = Field(ge=0)
    """From the start of the process until its libraries are there."""
    data_s: float = Field(ge=0)
    """Reading and preparing the data set, and drawing the first parameters."""
    compile_s: float = Field(ge=0)
    """Compiling the step, and what its first steps take longer than later ones."""

    @property
    def total_s(self) -> float:
        """All of it [s]."""
        return self.process_s + self.data_s + self.compile_s


class PredictedStep(_Part):
    """The one configuration that a predicted profile was made for, communication included."""

    devices: int = Field(ge=1)
    global_batch: int = Field(ge=1)
    """Samples a step."""
    layout: str
    """Degrees of parallelism, as `NAME=NUMBER` words."""
    step_time_s: float = Field(gt=0)
    step_time_low_s: float = Field(gt=0)
    step_time_high_s: float = Field(gt=0)
    coverage: float = Field(gt=0, lt=1)
    """Share of real step times that lie between low and high."""
    mfu: float = Field(gt=0, le=1)
    """Model FLOPs utilisation: FLOPs of the model without recomputation, over the peak of all devices."""
    parts_s: dict[str, float]
    """Step time by what it is spent on [s]; they add up to step_time_s."""
    memory_parts_bytes: dict[str, float]
    """Of the fullest device, by what it holds [B]."""
    assumptions: tuple[str, ...] = ()
    """What was assumed and not measured, in words."""


class HeldOutPoint(_Part):
    """A configuration measured but not fitted."""

    devices: int
    batch_per_device: int
    step_time_s: float
    predicted_s: float


class EnergyMeasurement(_Part):
    """Energy of a step where the machine can measure it, else None and why."""

    energy_per_step_j: float | None
    method: str
    """E.g. "RAPL package", "NVML", or "not measured: no RAPL or NVML counter is readable"."""
    power_w: float | None = Field(default=None, gt=0)
    """Mean draw of one device while it computes, without a power cap [W]; None: not measured."""

    @model_serializer(mode="wrap")
    def _without_power(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a power that was not measured, so that a profile without it keeps its bytes and its hash."""
        record: dict[str, Any] = handler(self)
        return {name: value for name, value in record.items() if name != "power_w" or value is not None}


class Provenance(_Part):
    """Where, when and how the profile was measured."""

    created_utc: str
    host_cpu: str
    host_cores: int
    operating_system: str
    python_version: str
    packages: dict[str, str]
    """jax, jaxlib, flax, optax, numpy."""
    backend: str
    """cpu, gpu or tpu."""
    load_average_start: float
    load_average_end: float
    seed: int
    command: str
    dataset: str
    import_time_s: float = Field(ge=0)
    warnings: tuple[str, ...] = ()
    """What a reader must know before trusting the numbers, e.g. that the host was busy."""
    device_kind: str | None = None
    """What JAX calls the device, e.g. "NVIDIA A100-SXM4-80GB"; None: not recorded."""
    freed_memory: Literal["kept", "returned"] | None = None
    """What the timed process did with memory that a step freed: kept it, or returned it to the system as the C library does by
    itself, which costs large steps page faults on a CPU; None: not recorded."""

    @model_serializer(mode="wrap")
    def _without_unknown(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what was not recorded, so that a profile without it keeps its bytes and its hash."""
        record: dict[str, Any] = handler(self)
        optional = ("device_kind", "freed_memory")
        return {name: value for name, value in record.items() if name not in optional or value is not None}


class CostProfile(_Part):
    """What one training job costs a step, and how that was found."""

    schema_version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=100)
    description: str
    origin: Origin = "measured"
    device: str
    """Hardware-catalogue name of the device measured on, or meant: cpu-core, A100-80, ..."""
    precision: str = "fp32"
    parameters: int | None = Field(ge=1)
    """None: an imported table does not say."""
    optimizer: str
    flops_per_sample: float | None = Field(gt=0)
    """Compiled step's FLOPs over its samples, largest measured batch; None: an imported table does not say."""
    bytes_accessed_per_sample: float | None = Field(ge=0)
    input_bytes_per_sample: float = Field(ge=0)
    checkpoint_bytes: float = Field(ge=0)
    """Parameters and optimizer state as stored."""
    dataset_bytes: float = Field(ge=0)
    memory_bytes_per_device: float = Field(ge=0)
    """Arguments + temporaries + outputs of the largest measured configuration; 0: not known."""
    collectives: CollectiveTraffic
    points: tuple[MeasuredPoint, ...]
    """Empty only where nothing was timed: origin compiled or predicted."""
    fit: StepTimeFit
    surface: StepTimeSurface | None = None
    held_out: tuple[HeldOutPoint, ...] = ()
    energy: EnergyMeasurement
    operators: tuple[OperatorCost, ...] = ()
    """Each kind once."""
    startup: StartUp | None = None
    """None: jobs start at once."""
    prediction: PredictedStep | None = None
    """Only where origin is predicted."""
    provenance: Provenance

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what says nothing, so that a profile without it keeps its bytes and its hash."""
        record: dict[str, Any] = handler(self)
        silent = {
            "origin": self.origin == "measured",
            "surface": self.surface is None,
            "operators": not self.operators,
            "startup": self.startup is None,
            "prediction": self.prediction is None,
        }
        return {name: value for name, value in record.items() if not silent.get(name, False)}
