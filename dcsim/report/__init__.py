"""Results for people: tables on the terminal, and one self-contained page.

The names below load their module on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcsim.report.page import write_report
    from dcsim.report.terminal import print_run, print_study

__all__ = ["print_run", "print_study", "write_report"]

_MODULE_OF = {"print_run": "terminal", "print_study": "terminal", "write_report": "page"}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"dcsim.report.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
