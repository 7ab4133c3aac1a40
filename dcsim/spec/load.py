"""The front door for scenario files: read, parse, validate, and say everything that is wrong at once."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dcsim.errors import Problem, ScenarioError
from dcsim.spec.problems import problems_of
from dcsim.spec.scenario import Scenario
from dcsim.spec.yaml_loader import MAX_BYTES, YamlDocument, load_yaml

__all__ = [
    "LoadedScenario",
    "load_scenario",
    "read_yaml",
    "scenario_from_data",
    "scenario_sha256",
    "scenario_to_data",
]


@dataclass(frozen=True, slots=True)
class LoadedScenario:
    """A scenario and where it came from."""

    scenario: Scenario
    path: Path
    """The file, absolute."""
    base_dir: Path
    """Its folder: relative paths of data files start here."""
    sha256: str
    """Of the scenario's meaning, see `scenario_sha256`."""
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict, repr=False, compare=False)
    """Line of each field that the file writes out, for messages."""


def load_scenario(
    path: str | os.PathLike[str], *, workload: Mapping[str, Any] | None = None
) -> LoadedScenario:
    """Read and validate one YAML scenario; `workload`, as plain data, stands in for its own.

    Each part is checked by itself and against its neighbours; what needs the hardware catalogue,
    the policy registry or the data files is left to `check_scenario`. Raises `ScenarioError` with
    all problems, each with file, line, path of the field, what it got and what it expected.
    """
    file = os.fspath(path)
    document = read_yaml(file)
    data = document.data if workload is None else {**document.data, "workload": workload}
    scenario = scenario_from_data(data, file=file, lines=document.lines)
    absolute = Path(file).resolve()
    return LoadedScenario(scenario, absolute, absolute.parent, scenario_sha256(scenario), document.lines)


def read_yaml(file: str) -> YamlDocument:
    """Return what one YAML file says and where; raises `ScenarioError` with all problems of its text."""
    return load_yaml(_read(file), file)


def scenario_from_data(
    data: Mapping[Any, Any], *, file: str = "scenario", lines: Mapping[tuple[str, ...], int] | None = None
) -> Scenario:
    """Return the scenario that nested plain data describes, as from YAML or JSON.

    `file` and `lines` (line of each path) only appear in problems. Raises `ScenarioError`.

    >>> scenario_from_data({"name": "x", "cluster": {"racks": []}})
    Traceback (most recent call last):
        ...
    dcsim.errors.ScenarioError: scenario: cluster.racks: 0 items -> expected a list of at least 1 item
    scenario: workload: missing -> expected one of generated, trace
    """
    try:
        return Scenario.model_validate(dict(data))
    except ValidationError as error:
        raise ScenarioError(problems_of(error, file, lines or {})) from None


def scenario_to_data(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as nested plain data with every default written out, ready for YAML or JSON.

    `scenario_from_data` makes an equal scenario of it.
    """
    data: dict[str, Any] = scenario.model_dump(mode="json")
    return data


def scenario_sha256(scenario: Scenario) -> str:
    """Return the SHA-256, in hex, of what a scenario means.

    Defaults are written out and quantities are in SI first, so neither the order of keys, nor
    comments, nor the unit something was written in, nor a default left out changes it.
    """
    text = json.dumps(scenario_to_data(scenario), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _read(file: str) -> bytes:
    """Return the bytes of a regular file, at most one more than the limit."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ScenarioError([Problem(file, None, "", "a folder, pipe or device", "a YAML file")])
            return stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ScenarioError([Problem(file, None, "", reason, "a readable YAML file")]) from error
