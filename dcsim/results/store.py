"""A run on disk: five Parquet tables and a manifest, written as one, verified on every read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from dcsim.errors import ResultError
from dcsim.results.arrow import from_arrow, to_arrow
from dcsim.results.canonical import pretty_json
from dcsim.results.files import atomic_directory, sha256_of_file
from dcsim.results.inputs import input_hashes
from dcsim.results.links import unpack_links
from dcsim.results.manifest import (
    MANIFEST,
    account_of,
    build_manifest,
    manifest_bytes,
    read_manifest,
    summary_of,
)
from dcsim.results.naming import unpack_names, unpack_racks
from dcsim.results.run_result import RunResult
from dcsim.results.schema import EVENTS, JOBS, LINKS, SERIES, TIERS, Column
from dcsim.spec.paths import data_dirs

if TYPE_CHECKING:
    import pyarrow as pa

    from dcsim.spec.scenario import Scenario

__all__ = [
    "RUN_LOG",
    "TABLES",
    "StoredRun",
    "check_run_folder",
    "read_run",
    "read_table",
    "verify_run",
    "write_run",
]

TABLES: Mapping[str, tuple[Column, ...]] = {
    "jobs": JOBS,
    "series": SERIES,
    "events": EVENTS,
    "links": LINKS,
    "tiers": TIERS,
}
"""The tables of a run, each in the file `<name>.parquet`."""
RUN_LOG = "run.log.json"
"""What differs between two equal runs (when, where, how long); never hashed, never needed."""


@dataclass(frozen=True)
class StoredRun:
    """A run read back from disk."""

    path: Path
    manifest: Mapping[str, Any]
    result: RunResult


def write_run(
    result: RunResult,
    out_dir: Path,
    *,
    scenario: Scenario,
    base_dir: Path,
    manifest_extra: Mapping[str, Any] | None = None,
    log: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run into `out_dir`, wholly or not at all; the same result gives the same bytes.

    Args:
        result: the run.
        out_dir: made if absent; a run already there is replaced, anything else is refused.
        scenario: the scenario simulated, with its policies; kept whole in the manifest.
        base_dir: folder its data paths are relative to.
        manifest_extra: JSON values kept under "extra" in the manifest (hashed).
        log: JSON values for `run.log.json` (not hashed): wall-clock time, machine, ...

    Raises:
        ResultError: `out_dir` holds something else, a table does not fit the schema, or the disk fails.
    """
    check_run_folder(out_dir)
    data_files = input_hashes(scenario, base_dir)
    with atomic_directory(out_dir) as folder:
        files = {f"{name}.parquet": _write_table(result, name, folder) for name in TABLES}
        manifest = build_manifest(
            result, scenario, files=files, data_files=data_files, extra=manifest_extra or {}
        )
        (folder / MANIFEST).write_bytes(manifest_bytes(manifest))
        places = {"base_dir": str(base_dir.resolve()), "data_dirs": [str(path) for path in data_dirs()]}
        note = {**places, **(log or {})}
        (folder / RUN_LOG).write_text(pretty_json(note), encoding="utf-8")
    return out_dir


def check_run_folder(out_dir: Path) -> None:
    """Refuse a folder that holds anything but a run: a mistyped --out must not cost a user their files.

    Raises:
        ResultError: it is no folder, or holds other files.
    """
    if not out_dir.exists() and not out_dir.is_symlink():
        return
    if out_dir.is_symlink() or not out_dir.is_dir():
        raise ResultError(f"{out_dir}: exists and is not a folder; choose another --out")
    names = {path.name for path in out_dir.iterdir()}
    ours = {MANIFEST, RUN_LOG, *(f"{name}.parquet" for name in TABLES)}
    if names and (MANIFEST not in names or not names <= ours):
        raise ResultError(f"{out_dir}: holds files that are not a dcsim run; choose another --out")


def _write_table(result: RunResult, name: str, folder: Path) -> dict[str, Any]:
    """Write one table with page checksums; return what the manifest says of it."""
    import pyarrow.parquet as pq

    table = to_arrow(getattr(result, name), TABLES[name], name)
    path = folder / f"{name}.parquet"
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)
    return {"bytes": path.stat().st_size, "rows": table.num_rows, "sha256": sha256_of_file(path)}


def read_table(
    run_dir: Path, name: str, manifest: Mapping[str, Any] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Return one verified table of a run as numpy columns.

    Args:
        run_dir: of the run.
        name: jobs, series, events, links or tiers.
        manifest: of the run, where it is already read.

    Raises:
        ResultError: the file is missing, truncated or altered; the message names it.
    """
    known = manifest or read_manifest(run_dir)
    path = run_dir / f"{name}.parquet"
    raw = _verified_bytes(path, known)
    return from_arrow(_parse(raw, path), TABLES[name], str(path))


def _verified_bytes(path: Path, manifest: Mapping[str, Any]) -> bytes:
    """Read once, so that the bytes checked are the bytes parsed."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ResultError(f"{path}: cannot be read ({error.strerror})") from error
    record = manifest["files"][path.name]
    if len(raw) != record["bytes"]:
        raise ResultError(f"{path}: damaged, {len(raw)} bytes where {record['bytes']} were written")
    if hashlib.sha256(raw).hexdigest() != record["sha256"]:
        raise ResultError(f"{path}: damaged, its bytes do not match the hash in {MANIFEST}")
    return raw


def _parse(raw: bytes, path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pa.BufferReader(raw) as source:
            return pq.read_table(source, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise ResultError(f"{path}: damaged, not readable as Parquet ({error})") from error


def verify_run(run_dir: Path) -> dict[str, Any]:
    """Return the manifest after every file of the run was compared with its hash.

    Raises:
        ResultError: a file is missing, truncated or altered; the message names it.
    """
    manifest = read_manifest(run_dir)
    for name in manifest["files"]:
        _verified_bytes(run_dir / name, manifest)
    return manifest


def read_run(run_dir: Path) -> StoredRun:
    """Return a whole run, every file verified.

    Raises:
        ResultError: a file is missing, damaged or of another version; the message names it.
    """
    manifest = read_manifest(run_dir)
    tables = {name: read_table(run_dir, name, manifest) for name in TABLES}
    policies = manifest["policies"]
    result = RunResult(
        scenario_name=manifest["scenario_name"],
        scenario_sha256=manifest["scenario_sha256"],
        seed=manifest["seed"],
        ordering=policies["ordering"],
        placement=policies["placement"],
        energy=policies["energy"],
        jobs=tables["jobs"],
        events=tables["events"],
        series=tables["series"],
        links=tables["links"],
        tiers=tables["tiers"],
        listed_links=unpack_links(manifest["links"]),
        summary=summary_of(manifest),
        account=account_of(manifest),
        event_kinds=tuple(manifest["event_kinds"]),
        server_names=unpack_names(manifest["servers"]["names"]),
        server_racks=unpack_racks(manifest["servers"]["racks"]),
        balances=manifest["balances"],
        provenance=tuple(manifest["profiles"]),
        warnings=tuple(manifest["warnings"]),
    )
    return StoredRun(run_dir, manifest, result)
