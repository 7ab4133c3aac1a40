"""What a scenario says of its jobs: generated, or read from a file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from dcsim.spec.job_rules import JobRulesSpec
from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.parallelism import ParallelismSpec
from dcsim.spec.quantities import Count, DurationS, Fraction, Name, Number, SizeBytes
from dcsim.units import Quantity, format_quantity

__all__ = [
    "ArrivalSpec",
    "GeneratedWorkloadSpec",
    "JobKindSpec",
    "SizeSpec",
    "TraceWorkloadSpec",
    "WorkloadSpec",
]


MAX_WIDTH = 1_000_000
"""Widest gang, in accelerators."""
MAX_WEIGHT = 1e9
"""Largest weight of a kind of job or of a width; only their ratios count."""


def _width(value: object) -> object:
    """Return a gang width written as a mapping key, where JSON and quoted YAML have text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 7:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(FieldIssue(repr(value)[:100], "a whole number of accelerators"))
    return value


Width = Annotated[int, BeforeValidator(_width), Field(ge=1, le=MAX_WIDTH)]


class ArrivalSpec(SpecModel):
    """Poisson arrivals, with a daily swing when `diurnal_amplitude` > 0."""

    load: Number | None = Field(default=0.8, gt=0, le=2.0)
    """Offered accelerator-seconds per accelerator-second of the cluster; sets the rate unless rate_per_s is given."""
    rate_per_s: Number | None = Field(default=None, gt=0, le=1e6)
    """Mean arrivals a second; rules over `load`."""
    diurnal_amplitude: Fraction = 0.0
    """Peak-to-mean swing a of the rate 1 + a cos(...), peak at `peak_hour`."""
    peak_hour: Number = Field(default=15.0, ge=0, lt=24)
    """UTC hour of the highest rate."""

    @field_validator("rate_per_s")
    @classmethod
    def _load_or_rate(cls, rate_per_s: float | None, info: ValidationInfo) -> float | None:
        if rate_per_s is None and info.data.get("load", 0.0) is None:
            raise FieldError(
                FieldIssue("null", "a rate, where `load` is null", "give one of load and rate_per_s")
            )
        return rate_per_s


class SizeSpec(SpecModel):
    """Ideal run time: lognormal, clipped; the defaults meet median and 90th percentile of the Philly trace."""

    median_s: DurationS = Field(default=1_140.0, gt=0)
    """Half of the jobs are shorter."""
    sigma: Number = Field(default=1.8, ge=0, le=4.0)
    """Standard deviation of ln(run time)."""
    min_s: DurationS = Field(default=30.0, gt=0)
    """Shorter draws are raised to this."""
    max_s: DurationS = Field(default=7 * 86_400.0, gt=0)
    """Longer draws are cut to this."""

    @field_validator("max_s")
    @classmethod
    def _in_order(cls, max_s: float, info: ValidationInfo) -> float:
        for name in ("min_s", "median_s"):
            other = info.data.get(name, 0.0)
            if max_s < other:
                shown = format_quantity(other, Quantity.DURATION)
                raise FieldError(
                    FieldIssue(format_quantity(max_s, Quantity.DURATION), f"at least {name} ({shown})")
                )
        return max_s


class JobKindSpec(SpecModel):
    """One kind of job in a generated mix."""

    profile: Name
    """A cost profile: one kept in dcsim, or one of the scenario's `profiles`."""
    weight: Number = Field(default=1.0, gt=0, le=MAX_WEIGHT)
    """Share of the jobs, over the sum of the weights."""
    batch_per_accelerator: int | None = Field(default=None, ge=1, strict=True)
    """Samples a step on each accelerator; None: the profile's largest measured."""
    widths: dict[Width, Annotated[Number, Field(gt=0, le=MAX_WEIGHT)]] = Field(
        default={1: 0.70, 2: 0.10, 4: 0.10, 8: 0.10},
        min_length=1,
        json_schema_extra={"propertyNames": {"pattern": "^[1-9][0-9]{0,6}$"}},
    )
    """Gang width in accelerators -> weight."""
    dataset: Name | None = None
    """What it reads, one of `storage.datasets`; None: as much as its profile says, from where `storage.feed` says."""
    deferrable_fraction: Fraction = 0.3
    """Share of the jobs that may be held back."""
    slack_s: DurationS = Field(default=6 * 3_600.0, ge=0)
    """How long a deferrable job may be held back."""
    rules: JobRulesSpec = JobRulesSpec()
    """Priority, time limit, deadline and elasticity."""
    parallelism: ParallelismSpec | None = None
    """How a gang is divided; None: data parallel, every accelerator with the whole model."""

    @field_validator("parallelism")
    @classmethod
    def _divides(cls, parallelism: ParallelismSpec | None, info: ValidationInfo) -> ParallelismSpec | None:
        if parallelism is not None:
            rules = info.data.get("rules", JobRulesSpec())
            issues = parallelism.issues(info.data.get("widths", {}), elastic=rules.elastic_fraction > 0.0)
            if issues:
                raise FieldError(*issues)
        return parallelism

    @field_validator("widths", mode="before")
    @classmethod
    def _distinct_widths(cls, widths: object) -> object:
        keys = list(widths) if isinstance(widths, dict) else []
        if len({str(key).lstrip("0") for key in keys}) < len(keys):
            raise FieldError(FieldIssue(", ".join(map(repr, keys[:8])), "each width once"))
        return widths


class GeneratedWorkloadSpec(SpecModel):
    """Jobs drawn from distributions; the same seed gives the same jobs under every policy."""

    kind: Literal["generated"] = "generated"
    jobs: Count
    """How many, in all."""
    arrivals: ArrivalSpec = ArrivalSpec()
    """When they come."""
    sizes: SizeSpec = SizeSpec()
    """How long they take on the reference hardware."""
    mix: tuple[JobKindSpec, ...] = Field(min_length=1)
    """Kinds of jobs, by weight."""
    tenants: int = Field(default=4, ge=1, le=100_000, strict=True)
    """Who submits them: the k-th tenant 1/k times as often as the first (Zipf)."""


class TraceWorkloadSpec(SpecModel):
    """Jobs from a native CSV or Parquet file, or straight from a published trace format."""

    kind: Literal["trace"] = "trace"
    path: str = Field(min_length=1, max_length=1_000)
    """Relative to the scenario file, inside its folder or below a --data folder."""
    format: Literal["native", "openb", "philly", "swf", "sacct", "gavel", "pollux", "kubernetes"] = "native"
    """native: dcsim's own columns; openb, philly, gavel, pollux: as published; swf: Standard Workload Format;
    sacct: Slurm accounting (--parsable2); kubernetes: pods as kubectl writes them."""
    profile: Name | None = None
    """Cost profile given to jobs that name none; None: pure run time, no traffic."""
    max_jobs: Count | None = None
    """Read the first so many; None: all."""
    time_scale: Number = Field(default=1.0, gt=0, le=1e6)
    """Arrival gaps are multiplied by this."""
    dataset_bytes: SizeBytes | None = Field(default=None, ge=0)
    """Training data of each job; None: what its profile says."""
    dataset: Name | None = None
    """One of `storage.datasets`, read by every job with a profile that names none."""


WorkloadSpec = Annotated[GeneratedWorkloadSpec | TraceWorkloadSpec, Field(discriminator="kind")]
