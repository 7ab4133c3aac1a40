"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from dcsim.errors import InputError, Problem

__all__ = ["finite", "finite_json", "read_json_bytes", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, so that nobody reads half of it; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def read_json_bytes(path: Path, bytes_max: int, expected: str) -> bytes:
    """Return the bytes of a file, at most `bytes_max` of them; a pipe or a device, which may never end, is refused.

    Args:
        path: of the file.
        bytes_max: that it may hold [B].
        expected: what it should be, for messages.

    Raises:
        InputError: no file, not a regular one, larger, or unreadable.
    """
    try:
        # Opening a pipe that nobody writes to would wait for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError([Problem(str(path), None, "", "not a regular file", expected)])
            content = file.read(bytes_max + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError([Problem(str(path), None, "", reason, expected)]) from None
    if len(content) > bytes_max:
        raise InputError(
            [Problem(str(path), None, "", f"more than {bytes_max / 2**20:g} MiB", f"{expected}, smaller")]
        )
    return content


def finite_json(value: Any) -> str:  # noqa: ANN401 - what json takes
    """Return JSON, indented, with null for NaN and the infinities, which JSON has no word for.

    >>> print(finite_json({"loss": float("nan"), "of": [1.5]}))
    {
      "loss": null,
      "of": [
        1.5
      ]
    }
    """
    return json.dumps(finite(value), indent=2, allow_nan=False)


def finite(value: Any) -> Any:  # noqa: ANN401 - what json takes
    """Return a value with None for NaN and the infinities, at any depth."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
