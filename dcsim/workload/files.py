"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["replace_file"]


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a new file beside `path`, flush it to the disk, and rename it over `path`.

    A crash or a full disk leaves what was at `path` before. Folders are made as needed.

    Raises:
        OSError: The file cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    new = Path(name)
    try:
        write(new)
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        new.chmod(0o644)  # mkstemp makes files that only their owner may read
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself
    finally:
        os.close(folder)
