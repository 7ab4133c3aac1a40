"""The command `dcsim`: parses, calls the rooms, prints. Each command imports what it needs when it runs."""

from __future__ import annotations

from dcsim.cli.app import app, main

__all__ = ["app", "main"]
