"""The worker processes of one calibration, started when they are first needed and ended with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from types import TracebackType
from typing import Any, Self

from dcsim.errors import DcsimError
from trainers.allocator import FreedMemory, without_wishes
from trainers.devices import xla_flags
from trainers.worker import Reading, Request, Setup

__all__ = ["CalibrationError", "Progress", "WorkerPool"]

Progress = Callable[[str], None]

_LAST_LINES = 20


class CalibrationError(DcsimError):
    """A measurement failed, or is too noisy to be used."""


class WorkerPool:
    """One worker process for each number of devices; use it in a `with` statement, which ends them.

    Only one of them works at a time: the others wait for a line and take nothing from its cores. Graphics cards and TPUs
    can be held by one process only, so there one worker measures on any number of them.

    Args:
        seed: of data and parameters.
        backend: "cpu", "gpu" or "tpu".
        progress: called with a line of text now and then.
        fresh: on a CPU host, give each point a process of its own, as a job has. What else a process compiled before
            decides where its arrays lie.
        freed_memory: whether workers keep what a step frees (`trainers.allocator`).
    """

    def __init__(
        self,
        seed: int,
        backend: str,
        progress: Progress,
        *,
        fresh: bool = False,
        freed_memory: FreedMemory = "kept",
    ) -> None:
        self._fresh = fresh and backend == "cpu"
        self._seed = seed
        self._freed_memory: FreedMemory = freed_memory
        self._backend = backend
        self._progress = progress
        self._workers: dict[int, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for place in list(self._workers):
            self._end(place)

    def measure(self, devices: int, request: Request) -> Reading:
        """Measure one point on `devices` devices.

        Raises:
            CalibrationError: if that fails; the message ends with the worker's last words.
        """
        if self._backend == "cpu" and devices == 1 and request.traffic:
            found = self._measure(devices, replace(request, traffic=False))
            # A process of one device has no second one to send to, and must not: with two, a step of one takes longer.
            sent = self._measure(
                2, Request(request.model, 1, "jit", precision=request.precision, budget_s=0.0)
            )
            return replace(
                found, all_reduce_bytes=sent.all_reduce_bytes, all_reduce_count=sent.all_reduce_count
            )
        return self._measure(devices, request)

    def _measure(self, devices: int, request: Request) -> Reading:
        place = devices if self._backend == "cpu" else 0
        if place not in self._workers:
            self._start(place, devices)
        asked = replace(request, devices=devices, alone=self._fresh)
        content = self._ask(place, asdict(asked), f"{request.model} on {devices} devices")
        if self._fresh:
            self._end(place)
        anchor = content.pop("anchor")
        return Reading(**content, anchor=(int(anchor[0]), str(anchor[1])))

    def _end(self, place: int) -> None:
        worker = self._workers.pop(place)
        worker.kill()
        worker.communicate()

    def _start(self, place: int, devices: int) -> None:
        environment = {**os.environ, "XLA_FLAGS": xla_flags(devices, os.environ.get("XLA_FLAGS", ""))}
        if self._freed_memory == "returned":
            environment = without_wishes(environment)
        self._workers[place] = subprocess.Popen(
            [sys.executable, "-m", "trainers.worker"], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        setup = Setup(devices, self._seed, self._backend, time.time(), self._freed_memory)
        name = f"{devices} devices" if place else self._backend
        self._progress(f"{name}: {self._ask(place, asdict(setup), f'a worker for {name}')}")

    def _ask(self, place: int, question: dict[str, Any], what: str) -> Any:  # noqa: ANN401 - a worker's answer
        worker = self._workers[place]
        if worker.stdin is None or worker.stdout is None:
            raise CalibrationError("the worker has no pipes")
        other: list[str] = []
        try:
            worker.stdin.write(json.dumps(question) + "\n")
            worker.stdin.flush()
        except BrokenPipeError:
            other.append("the worker has ended")
        for line in worker.stdout:
            message = _message(line)
            if "failed" in message:
                other = [str(message["failed"])]
                break
            if "ready" in message or "reading" in message:
                return message.get("ready", message.get("reading"))
            other.append(line.rstrip())
        last_words = "\n".join(other[-_LAST_LINES:]) or f"exit code {worker.wait()}"
        raise CalibrationError(f"measuring {what} failed:\n{last_words}")


def _message(line: str) -> dict[str, Any]:
    """Return a worker's message, or an empty one for anything else it printed."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
