"""Which code made a result: the version of dcsim and of what it computes with."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

__all__ = ["PACKAGES", "code_sha256", "dcsim_version", "package_versions"]

PACKAGES = ("numpy", "pandas", "psychrolib", "pvlib", "pyarrow", "pydantic", "scipy", "simpy")
"""Packages whose version may change a figure or a byte of a result."""


def dcsim_version() -> str:
    """Return the installed version, or "source" where dcsim runs from a folder without being installed."""
    return _version("dcsim") or "source"


@cache
def package_versions() -> dict[str, str]:
    """Return versions of Python and of `PACKAGES`; a package that is not installed is left out.

    >>> sorted(package_versions())[-1]
    'simpy'
    """
    found = {name: version for name in PACKAGES if (version := _version(name))}
    return {**found, "python": platform.python_version()}


@cache
def code_sha256() -> str:
    """Return one hash over all Python source and profile files of dcsim.

    Between two releases the version stays the same while the code changes; a study is resumed
    only with the very code that began it.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".json")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
