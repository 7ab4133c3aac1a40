"""JSON that is exactly what it says: no key twice, no NaN, no number that overflows, nesting bounded."""

from __future__ import annotations

import json
from typing import Any

from dcsim.errors import InputError, Problem, TraceError

__all__ = ["JSON_DEPTH_MAX", "strict_json"]

JSON_DEPTH_MAX = 64
"""Levels of nesting."""


def strict_json(text: str, file: str, *, error: type[InputError] = TraceError) -> Any:  # noqa: ANN401  JSON is anything
    """Return what a JSON text says.

    Args:
        text: The whole document.
        file: Only shown.
        error: What is raised.

    Raises:
        InputError: Of the type `error`, with every repeated key, or the first other thing that is wrong.

    >>> strict_json('{"a": [1, 2.5]}', "x.json")
    {'a': [1, 2.5]}
    """
    repeated: dict[str, None] = {}

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for name, value in pairs:
            if name in record:
                repeated[name] = None
            record[name] = value
        return record

    def refuse(constant: str) -> float:
        raise error([Problem(file, None, "", constant, "finite numbers")])

    def finite(number: str) -> float:
        value = float(number)
        return value if abs(value) < float("inf") else refuse(number[:40])

    try:
        record = json.loads(text, object_pairs_hook=unique, parse_constant=refuse, parse_float=finite)
    except json.JSONDecodeError as wrong:
        hint = "is the file cut off?" if wrong.pos >= len(text.rstrip()) else ""
        raise error([Problem(file, wrong.lineno, "", wrong.msg, "JSON", hint)]) from None
    except (RecursionError, ValueError):  # ValueError: an integer of thousands of digits
        raise error([Problem(file, None, "", "nesting or a number out of bounds", "plain JSON")]) from None
    if repeated:
        names = list(repeated)[:20]
        raise error([Problem(file, None, name[:80], "given twice", "each key once") for name in names])
    if _too_deep(record):
        raise error([Problem(file, None, "", "deeper nesting", f"at most {JSON_DEPTH_MAX} levels")])
    return record


def _too_deep(record: object) -> bool:
    """Return whether lists and mappings nest deeper than `JSON_DEPTH_MAX`."""
    level = [record]
    for _ in range(JSON_DEPTH_MAX):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
