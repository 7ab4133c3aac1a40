"""A fleet on disk: a summary, the routing of every job, and an ordinary run folder for each site."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dcsim.errors import ResultError
from dcsim.results.arrow import to_arrow
from dcsim.results.canonical import signed_json
from dcsim.results.files import atomic_directory, sha256_of_file
from dcsim.results.fleet import FLEET_JOBS, FLEET_SUMMARY, FleetResult
from dcsim.results.manifest import read_signed
from dcsim.results.schema import RESULT_VERSION
from dcsim.results.store import write_run
from dcsim.results.versions import dcsim_version
from dcsim.simulation.fleet_run import FleetRun
from dcsim.spec.fleet_load import LoadedFleet, jobs_file
from dcsim.spec.paths import DATA_DIRS_VARIABLE, data_dirs
from dcsim.workload.readers import write_jobs

__all__ = [
    "FLEET",
    "FLEET_FORMAT",
    "check_fleet_folder",
    "read_fleet_summary",
    "summary_content",
    "write_fleet",
]

FLEET = "fleet.json"
"""The summary of a fleet."""
FLEET_FORMAT = "dcsim-fleet"
_JOBS, _SITES, _TRACES = "jobs.parquet", "sites", "traces"


def write_fleet(
    run: FleetRun, out_dir: Path, loaded: LoadedFleet, *, log: Mapping[str, Any] | None = None
) -> Path:
    """Write a fleet into `out_dir`, wholly or not at all; the same result gives the same bytes but for `log`.

    `fleet.json` is the summary, `jobs.parquet` has the columns of `FLEET_JOBS`, `sites/NAME` is an ordinary run
    folder, and `traces/NAME.jobs.parquet` the jobs that the site was sent, from which `dcsim replay` makes its run
    again. A site that was sent no jobs has its row of the summary only.

    Raises:
        ResultError: `out_dir` holds something else, or the disk fails.
    """
    check_fleet_folder(out_dir)
    result = run.result
    with atomic_directory(out_dir) as folder:
        (folder / _TRACES).mkdir()
        for name, table in zip(result.site_names, run.tables, strict=True):
            if len(table):
                write_jobs(table, folder / _TRACES / jobs_file(name))
        files = {_JOBS: _write_routing(result, folder / _JOBS)}
        final = [str(path) for path in ((out_dir / _TRACES).resolve(), loaded.base_dir, *data_dirs())]
        with _also_data(folder / _TRACES, loaded.base_dir):
            for name, site, one, table in zip(
                result.site_names, loaded.sites, result.runs, run.tables, strict=True
            ):
                if len(table):
                    write_run(
                        one,
                        folder / _SITES / name,
                        scenario=site.scenario,
                        base_dir=site.base_dir,
                        log={**(log or {}), "data_dirs": final},
                    )
                    manifest = f"{_SITES}/{name}/manifest.json"
                    files[manifest] = sha256_of_file(folder / manifest)
        content = {**summary_content(result), "fleet": loaded.fleet.model_dump(mode="json"), "files": files}
        (folder / FLEET).write_bytes(signed_json(content, "file_sha256"))
    return out_dir


def summary_content(result: FleetResult) -> dict[str, Any]:
    """Return what `fleet.json` says of a result: a row for each site, the network's part, and the total."""
    return {
        "format": FLEET_FORMAT,
        "version": RESULT_VERSION,
        "dcsim_version": dcsim_version(),
        "fleet_name": result.fleet_name,
        "fleet_sha256": result.fleet_sha256,
        "seed": result.seed,
        "routing": result.routing,
        "sites": dict(zip(result.site_names, map(dict, result.sites), strict=True)),
        "network": dict(result.network),
        "total": dict(result.total),
        "warnings": list(result.warnings),
    }


def read_fleet_summary(out_dir: Path) -> dict[str, Any]:
    """Return the content of `fleet.json`, checked byte for byte against its own hash; null is read as NaN.

    Raises:
        ResultError: the file is missing, damaged or of another version.
    """
    content = read_signed(out_dir / FLEET, FLEET_FORMAT, "file_sha256")
    content["sites"] = {name: _row(row) for name, row in content["sites"].items()}
    content["total"] = _row(content["total"])
    return content


def check_fleet_folder(out_dir: Path) -> None:
    """Refuse a folder that holds anything but a fleet: a mistyped --out must not cost a user their files.

    Raises:
        ResultError: it is no folder, or holds other files.
    """
    if not out_dir.exists() and not out_dir.is_symlink():
        return
    if out_dir.is_symlink() or not out_dir.is_dir():
        raise ResultError(f"{out_dir}: exists and is not a folder; choose another --out")
    names = {path.name for path in out_dir.iterdir()}
    if names and (FLEET not in names or not names <= {FLEET, _JOBS, _SITES, _TRACES}):
        raise ResultError(f"{out_dir}: holds files that are not a dcsim fleet; choose another --out")


def _row(row: Mapping[str, Any]) -> dict[str, float | int]:
    names = (column.name for column in FLEET_SUMMARY)
    return {name: math.nan if row[name] is None else row[name] for name in names}


def _write_routing(result: FleetResult, path: Path) -> str:
    """Write the fleet's job table; return its hash."""
    import pyarrow.parquet as pq

    table = to_arrow(result.jobs, FLEET_JOBS, "jobs")
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)
    return sha256_of_file(path)


@contextmanager
def _also_data(*folders: Path) -> Iterator[None]:
    """Let data paths lead into `folders` too, while a run is written."""
    before = os.environ.get(DATA_DIRS_VARIABLE)
    known = [] if not before else [before]
    os.environ[DATA_DIRS_VARIABLE] = os.pathsep.join([*map(str, folders), *known])
    try:
        yield
    finally:
        if before is None:
            del os.environ[DATA_DIRS_VARIABLE]
        else:
            os.environ[DATA_DIRS_VARIABLE] = before
