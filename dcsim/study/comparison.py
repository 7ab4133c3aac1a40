"""Compare policies: every arm on every seed, resumable, and the same bytes however it was run.

The same call after an interruption goes on where it stopped, and ends in the same bytes.
"""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcsim.errors import ResultError, ScenarioError
from dcsim.facility.plant_fmu import check_leave
from dcsim.results.canonical import pretty_json
from dcsim.results.files import is_temporary, write_atomically
from dcsim.results.inputs import input_hashes
from dcsim.results.manifest import account_of, summary_of
from dcsim.results.stored_energy import stored_energy_note
from dcsim.spec.scenario import Scenario
from dcsim.study.arm_checks import check_arms
from dcsim.study.arms import Arm, make_arms
from dcsim.study.cells import (
    Cell,
    CellOutcome,
    Simulate,
    discard_damaged,
    finished_manifest,
    is_outdated,
    make_cells,
    replay_command,
    run_cell,
)
from dcsim.study.executors import EXECUTORS, Executor, Limits, default_workers
from dcsim.study.lock import LOCK, study_lock
from dcsim.study.stored import stored_energy_cautions
from dcsim.study.study import STUDY, Failure, Row, Study, made_by, write_study
from dcsim.study.tables import ARMS_CSV, SUMMARY_CSV, write_tables
from dcsim.study.user_policies import check_policies, user_policies

if TYPE_CHECKING:
    from dcsim.spec import LoadedScenario

__all__ = ["Progress", "ProgressCallback", "compare"]

STUDY_LOG = "study.log.json"
_PAGE = "report.html"
"""That reports are written to; a module above this one does."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a comparison is, after each cell."""

    done: int
    total: int
    cell: str
    state: str
    """kept (from an earlier call), finished or failed."""
    error: str | None = None

    def __str__(self) -> str:
        """Return one line for people.

        >>> str(Progress(3, 45, "spread__none__seed2", "finished"))
        '[ 3/45] spread__none__seed2 finished'
        """
        width = len(str(self.total))
        text = f"[{self.done:>{width}}/{self.total}] {self.cell} {self.state}"
        return text if self.error is None else f"{text}: {self.error}"


ProgressCallback = Callable[[Progress], None]
Warn = Callable[[str], None]


def _say_nothing(_text: str) -> None:
    """Warn nobody."""


def compare(
    loaded: LoadedScenario | Scenario,
    *,
    placements: Sequence[str],
    energies: Sequence[str],
    orderings: Sequence[str] = (),
    coolings: Sequence[str] = (),
    batteries: Sequence[str] = (),
    seeds: Sequence[int],
    out: Path,
    baseline: str | None = None,
    executor: str = "process",
    workers: int | None = None,
    cell_timeout_s: float | None = None,
    progress: ProgressCallback | None = None,
    warn: Warn = _say_nothing,
    simulate: Simulate | None = None,
    allow_fmu: bool = False,
) -> Study:
    """Simulate each placement under each energy policy on each seed, and compare them in pairs.

    Finished runs in `out` of the same scenario, inputs, code and packages are kept, and other ones made again.

    Args:
        loaded: a scenario from a file, or one made in Python (data paths then from the working folder).
        placements: policy names.
        energies: policy names, crossed with the placements to make the arms.
        orderings: policy names, also crossed; none: the scenario's own.
        coolings: as the orderings.
        batteries: as the orderings.
        seeds: the same for every arm.
        out: folder of the study, made if absent.
        baseline: name of the arm that others are compared with ("first_fit__none"); None: the first.
        executor: process, inline or ray.
        workers: processes at once; None: as many as there are cores.
        cell_timeout_s: limit for one run in s; None: none. Not enforced inline.
        progress: called after each cell.
        warn: called before the first with what is worth a thought: policies without effect, old runs thrown away.
        simulate: stands in for `dcsim.simulation.simulate`, for tests.
        allow_fmu: whether a cooling plant that is an FMU, native code, may be loaded and run.

    Returns:
        The study, also written as `summary.csv` and `study.json`; cells that failed are in `failed`.

    Raises:
        ScenarioError, PolicyError: a seed, policy or file named cannot be used.
        ResultError: `out` is in use or holds something else, or the disk fails.
        MissingExtraError: the executor needs a package that is not installed.
    """
    scenario, base_dir, path = _unpacked(loaded)
    arms = make_arms(placements, energies, orderings or _own_order(scenario), coolings, batteries)
    reference, run_all = _baseline(arms, baseline), _executor(executor)
    doubts = _check(scenario, arms, seeds, warn, stand_in=simulate is not None, allow_fmu=allow_fmu)
    inputs, began = input_hashes(scenario, base_dir), time.perf_counter()
    limits, out = Limits(workers or default_workers(), cell_timeout_s), _prepared(out)
    with study_lock(out):
        cells = make_cells(scenario, arms, seeds, base_dir, out, inputs, allow_fmu=allow_fmu)
        manifests, failed = _run(cells, run_all, limits, progress, simulate, warn)
        study = _assemble(scenario, arms, reference, seeds, out, manifests, failed, path, doubts)
        return _written(study, executor, limits, time.perf_counter() - began, failed)


