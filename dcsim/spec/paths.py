"""Where a scenario's data files may lie: in its own folder or below a declared data folder, nowhere else."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from dcsim.errors import Problem, ScenarioError
from dcsim.spec.cooling import FileWeatherSpec
from dcsim.spec.room import MatrixSpec
from dcsim.spec.scenario import Scenario
from dcsim.spec.workload import TraceWorkloadSpec

__all__ = ["DATA_DIRS_VARIABLE", "data_dirs", "referenced_files", "resolve_data_path"]

DATA_DIRS_VARIABLE = "DCSIM_DATA_DIRS"
"""Environment variable with more data folders, separated as in PATH; `--data` adds to it."""


def data_dirs() -> tuple[Path, ...]:
    """Return the declared data folders, resolved, in their order."""
    declared = os.environ.get(DATA_DIRS_VARIABLE, "")
    return tuple(Path(folder).resolve() for folder in declared.split(os.pathsep) if folder)


def resolve_data_path(base_dir: Path, text: str) -> Path:
    """Return the regular file that `text` names, absolute and without symbolic links.

    A relative path is looked up in `base_dir` (the folder of the scenario file), then in each data
    folder. Raises `ScenarioError` for a file that is missing or not a regular file, for a URL, and
    for every way out of those folders (`..`, an absolute path, a symbolic link).
    """
    folders = (Path(base_dir).resolve(), *data_dirs())
    if "\x00" in text or not text.strip():
        raise _refusal(base_dir, text, "the path of a file")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        raise _refusal(base_dir, text, "the path of a file", "dcsim opens no URLs: download it first")
    escaped = False
    for folder in folders:
        try:
            candidate = (folder / text).resolve()
            inside = any(candidate.is_relative_to(allowed) for allowed in folders)
            mode = candidate.stat().st_mode if inside else 0
        except (OSError, RuntimeError):  # a missing file, a loop of links, a name too long
            continue
        escaped = escaped or not inside
        if inside and stat.S_ISREG(mode):
            return candidate
        if inside:
            raise _refusal(base_dir, text, "a regular file", "that is a folder, a pipe or a device")
    if escaped:
        hint = f"move the file, or declare its folder with --data or {DATA_DIRS_VARIABLE}"
        raise _refusal(base_dir, text, "a file inside the scenario's folder or a data folder", hint)
    searched = ", ".join(map(str, folders))
    raise _refusal(base_dir, text, "an existing file", f"looked in {searched}")


def referenced_files(scenario: Scenario) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield (path of the field, text) for each data file that a scenario names, in a fixed order."""
    for name in sorted(scenario.profiles):
        yield ("profiles", name), scenario.profiles[name]
    if scenario.rates is not None:
        yield ("rates",), scenario.rates
    if scenario.network.graph is not None:
        yield ("network", "graph"), scenario.network.graph
    if scenario.cooling.fmu is not None:
        yield ("cooling", "fmu", "path"), scenario.cooling.fmu.path
    layout = scenario.room.layout if scenario.room is not None else None
    if isinstance(layout, MatrixSpec) and layout.path is not None:
        yield ("room", "layout", "path"), layout.path
    if isinstance(scenario.weather, FileWeatherSpec):
        yield ("weather", "path"), scenario.weather.path
    for field, path in scenario.grid.file_paths():
        yield ("grid", *field), path
    if isinstance(scenario.workload, TraceWorkloadSpec):
        yield ("workload", "path"), scenario.workload.path


def _refusal(base_dir: Path, text: str, expected: str, hint: str = "") -> ScenarioError:
    """Return the error of one path."""
    shown = repr(text if len(text) <= 200 else text[:200] + "...")
    return ScenarioError([Problem(str(base_dir), None, "", shown, expected, hint)])
