"""Comparisons of policies on the same seeds: resumable, paired, replayable.

The names below load their module on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcsim.study.comparison import Progress, compare
    from dcsim.study.explaining import Explanation, explain
    from dcsim.study.replaying import ReplayReport, replay
    from dcsim.study.study import Study, read_study

__all__ = ["Explanation", "Progress", "ReplayReport", "Study", "compare", "explain", "read_study", "replay"]

_MODULE_OF = {
    "Explanation": "explaining",
    "Progress": "comparison",
    "ReplayReport": "replaying",
    "Study": "study",
    "compare": "comparison",
    "explain": "explaining",
    "read_study": "study",
    "replay": "replaying",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"dcsim.study.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
