"""`dcsim check` and `dcsim schema`, and how commands read the scenario they are given."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.options import Data, Profiles, ScenarioFile, declare_data_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dcsim.errors import Problem
    from dcsim.spec import LoadedScenario, Scenario

__all__ = ["check", "file_problems", "located", "policy_problems", "read_scenario", "schema"]


def check(scenario: ScenarioFile, *, profiles: Profiles = None, data: Data = None) -> None:
    """Check a scenario and print every problem, or what looks unlikely in it.

    Exits with 2 if there is a problem; warnings alone exit with 0.
    """
    from dcsim.errors import ScenarioError
    from dcsim.facility.hardware import CATALOGUE
    from dcsim.spec import plausibility

    loaded = read_scenario(scenario, profiles=profiles, data=data)
    problems, notes = file_problems(loaded)
    if problems:
        raise ScenarioError(problems)
    unlikely = (*plausibility(loaded.scenario, CATALOGUE), *notes)
    for warning in unlikely:
        typer.echo(f"warning: {warning}")
    count = len(unlikely)
    typer.echo(f"{scenario}: sound, {count or 'no'} warning{'' if count == 1 else 's'}")


def schema(
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there instead of printing it.")
    ] = None,
) -> None:
    """Print the JSON Schema of scenarios, for editors."""
    from dcsim.results.files import write_atomically
    from dcsim.spec import json_schema_text

    text = json_schema_text()
    if out is None:
        typer.echo(text, nl=False)
        return
    write_atomically(out, text.encode())
    typer.echo(f"wrote {out}")


def read_scenario(path: Path, *, profiles: Path | None, data: list[Path] | None) -> LoadedScenario:
    """Return the scenario in `path`, wholly checked, with the cost profiles in `profiles` in place of its own.

    Args:
        path: the YAML file.
        profiles: folder of NAME.json files, or None.
        data: more folders that its data paths may lead into.

    Raises:
        ScenarioError: with every problem.
        typer.BadParameter: a folder does not exist, or holds no profile that the scenario uses.
    """
    from dcsim.errors import ScenarioError
    from dcsim.facility.hardware import CATALOGUE
    from dcsim.facility.weather import SITES
    from dcsim.policies import POLICY_KINDS, known_policies
    from dcsim.spec import check_scenario, load_scenario, scenario_sha256

    declare_data_folders(data)
    loaded = load_scenario(path)
    if profiles is not None:
        scenario = _with_profiles(loaded.scenario, loaded.base_dir, profiles)
        loaded = dataclasses.replace(loaded, scenario=scenario, sha256=scenario_sha256(scenario))
    problems = check_scenario(
        loaded.scenario,
        loaded.base_dir,
        catalogue=CATALOGUE,
        known_policies={kind: tuple(known_policies(kind)) for kind in POLICY_KINDS},
        known_sites=tuple(SITES),
        file=str(path),
        lines=loaded.lines,
    )
    problems = (*problems, *policy_problems(loaded, str(path)))
    if problems:
        raise ScenarioError(sorted(problems, key=lambda problem: problem.line or 0))
    return loaded


def policy_problems(loaded: LoadedScenario, file: str) -> list[Problem]:
    """Return the parameters that the policies of a scenario cannot take; unknown policies are left out."""
    from dcsim.errors import Problem
    from dcsim.policies import POLICY_KINDS, choice_problems, known_policies, policy_parts
    from dcsim.spec.problems import line_of

    problems = []
    for kind in POLICY_KINDS:
        choice, known = getattr(loaded.scenario.policies, kind), known_policies(kind)
        if any(part not in known for part in policy_parts(kind, choice.name)):
            continue
        given = choice.parameters
        each = [choice_problems(kind, choice.name, {key: value}) for key, value in given.items()]
        wrong = [found for one in each for found in one] or choice_problems(kind, choice.name, given)
        for key, got, expected in dict.fromkeys(wrong):
            path = ("policies", kind, *(("parameters", key) if key else ()))
            problems.append(Problem(file, line_of(path, loaded.lines), ".".join(path), got, expected))
    return problems


def located(problem: Problem, loaded: LoadedScenario) -> Problem:
    """Return a problem that names only the scenario with the file and line where it comes from."""
    from dcsim.spec.problems import line_of

    if problem.file not in (loaded.scenario.name, "scenario"):
        return problem
    parts = tuple(problem.path.split("."))
    line = line_of(("workload",) if parts[0] == "jobs" else parts, loaded.lines)
    return dataclasses.replace(problem, file=str(loaded.path), line=line)


def _absent_tenants(scenario: Scenario, present: Sequence[str]) -> Iterator[str]:
    """Yield a warning for each tenant of the scenario that no job has: a slip in its name, likely."""
    from dcsim.spec.names import nearest

    for i, tenant in enumerate(scenario.tenants):
        if tenant.name not in present:
            near = nearest(tenant.name, present)
            yield f"tenants.{i}.name: no job is of {tenant.name!r}{near and f' ({near})'}"


_SAMPLED_JOBS = 10_000


def file_problems(loaded: LoadedScenario) -> tuple[list[Problem], list[str]]:
    """Return what is wrong with the jobs, profiles, room, weather and grid series that a scenario names, and notes."""
    from dcsim.errors import InputError
    from dcsim.facility.grid import Grid, build_grid, start_of
    from dcsim.facility.weather import build_weather
    from dcsim.simulation.inputs import RunInputs, prepare
    from dcsim.simulation.thermal_setup import room_of

    scenario, base_dir = _sampled(loaded.scenario), loaded.base_dir

    def prepared() -> RunInputs:
        inputs = prepare(scenario, scenario.seed, base_dir)
        room_of(inputs)
        return inputs

    parts: tuple[Callable[[], object], ...] = (
        prepared,
        lambda: build_weather(scenario.weather, start_of(scenario.grid), base_dir, scenario.horizon_s),
        lambda: build_grid(scenario.grid, base_dir, scenario.horizon_s),
    )
    problems: dict[Problem, None] = {}
    notes: dict[str, None] = {}
    from_files = any(scenario.grid.file_paths())
    for build in parts:
        try:
            built = build()
        except InputError as error:
            problems |= dict.fromkeys(located(problem, loaded) for problem in error.problems)
        else:
            if not isinstance(built, Grid) or from_files:  # of constants `plausibility` speaks
                notes |= dict.fromkeys(getattr(built, "notes", ()))
            if isinstance(built, RunInputs):
                notes |= dict.fromkeys(_absent_tenants(scenario, built.jobs.tenant_names))
    return list(problems), list(notes)


def _sampled(scenario: Scenario) -> Scenario:
    """Return the scenario with so many generated jobs as show whether they fit; ten million take a minute."""
    jobs = getattr(scenario.workload, "jobs", 0)
    if jobs <= _SAMPLED_JOBS:
        return scenario
    fewer = scenario.workload.model_copy(update={"jobs": _SAMPLED_JOBS})
    return scenario.model_copy(update={"workload": fewer})


def _with_profiles(scenario: Scenario, base_dir: Path, folder: Path) -> Scenario:
    """Let the profiles found in `folder` stand in for those of the same name."""
    from dcsim.workload.profile_store import used_profiles

    if not folder.is_dir():
        raise typer.BadParameter(f"{folder} is not a folder", param_hint="--profiles")
    names = [name for name in used_profiles(scenario) if (folder / f"{name}.json").is_file()]
    if not names:
        wanted = ", ".join(f"{name}.json" for name in used_profiles(scenario)) or "none"
        raise typer.BadParameter(
            f"{folder} holds no profile that the scenario uses ({wanted})", param_hint="--profiles"
        )
    declare_data_folders([folder])
    # A bare name keeps the scenario, and so its hash, the same wherever the folder lies.
    taken = {name: _file_of(name, base_dir, folder) for name in names}
    return scenario.model_copy(update={"profiles": {**scenario.profiles, **taken}})


def _file_of(name: str, base_dir: Path, folder: Path) -> str:
    file = f"{name}.json"
    beside_scenario = base_dir / file
    return str((folder / file).resolve()) if beside_scenario.exists() else file
