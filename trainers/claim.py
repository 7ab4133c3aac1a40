"""One writer at a time of what takes long to write."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcsim.errors import InputError, Problem

__all__ = ["claimed"]


@contextmanager
def claimed(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file while the block runs, and remove it after; its folder is made.

    The kernel lets go of the lock however this process ends, so a file left by a killed one is never in the way.

    Args:
        path: of the lock file.
        what: else might hold it, for the message: "another calibration".

    Raises:
        InputError: another process holds it, or no such file can be.
    """
    descriptor = _locked(path, what)
    try:
        yield
    finally:
        # Removed before it is let go of: who waits for the old file finds that its place has another one, or none.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path, what: str) -> int:
    """Return the descriptor of the locked file that has this name."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            expected = "a folder that can be written to"
            raise InputError([Problem(str(path.parent), None, "", str(error.strerror), expected)]) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same(path, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            hint = "wait for it, or choose another --out"
            raise InputError(
                [Problem(str(path.parent), None, "", f"{what} writes there", "one at a time", hint)]
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _same(path: Path, descriptor: int) -> bool:
    """Return whether the file of this name still is the one that is open."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
