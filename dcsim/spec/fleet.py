"""What a fleet file says: several halls, one stream of jobs, and a router that sends each job to one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.names import nearest, refuse_alike
from dcsim.spec.policy import PolicyChoice
from dcsim.spec.quantities import DurationS, Name
from dcsim.spec.scenario import MAX_HORIZON_S
from dcsim.spec.wan import FleetDataSpec, WanPairSpec, WanSpec
from dcsim.spec.workload import WorkloadSpec

__all__ = ["MAX_SITES", "FleetSiteSpec", "FleetSpec", "FleetTenantSpec"]

MAX_SITES = 100
"""Most halls in one fleet."""

FilePath = Annotated[str, Field(min_length=1, max_length=1_000)]


def _whole_number(value: object) -> object:
    """Refuse the booleans and floats that Python holds equal to an integer."""
    return value if type(value) is int else repr(value)


class FleetSiteSpec(SpecModel):
    """One hall."""

    name: Name
    """Short; it names result folders."""
    scenario: FilePath
    """Its scenario file, relative to the fleet file. Cluster, facility, grid and policies are taken from there;
    its workload, horizon and seed are not, and may be left out."""


class FleetTenantSpec(SpecModel):
    """Where the jobs of one tenant come from, and where they may run."""

    name: Name
    """As in the job table: tenant-1, tenant-2, ... of generated jobs."""
    home: Name | None = None
    """Site at which its jobs and data are; None: as `homes` says."""
    may_run_at: tuple[Name, ...] = Field(default=(), max_length=MAX_SITES)
    """Sites that its data may go to (data residency); none named: any."""


class FleetSpec(SpecModel):
    """Several sites, one stream of jobs, and who decides where each job runs."""

    version: Annotated[Literal[1], BeforeValidator(_whole_number)] = 1
    """Of the fleet format."""
    name: Name
    """Short; it names results."""
    description: str = Field(default="", max_length=10_000)
    """The question this fleet answers."""
    seed: int = Field(default=0, ge=0, lt=2**63, strict=True)
    """Of the named random streams, where none is given on the command line."""
    horizon_s: DurationS = Field(gt=0, le=MAX_HORIZON_S)
    """Every site runs until then, so that all routers are charged for the same hours of idle draw."""
    sites: tuple[FleetSiteSpec, ...] = Field(min_length=1, max_length=MAX_SITES)
    """The halls; t = 0 is the same instant at all of them."""
    homes: Literal["first_site", "round_robin"] = "first_site"
    """Home of tenants for which `tenants` names none: all the first site, or each tenant the next site in turn."""
    tenants: tuple[FleetTenantSpec, ...] = Field(default=(), max_length=100_000)
    """Tenants with a home or a data residency of their own."""
    profiles: dict[Name, FilePath] = Field(default={})
    """Cost profiles by name: paths to JSON files, relative to the fleet file."""
    workload: WorkloadSpec
    """The jobs of the whole fleet; a load counts against the accelerators of all sites."""
    wan: WanSpec = WanSpec()
    """The network between the sites."""
    data: FleetDataSpec = FleetDataSpec()
    """What moves with a job that leaves its home."""
    routing: PolicyChoice = PolicyChoice(name="home")
    """Who decides where a job runs."""
    feedback_every_s: DurationS | None = Field(default=None, ge=60.0)
    """How often the router is told who runs and who waits at the sites, and how long jobs took; None: never, it goes
    by what it sent and by estimated run times. Each time the sites are run up to that instant."""

    @field_validator("sites")
    @classmethod
    def _distinct_sites(cls, sites: tuple[FleetSiteSpec, ...]) -> tuple[FleetSiteSpec, ...]:
        refuse_alike([site.name for site in sites], "a site name of its own", at="name")
        return sites

    @field_validator("profiles")
    @classmethod
    def _distinct_profiles(cls, profiles: dict[str, str]) -> dict[str, str]:
        refuse_alike(tuple(profiles), "a name of its own")
        return profiles

    @field_validator("tenants")
    @classmethod
    def _tenants_live_at_sites(
        cls, tenants: tuple[FleetTenantSpec, ...], info: ValidationInfo
    ) -> tuple[FleetTenantSpec, ...]:
        refuse_alike([tenant.name for tenant in tenants], "a tenant name of its own", at="name")
        issues = [
            issue
            for i, tenant in enumerate(tenants)
            for issue in _tenant_issues(i, tenant, _site_names(info))
        ]
        if issues:
            raise FieldError(*issues)
        return tenants

    @field_validator("wan")
    @classmethod
    def _pairs_join_sites(cls, wan: WanSpec, info: ValidationInfo) -> WanSpec:
        issues = list(_pair_issues(wan.pairs, _site_names(info)))
        if issues:
            raise FieldError(*issues)
        return wan


def _site_names(info: ValidationInfo) -> tuple[str, ...]:
    """Return the names of the sites; none where these have problems of their own."""
    return tuple(site.name for site in info.data.get("sites", ()))


def _tenant_issues(i: int, tenant: FleetTenantSpec, known: tuple[str, ...]) -> Iterator[FieldIssue]:
    named = [] if tenant.home is None else [((i, "home"), tenant.home)]
    yield from _unknown(
        [*named, *(((i, "may_run_at", k), name) for k, name in enumerate(tenant.may_run_at))], known
    )
    if tenant.home is not None and tenant.may_run_at and tenant.home not in tenant.may_run_at:
        hint = "its data are there already: add it"
        yield FieldIssue(
            f"without the home {tenant.home!r}", "a list with the tenant's home", hint, at=(i, "may_run_at")
        )


def _pair_issues(pairs: tuple[WanPairSpec, ...], known: tuple[str, ...]) -> Iterator[FieldIssue]:
    first: dict[tuple[str, ...], int] = {}
    for i, pair in enumerate(pairs):
        place = ("pairs", i, "between")
        yield from _unknown([((*place, k), name) for k, name in enumerate(pair.between)], known)
        if pair.between[0] == pair.between[1]:
            yield FieldIssue(f"{pair.between[0]!r} twice", "two different sites", at=place)
        earlier = first.setdefault(tuple(sorted(pair.between)), i)
        if earlier != i:
            yield FieldIssue("a second time", "each pair once", f"it is pair {earlier} already", at=place)


def _unknown(
    named: Iterable[tuple[tuple[str | int, ...], str]], known: tuple[str, ...]
) -> Iterator[FieldIssue]:
    """Yield each name that is no site; nothing where the sites have problems of their own."""
    for at, name in named:
        if known and name not in known:
            yield FieldIssue(repr(name), f"one of the sites {', '.join(known)}", nearest(name, known), at=at)
