"""Where the time of a job of a stored run went: from its tables, and from running it again where links matter."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcsim.errors import InputError, PolicyError, ResultError
from dcsim.results.run_result import RunResult
from dcsim.results.store import read_run
from dcsim.simulation.explaining import Explanation, Observer, explain_run
from dcsim.study.cells import Simulate, default_simulate
from dcsim.study.replaying import stored_inputs

__all__ = ["Explanation", "explain"]

_ROUNDING = 1e-9
"""Stalls that are less of the time a job computed are what rounding left."""
_NEAR_AMONG = 50_000
"""Names compared with one that is not known; more would take too long."""


def explain(
    run_dir: Path,
    job_id: str,
    *,
    base_dir: Path | None = None,
    simulate: Simulate | None = None,
    allow_fmu: bool = False,
) -> Explanation:
    """Return where the time of one job of a stored run went, and to whom.

    Where shared links or slow input held it back, the run is simulated again to see which links and who else
    was on them. If that cannot be done, `Explanation.note` says why, and the rest is told.

    Args:
        run_dir: of the run.
        job_id: name of the job.
        base_dir: folder its data paths are relative to; None: the one noted when it was written.
        simulate: stands in for `dcsim.simulation.simulate`, for tests.
        allow_fmu: whether a cooling plant that is an FMU, native code, may be loaded and run.

    Raises:
        InputError: the run has no such job; the message names those most like it.
        ResultError: the stored run is missing or damaged.
    """
    result = read_run(run_dir).result
    row = _row(result.jobs["job_id"].tolist(), job_id)
    stalled_s = float(result.jobs["network_stall_s"][row] + result.jobs["data_stall_s"][row])
    if not stalled_s > _ROUNDING * float(result.jobs["compute_s"][row]):
        return explain_run(result, row, Observer(row))
    observer = Observer(row)
    try:
        manifest, scenario, folder = stored_inputs(run_dir, base_dir)
        leave = {"allow_fmu": True} if allow_fmu else {}
        again = (simulate or default_simulate())(
            scenario, manifest["seed"], base_dir=folder, observer=observer, **leave
        )
    except (InputError, PolicyError, ResultError) as error:
        reason = str(error).partition("\n")[0]
        note = f"which links held it back is not known, for the run cannot be made again: {reason}"
        return explain_run(result, row, note=note)
    return explain_run(result, row, observer, _difference(result, again, row))


def _difference(stored: RunResult, again: RunResult, row: int) -> str:
    """Say so where the run made again is another one: then its links may not be those of the stored one."""
    names = ("job_id", "end_s", "network_stall_s", "data_stall_s")
    same = len(stored.jobs["job_id"]) == len(again.jobs["job_id"]) and all(
        np.array_equal(
            stored.jobs[name][row : row + 1], again.jobs[name][row : row + 1], equal_nan=name != "job_id"
        )
        for name in names
    )
    if same:
        return ""
    return "the run made again differs from the stored one (see dcsim replay), so its links may be others"


def _row(known: Sequence[str], job_id: str) -> int:
    """Return the row of a job.

    Raises:
        InputError: there is none of that name.
    """
    try:
        return known.index(job_id)
    except ValueError:
        pass
    near = difflib.get_close_matches(job_id, known[:_NEAR_AMONG], n=3)
    if near:
        hint = f"; did you mean {' or '.join(repr(name) for name in near)}?"
    else:
        hint = f"; it has {len(known):,} jobs, the first {known[0]!r}" if known else "; it has no jobs"
    raise InputError(f"the run has no job {job_id!r}{hint}")
