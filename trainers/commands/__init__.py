"""The commands of `python -m trainers`, one a file: `add` says its options, `run` does it and returns an exit code."""

from __future__ import annotations

from trainers.commands import (
    calibrate,
    compile_step,
    compress,
    distributed,
    import_profiles,
    infer,
    large,
    list_models,
    predict,
    prepare,
    search,
    show,
    train,
    validate,
)

__all__ = ["COMMANDS"]

COMMANDS = (
    list_models,
    prepare,
    train,
    search,
    compress,
    infer,
    distributed,
    calibrate,
    show,
    predict,
    compile_step,
    validate,
    import_profiles,
    large,
)
"""In the order of the help."""
