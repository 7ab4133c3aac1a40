"""Options that several commands share, and what they mean."""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AllowFmu",
    "Data",
    "Profiles",
    "ScenarioFile",
    "declare_data_folders",
    "noted_data_folders",
    "policy_names",
]

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO", help="YAML file of the scenario.")]
Profiles = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder of cost profiles (NAME.json); they stand in for those of the same name."
    ),
]
Data = Annotated[
    list[Path] | None,
    typer.Option(metavar="DIR", help="Folder a scenario's data paths may lead into; give it again for more."),
]
AllowFmu = Annotated[
    bool,
    typer.Option(
        "--allow-fmu", help="Let a cooling plant that is an FMU run: native code, with all your rights."
    ),
]

DATA_FOLDERS_VARIABLE = "DCSIM_DATA_DIRS"


def declare_data_folders(folders: list[Path] | None) -> None:
    """Allow the scenario's data paths to lead into `folders`, here and in worker processes.

    Raises:
        typer.BadParameter: one of them is not a folder.
    """
    given = folders or []
    for folder in given:
        if not folder.is_dir():
            raise typer.BadParameter(f"{folder} is not a folder", param_hint="--data")
    known = os.environ.get(DATA_FOLDERS_VARIABLE, "")
    parts = [*(str(folder.resolve()) for folder in given), *known.split(os.pathsep)]
    if given:
        os.environ[DATA_FOLDERS_VARIABLE] = os.pathsep.join(part for part in parts if part)


def noted_data_folders(run_dir: Path) -> list[Path]:
    """Return the data folders declared when the run was written, as far as they are still there."""
    from dcsim.results.store import RUN_LOG

    try:
        noted = json.loads((run_dir / RUN_LOG).read_bytes())["data_dirs"]
        return [Path(folder) for folder in noted if Path(folder).is_dir()]
    except (OSError, ValueError, KeyError, TypeError):  # a note for convenience: replay does without it
        return []


def policy_names(kind: str, text: str) -> tuple[str, ...]:
    """Split a comma-separated list of policies of one kind; energy policies joined by "+" act at once.

    Raises:
        typer.BadParameter: a name is empty, given twice or not in the registry, or two cannot be combined.

    >>> policy_names("placement", "first_fit, spread")
    ('first_fit', 'spread')
    >>> policy_names("energy", "none,power_cap+sleep_idle")
    ('none', 'power_cap+sleep_idle')
    """
    from dcsim.policies import choice_problems, known_policies, policy_parts

    known = sorted(known_policies(kind))
    names = tuple(name.strip() for name in text.split(","))
    option = f"--{kind}"
    for name in names:
        for part in policy_parts(kind, name):
            if part not in known:
                near = difflib.get_close_matches(part, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                message = f"{part!r} is no {kind} policy; known are {', '.join(known)}{hint}"
                raise typer.BadParameter(message, param_hint=option)
        for _, got, expected in choice_problems(kind, name, {}):
            raise typer.BadParameter(f"{name!r}: {got}, expected {expected}", param_hint=option)
        if names.count(name) > 1:
            raise typer.BadParameter(f"{name!r} is given twice", param_hint=option)
    return names
