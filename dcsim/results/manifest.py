"""The manifest of a run: what made it, what it needs to be made again, and the hash of every file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcsim.errors import ResultError
from dcsim.results.canonical import signed_json
from dcsim.results.links import pack_links
from dcsim.results.naming import pack_names, pack_racks
from dcsim.results.run_result import RunResult
from dcsim.results.schema import ACCOUNT, RESULT_VERSION, SUMMARY
from dcsim.results.versions import dcsim_version, package_versions

if TYPE_CHECKING:
    from dcsim.spec.scenario import Scenario

__all__ = [
    "FORMAT",
    "MANIFEST",
    "account_of",
    "build_manifest",
    "manifest_bytes",
    "read_manifest",
    "read_signed",
    "summary_of",
]

FORMAT = "dcsim-run"
"""Marks a folder as a run of dcsim."""
MANIFEST = "manifest.json"
_FIELDS: Mapping[str, type] = {
    "scenario": dict,
    "scenario_name": str,
    "scenario_sha256": str,
    "dcsim_version": str,
    "packages": dict,
    "data_files": dict,
    "seed": int,
    "policies": dict,
    "profiles": list,
    "warnings": list,
    "balances": dict,
    "event_kinds": list,
    "servers": dict,
    "links": dict,
    "summary": dict,
    "account": dict,
    "files": dict,
    "extra": dict,
}
"""What every manifest holds; its hash shows damage, not whether it was ever whole."""


def build_manifest(
    result: RunResult,
    scenario: Scenario,
    *,
    files: Mapping[str, Mapping[str, Any]],
    data_files: Mapping[str, str],
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the manifest of a run, without its own hash.

    Args:
        result: the run.
        scenario: the very scenario simulated, its policies included.
        files: bytes, rows and sha256 of each table file.
        data_files: sha256 of each file the scenario names.
        extra: whatever the caller adds, under "extra".
    """
    return {
        "format": FORMAT,
        "version": RESULT_VERSION,
        "dcsim_version": dcsim_version(),
        "packages": package_versions(),
        "scenario_name": result.scenario_name,
        "scenario_sha256": result.scenario_sha256,
        "scenario": scenario.model_dump(mode="json"),
        "data_files": dict(data_files),
        "seed": int(result.seed),
        "policies": {
            "ordering": result.ordering,
            "placement": result.placement,
            "energy": result.energy,
        },
        "profiles": [dict(record) for record in result.provenance],
        "warnings": list(result.warnings),
        "balances": dict(result.balances),
        "event_kinds": list(result.event_kinds),
        "servers": {"names": pack_names(result.server_names), "racks": pack_racks(result.server_racks)},
        "links": pack_links(result.listed_links),
        "summary": {column.name: result.summary[column.name] for column in SUMMARY},
        "account": {column.name: result.account[column.name] for column in ACCOUNT},
        "files": {name: dict(record) for name, record in files.items()},
        "extra": dict(extra),
    }


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """Return the manifest as written: its content, and the hash of that content."""
    return signed_json(manifest, "manifest_sha256")


def read_manifest(run_dir: Path) -> dict[str, Any]:
    """Return the manifest of a run, checked byte for byte against its own hash.

    Raises:
        ResultError: the file is missing, damaged, of another version, or not a dcsim run.
    """
    path = run_dir / MANIFEST
    manifest = read_signed(path, FORMAT, "manifest_sha256")
    for name, kind in _FIELDS.items():
        if not isinstance(manifest.get(name), kind):
            raise ResultError(f"{path}: damaged, its field {name!r} is missing or no {kind.__name__}")
    for row, columns in (("summary", SUMMARY), ("account", ACCOUNT)):
        missing = [column.name for column in columns if column.name not in manifest[row]]
        if missing:
            raise ResultError(
                f"{path}: written by another dcsim: its {row} is without {', '.join(missing)}; run it again"
            )
    for name, record in manifest["files"].items():
        if "/" in name or not isinstance(record, dict) or not {"bytes", "sha256"} <= set(record):
            raise ResultError(f"{path}: damaged, its record of the file {name!r} cannot be read")
    return manifest


def read_signed(path: Path, form: str, key: str) -> dict[str, Any]:
    """Return a JSON file that carries its own hash, checked byte for byte.

    Args:
        path: of the file.
        form: what its field "format" must say.
        key: field of the hash.

    Raises:
        ResultError: the file is missing, damaged, of another version or of another format.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ResultError(f"{path}: not a {form} ({error.strerror})") from error
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path}: damaged, not JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != form:
        raise ResultError(f"{path}: damaged, or not a {form}")
    if content.get("version") != RESULT_VERSION:
        raise ResultError(
            f"{path}: result version {content.get('version')!r} -> expected {RESULT_VERSION}; "
            "read it with the dcsim that wrote it"
        )
    if signed_json(content, key) != raw:
        raise ResultError(f"{path}: damaged, its content does not match its own hash")
    return content


def summary_of(manifest: Mapping[str, Any]) -> dict[str, float | int | str]:
    """Return the summary row of a manifest, null read back as NaN."""
    row = manifest["summary"]
    return {column.name: math.nan if row[column.name] is None else row[column.name] for column in SUMMARY}


def account_of(manifest: Mapping[str, Any]) -> dict[str, float]:
    """Return the facility's account of a manifest, null read back as NaN."""
    row = manifest["account"]
    return {column.name: math.nan if row[column.name] is None else row[column.name] for column in ACCOUNT}