def _own_order(scenario: Scenario) -> tuple[str]:
    return (scenario.policies.ordering.name,)


def _check(
    scenario: Scenario,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    warn: Warn,
    *,
    stand_in: bool,
    allow_fmu: bool,
) -> tuple[str, ...]:
    """Return, and say, warnings of policies that change nothing."""
    _check_seeds(seeds)
    if scenario.cooling.fmu is not None and scenario.cooling.plant == "fmu":
        check_leave(scenario.cooling.fmu, allowed=allow_fmu)
    if not stand_in:
        check_policies(scenario, arms)
    doubts = check_arms(scenario, arms)
    for doubt in doubts:
        warn(doubt)
    return doubts


def _unpacked(loaded: LoadedScenario | Scenario) -> tuple[Scenario, Path, Path | None]:
    if isinstance(loaded, Scenario):
        return loaded, Path.cwd(), None
    return loaded.scenario, loaded.base_dir, loaded.path


def _check_seeds(seeds: Sequence[int]) -> None:
    if not seeds:
        raise ScenarioError("no seeds to compare on; name at least one")
    wrong = [s for s in seeds if type(s) is not int or not 0 <= s < 2**63]
    if wrong:
        raise ScenarioError(f"seed {wrong[0]!r} -> expected a whole number from 0 to 2^63 - 1")
    if len(set(seeds)) < len(seeds):
        raise ScenarioError("a seed is named twice; it would count as two observations where there is one")


def _baseline(arms: Sequence[Arm], name: str | None) -> Arm:
    if name is None:
        return arms[0]
    for arm in arms:
        if arm.name == name:
            return arm
    raise ScenarioError(f"baseline {name!r} -> expected one of {', '.join(arm.name for arm in arms)}")


def _executor(name: str) -> Executor:
    if name not in EXECUTORS:
        raise ScenarioError(f"executor {name!r} -> expected one of {', '.join(EXECUTORS)}")
    return EXECUTORS[name]


def _prepared(out: Path) -> Path:
    """Make the folder and return its absolute path; refuse one in which our file names belong to somebody else."""
    out = Path(out).resolve()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultError(f"{out}: cannot be made ({error.strerror})") from error
    ours = (out / LOCK).exists() or (out / STUDY).exists()
    taken = [name for name in (SUMMARY_CSV, ARMS_CSV, _PAGE, "runs") if (out / name).exists()]
    if taken and not ours:
        raise ResultError(f"{out}: holds {taken[0]!r} that is not of a dcsim study; choose another --out")
    return out


def _run(
    cells: Sequence[Cell],
    executor: Executor,
    limits: Limits,
    progress: ProgressCallback | None,
    simulate: Simulate | None,
    warn: Warn,
) -> tuple[dict[Cell, dict[str, Any]], list[CellOutcome]]:
    """Run what is not done yet; return the manifests of all finished cells, and the failures."""
    tell = progress or (lambda _: None)
    manifests: dict[Cell, dict[str, Any]] = {}
    for cell in cells:
        manifest = finished_manifest(cell)
        if manifest is not None:
            manifests[cell] = manifest
            tell(Progress(len(manifests), len(cells), cell.name, "kept"))
    todo = [cell for cell in cells if cell not in manifests]
    if todo:
        _warn_of_outdated(todo, warn)
        _clear(todo)
    failed: list[CellOutcome] = []
    work = functools.partial(run_cell, simulate=simulate, policies=user_policies())
    for outcome in executor(work, todo, limits):
        manifest = finished_manifest(outcome.cell) if outcome.error is None else None
        if manifest is None:
            failed.append(outcome)
        else:
            manifests[outcome.cell] = manifest
        done, state = len(manifests) + len(failed), "failed" if manifest is None else "finished"
        tell(Progress(done, len(cells), outcome.cell.name, state, outcome.error))
    return manifests, failed


