"""A cooling plant of native code runs only by leave, given once for a run and for each worker of a study."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from dcsim.study import compare
from tests.results.synthetic import make_scenario
from tests.study.fakes import simulate_by_leave

Dcsim = Callable[..., Result]


@pytest.fixture
def with_fmu(scenario_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a scenario whose plant is an FMU, where fmpy is not installed: it gets as far as asking for it."""
    monkeypatch.setitem(sys.modules, "fmpy", None)
    scenario_file.with_name("plant.fmu").write_bytes(b"a unit")
    text = scenario_file.read_text(encoding="utf-8")
    scenario_file.write_text(f"{text}cooling: {{plant: fmu, fmu: {{path: plant.fmu}}}}\n", encoding="utf-8")
    return scenario_file


def test_a_run_is_refused_with_the_way_to_allow_it(dcsim: Dcsim, with_fmu: Path) -> None:
    result = dcsim("run", with_fmu)
    assert result.exit_code == 2
    assert "small.yaml:11: cooling.fmu.path: 'plant.fmu', an FMU -> expected leave" in result.stderr
    assert "native code" in result.stderr
    assert "--allow-fmu" in result.stderr


def test_a_study_is_refused_before_anything_is_run_or_written(
    dcsim: Dcsim, with_fmu: Path, tmp_path: Path
) -> None:
    result = dcsim("compare", with_fmu, "--seeds", 1, "--out", tmp_path / "study")
    assert result.exit_code == 2
    assert "small.yaml:11: cooling.fmu.path" in result.stderr
    assert "--allow-fmu" in result.stderr
    assert not (tmp_path / "study").exists()


def test_with_leave_it_is_loaded(dcsim: Dcsim, with_fmu: Path, tmp_path: Path) -> None:
    alone = dcsim("run", with_fmu, "--allow-fmu")
    assert alone.exit_code == 1
    assert "dcsim[fmi]" in alone.stderr
    study = dcsim(
        "compare", with_fmu, "--allow-fmu", "--seeds", 1, "--executor", "inline", "--out", tmp_path / "study"
    )
    assert study.exit_code == 1
    assert "dcsim[fmi]" in study.stderr
    assert "--energy none --allow-fmu --seed 0" in study.stderr  # what to type to see it fail again


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_leave_reaches_every_worker(tmp_path: Path, executor: str) -> None:
    found = {
        allowed: compare(
            make_scenario(),
            placements=["first_fit"],
            energies=["none"],
            seeds=[0],
            out=tmp_path / str(allowed),
            executor=executor,
            workers=1,
            simulate=simulate_by_leave,
            allow_fmu=allowed,
        )
        for allowed in (True, False)
    }
    assert found[True].is_complete
    assert [failure.error for failure in found[False].failed] == ["PermissionError: no leave"]
