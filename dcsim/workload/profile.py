"""The cost profile: what one training job costs, measured by a real run (versioned JSON).

Written by `trainers`, read by the simulator. No JAX here.
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
    "CollectiveTraffic",
    "CostProfile",
    "DimensionTraffic",
    "EnergyMeasurement",
    "HeldOutPoint",
    "MeasuredPoint",
    "Provenance",
    "StepTimeFit",
]

PROFILE_VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class MeasuredPoint(_Part):
    """Step times of one configuration, warm-up passes left out."""

    devices: int = Field(ge=1)
    batch_per_device: int = Field(ge=1)
    mode: Literal["pmap", "jit"]
    steps: int = Field(ge=1)
    """Timed steps."""
    step_time_s: float = Field(gt=0)
    """Median."""
    step_time_low_s: float = Field(gt=0)
    """10th percentile."""
    step_time_high_s: float = Field(gt=0)
    """90th percentile."""
    cpu_time_per_step_s: float = Field(ge=0)
    split_half_spread: float = Field(ge=0)
    """|median of first half - median of second half| / median: noise of the host."""
    compile_time_s: float = Field(ge=0)
    flops_per_device: float = Field(ge=0)
    """Of one compiled step."""
    bytes_accessed_per_device: float = Field(ge=0)
    temporary_bytes: float = Field(ge=0)
    argument_bytes: float = Field(ge=0)


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


class CollectiveTraffic(_Part):
    """What the compiled step's HLO moves between devices."""

    all_reduce_bytes: float = Field(ge=0)
    """Operand bytes of all all-reduces of one step: 4 x parameters + 4 for the loss."""
    all_reduce_count: int = Field(ge=0)
    overlap_fraction: float = Field(default=0.0, ge=0, le=1)
    """Part of the time of computing behind which the all-reduces may hide; 0: all of them are waited for."""
    parallel: tuple[DimensionTraffic, ...] = ()
    """What other kinds of parallelism add where a job uses them; each (dimension, collective) once."""

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
        silent = {"overlap_fraction": not self.overlap_fraction, "parallel": not self.parallel}
        return {name: value for name, value in record.items() if not silent.get(name, False)}


class StepTimeFit(_Part):
    """step_time_s = overhead_s + per_sample_s * batch_per_device + per_device_s * (devices - 1)."""

    overhead_s: float = Field(ge=0)
    per_sample_s: float = Field(ge=0)
    per_device_s: float = Field(ge=0)
    mode: Literal["pmap", "jit"] = "jit"
    """Mode of the fitted points."""
    devices_min: int
    devices_max: int
    batch_per_device_min: int
    batch_per_device_max: int
    residual_relative: float = Field(ge=0)
    """Root mean square of relative residuals on the fitted points."""
    held_out_error_relative: float | None
    """Mean |relative error| on the held-out points; None when there was none."""


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


class CostProfile(_Part):
    """What one training job costs a step, and how that was found."""

    schema_version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=100)
    description: str
    device: str
    """Hardware-catalogue name of the device measured on: cpu-core, A100-80, ..."""
    precision: str = "fp32"
    parameters: int = Field(ge=1)
    optimizer: str
    flops_per_sample: float = Field(gt=0)
    """Compiled step's FLOPs over its samples, largest measured batch."""
    bytes_accessed_per_sample: float = Field(ge=0)
    input_bytes_per_sample: float = Field(ge=0)
    checkpoint_bytes: float = Field(ge=0)
    """Parameters and optimizer state as stored."""
    dataset_bytes: float = Field(ge=0)
    memory_bytes_per_device: float = Field(ge=0)
    """Arguments + temporaries + outputs of the largest measured configuration."""
    collectives: CollectiveTraffic
    points: tuple[MeasuredPoint, ...] = Field(min_length=1)
    fit: StepTimeFit
    held_out: tuple[HeldOutPoint, ...] = ()
    energy: EnergyMeasurement
    provenance: Provenance
