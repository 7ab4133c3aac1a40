"""Where a command writes, looked at before it works for an hour."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

__all__ = ["out_file", "out_folder"]


def out_file(text: str) -> Path:
    """Return the path of a file that can be written; folders that are missing are made when it is."""
    path = Path(text)
    try:
        folder = path.is_dir()
    except OSError as error:  # a name that is too long
        raise _refusal(path, error.strerror or str(error), "the name of a file") from None
    if folder:
        raise _refusal(path, "a folder", "the name of a file")
    _try(path, path.parent)
    return path


def out_folder(text: str) -> Path:
    """Return the path of a folder that takes files, or that can be made."""
    path = Path(text)
    _try(path, path)
    return path


def _try(path: Path, folder: Path) -> None:
    """Write a nameless file into a folder, or into the nearest above it that there is.

    Rights alone do not tell: a superuser has all of them, also where a file system takes none.
    """
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            raise _refusal(path, f"{folder} is a file", "a place below a folder")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise _refusal(
            path, getattr(error, "strerror", None) or str(error), "a place that takes files"
        ) from None


def _refusal(path: Path, got: str, expected: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{str(path)[:200]}: {got} -> expected {expected}")
