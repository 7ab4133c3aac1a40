"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

__all__ = ["finite_json", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, so that nobody reads half of it; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


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
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:  # noqa: ANN401 - what json takes
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
