"""A line of JSON with its check sum, so that a journal notices what was cut off, changed or never its own."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from trainers.files import finite

__all__ = ["checked_line", "content_of"]


def checked_line(content: Mapping[str, Any]) -> str:
    r"""Return content and its check sum as a line of text, with null for what is not finite.

    >>> checked_line({"loss": float("nan")})
    'f1d495c0 {"loss": null}\n'
    """
    text = json.dumps(finite(content), allow_nan=False)
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def content_of(line: str) -> dict[str, Any]:
    """Return the content of a line, without its end; nothing where its check sum differs.

    >>> content_of(checked_line({"steps": 3}).rstrip()), content_of('{"steps": 3}')
    ({'steps': 3}, {})
    """
    checksum, _, text = line.partition(" ")
    if f"{zlib.crc32(text.encode(errors='replace')):08x}" != checksum:
        return {}
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
