"""Finished measurements of a calibration that is still running, kept so that it can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from trainers.worker import WorkerReport

__all__ = ["Partial"]


class Partial:
    """A file of worker reports that is only believed if it was measured in the same way."""

    def __init__(self, path: Path, fingerprint: Mapping[str, object]) -> None:
        self.path = path
        # Through JSON once, so that tuples compare equal to the lists they are read back as.
        self._fingerprint = json.loads(json.dumps(fingerprint))

    def load(self) -> list[WorkerReport]:
        """Return the reports so far; none if there is no file, or one of other settings."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["fingerprint"] != self._fingerprint:
                return []
            return [WorkerReport(**report) for report in content["reports"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []  # unreadable: measuring again is always right

    def save(self, reports: Sequence[WorkerReport]) -> None:
        """Write the reports, in one piece or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"fingerprint": self._fingerprint, "reports": [asdict(report) for report in reports]}
        draft = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with draft.open("w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        finally:
            draft.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
