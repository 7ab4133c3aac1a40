"""`dcsim fleet`: several sites, one stream of jobs, and routers that decide where each job runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.options import Data, declare_data_folders, policy_names
from dcsim.cli.outcome import say

if TYPE_CHECKING:
    from dcsim.errors import Problem
    from dcsim.spec.fleet_load import LoadedFleet
    from dcsim.study.fleet_compare import FleetCell

__all__ = ["check_fleet", "compare_fleet", "run_fleet"]

_MAX_SEEDS = 10_000

FleetFile = Annotated[Path, typer.Argument(metavar="FLEET", help="YAML file of the fleet.")]
Seed = Annotated[
    int | None,
    typer.Option(
        min=0, max=2**63 - 1, metavar="N", help="Of the random streams; the fleet's own if not given."
    ),
]
One = Annotated[str | None, typer.Option(metavar="NAME", help="Router to use; the fleet's if not given.")]
Several = Annotated[
    str,
    typer.Option(metavar="A,B,...", help="Routers to compare; the first is what others are compared with."),
]
Seeds = Annotated[
    int, typer.Option(min=1, max=_MAX_SEEDS, metavar="N", help="How many seeds, counted up from the fleet's.")
]
RunOut = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Store the runs there; nothing is written if not given.")
]
StudyOut = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write the figures there; nothing is written if not given.")
]


def run_fleet(
    fleet: FleetFile, *, routing: One = None, seed: Seed = None, out: RunOut = None, data: Data = None
) -> None:
    """Run a fleet once and print what each site and the network between them took.

    With --out, each site's run is kept in DIR/sites as `dcsim run` would, and can be replayed and explained.
    """
    from dcsim.report.fleet import print_fleet
    from dcsim.simulation.fleet_run import simulate_fleet
    from dcsim.study.fleet_compare import make_router
    from dcsim.study.fleet_store import check_fleet_folder, write_fleet

    loaded = _read_fleet(fleet, data)
    name = loaded.fleet.routing.name
    if routing is not None:
        names = policy_names("routing", routing)
        if len(names) > 1:
            message = "one router to a run; use `dcsim fleet compare` for more"
            raise typer.BadParameter(message, param_hint="--routing")
        name = names[0]
    if out is not None:
        check_fleet_folder(out)
    began = time.perf_counter()
    done = simulate_fleet(loaded, seed, routing=make_router(loaded, name))
    log = {"simulated_in_s": time.perf_counter() - began}
    print_fleet(done.result)
    if out is not None:
        write_fleet(done, out, loaded, log=log)
        typer.echo(f"wrote {out}")


def compare_fleet(
    fleet: FleetFile, *, routing: Several, seeds: Seeds = 5, out: StudyOut = None, data: Data = None
) -> None:
    """Compare routers on the same seeds; differences are paired by seed, with 95 % intervals."""
    from dcsim.report.fleet import print_fleet_study
    from dcsim.study.fleet_compare import compare_fleet as compare_routers
    from dcsim.study.fleet_compare import write_fleet_study

    loaded = _read_fleet(fleet, data)
    first = loaded.fleet.seed
    study = compare_routers(
        loaded,
        routings=policy_names("routing", routing),
        seeds=range(first, first + seeds),
        progress=_say_progress,
    )
    print_fleet_study(study)
    if out is not None:
        typer.echo(f"wrote {write_fleet_study(study, out)}")


def check_fleet(fleet: FleetFile, *, data: Data = None) -> None:
    """Check a fleet, the scenarios of its sites and its jobs, and print every problem.

    Exits with 2 if there is a problem; warnings alone exit with 0.
    """
    from dcsim.facility.hardware import CATALOGUE
    from dcsim.simulation.fleet_jobs import build_fleet_jobs
    from dcsim.spec import plausibility

    loaded = _read_fleet(fleet, data)
    build_fleet_jobs(loaded, loaded.fleet.seed)
    count = 0
    for site, hall in zip(loaded.fleet.sites, loaded.sites, strict=True):
        for warning in plausibility(hall.scenario, CATALOGUE):
            typer.echo(f"warning: {site.name}: {warning}")
            count += 1
    typer.echo(f"{fleet}: sound, {count or 'no'} warning{'' if count == 1 else 's'}")


def _say_progress(done: int, total: int, cell: FleetCell) -> None:
    say(f"[{done:{len(str(total))}}/{total}] {cell.routing}, seed {cell.seed}")


def _read_fleet(path: Path, data: list[Path] | None) -> LoadedFleet:
    """Return the fleet in `path`, it and the scenarios of its sites wholly checked.

    Raises:
        ScenarioError: with every problem.
        typer.BadParameter: a folder does not exist.
    """
    from dcsim.errors import ScenarioError
    from dcsim.spec.fleet_load import load_fleet

    declare_data_folders(data)
    loaded = load_fleet(path)
    problems = [*_routing_problems(loaded, str(path)), *_site_problems(loaded)]
    if problems:
        raise ScenarioError(problems)
    return loaded


def _routing_problems(loaded: LoadedFleet, file: str) -> list[Problem]:
    from dcsim.errors import Problem
    from dcsim.policies import known_policies, parameter_problems
    from dcsim.spec.names import nearest
    from dcsim.spec.problems import line_of

    choice, known = loaded.fleet.routing, known_policies("routing")
    if choice.name not in known:
        expected, hint = f"one of {', '.join(sorted(known))}", nearest(choice.name, known)
        return [
            Problem(file, line_of(("routing",), loaded.lines), "routing", repr(choice.name), expected, hint)
        ]
    problems = []
    for key, got, expected in parameter_problems(known[choice.name], choice.parameters):
        path = ("routing", "parameters", *((key,) if key else ()))
        problems.append(Problem(file, line_of(path, loaded.lines), ".".join(path), got, expected))
    return problems


def _site_problems(loaded: LoadedFleet) -> list[Problem]:
    """Return the problems between the parts of the sites' scenarios, each file's once."""
    from dcsim.cli.scenarios import policy_problems
    from dcsim.facility.hardware import CATALOGUE
    from dcsim.facility.weather import SITES
    from dcsim.policies import POLICY_KINDS, known_policies
    from dcsim.spec import check_scenario

    found: dict[Problem, None] = {}
    for hall in loaded.sites:
        file = str(hall.path)
        # The jobs are the fleet's, and so are its profiles.
        scenario = hall.scenario.model_copy(update={"profiles": {}})
        problems = check_scenario(
            scenario,
            hall.base_dir,
            catalogue=CATALOGUE,
            known_policies={kind: tuple(known_policies(kind)) for kind in POLICY_KINDS},
            known_sites=tuple(SITES),
            file=file,
            lines=hall.lines,
        )
        problems = tuple(problem for problem in problems if not problem.path.startswith("workload"))
        found |= dict.fromkeys([*problems, *policy_problems(hall, file)])
    return list(found)
