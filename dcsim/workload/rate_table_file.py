"""Rate tables on disk: canonical JSON that carries its own SHA-256, read without trusting it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dcsim.errors import InputError, Problem, ProfileError
from dcsim.spec.names import nearest
from dcsim.spec.strict_json import strict_json
from dcsim.workload.files import replace_file
from dcsim.workload.rate_table import RATE_TABLE_VERSION, RateTable
from dcsim.workload.readers.bounded import decoded, read_bounded

__all__ = ["RATE_TABLE_BYTES_MAX", "load_rate_table", "save_rate_table"]

RATE_TABLE_BYTES_MAX = 64 * 2**20
"""A larger file is not a rate table [B]."""

_HASH_FIELD = "sha256"
_SHOWN = 50


def save_rate_table(table: RateTable, path: Path) -> str:
    """Write a table to `path` in one step, old file or new, never a half; return its SHA-256.

    Equal tables give equal bytes.

    Raises:
        ProfileError: The table contradicts itself.
    """
    problems = table.problems(str(path))
    if problems:
        raise ProfileError(problems[:_SHOWN])
    content = table.model_dump(mode="json", exclude_defaults=True) | {"version": RATE_TABLE_VERSION}
    digest = _digest(content)
    text = json.dumps({**content, _HASH_FIELD: digest}, indent=1, sort_keys=True, allow_nan=False) + "\n"
    replace_file(path, lambda new: _write(new, text))
    return digest


def load_rate_table(path: Path) -> tuple[RateTable, str]:
    """Return the table in `path` (plain or gzipped) and its SHA-256.

    Raises:
        ProfileError: With every problem: unreadable, too large, not strict JSON, of another version,
            changed since it was written, or contradicting itself.
    """
    try:
        text = decoded(read_bounded(path, bytes_max=RATE_TABLE_BYTES_MAX), path)
    except InputError as error:
        raise ProfileError(error.problems) from None
    record = strict_json(text, str(path), error=ProfileError)
    if not isinstance(record, dict):
        raise ProfileError([Problem(str(path), None, "", type(record).__name__, "a JSON object")])
    version = record.get("version")
    if version != RATE_TABLE_VERSION or isinstance(version, bool):
        hint = "write it with dcsim trace rates"
        got = repr(version)[:80]
        raise ProfileError([Problem(str(path), None, "version", got, str(RATE_TABLE_VERSION), hint)])
    given = record.pop(_HASH_FIELD, None)
    digest = _digest(record)
    problems = []
    if given != digest:
        hint = "the file was changed after it was written: import it again"
        got = "missing" if given is None else str(given)[:80]
        problems.append(Problem(str(path), None, _HASH_FIELD, got, digest, hint))
    try:
        table = RateTable.model_validate_json(json.dumps(record), strict=True)
    except ValidationError as error:
        raise ProfileError([*problems, *_field_problems(error, str(path))][:_SHOWN]) from None
    problems += table.problems(str(path))
    if problems:
        raise ProfileError(problems[:_SHOWN])
    return table, digest


def _digest(content: dict[str, Any]) -> str:
    """Return the SHA-256 of a record in canonical JSON."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode())


def _field_problems(error: ValidationError, file: str) -> list[Problem]:
    """Return one problem a field that does not validate, with the nearest name for an unknown one."""
    problems = []
    for entry in error.errors(include_url=False):
        unknown = entry["type"] == "extra_forbidden"
        hint = nearest(str(entry["loc"][-1]), RateTable.model_fields) if unknown else ""
        got = "missing" if entry["type"] == "missing" else repr(entry["input"])[:80]
        expected = "a known field" if unknown else entry["msg"].removeprefix("Input should be ")
        problems.append(Problem(file, None, ".".join(map(str, entry["loc"])), got, expected, hint))
    return problems
