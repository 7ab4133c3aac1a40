"""The networks, in Flax: one a file."""

from __future__ import annotations

__all__: list[str] = []
