"""One writer to a study folder at a time."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcsim.errors import ResultError
from dcsim.results.canonical import canonical_json

__all__ = ["LOCK", "study_lock"]

LOCK = ".lock"


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel lets go of it when this process ends, however it ends.

    So a lock left by a killed process is never in the way, and its number cannot be mistaken for
    that of a later process.

    Raises:
        ResultError: another process is writing there; the message says which.
    """
    path = folder / LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = path.read_text(encoding="utf-8").strip() or "unknown"
            raise ResultError(
                f"{folder}: another process is writing here ({holder}); wait for it, or choose another --out"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, canonical_json({"host": socket.gethostname(), "pid": os.getpid()}).encode())
        yield
    finally:
        os.close(descriptor)
