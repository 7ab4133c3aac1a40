"""What a scenario says of racks, servers and their accelerators."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.names import refuse_alike
from dcsim.spec.quantities import (
    BandwidthBytesPerS,
    Count,
    DurationS,
    FlopPerS,
    Name,
    Number,
    PowerW,
    SizeBytes,
)
from dcsim.spec.server_parts import (
    FanSpec,
    ServerPartsSpec,
    ThermalSpec,
    fans_within_server,
    parts_within_server,
)
from dcsim.units import Quantity, format_quantity

__all__ = ["MAX_SERVERS", "PRECISIONS", "AcceleratorSpec", "ClusterSpec", "RackSpec", "ServerSpec"]

MAX_SERVERS = 1_000_000
"""More servers than that in one cluster are taken for a slip of the keyboard."""

PRECISIONS = ("fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8")
"""Names of the precisions an accelerator has a peak rate for."""


def _at_least_idle(peak_power_w: float, info: ValidationInfo) -> float:
    """Refuse a peak power below the idle power given beside it."""
    idle_power_w = info.data.get("idle_power_w", 0.0)
    if peak_power_w < idle_power_w:
        idle = format_quantity(idle_power_w, Quantity.POWER)
        raise FieldError(
            FieldIssue(
                format_quantity(peak_power_w, Quantity.POWER),
                f"at least the idle power ({idle})",
                "peak < idle",
            )
        )
    return peak_power_w


class AcceleratorSpec(SpecModel):
    """An accelerator model a user adds to the hardware catalogue."""

    peak_flop_per_s: dict[str, Annotated[FlopPerS, Field(gt=0)]] = Field(
        min_length=1, json_schema_extra={"propertyNames": {"enum": list(PRECISIONS)}}
    )
    """Peak rate by precision: any of fp64, fp32, tf32, bf16, fp16, fp8, int8."""
    memory_bytes: SizeBytes = Field(gt=0)
    """Of one device."""
    memory_bandwidth_bytes_per_s: BandwidthBytesPerS = Field(gt=0)
    """Between the device and its own memory."""
    link_bandwidth_bytes_per_s: BandwidthBytesPerS = Field(gt=0)
    """One direction, to the other accelerators of its server (NVLink, ICI, PCIe)."""
    idle_power_w: PowerW = Field(ge=0)
    """Draw of one device, switched on and idle."""
    peak_power_w: PowerW = Field(gt=0)
    """Draw of one busy device without a power cap."""
    source: str = Field(min_length=1)
    """Where the figures come from."""

    _peak_not_below_idle = field_validator("peak_power_w")(_at_least_idle)

    @field_validator("peak_flop_per_s")
    @classmethod
    def _known_precisions(cls, rates: dict[str, float]) -> dict[str, float]:
        expected = f"one of {', '.join(PRECISIONS)}"
        issues = [FieldIssue(repr(key), expected, at=(key,)) for key in rates if key not in PRECISIONS]
        if issues:
            raise FieldError(*issues)
        return rates


class ServerSpec(SpecModel):
    """`count` identical servers."""

    count: Count = 1
    """How many of them, in each rack."""
    accelerator: Name | None = None
    """Name in the hardware catalogue or in `accelerators` of the scenario; none for a CPU server."""
    accelerators: int = Field(default=0, ge=0, le=64, strict=True)
    """Accelerators in each server."""
    fabric_bandwidth_bytes_per_s: BandwidthBytesPerS | None = Field(default=None, gt=0)
    """What joins the accelerators of one server (NVLink, ICI, PCIe), all of it; None: what they send together,
    `accelerators` times the link bandwidth of one."""
    cpu_cores: Number = Field(default=64.0, gt=0, le=100_000)
    """Cores for jobs, in each server."""
    memory_bytes: SizeBytes = Field(default=512 * 2.0**30, gt=0)
    """Main memory of each server."""
    idle_power_w: PowerW = Field(default=300.0, ge=0)
    """Draw of the server without its accelerators, switched on and idle (CPU, memory, fans, NIC)."""
    peak_power_w: PowerW = Field(default=900.0, gt=0)
    """Draw of the server without its accelerators, all cores busy."""
    sleep_power_w: PowerW = Field(default=30.0, ge=0)
    """Whole-server draw asleep, its accelerators included."""
    wake_latency_s: DurationS = Field(default=120.0, ge=0)
    """From the wake command until jobs can start; drawn at `boot_power_w`."""
    boot_power_w: PowerW | None = Field(default=None, ge=0)
    """Whole-server draw while it wakes, its accelerators included; None: its idle power."""
    sleep_latency_s: DurationS = Field(default=0.0, ge=0)
    """From the decision to sleep until it sleeps; drawn at idle power."""
    parts: ServerPartsSpec = ServerPartsSpec()
    """How its idle and peak power divide; by default all of it is the CPU's."""
    fans: FanSpec | None = None
    """Fans that turn faster in warm air; None: their draw is constant and part of `idle_power_w`."""
    thermal: ThermalSpec | None = None
    """How its accelerators warm up, leak and throttle; None: they stay cool."""

    _peak_not_below_idle = field_validator("peak_power_w")(_at_least_idle)

    @field_validator("parts")
    @classmethod
    def _parts_within(cls, parts: ServerPartsSpec, info: ValidationInfo) -> ServerPartsSpec:
        return parts_within_server(parts, info)

    @field_validator("fans")
    @classmethod
    def _fans_within(cls, fans: FanSpec | None, info: ValidationInfo) -> FanSpec | None:
        return fans_within_server(fans, info)

    @field_validator("thermal")
    @classmethod
    def _of_accelerators(cls, thermal: ThermalSpec | None, info: ValidationInfo) -> ThermalSpec | None:
        if thermal is not None and info.data.get("accelerators") == 0:
            raise FieldError(
                FieldIssue("thermal of a server without accelerators", "nothing, or accelerators")
            )
        return thermal

    @field_validator("accelerators")
    @classmethod
    def _named_and_counted(cls, accelerators: int, info: ValidationInfo) -> int:
        if "accelerator" not in info.data:  # refused already
            return accelerators
        name = info.data["accelerator"]
        if accelerators and name is None:
            hint = "add `accelerator: NAME`, a name of the hardware catalogue"
            raise FieldError(FieldIssue(str(accelerators), "0 where no accelerator is named", hint))
        if name is not None and not accelerators:
            hint = "add `accelerators: 8`, or leave `accelerator` out for a CPU server"
            raise FieldError(FieldIssue("0", f"how many of accelerator {name!r} each server has", hint))
        return accelerators


class RackSpec(SpecModel):
    """`count` identical racks of servers; in a fat-tree network a rack is a leaf."""

    name: Name
    """Unique; racks with a count above 1 are numbered from it."""
    count: Count = 1
    """How many such racks."""
    servers: tuple[ServerSpec, ...] = Field(min_length=1)
    """Groups of equal servers, in the order that gives them their index."""


class ClusterSpec(SpecModel):
    """The racks of one hall, in the order that gives servers their index."""

    racks: tuple[RackSpec, ...] = Field(min_length=1)
    """Groups of equal racks."""

    @field_validator("racks")
    @classmethod
    def _distinct_and_countable(cls, racks: tuple[RackSpec, ...]) -> tuple[RackSpec, ...]:
        refuse_alike([rack.name for rack in racks], "a rack name of its own", at="name")
        servers = sum(rack.count * group.count for rack in racks for group in rack.servers)
        if servers > MAX_SERVERS:
            hint = "look for a count that is wrong: rack count times server count"
            raise FieldError(FieldIssue(f"{servers:,} servers", f"at most {MAX_SERVERS:,} servers", hint))
        return racks
