"""The commands of `python -m trainers`, one a file: `add` says its options, `run` does it and returns an exit code."""

from __future__ import annotations

from trainers.commands import calibrate, list_models, show, train, validate

__all__ = ["COMMANDS"]

COMMANDS = (list_models, train, calibrate, show, validate)
"""In the order of the help."""
