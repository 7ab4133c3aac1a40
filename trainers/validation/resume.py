"""Real calibrations killed at random moments, and what the next one finds of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dcsim.workload.profile_store import load_profile
from trainers.calibration_run import settled
from trainers.journal import Journal
from trainers.pool import CalibrationError
from trainers.settings import Settings
from trainers.worker import Reading

__all__ = ["SETTINGS", "Kill", "Run", "Trial", "run_kills"]

Progress = Callable[[str], None]

SETTINGS = Settings(
    "linear", devices=(1,), batches=(10, 20, 30, 40, 50, 60, 70, 80, 90, 100), modes=("jit",), steps=12,
    budget_s=0.1, max_spread=1000.0,
)  # fmt: skip
"""Ten short measurements; how noisy they are does not matter here, so that none is made twice for that."""

_MEASURED = " ms"
"""Ends the line that says that a measurement is finished."""
_TRIES = 4
"""To kill before the end, on a host whose speed changes."""


class Run(NamedTuple):
    """One run of `calibrate`."""

    measured: int
    """Measurements that it said it had finished."""
    working_s: float
    """From its first line to the last of these measurements."""
    killed: bool
    lines: tuple[str, ...]


class Kill(NamedTuple):
    """One calibration that was killed, and the one that went on."""

    after_s: float
    """From the first worker's readiness to the kill."""
    asked: int
    """Measurements of the whole calibration, those that were made twice included."""
    finished: int
    """That it said it had finished before it was killed."""
    kept: int
    """That the next one believed."""
    measured_after: int
    """That the next one made."""
    unchanged: bool
    """Whether what was kept stands in the profile as it was measured."""
    points: int
    """Of the profile."""

    @property
    def lost(self) -> int:
        """Measurements that were finished but not kept, and the one that was broken off, if one was.

        >>> Kill(1.0, 10, 4, 4, 6, True, 10).lost, Kill(1.0, 10, 4, 3, 7, True, 10).lost
        (1, 1)
        """
        broken_off = self.finished <= self.kept < self.asked
        return max(0, self.finished - self.kept) + int(broken_off)


class Trial(NamedTuple):
    """All kills, and what they left for further checks."""

    kills: tuple[Kill, ...]
    profile: Path
    """Of the calibration that nobody killed."""
    journal: Path
    """The longest that a killed one left."""


def run_kills(
    folder: Path, count: int, seed: int, progress: Progress, settings: Settings = SETTINGS
) -> Trial:
    """Calibrate once in peace, then kill a calibration `count` times, and go on each time.

    Moments are drawn evenly from the time in which the one in peace measured.

    Args:
        folder: for profiles and journals.
        count: kills.
        seed: of the moments.
        progress: called with a line of text for each.
        settings: what is calibrated.

    Raises:
        CalibrationError: a calibration that nobody killed failed, or none could be killed before its end.
    """
    whole = _sound(_calibrate(settings, folder / "whole"))
    progress(f"not killed: {whole.measured} measurements in {whole.working_s:.2f} s")
    draws = np.random.default_rng(seed)
    kills, longest = [], (-1, folder / "none.jsonl")
    for number in range(count):
        out = folder / f"kill-{number}"
        moment_s, first = _killed(settings, out, float(draws.uniform(0.0, whole.working_s)))
        left = folder / f"kill-{number}.jsonl"
        if settings.journal(out).exists():
            shutil.copyfile(settings.journal(out), left)
        kill = _gone_on(settings, out, left, moment_s, first)
        longest = max(longest, (kill.kept, left))
        kills.append(kill)
        progress(
            f"killed after {kill.after_s:.2f} s: {kill.finished} of {kill.asked} finished, {kill.kept} kept, "
            f"{kill.measured_after} measured afterwards, {kill.lost} lost"
        )
    return Trial(tuple(kills), folder / "whole" / f"{settings.name}.json", longest[1])


def _killed(settings: Settings, out: Path, moment_s: float) -> tuple[float, Run]:
    """Return a run that was killed, and when; earlier where one had written its profile by then."""
    for _ in range(_TRIES):
        run = _calibrate(settings, out, moment_s)
        if run.killed and not (out / f"{settings.name}.json").exists():
            return moment_s, run
        shutil.rmtree(out)
        moment_s /= 2.0
    raise CalibrationError(f"{settings.name}: ended before it could be killed, {_TRIES} times")


def _gone_on(settings: Settings, out: Path, left: Path, moment_s: float, first: Run) -> Kill:
    journal = Journal(left, settings.fingerprint())
    journal.open()
    rest = _sound(_calibrate(settings, out))
    profile, _ = load_profile(out / f"{settings.name}.json")
    measured: dict[tuple[int, int, str], float] = {
        (point.devices, point.batch_per_device, point.mode): point.step_time_s for point in profile.points
    }
    visits: dict[tuple[int, int, str], list[Reading]] = {}
    for reading in journal.readings:
        visits.setdefault(reading.key, []).append(reading)
    # A point whose host seemed slow is visited once more, by the next one as well: then its time is that of all visits.
    unchanged = all(
        measured.get(key) == settled(found).measured_point().step_time_s
        for key, found in visits.items()
        if not any(line.startswith(_visited(settings, *key)) for line in rest.lines)
    )
    given = len(settings.configurations()) * len(settings.device_counts())
    asked = max(given, len(journal.readings) + rest.measured)
    return Kill(
        moment_s, asked, first.measured, len(journal.readings), rest.measured, unchanged, len(profile.points)
    )


def _visited(settings: Settings, devices: int, batch: int, mode: str) -> str:
    """Return how the line begins that says that a point was measured."""
    return f"{settings.name}: {mode} on {devices} x {batch}: "


def _sound(run: Run) -> Run:
    if run.killed:
        raise CalibrationError("a calibration failed:\n" + "\n".join(run.lines[-20:]))
    return run


def _calibrate(settings: Settings, out: Path, moment_s: float | None = None) -> Run:
    """Run `calibrate` in a process of its own, and kill it `moment_s` after its first line; None: let it end."""
    command = [sys.executable, "-m", "trainers", *_arguments(settings), "--out", str(out)]
    lines: list[str] = []
    times: list[float] = []
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603 - our own
        if process.stdout is None:
            raise CalibrationError("the calibration has no pipe")
        timer = threading.Timer(moment_s or 0.0, process.kill)
        for line in process.stdout:
            if not lines and moment_s is not None:
                timer.start()
            lines.append(line.rstrip())
            times.append(time.perf_counter())
        code = process.wait()
        timer.cancel()
    ended = [at_s for line, at_s in zip(lines, times, strict=True) if line.endswith(_MEASURED)]
    return Run(len(ended), ended[-1] - times[0] if ended else 0.0, code != 0, tuple(lines))


def _arguments(settings: Settings) -> Sequence[str]:
    listed = ",".join
    return [
        "calibrate", settings.model, "--devices", listed(map(str, settings.devices)), "--batch",
        listed(map(str, settings.batches)), "--modes", listed(settings.modes), "--steps", str(settings.steps), "--budget-s",
        str(settings.budget_s), "--seed", str(settings.seed), "--max-spread", str(settings.max_spread), "--force",
    ]  # fmt: skip
