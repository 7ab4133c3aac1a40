"""What the simulator is told of this machine: start-ups, and how much jobs on neighbouring cores slow each other.

Step times come from `trainers.calibrate`. Nothing here looks at a run of the cluster that is to be predicted.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from trainers.closed_loop.dispatcher import ClosedLoopError, Dispatcher, JobRun, start_on_core
from trainers.closed_loop.jobs import QueuedJob

__all__ = [
    "Colocation",
    "Measured",
    "Probe",
    "job_command",
    "measure_colocation",
    "median_probe",
    "probe_model",
    "probe_of",
    "probes_of",
]

PROBE_TRAINING_S = 1.5
"""How long a probe trains after its start-up."""
FEW_STEPS = 60
"""Of a first probe, while nobody knows how long a step takes."""
BENCH_S = 2.0
"""How long each pair of models trains side by side, in each round."""
ROUNDS = 2

Progress = Callable[[str], object]


@dataclass(frozen=True)
class Probe:
    """One short job of a model, run to see what it does before its first step; seconds."""

    process_s: float
    """From its start until its libraries are there, and from its last step until its process is gone."""
    data_s: float
    compile_s: float
    """The first steps, less what any other ones take."""
    input_s: float
    """What a training loop adds to a step on one kept batch, as a calibration times it, by medians: preparing its own
    batch, placing it, touching it for the first time, and fetching the loss."""
    step_s: float
    """The step on one kept batch, median."""
    tail_s: float
    """Mean of a loop's steps, input included, over their median: collecting garbage, interrupts and other hiccups."""

    @property
    def startup_s(self) -> float:
        """All but steps."""
        return self.process_s + self.data_s + self.compile_s

    @property
    def loop_s(self) -> float:
        """What a loop adds to each step."""
        return self.input_s + self.tail_s


@dataclass(frozen=True)
class Colocation:
    """How jobs fare beside each other, each on a core of its own; 1: as alone."""

    relative_throughput: Mapping[str, Mapping[str, float]]
    """Of the first model beside the second: its rate there over its rate alone, (0, 1]."""
    startup_slowdown: float
    """How much longer a start-up takes beside a job that trains, over all models, at least 1."""


@dataclass(frozen=True)
class Measured:
    """All of it, of one machine."""

    probes: Mapping[str, Probe]
    """Medians by model."""
    colocation: Colocation


def job_command(job: QueuedJob) -> list[str]:
    """Return the command line of a real training job."""
    return [sys.executable, "-m", "trainers.closed_loop.job_process", json.dumps(job.record())]


def probe_of(run: JobRun) -> Probe:
    """Return what a job did before its first step.

    Raises:
        ClosedLoopError: it did not say.
    """
    at, loop_s = run.events_s, (run.step_s or 0.0) + (run.input_s or 0.0)
    bare_s = loop_s if run.bare_s is None else run.bare_s
    try:
        return Probe(
            process_s=(at["imported"] - run.start_s) + (run.end_s - max(at["trained"], at.get("bared", 0.0))),
            data_s=at["prepared"] - at["imported"],
            compile_s=max(0.0, at["compiled"] - at["prepared"] - loop_s) + (run.warm_up_s or 0.0),
            input_s=max(0.0, loop_s - bare_s),
            step_s=bare_s,
            tail_s=run.tail_s or 0.0,
        )
    except KeyError as error:
        raise ClosedLoopError(f"{run.name} ended without saying when it was {error}") from error


