"""A replay proves byte identity, and says exactly what differs when it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dcsim.errors import ResultError
from dcsim.results.manifest import MANIFEST, manifest_bytes, read_manifest
from dcsim.results.run_result import RunResult
from dcsim.results.store import RUN_LOG, write_run
from dcsim.results.versions import package_versions
from dcsim.study import Study, replay
from tests.results.synthetic import make_result, make_scenario
from tests.study.fakes import simulate


def test_a_run_of_a_study_replays_byte_for_byte(study: Callable[..., Study]) -> None:
    done = study()
    report = replay(done.run_dir(done.arms[1], 2), simulate=simulate)
    assert report.identical
    assert {file.name for file in report.files} == {
        "manifest.json",
        "jobs.parquet",
        "links.parquet",
        "series.parquet",
        "tiers.parquet",
        "events.parquet",
    }
    assert (report.skew, report.differences) == ((), ())
    assert str(report).endswith("replay is byte-identical")


def test_a_different_figure_is_located(study: Callable[..., Study]) -> None:
    done = study()

    def other(scenario: Any, seed: int, *, base_dir: Path) -> RunResult:
        result = simulate(scenario, seed, base_dir=base_dir)
        result.jobs["energy_j"][3] += 1.0
        return result

    report = replay(done.run_dir(done.arms[0], 0), simulate=other)
    assert not report.identical
    (difference,) = report.differences
    assert difference.startswith("jobs.energy_j, row 3: ")
    assert "NOT identical" in str(report)


def test_a_damaged_run_is_not_replayed(study: Callable[..., Study]) -> None:
    done = study()
    run_dir = done.run_dir(done.arms[0], 0)
    (run_dir / "series.parquet").unlink()
    with pytest.raises(ResultError, match=r"series\.parquet"):
        replay(run_dir, simulate=simulate)


def test_version_skew_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = write_run(
        make_result(1, count=12, bins=6), tmp_path / "run", scenario=make_scenario(), base_dir=tmp_path
    )
    versions = {**package_versions(), "numpy": "99.0"}
    monkeypatch.setattr("dcsim.study.replaying.package_versions", lambda: versions)
    monkeypatch.setattr("dcsim.results.manifest.package_versions", lambda: versions)
    report = replay(run_dir, simulate=simulate)
    assert any(text.startswith("numpy ") and text.endswith("99.0 now") for text in report.skew)
    assert "manifest.packages" in report.differences


def test_a_changed_data_file_is_named(tmp_path: Path) -> None:
    profile = tmp_path / "mine.json"
    profile.write_text("{}")
    scenario = make_scenario().model_copy(update={"profiles": {"mine": "mine.json"}})
    run_dir = write_run(
        make_result(1, count=12, bins=6), tmp_path / "run", scenario=scenario, base_dir=tmp_path
    )
    assert replay(run_dir, simulate=simulate).identical
    profile.write_text("{ }")
    with pytest.raises(ResultError, match=r"'mine\.json' is not the one"):
        replay(run_dir, simulate=simulate)


@pytest.mark.parametrize("field", ["scenario", "seed", "files", "data_files", "packages", "extra", "summary"])
def test_a_manifest_that_was_never_whole_is_refused(study: Callable[..., Study], field: str) -> None:
    done = study()
    run_dir = done.run_dir(done.arms[0], done.seeds[0])
    manifest = read_manifest(run_dir)
    del manifest[field]
    (run_dir / MANIFEST).write_bytes(manifest_bytes(manifest))  # its own hash is right
    with pytest.raises(ResultError, match=f"'{field}' is missing"):
        replay(run_dir, simulate=simulate)


def test_a_file_outside_the_run_is_not_read(study: Callable[..., Study]) -> None:
    done = study()
    run_dir = done.run_dir(done.arms[0], done.seeds[0])
    manifest = read_manifest(run_dir)
    manifest["files"]["../../../etc/passwd"] = {"bytes": 1, "sha256": ""}
    (run_dir / MANIFEST).write_bytes(manifest_bytes(manifest))
    with pytest.raises(ResultError, match="cannot be read"):
        replay(run_dir, simulate=simulate)


def test_a_scenario_of_another_version_is_said_to_be_one(study: Callable[..., Study]) -> None:
    done = study()
    run_dir = done.run_dir(done.arms[0], done.seeds[0])
    manifest = read_manifest(run_dir)
    manifest["scenario"]["quantum"] = 1
    (run_dir / MANIFEST).write_bytes(manifest_bytes(manifest))
    with pytest.raises(ResultError, match=r"none for this dcsim.*quantum: an unknown field"):
        replay(run_dir, simulate=simulate)


def test_an_unreadable_log_is_no_matter(study: Callable[..., Study]) -> None:
    done = study()
    run_dir = done.run_dir(done.arms[0], done.seeds[0])
    (run_dir / RUN_LOG).write_text("[" * 100_000, encoding="utf-8")
    assert replay(run_dir, simulate=simulate).identical
