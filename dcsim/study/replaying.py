"""Run a stored run again from its manifest alone, and compare every byte."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.errors import ResultError, ScenarioError
from dcsim.results.files import sha256_of_file
from dcsim.results.inputs import input_hashes
from dcsim.results.manifest import MANIFEST
from dcsim.results.store import RUN_LOG, TABLES, read_table, verify_run, write_run
from dcsim.results.versions import dcsim_version, package_versions
from dcsim.spec.load import scenario_from_data
from dcsim.spec.scenario import Scenario
from dcsim.study.cells import Simulate, default_simulate

__all__ = ["FileComparison", "ReplayReport", "replay", "stored_inputs"]


@dataclass(frozen=True, slots=True)
class FileComparison:
    """One file of a run, stored and made again."""

    name: str
    stored_sha256: str
    replayed_sha256: str

    @property
    def identical(self) -> bool:
        """Whether every byte is the same."""
        return self.stored_sha256 == self.replayed_sha256


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found."""

    run_dir: Path
    files: tuple[FileComparison, ...]
    skew: tuple[str, ...]
    """Versions that differ between then and now; with any, bytes may differ for that reason alone."""
    differences: tuple[str, ...]
    """First differing value of each column that differs."""

    @property
    def identical(self) -> bool:
        """Whether every file of the run, the manifest included, was made again byte for byte."""
        return all(file.identical for file in self.files)

    def __str__(self) -> str:
        """Return the report as lines for people."""
        lines = [
            f"{'same     ' if file.identical else 'DIFFERENT'}  {file.name}  {file.stored_sha256[:16]}"
            for file in self.files
        ]
        lines += [f"version: {text}" for text in self.skew]
        lines += [f"differs: {text}" for text in self.differences]
        verdict = "byte-identical" if self.identical else "NOT identical"
        return "\n".join([*lines, f"{self.run_dir}: replay is {verdict}"])


def replay(
    run_dir: Path,
    *,
    base_dir: Path | None = None,
    simulate: Simulate | None = None,
    allow_fmu: bool = False,
) -> ReplayReport:
    """Simulate a stored run again from its manifest and compare all of its files.

    Args:
        run_dir: of the run.
        base_dir: folder its data paths are relative to; None: the one noted when it was written.
        simulate: stands in for `dcsim.simulation.simulate`, for tests.
        allow_fmu: whether a cooling plant that is an FMU, native code, may be loaded and run.

    Raises:
        ResultError: the stored run is damaged, or a data file it needs is missing or has changed.
        ScenarioError: its cooling plant is an FMU and may not run.
    """
    manifest, scenario, folder = stored_inputs(run_dir, base_dir)
    leave = {"allow_fmu": True} if allow_fmu else {}
    result = (simulate or default_simulate())(scenario, manifest["seed"], base_dir=folder, **leave)
    with tempfile.TemporaryDirectory(prefix="dcsim-replay-") as temporary:
        again = write_run(
            result,
            Path(temporary) / "run",
            scenario=scenario,
            base_dir=folder,
            manifest_extra=manifest["extra"],
        )
        names = (*manifest["files"], MANIFEST)
        files = tuple(
            FileComparison(name, sha256_of_file(run_dir / name), sha256_of_file(again / name))
            for name in names
        )
        different = {Path(file.name).stem for file in files if not file.identical}
        differences = [
            text for name in TABLES if name in different for text in _table_differences(name, run_dir, again)
        ]
        if MANIFEST.removesuffix(".json") in different:
            differences += _manifest_differences(manifest, verify_run(again))
    return ReplayReport(run_dir, files, _skew(manifest), tuple(differences))


def stored_inputs(run_dir: Path, base_dir: Path | None = None) -> tuple[dict[str, Any], Scenario, Path]:
    """Return what a stored run is simulated again from: its manifest, its scenario, the folder of its data.

    Args:
        run_dir: of the run.
        base_dir: folder its data paths are relative to; None: the one noted when it was written.

    Raises:
        ResultError: the stored run is damaged, or a data file it needs is missing or has changed.
    """
    manifest = verify_run(run_dir)
    folder = base_dir or _noted_base_dir(run_dir)
    scenario = _stored_scenario(run_dir, manifest)
    _check_inputs(run_dir, manifest, input_hashes(scenario, folder))
    return manifest, scenario, folder


def _noted_base_dir(run_dir: Path) -> Path:
    """Look where the run's data lay when it was written; without that note, beside the run."""
    try:
        note = json.loads((run_dir / RUN_LOG).read_bytes())
        return Path(note["base_dir"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return run_dir


def _stored_scenario(run_dir: Path, manifest: Mapping[str, Any]) -> Scenario:
    """Return the scenario of a manifest; one of another dcsim may have fields that this one does not know."""
    try:
        return scenario_from_data(manifest["scenario"], file=str(run_dir / MANIFEST))
    except ScenarioError as error:
        problem = error.problems[0]
        raise ResultError(
            f"{run_dir}: its scenario is none for this dcsim; it was made with dcsim "
            f"{manifest['dcsim_version']} ({problem.path}: {problem.got} -> expected {problem.expected})"
        ) from None


def _check_inputs(run_dir: Path, manifest: Mapping[str, Any], now: Mapping[str, str]) -> None:
    changed = [path for path, sha256 in manifest["data_files"].items() if now.get(path) != sha256]
    if changed:
        raise ResultError(f"{run_dir}: data file {changed[0]!r} is not the one this run was made with")


def _skew(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    then = {"dcsim": manifest["dcsim_version"], **manifest["packages"]}
    now = {"dcsim": dcsim_version(), **package_versions()}
    return tuple(
        f"{name} {then.get(name, 'absent')} then, {now.get(name, 'absent')} now"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    )


def _table_differences(name: str, stored: Path, replayed: Path) -> list[str]:
    """Say where the values differ; none means that only the encoding does."""
    first, second = read_table(stored, name), read_table(replayed, name)
    found = []
    for column, values in first.items():
        others = second[column]
        if values.size != others.size:
            return [f"{name}: {values.size} rows then, {others.size} now"]
        unequal = values != others
        if values.dtype.kind == "f":
            unequal &= ~(np.isnan(values) & np.isnan(others))
        if unequal.any():
            row = int(np.argmax(unequal))
            found.append(f"{name}.{column}, row {row}: {values[row]!r} then, {others[row]!r} now")
    return found or [f"{name}: equal values, encoded differently"]


def _manifest_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    hashed = {"files", "manifest_sha256"}
    return [f"manifest.{key}" for key in first if key not in hashed and first[key] != second.get(key)]
