"""A cell: one arm with one seed, known by the hash of everything it depends on."""

from __future__ import annotations

import json
import shlex
import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dcsim.errors import ResultError
from dcsim.policies.registry import PolicyClass
from dcsim.results.canonical import json_sha256
from dcsim.results.manifest import MANIFEST
from dcsim.results.run_result import RunResult
from dcsim.results.store import RUN_LOG, TABLES, verify_run, write_run
from dcsim.results.versions import code_sha256, dcsim_version, package_versions
from dcsim.spec.scenario import Scenario
from dcsim.study.arms import Arm, with_policies
from dcsim.study.user_policies import ensure_registered, source_hashes, user_policies

__all__ = [
    "Cell",
    "CellOutcome",
    "Simulate",
    "default_simulate",
    "discard_damaged",
    "finished_manifest",
    "is_outdated",
    "make_cells",
    "replay_command",
    "run_cell",
]

Simulate = Callable[..., RunResult]
"""Called as simulate(scenario, seed, base_dir=...), with allow_fmu=True where that is said."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a study, ready to be sent to any process."""

    arm: Arm
    seed: int
    scenario_json: str
    """The scenario with the arm's policies."""
    base_dir: str
    folder: str
    """Where the run goes."""
    sha256: str
    """Of the scenario, seed, input files, dcsim's code and the versions of its packages."""
    allow_fmu: bool = False
    """Whether a cooling plant that is an FMU, native code, may be loaded and run."""

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return f"{self.arm.name}__seed{self.seed}"


@dataclass(frozen=True, slots=True)
class CellOutcome:
    """How a cell ended."""

    cell: Cell
    error: str | None = None
    """None when the run is stored."""
    details: str = ""
    """Traceback, for the study's log."""
    elapsed_s: float = 0.0


def default_simulate() -> Simulate:
    """Return the simulator; the one place where studies meet it."""
    from dcsim.simulation import simulate

    return simulate


def make_cells(
    scenario: Scenario,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    base_dir: Path,
    out: Path,
    inputs: dict[str, str],
    *,
    allow_fmu: bool = False,
) -> tuple[Cell, ...]:
    """Return all cells, arm by arm.

    Args:
        scenario: of which each arm replaces the policies.
        arms: crossed with the seeds.
        seeds: of the random streams.
        base_dir: folder its data paths are relative to.
        out: folder of the study.
        inputs: sha256 of each file the scenario names.
        allow_fmu: whether a cooling plant that is an FMU, native code, may be loaded and run.
    """
    made_by = {
        "inputs": inputs,
        "dcsim": dcsim_version(),
        "code": code_sha256(),
        "packages": package_versions(),
        "policies": source_hashes(user_policies()),
    }
    cells = []
    for arm in arms:
        chosen = with_policies(scenario, arm)
        content = chosen.model_dump(mode="json")
        for seed in seeds:
            sha256 = json_sha256({**made_by, "scenario": content, "seed": seed})
            folder = out / "runs" / f"{arm.name}__seed{seed}"
            cells.append(
                Cell(arm, seed, chosen.model_dump_json(), str(base_dir), str(folder), sha256, allow_fmu)
            )
    return tuple(cells)


def run_cell(
    cell: Cell,
    simulate: Simulate | None = None,
    policies: Sequence[PolicyClass] = (),
) -> CellOutcome:
    """Simulate a cell and store its run; an error becomes part of the outcome, so that others go on.

    Args:
        cell: what to run.
        simulate: stands in for `dcsim.simulation.simulate`, for tests.
        policies: of the user's own, to be known in this process.
    """
    began, started_utc = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    try:
        ensure_registered(policies)
        scenario = Scenario.model_validate_json(cell.scenario_json)
        base_dir = Path(cell.base_dir)
        leave = {"allow_fmu": True} if cell.allow_fmu else {}
        result = (simulate or default_simulate())(scenario, cell.seed, base_dir=base_dir, **leave)
        elapsed_s = time.perf_counter() - began
        write_run(
            result,
            Path(cell.folder),
            scenario=scenario,
            base_dir=base_dir,
            manifest_extra={"cell_sha256": cell.sha256},
            log={"started_utc": started_utc, "simulated_in_s": elapsed_s},
        )
    except Exception as error:  # noqa: BLE001 - one failing cell must not stop the others
        text = f"{type(error).__name__}: {error}"
        return CellOutcome(cell, text, traceback.format_exc(), time.perf_counter() - began)
    return CellOutcome(cell, elapsed_s=time.perf_counter() - began)


def finished_manifest(cell: Cell) -> dict[str, Any] | None:
    """Return the verified manifest of a cell that is done; None where it has to run (again)."""
    try:
        manifest = verify_run(Path(cell.folder))
    except ResultError:
        return None
    return manifest if manifest["extra"].get("cell_sha256") == cell.sha256 else None


def is_outdated(cell: Cell) -> bool:
    """Say whether a run stored for a cell is of another scenario, of other inputs or of other code."""
    try:
        made_for = json.loads((Path(cell.folder) / MANIFEST).read_bytes())["extra"]["cell_sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # none, or damaged
        return False
    return bool(made_for != cell.sha256)


def discard_damaged(cell: Cell) -> None:
    """Remove what is left of a damaged run, unless anything of the user's lies there."""
    folder = Path(cell.folder)
    ours = {MANIFEST, RUN_LOG, *(f"{name}.parquet" for name in TABLES)}
    if folder.is_dir() and not folder.is_symlink() and {path.name for path in folder.iterdir()} <= ours:
        shutil.rmtree(folder)


def replay_command(cell: Cell, scenario_path: Path | None) -> str:
    """Return what to type (or call, for a scenario made in Python) to run one cell again alone."""
    if scenario_path is None:
        return f"dcsim.simulate(scenario, seed={cell.seed})  # with the policies of {cell.arm.name}"
    words = ["dcsim", "run", str(scenario_path), "--ordering", cell.arm.ordering]
    words += ["--placement", cell.arm.placement, "--energy", cell.arm.energy]
    for option, name in (("--cooling", cell.arm.cooling), ("--battery", cell.arm.battery)):
        words += [option, name] if name else []
    words += ["--allow-fmu"] if cell.allow_fmu else []
    return shlex.join([*words, "--seed", str(cell.seed), "--out", f"{cell.folder}-again"])
