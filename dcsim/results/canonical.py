"""One way to write JSON, so that equal content always has equal bytes and one hash."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Json", "canonical_json", "json_sha256", "jsonable", "pretty_json", "signed_json"]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def jsonable(value: object) -> Json:
    """Return `value` with JSON types only: numpy scalars unwrapped, tuples as lists, NaN and infinities as null.

    JSON has no NaN; null is read back as NaN where a float column is expected.

    >>> jsonable({"jct_mean_s": float("nan"), "names": ("a", "b")})
    {'jct_mean_s': None, 'names': ['a', 'b']}
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return jsonable(value.tolist())
    raise TypeError(f"{type(value).__name__} has no place in a JSON file")


def canonical_json(value: object) -> str:
    """Return compact JSON with sorted keys; floats by their shortest exact repr.

    >>> canonical_json({"b": 0.1, "a": [1, None]})
    '{"a":[1,null],"b":0.1}'
    """
    return json.dumps(
        jsonable(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True
    )


def pretty_json(value: object) -> str:
    """Return the same content for a reader: sorted, indented by two, one newline at the end."""
    return json.dumps(jsonable(value), sort_keys=True, indent=2, allow_nan=False, ensure_ascii=True) + "\n"


def json_sha256(value: object) -> str:
    """Return the SHA-256 of the canonical JSON, in hexadecimal.

    >>> json_sha256({}) == hashlib.sha256(b"{}").hexdigest()
    True
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def signed_json(content: Mapping[str, Any], key: str) -> bytes:
    """Return `content` as a JSON file that carries the hash of its own content under `key`.

    Writing what was read gives the same bytes, so that any altered byte of the file is found.

    >>> signed_json({"a": 1, "sha256": "stale"}, "sha256") == signed_json({"a": 1}, "sha256")
    True
    """
    plain = {name: jsonable(value) for name, value in content.items() if name != key}
    return pretty_json({**plain, key: json_sha256(plain)}).encode()
