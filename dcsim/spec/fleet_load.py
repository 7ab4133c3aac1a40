"""The front door for fleet files: the fleet, and the scenario of each of its sites, with all problems at once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dcsim.errors import Problem, ScenarioError
from dcsim.spec.fleet import FleetSpec
from dcsim.spec.load import LoadedScenario, load_scenario, read_yaml, scenario_sha256
from dcsim.spec.paths import resolve_data_path
from dcsim.spec.problems import line_of, problems_of

__all__ = ["LoadedFleet", "fleet_from_data", "fleet_sha256", "jobs_file", "load_fleet"]


@dataclass(frozen=True, slots=True)
class LoadedFleet:
    """A fleet, the scenarios of its sites, and where it came from."""

    fleet: FleetSpec
    sites: tuple[LoadedScenario, ...]
    """(K,) in the order of `fleet.sites`, each under the fleet's horizon and profiles, its jobs those of `jobs_file`."""
    path: Path
    """The fleet file, absolute."""
    base_dir: Path
    """Its folder: paths of site files, traces and profiles start here."""
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict, repr=False, compare=False)
    """Line of each field that the file writes out, for messages."""


def load_fleet(path: str | os.PathLike[str]) -> LoadedFleet:
    """Read and validate one fleet file and the scenario file of each of its sites.

    Raises `ScenarioError` with all problems of all files, each with file, line, path of the field, what it got
    and what it expected.
    """
    file = os.fspath(path)
    document = read_yaml(file)
    fleet = fleet_from_data(document.data, file=file, lines=document.lines)
    absolute = Path(file).resolve()
    sites, problems = [], []
    for i in range(len(fleet.sites)):
        try:
            sites.append(_load_site(fleet, i, absolute.parent))
        except ScenarioError as error:
            place = ("sites", str(i), "scenario")
            line = line_of(place, document.lines)
            problems += [
                # A file that cannot be found is a problem of the line that names it.
                problem if problem.path or problem.line else _at(problem, file, line, ".".join(place))
                for problem in error.problems
            ]
    problems += _start_problems(sites, fleet, file, document.lines)
    if problems:
        raise ScenarioError(problems)
    return LoadedFleet(fleet, tuple(sites), absolute, absolute.parent, document.lines)


def fleet_from_data(
    data: Mapping[Any, Any], *, file: str = "fleet", lines: Mapping[tuple[str, ...], int] | None = None
) -> FleetSpec:
    """Return the fleet that nested plain data describes, as from YAML or JSON; the files it names are not read.

    `file` and `lines` (line of each path) only appear in problems. Raises `ScenarioError`.

    >>> fleet_from_data({"name": "x", "horizon_s": "1 d", "sites": []})
    Traceback (most recent call last):
        ...
    dcsim.errors.ScenarioError: fleet: sites: 0 items -> expected a list of 1 to 100 items
    fleet: workload: missing -> expected one of generated, trace
    """
    try:
        return FleetSpec.model_validate(dict(data))
    except ValidationError as error:
        raise ScenarioError(problems_of(error, file, lines or {}, root=FleetSpec)) from None


def fleet_sha256(loaded: LoadedFleet) -> str:
    """Return the SHA-256, in hex, of what a fleet and the scenarios of its sites mean, as `scenario_sha256`."""
    content = {
        "fleet": loaded.fleet.model_dump(mode="json"),
        "sites": [site.sha256 for site in loaded.sites],
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def jobs_file(site: str) -> str:
    """Return the name of the trace with the jobs that a site was sent.

    >>> jobs_file("oregon")
    'oregon.jobs.parquet'
    """
    return f"{site}.jobs.parquet"


def _load_site(fleet: FleetSpec, i: int, base_dir: Path) -> LoadedScenario:
    site = fleet.sites[i]
    workload = {"kind": "trace", "path": jobs_file(site.name)}
    loaded = load_scenario(resolve_data_path(base_dir, site.scenario), workload=workload)
    profiles = {**loaded.scenario.profiles, **fleet.profiles}
    update = {"horizon_s": fleet.horizon_s, "profiles": profiles}
    scenario = loaded.scenario.model_copy(update=update)
    return LoadedScenario(scenario, loaded.path, loaded.base_dir, scenario_sha256(scenario), loaded.lines)


def _at(problem: Problem, file: str, line: int | None, path: str) -> Problem:
    return Problem(file, line, path, problem.got, problem.expected, problem.hint)


def _start_problems(
    sites: list[LoadedScenario], fleet: FleetSpec, file: str, lines: Mapping[tuple[str, ...], int]
) -> list[Problem]:
    """Return the sites whose t = 0 is another instant than that of the first."""
    if not sites or len(sites) < len(fleet.sites):
        return []
    first = sites[0].scenario.grid.start
    shown = "left out" if first is None else first.isoformat()
    hint = "one clock runs at all sites: give all the same, with its UTC offset"
    return [
        Problem(
            file,
            line_of(("sites", str(i)), lines),
            f"sites.{i}.scenario",
            f"grid.start {site.scenario.grid.start and site.scenario.grid.start.isoformat()}",
            f"that of the first site ({shown})",
            hint,
        )
        for i, site in enumerate(sites)
        if site.scenario.grid.start != first
    ]
