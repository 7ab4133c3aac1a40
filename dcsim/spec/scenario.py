"""The scenario: everything a run depends on but the seed, in one frozen model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from dcsim.spec.checkpoints import CheckpointSpec, checkpoint_issues
from dcsim.spec.cluster import AcceleratorSpec, ClusterSpec
from dcsim.spec.colocation import ColocationSpec
from dcsim.spec.cooling import ConstantWeatherSpec, CoolingSpec, WeatherSpec
from dcsim.spec.embodied import EmbodiedSpec
from dcsim.spec.grid import GridSpec
from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.names import nearest, refuse_alike
from dcsim.spec.network import NetworkSpec
from dcsim.spec.onsite import OnsiteSpec
from dcsim.spec.policy import PolicySpec
from dcsim.spec.power import PowerChainSpec
from dcsim.spec.preemption import PreemptionSpec
from dcsim.spec.quantities import DurationS, Name
from dcsim.spec.room import RoomSpec
from dcsim.spec.storage import StorageSpec
from dcsim.spec.tenant import TenantSpec
from dcsim.spec.workload import GeneratedWorkloadSpec, WorkloadSpec

__all__ = ["MAX_HORIZON_S", "Scenario"]

MAX_HORIZON_S = 100 * 366 * 86_400.0
"""Longest simulated time, a century."""


def _whole_number(value: object) -> object:
    """Refuse the booleans and floats that Python holds equal to an integer."""
    return value if type(value) is int else repr(value)


class Scenario(SpecModel):
    """A cluster, its facility, its jobs and its policies."""

    version: Annotated[Literal[1], BeforeValidator(_whole_number)] = 1
    """Of the scenario format."""
    name: Name
    """Short; it names result folders."""
    description: str = Field(default="", max_length=10_000)
    """The question this scenario answers."""
    seed: int = Field(default=0, ge=0, lt=2**63, strict=True)
    """Of the named random streams, where none is given on the command line."""
    horizon_s: DurationS | None = Field(default=None, gt=0, le=MAX_HORIZON_S)
    """Stop then, with jobs unfinished if need be; None: when the last job ends."""
    accelerators: dict[Name, AcceleratorSpec] = Field(default={})
    """Accelerator models added to the built-in catalogue."""
    profiles: dict[Name, Annotated[str, Field(min_length=1, max_length=1_000)]] = Field(default={})
    """Cost profiles by name: paths to JSON files, relative to the scenario file."""
    rates: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """Table of measured rates: path to a JSON file, relative to the scenario file. Each of its kinds of jobs may
    be named where a profile may."""
    cluster: ClusterSpec
    """Racks, servers and accelerators."""
    network: NetworkSpec = NetworkSpec()
    """Between the servers."""
    storage: StorageSpec = StorageSpec()
    """Where jobs read their input."""
    power: PowerChainSpec = PowerChainSpec()
    """From the meter to the servers."""
    cooling: CoolingSpec = CoolingSpec()
    """What removes the heat."""
    room: RoomSpec | None = None
    """How the air of the hall mixes; None: every server breathes supply air."""
    weather: WeatherSpec = ConstantWeatherSpec()
    """Outdoors."""
    grid: GridSpec = GridSpec()
    """Carbon intensity and price of the energy."""
    embodied: EmbodiedSpec = EmbodiedSpec()
    """Carbon of making the servers, spread over their lives."""
    onsite: OnsiteSpec = OnsiteSpec()
    """Battery and solar panels behind the meter."""
    workload: WorkloadSpec
    """The jobs."""
    colocation: tuple[ColocationSpec, ...] = ()
    """How much jobs slow each other that share a device; pairs not listed run in proportion to their parts."""
    tenants: tuple[TenantSpec, ...] = ()
    """What is due to each tenant under the fair-share policies."""
    preemption: PreemptionSpec = PreemptionSpec()
    """What it costs to stop a job and start it again."""
    checkpoints: CheckpointSpec | None = None
    """Checkpoints as bytes that are written, kept and read; None: as `preemption` says, each takes a fixed time."""
    policies: PolicySpec = PolicySpec()
    """Who goes first, where, and at what power."""

    @field_validator("accelerators", "profiles")
    @classmethod
    def _distinct_names(cls, named: dict[str, Any]) -> dict[str, Any]:
        refuse_alike(tuple(named), "a name of its own")
        return named

    @field_validator("workload")
    @classmethod
    def _datasets_are_described(cls, workload: WorkloadSpec, info: ValidationInfo) -> WorkloadSpec:
        storage = info.data.get("storage")
        if storage is None:  # it has problems of its own
            return workload
        named: list[tuple[tuple[str | int, ...], str | None]]
        if isinstance(workload, GeneratedWorkloadSpec):
            named = [(("mix", place, "dataset"), kind.dataset) for place, kind in enumerate(workload.mix)]
        else:
            named = [(("dataset",), workload.dataset)]
        issues = [
            FieldIssue(
                repr(name),
                "one of `storage.datasets`",
                nearest(name, storage.datasets) or "describe it there",
                at=at,
            )
            for at, name in named
            if name is not None and name not in storage.datasets
        ]
        if issues:
            raise FieldError(*issues)
        return workload

    @field_validator("checkpoints")
    @classmethod
    def _checkpoints_have_a_place(
        cls, checkpoints: CheckpointSpec | None, info: ValidationInfo
    ) -> CheckpointSpec | None:
        storage = info.data.get("storage")
        if checkpoints is not None and storage is not None:  # else storage has problems of its own
            issues = tuple(checkpoint_issues(checkpoints, storage))
            if issues:
                raise FieldError(*issues)
        return checkpoints

    @field_validator("tenants")
    @classmethod
    def _distinct_tenants(cls, tenants: tuple[TenantSpec, ...]) -> tuple[TenantSpec, ...]:
        refuse_alike([tenant.name for tenant in tenants], "a tenant name of its own", at="name")
        return tenants

    @field_validator("tenants")
    @classmethod
    def _guarantees_can_be_kept(
        cls, tenants: tuple[TenantSpec, ...], info: ValidationInfo
    ) -> tuple[TenantSpec, ...]:
        cluster = info.data.get("cluster")
        if cluster is None:  # it has a problem of its own
            return tenants
        there = sum(
            rack.count * server.count * server.accelerators
            for rack in cluster.racks
            for server in rack.servers
        )
        promised = sum(tenant.guaranteed_accelerators for tenant in tenants)
        if promised > there:
            hint = "lower `guaranteed_accelerators` of some"
            raise FieldError(
                FieldIssue(f"{promised} guaranteed in all", f"at most the cluster's {there}", hint)
            )
        return tenants
