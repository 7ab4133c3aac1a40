"""The journal of a search: what is searched, and each trial as it ended, one a line."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dcsim.errors import InputError, Problem
from trainers.checked_line import checked_line, content_of
from trainers.trial import Request, Trial

__all__ = ["TrialJournal"]

REMEDY = "move it away, or choose another --out"
TORN_HEAD = re.compile(rb"[0-9a-f]{0,8}|[0-9a-f]{8} (\{.*)?")
"""What a search leaves that is killed while it writes its first line."""


class TrialJournal:
    """A file that one search at a time adds to; nothing that it does not recognise is ever written over."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the journal's folder; the kernel lets go of it however this process ends.

        Raises:
            InputError: if another search is there, or where no folder can be.
        """
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise InputError(
                [Problem(folder.name, None, "", str(error.strerror), "a folder for the journal")]
            ) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                hint = "wait for it, or choose another --out"
                raise InputError(
                    [Problem(folder.name, None, "", "another search writes there", "one at a time", hint)]
                ) from None
            yield
        finally:
            os.close(descriptor)

    def read(self, request: Request) -> dict[int, Trial]:
        """Return the trials by number; begin a journal where there is none, and cut off a torn last line.

        Raises:
            InputError: if the file is no journal, is damaged before its last line, or is of another request.
        """
        content = self._bytes()
        whole, newline, torn = content.rpartition(b"\n")
        if not newline:
            if not TORN_HEAD.fullmatch(torn):
                raise self._refused(1, "not the line of a search")
            self.path.write_bytes(b"")
            self._add(asdict(request))
            return {}
        lines = whole.split(b"\n")
        self._compare(self._content(1, lines[0]), request)
        found = {
            number - 2: self._trial(number, line, request) for number, line in enumerate(lines[1:], start=2)
        }
        if torn:
            self.path.write_bytes(whole + newline)
        return found

    def add(self, trial: Trial) -> None:
        """Append a trial, on the disk when this returns."""
        self._add(asdict(trial))

    def refused(self, trial: int, asked: str) -> InputError:
        """Return what to say of a trial of other values than are asked for, as another version might have written."""
        return self._refused(trial + 2, f"another trial than {asked}")

    def _add(self, content: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(checked_line(content))
            file.flush()
            os.fsync(file.fileno())

    def _bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise InputError(
                [Problem(self.path.name, None, "", str(error.strerror), "the journal of a search", REMEDY)]
            ) from error

    def _content(self, number: int, line: bytes) -> dict[str, Any]:
        content = content_of(line.decode("utf-8", errors="replace"))
        if not content:
            raise self._refused(number, "damaged, or not the line of a search")
        return content

    def _compare(self, head: Mapping[str, Any], request: Request) -> None:
        """Refuse the journal of another request; more trials are welcome: the first ones stay what they are."""
        ours = json.loads(json.dumps(asdict(request)))
        if head.keys() != ours.keys():
            raise self._refused(1, "not the first line of a search")
        differing = [
            Problem(self.path.name, 1, name, str(ours[name]), f"{head[name]}, as in the journal")
            for name in ours
            if name != "trials" and head[name] != ours[name]
        ]
        if differing:
            raise InputError(differing)

    def _trial(self, number: int, line: bytes, request: Request) -> Trial:
        content = self._content(number, line)
        values, metrics = content.get("values"), content.get("metrics")
        if (
            content.keys() != {"number", "values", "metrics"}
            or content["number"] != number - 2
            or not isinstance(values, dict)
            or not isinstance(metrics, dict)
            or request.metric not in metrics
            or not all(each is None or isinstance(each, int | float) for each in metrics.values())
        ):
            raise self._refused(number, f"not trial {number - 2}")
        return Trial(number - 2, values, {name: _number(each) for name, each in metrics.items()})

    def _refused(self, line: int, got: str) -> InputError:
        expected = "a line as `search` writes it, with its check sum"
        return InputError([Problem(self.path.name, line, "", got, expected, REMEDY)])


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
