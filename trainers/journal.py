"""Finished measurements of a calibration that is still running, one a line, so that it can go on after any end."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainers.checked_line import checked_line, content_of
from trainers.files import write_text
from trainers.worker import Reading

__all__ = ["Journal"]


class Journal:
    """A file of readings that are only believed if they were taken in the same way, and are whole.

    The first line says how they were taken. Every line carries a check sum of the rest of it. A reading is on the disk
    before `add` returns, so that a process killed at any moment loses at most the one it was taking.
    """

    def __init__(self, path: Path, fingerprint: Mapping[str, object]) -> None:
        self.path = path
        # Through JSON once, so that tuples compare equal to the lists they are read back as.
        self._fingerprint = json.loads(json.dumps(fingerprint))
        self.readings: list[Reading] = []
        """In the order in which they were taken."""
        self.problems: list[str] = []
        """What of the file was not believed, and why."""

    def open(self) -> None:
        """Read what is there, and leave a file on disk that holds what is believed of it and nothing else."""
        lines = self._lines()
        if lines:
            self._read_all(lines)
        self.keep(self.readings)

    def keep(self, readings: Sequence[Reading]) -> None:
        """Write these readings and no others."""
        self.readings = list(readings)
        lines = [{"fingerprint": self._fingerprint}, *({"reading": asdict(each)} for each in self.readings)]
        write_text(self.path, "".join(map(checked_line, lines)))

    def add(self, reading: Reading) -> None:
        """Append a reading, on the disk when this returns."""
        self.readings.append(reading)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(checked_line({"reading": asdict(reading)}))
            file.flush()
            os.fsync(file.fileno())

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)

    def _lines(self) -> list[str]:
        try:
            return self.path.read_bytes().decode("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problems.append(f"unreadable ({error.strerror})")
            return []

    def _read_all(self, lines: list[str]) -> None:
        header = content_of(lines[0])
        given = header.get("fingerprint")
        if not isinstance(given, dict):
            self.problems.append("line 1 is damaged: measured again")
            return
        other = [name for name in self._fingerprint if given.get(name) != self._fingerprint[name]]
        if other or given.keys() != self._fingerprint.keys():
            self.problems.append(f"measured with another {', '.join(other) or 'version'}: measured again")
            return
        for number, line in enumerate(lines[1:], start=2):
            reading = _reading(content_of(line))
            if reading is None:
                self.problems.append(f"line {number} is damaged: left out")
            else:
                self.readings.append(reading)


def _reading(content: Mapping[str, Any]) -> Reading | None:
    fields = content.get("reading")
    if not isinstance(fields, dict):
        return None
    try:
        anchor = fields["anchor"]
        reading = Reading(**{**fields, "anchor": (int(anchor[0]), str(anchor[1]))})
        reading.measured_point()
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    return reading