def _warn_of_outdated(todo: Sequence[Cell], warn: Warn) -> None:
    """Say once that runs of an earlier call do not count any more."""
    count = sum(is_outdated(cell) for cell in todo)
    if count:
        runs = "1 finished run is" if count == 1 else f"{count} finished runs are"
        what = "the scenario, its files, dcsim or a package has changed since"
        warn(f"{runs} thrown away and made again: {what}")


def _clear(todo: Sequence[Cell]) -> None:
    """Remove damaged and half-written runs, and the tables and the page of a study that no longer holds."""
    runs = Path(todo[0].folder).parent
    for name in (SUMMARY_CSV, ARMS_CSV, STUDY, _PAGE):
        (runs.parent / name).unlink(missing_ok=True)
    for cell in todo:
        discard_damaged(cell)
    for path in runs.iterdir() if runs.is_dir() else ():
        if is_temporary(path):
            shutil.rmtree(path, ignore_errors=True)


def _assemble(
    scenario: Scenario,
    arms: Sequence[Arm],
    baseline: Arm,
    seeds: Sequence[int],
    out: Path,
    manifests: dict[Cell, dict[str, Any]],
    failed: Sequence[CellOutcome],
    scenario_path: Path | None,
    doubts: Sequence[str],
) -> Study:
    """Put a study together in an order that does not depend on which cell ended first."""
    ordered = sorted(manifests, key=lambda cell: (cell.arm, cell.seed))
    rows = tuple(Row(cell.arm.name, cell.seed, summary_of(manifests[cell])) for cell in ordered)
    failed_cells = tuple(
        Failure(o.cell.arm.name, o.cell.seed, str(o.error), replay_command(o.cell, scenario_path))
        for o in sorted(failed, key=lambda o: (o.cell.arm, o.cell.seed))
    )
    from dcsim.spec import scenario_sha256

    return Study(
        path=out,
        scenario_name=scenario.name,
        description=scenario.description,
        scenario_sha256=scenario_sha256(scenario),
        arms=tuple(arms),
        baseline=baseline,
        seeds=tuple(seeds),
        rows=rows,
        failed=failed_cells,
        warnings=tuple(dict.fromkeys([*doubts, *_run_warnings(ordered, manifests)])),
        stored_energy=stored_energy_cautions(
            arms, ((cell.arm, account_of(manifests[cell])) for cell in ordered)
        ),
        provenance=_distinct_records(p for cell in ordered for p in manifests[cell]["profiles"]),
        made_by=made_by(),
    )


def _run_warnings(ordered: Sequence[Cell], manifests: Mapping[Cell, dict[str, Any]]) -> Iterator[str]:
    """Yield the runs' warnings, less those that the study gives once an arm."""
    for cell in ordered:
        stored = stored_energy_note(account_of(manifests[cell]))
        yield from (text for text in manifests[cell]["warnings"] if text != stored)


def _distinct_records(records: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple({pretty_json(record): record for record in records}.values())


def _written(
    study: Study, executor: str, limits: Limits, elapsed_s: float, failed: Sequence[CellOutcome]
) -> Study:
    """Write and return the study, and a log of what may differ between two equal ones: time, workers, tracebacks."""
    write_tables(study)
    write_study(study)
    content = {
        "executor": executor,
        "workers": limits.workers,
        "elapsed_s": elapsed_s,
        "tracebacks": {outcome.cell.name: outcome.details for outcome in failed if outcome.details},
    }
    write_atomically(study.path / STUDY_LOG, pretty_json(content).encode())
    return study
