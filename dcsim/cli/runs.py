"""`dcsim run`, `compare`, `report` and `replay`: from scenarios to results."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.options import (
    AllowFmu,
    Data,
    Profiles,
    ScenarioFile,
    declare_data_folders,
    noted_data_folders,
    policy_names,
)
from dcsim.cli.outcome import FAILED, say
from dcsim.cli.scenarios import file_problems, located, read_scenario

if TYPE_CHECKING:
    from dcsim.errors import InputError
    from dcsim.spec import LoadedScenario, Scenario
    from dcsim.study import Progress, Study

__all__ = ["Executor", "RunFolder", "compare", "replay", "report", "run"]

MAX_SEEDS = 10_000
"""More make no interval that anybody needs; a slip of the keyboard would fill the disk."""

Seed = Annotated[
    int | None,
    typer.Option(
        min=0, max=2**63 - 1, metavar="N", help="Of the random streams; the scenario's own if not given."
    ),
]
RunOut = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Store the run there; nothing is written if not given.")
]
StudyOut = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the study.")]
StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY_DIR", help="Folder that `dcsim compare` wrote.")]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN_DIR", help="Folder that `dcsim run` or `compare` wrote.")
]
Seeds = Annotated[
    int,
    typer.Option(min=1, max=MAX_SEEDS, metavar="N", help="How many seeds, counted up from the scenario's."),
]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes; one a core if not given.")]


class Executor(StrEnum):
    """Where the runs of a study take place."""

    PROCESS = "process"
    INLINE = "inline"
    RAY = "ray"


Where = Annotated[
    Executor,
    typer.Option(
        metavar="process|inline|ray",
        help="Runs take place in processes, in this one, or on a Ray cluster (extra ray).",
    ),
]
One = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Policy to use; the scenario's if not given. Energy policies joined by + act at once.",
    ),
]
Several = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="Policies to compare; the scenario's if not given.")
]


def run(
    scenario: ScenarioFile,
    *,
    seed: Seed = None,
    placement: One = None,
    energy: One = None,
    ordering: One = None,
    cooling: One = None,
    battery: One = None,
    out: RunOut = None,
    profiles: Profiles = None,
    data: Data = None,
    allow_fmu: AllowFmu = False,
) -> None:
    """Run a scenario once and print what it took."""
    from dcsim.errors import InputError
    from dcsim.report import print_run
    from dcsim.results import check_run_folder, write_run
    from dcsim.simulation import simulate

    loaded = read_scenario(scenario, profiles=profiles, data=data)
    named = {
        "placement": placement,
        "energy": energy,
        "ordering": ordering,
        "cooling": cooling,
        "battery": battery,
    }
    chosen = _with_policies(loaded.scenario, named)
    _check_policies(chosen, loaded)
    if out is not None:
        check_run_folder(out)
    began = time.perf_counter()
    try:
        number = chosen.seed if seed is None else seed
        result = simulate(chosen, number, base_dir=loaded.base_dir, allow_fmu=allow_fmu)
    except InputError as error:
        raise _in_file(error, loaded) from None
    log = {"simulated_in_s": time.perf_counter() - began}
    print_run(result)
    if out is not None:
        write_run(result, out, scenario=chosen, base_dir=loaded.base_dir, log=log)
        typer.echo(f"wrote {out}")


def compare(
    scenario: ScenarioFile,
    *,
    placement: Several = None,
    energy: Several = None,
    ordering: Several = None,
    cooling: Several = None,
    battery: Several = None,
    seeds: Seeds = 5,
    out: StudyOut = Path("study"),
    executor: Where = Executor.PROCESS,
    workers: Workers = None,
    profiles: Profiles = None,
    data: Data = None,
    allow_fmu: AllowFmu = False,
) -> None:
    """Compare policies on the same seeds; write report.html and summary.csv.

    Every combination of the policies given is an arm; differences are paired by seed, with 95 % intervals.
    Say the same command again after an interruption: finished runs are kept.
    """
    from dcsim.errors import InputError, ScenarioError
    from dcsim.report import print_study, write_report
    from dcsim.study import compare as compare_policies

    loaded = read_scenario(scenario, profiles=profiles, data=data)
    problems, _ = file_problems(loaded)
    if problems:  # every run would fail of them
        raise ScenarioError(problems)
    policies = loaded.scenario.policies
    first = loaded.scenario.seed
    try:
        study = compare_policies(
            loaded,
            placements=policy_names("placement", _or(placement, policies.placement.name)),
            energies=policy_names("energy", _or(energy, policies.energy.name)),
            orderings=policy_names("ordering", _or(ordering, policies.ordering.name)),
            coolings=() if cooling is None else policy_names("cooling", cooling),
            batteries=() if battery is None else policy_names("battery", battery),
            seeds=range(first, first + seeds),
            out=out,
            executor=executor.value,
            workers=workers,
            progress=_say_progress,
            warn=_warn,
            allow_fmu=allow_fmu,
        )
    except InputError as error:
        raise _in_file(error, loaded) from None
    print_study(study)
    page = write_report(out)
    typer.echo(f"wrote {page}\nwrote {out / 'summary.csv'}")
    _say_failures(study)


def _check_policies(chosen: Scenario, loaded: LoadedScenario) -> None:
    """Refuse policies that lack what they need, and warn of those that can change nothing."""
    from dcsim.errors import ScenarioError
    from dcsim.study.arm_checks import policy_doubts, policy_needs

    problems = policy_needs(chosen)
    if problems:
        raise _in_file(ScenarioError(problems), loaded)
    for doubt in policy_doubts(chosen):
        _warn(doubt)


def _warn(text: str) -> None:
    say(f"warning: {text}")


def _in_file(error: InputError, loaded: LoadedScenario) -> InputError:
    """Return an error whose problems say where in the file of the scenario they are."""
    return type(error)([located(problem, loaded) for problem in error.problems] or str(error))


def _or(given: str | None, else_: str) -> str:
    """Return what was given, an empty text too: that is a mistake to be told, not a wish for the default."""
    return else_ if given is None else given


def _say_progress(progress: Progress) -> None:
    width = len(str(progress.total))
    say(f"[{progress.done:{width}}/{progress.total}] {progress.cell}: {progress.state}")


def _say_failures(study: Study) -> None:
    """Say which runs failed and how to see each fail alone, and exit."""
    if not study.failed:
        return
    for failure in study.failed:
        say(f"failed: {failure.arm}, seed {failure.seed}: {failure.error}\n  {failure.replay}")
    raise typer.Exit(FAILED)


def report(study: StudyFolder) -> None:
    """Print the table of a study again and write its report.html."""
    from dcsim.report import print_study, write_report
    from dcsim.study import read_study

    print_study(read_study(study))
    typer.echo(f"wrote {write_report(study)}")


def replay(run_dir: RunFolder, *, data: Data = None, allow_fmu: AllowFmu = False) -> None:
    """Run a stored run again and prove that it gives the same bytes.

    Exits with 1 if it does not.
    """
    from dcsim.study import replay as replay_run

    declare_data_folders(data)
    declare_data_folders(noted_data_folders(run_dir))
    outcome = replay_run(run_dir, allow_fmu=allow_fmu)
    typer.echo(str(outcome))
    if not outcome.identical:
        raise typer.Exit(FAILED)


def _with_policies(scenario: Scenario, given: dict[str, str | None]) -> Scenario:
    """Return the scenario with the policies given on the command line, by kind; the others stay as written."""
    from dcsim.spec.policy import PolicyChoice, rewritten

    update: dict[str, PolicyChoice] = {}
    for kind, name in given.items():
        written: PolicyChoice = getattr(scenario.policies, kind)
        if name is None or name == written.name:
            continue
        names = policy_names(kind, name)
        if len(names) > 1:
            raise typer.BadParameter(
                "one policy to a run; use `dcsim compare` for more", param_hint=f"--{kind}"
            )
        update[kind] = rewritten(written, names[0])
    return scenario.model_copy(update={"policies": scenario.policies.model_copy(update=update)})
