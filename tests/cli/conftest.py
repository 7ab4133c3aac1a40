"""A small scenario on disk, and the command line called as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dcsim.cli import app

SCENARIO = """\
name: small
description: Do three jobs fit two servers?
cluster:
  racks:
    - name: r
      count: 2
      servers: [{count: 1, accelerator: A100-80, accelerators: 4}]
workload:
  kind: trace
  path: jobs.csv
"""

JOBS = """\
job_id,submit_s,accelerators,duration_s,slack_s
first,0,4,3600,0
second,10,8,600,7200
third,20,2,60,0
"""

Dcsim = Callable[..., Result]


@pytest.fixture
def scenario_file(tmp_path: Path) -> Path:
    folder = tmp_path / "scenario"
    folder.mkdir()
    (folder / "jobs.csv").write_text(JOBS, encoding="utf-8")
    path = folder / "small.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path


@pytest.fixture
def dcsim(monkeypatch: pytest.MonkeyPatch) -> Dcsim:
    """Run `dcsim ARGUMENTS`; an exception that the command line lets through fails the test."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("DCSIM_DATA_DIRS", "")  # restored afterwards: --data changes it

    def call(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="dcsim")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call
