"""What a run leaves: its schema, its metrics, and the store that writes and verifies it.

The names below load their module (and Arrow with it) on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcsim.results.run_result import RunResult
    from dcsim.results.store import (
        StoredRun,
        check_run_folder,
        read_run,
        read_table,
        verify_run,
        write_run,
    )

__all__ = [
    "RunResult",
    "StoredRun",
    "check_run_folder",
    "read_run",
    "read_table",
    "verify_run",
    "write_run",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "dcsim.results.run_result" if name == "RunResult" else "dcsim.results.store"
    value: object = getattr(import_module(module), name)
    return value
