"""Files that are either wholly there or not at all: hashes, atomic writes of a file and of a folder."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcsim.errors import ResultError

__all__ = ["atomic_directory", "is_temporary", "sha256_of_file", "sync_file", "write_atomically"]

_CHUNK_BYTES = 1 << 20
_TEMPORARY = ".partial-"
_REPLACE_ATTEMPTS = 5


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        ResultError: the file is missing or cannot be read; the message names it.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise ResultError(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def sync_file(path: Path) -> None:
    """Force a file or folder to the disk, so that a rename after it never shows an empty one."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_temporary(path: Path) -> bool:
    """Return whether `path` is what an interrupted write left behind.

    >>> is_temporary(Path("runs/.partial-123-first_fit__none__seed0"))
    True
    """
    return path.name.startswith(_TEMPORARY)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old bytes or the new ones, never a part.

    Raises:
        ResultError: the disk is full, read-only or failing; the old file is intact.
    """
    temporary = path.parent / f"{_TEMPORARY}{os.getpid()}-{path.name}"
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_file(path.parent)
    except OSError as error:
        raise ResultError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(final: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `final`; on success it becomes `final`, on any error it is removed.

    A folder already at `final` is replaced as a whole; who may be replaced is the caller's check.

    Raises:
        ResultError: the disk is full, read-only or failing; nothing is left under the final name.
    """
    temporary = final.parent / f"{_TEMPORARY}{os.getpid()}-{final.name}"
    try:
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            yield temporary
            for path in sorted(temporary.iterdir()):
                sync_file(path)
            sync_file(temporary)
            _move_into_place(temporary, final)
            sync_file(final.parent)
        except OSError as error:
            raise ResultError(f"{final}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_into_place(temporary: Path, final: Path) -> None:
    """Rename; a folder in the way is first moved aside, since rename replaces only empty folders."""
    aside = final.parent / f"{_TEMPORARY}{os.getpid()}-old-{final.name}"
    for attempt in range(_REPLACE_ATTEMPTS):
        try:
            temporary.rename(final)
        except OSError as error:
            occupied = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
            if not occupied or attempt == _REPLACE_ATTEMPTS - 1:
                raise
            final.rename(aside)
            continue
        shutil.rmtree(aside, ignore_errors=True)
        return