def probe_model(model: str, batch: int, steps: int, core: int, folder: Path, seed: int) -> Probe:
    """Run one short job on a core and return what it took."""
    job = QueuedJob(f"probe-{model}", model, batch, steps, 0.0, 0.0, seed, bare_steps=max(12, steps // 2))
    return probe_of(Dispatcher([core], job_command, folder).run([job], "fifo")[0])


def probes_of(
    models: Mapping[str, tuple[int, float | None]],
    *,
    core: int,
    repeats: int,
    folder: Path,
    seed: int,
    progress: Progress,
) -> dict[str, list[Probe]]:
    """Return `repeats` probes of each model, taken in turns.

    Args:
        models: batch by name, and how long a loop takes for a step with its input [s]; None: not known yet, a few steps tell,
            and warm the file cache.
        core: that they run on.
        repeats: probes of each, at least 1.
        folder: for what they write.
        seed: of the jobs.
        progress: called with a line of text now and then.
    """
    steps: dict[str, int] = {}
    for model, (batch, loop_s) in models.items():
        if loop_s is None:
            first = probe_model(model, batch, FEW_STEPS, core, folder, seed)
            steps[model] = _probe_steps(first.step_s + first.loop_s)
        else:
            steps[model] = _probe_steps(loop_s)
    found: dict[str, list[Probe]] = {model: [] for model in models}
    for turn in range(repeats):
        for model, (batch, _) in models.items():
            probe = probe_model(model, batch, steps[model], core, folder, seed + turn + 1)
            found[model].append(probe)
            progress(f"start-up of {model}: {probe.startup_s:.2f} s")
    return found


def _probe_steps(loop_s: float) -> int:
    return max(12, round(PROBE_TRAINING_S / loop_s))


def median_probe(probes: Sequence[Probe]) -> Probe:
    """Return the medians of at least one probe of a model, each figure for itself."""
    records = [asdict(probe) for probe in probes]
    return Probe(**{name: float(np.median([record[name] for record in records])) for name in records[0]})


class _Trainer:
    """A `bench_process` on a core."""

    def __init__(self, models: Mapping[str, int], core: int, seed: int) -> None:
        command = [sys.executable, "-m", "trainers.closed_loop.bench_process"]
        self._process = start_on_core(command, core, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._tell({"models": dict(models), "seed": seed})

    def _pipe(self, name: str) -> IO[bytes]:
        pipe: IO[bytes] | None = getattr(self._process, name)
        if pipe is None:
            raise ClosedLoopError("a model on the bench has no pipe")
        return pipe

    def _tell(self, message: Mapping[str, object]) -> None:
        try:
            self._pipe("stdin").write(json.dumps(message).encode() + b"\n")
            self._pipe("stdin").flush()
        except BrokenPipeError as error:
            raise ClosedLoopError("a model on the bench failed; what it said is above") from error

    def begin(self, model: str, seconds: float) -> None:
        """Let it train a model."""
        self._tell({"model": model, "seconds": seconds})

    def answer(self) -> dict[str, Any]:
        """Wait for its next line.

        Raises:
            ClosedLoopError: it failed.
        """
        line = self._pipe("stdout").readline()
        if not line:
            raise ClosedLoopError("a model on the bench failed; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def _trainers(models: Mapping[str, int], cores: Sequence[int], seed: int) -> Iterator[list[_Trainer]]:
    """Two processes with all models compiled; they end with the block."""
    trainers: list[_Trainer] = []
    try:
        trainers.extend(_Trainer(models, core, seed) for core in cores)
        for trainer in trainers:
            trainer.answer()
        yield trainers
    finally:
        for trainer in trainers:
            trainer.close()


def measure_colocation(
    models: Mapping[str, tuple[int, float]],
    *,
    cores: Sequence[int],
    folder: Path,
    seed: int,
    progress: Progress,
) -> Colocation:
    """Measure how much models on two cores slow each other, and start-ups beside models that train.

    Args:
        models: batch by name, and how long a loop takes for a step with its input [s].
        cores: two of them.
        folder: for what the probes write.
        seed: of data and parameters.
        progress: called with a line of text now and then.
    """
    one, other = cores[:2]
    batches = {name: batch for name, (batch, _) in models.items()}
    with _trainers(batches, (one, other), seed) as (first, second):
        relative = _pairs(first, second, list(models), progress)
        # The first one has nothing to do from here on, and sleeps.
        slowdowns = []
        for model, neighbour in zip(models, [*list(models)[1:], next(iter(models))], strict=True):
            batch, loop_s = models[model]
            # One after the other, so that a slow quarter of an hour hits both.
            alone = probe_model(model, batch, _probe_steps(loop_s), one, folder, seed)
            second.begin(neighbour, 600.0)
            beside = probe_model(model, batch, _probe_steps(loop_s), one, folder, seed)
            second.begin(neighbour, 0.0)
            second.answer(), second.answer()
            slowdowns.append(beside.startup_s / alone.startup_s)
            progress(f"start-up of {model} beside {neighbour}: x {slowdowns[-1]:.2f}")
    return Colocation(relative, max(1.0, float(np.median(slowdowns))))


def _pairs(
    first: _Trainer, second: _Trainer, models: Sequence[str], progress: Progress
) -> dict[str, dict[str, float]]:
    """Return each model's rate beside each other one over its rate alone, medians over rounds."""
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        alone_s = {
            (trainer, model): _alone_s(trainer, model) for trainer in (first, second) for model in models
        }
        for one, other in itertools.combinations_with_replacement(models, 2):
            first.begin(one, BENCH_S)
            second.begin(other, BENCH_S)
            one_s, other_s = first.answer()["step_s"], second.answer()["step_s"]
            found.setdefault((one, other), []).append(alone_s[first, one] / one_s)
            found.setdefault((other, one), []).append(alone_s[second, other] / other_s)
    relative: dict[str, dict[str, float]] = {model: {} for model in models}
    for (one, other), factors in found.items():
        relative[one][other] = min(1.0, float(np.median(factors)))
        progress(f"{one} beside {other}: {relative[one][other]:.3f} of its rate alone")
    return relative


def _alone_s(trainer: _Trainer, model: str) -> float:
    trainer.begin(model, BENCH_S / 2.0)
    return float(trainer.answer()["step_s"])
