"""Fixtures of the results tests: one made-up run, in memory and on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcsim.results.run_result import RunResult
from dcsim.results.store import write_run
from tests.results.synthetic import make_result, make_scenario


@pytest.fixture
def result() -> RunResult:
    """Return one made-up run."""
    return make_result(seed=3)


@pytest.fixture
def run_dir(tmp_path: Path, result: RunResult) -> Path:
    """Return a folder that holds the made-up run."""
    return write_run(result, tmp_path / "run", scenario=make_scenario(), base_dir=tmp_path)
