"""Fixtures of the study tests: a scenario beside an empty folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dcsim.spec import LoadedScenario, scenario_sha256
from dcsim.study import Study, compare
from tests.results.synthetic import make_scenario
from tests.study.fakes import simulate


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedScenario:
    """Return a scenario as if read from a file in `tmp_path`."""
    scenario = make_scenario()
    return LoadedScenario(
        scenario=scenario, path=tmp_path / "hall.yaml", base_dir=tmp_path, sha256=scenario_sha256(scenario)
    )


@pytest.fixture
def study(loaded: LoadedScenario, tmp_path: Path) -> Callable[..., Study]:
    """Return a function that runs a small comparison, with any argument replaced."""

    def run(**changes: Any) -> Study:
        arguments: dict[str, Any] = {
            "placements": ["first_fit", "spread"],
            "energies": ["none", "power_cap"],
            "seeds": [0, 1, 2],
            "out": tmp_path / "study",
            "executor": "inline",
            "simulate": simulate,
        }
        return compare(loaded, **(arguments | changes))

    return run
