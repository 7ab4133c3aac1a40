"""The loop: batches in; a trained state, its losses and its learning curve out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax

from dcsim.errors import InputError, Problem
from trainers.curve import CurvePoint, point_from
from trainers.data import Array, Dataset, batches
from trainers.evaluate import Evaluator
from trainers.metrics import Metrics
from trainers.optimizer import schedule
from trainers.parallel import Mode, Parallel, parallelise
from trainers.recipe import run_problems
from trainers.registry import State, Task, initial_state
from trainers.stages import Stages

if TYPE_CHECKING:
    from trainers.checkpoint import Checkpoints, Fingerprint

__all__ = ["Training", "train"]

COMPILING_STEPS = 2
"""pmap compiles again on its second call when the first returned differently placed arrays."""


@dataclass(frozen=True)
class Training:
    """What a training run leaves."""

    state: State
    """On the host, one copy."""
    losses: tuple[float, ...]
    """Mean loss of each step's batch, before its update, of the steps made here: penalties included."""
    first: int = 0
    """Number of the first of these steps; above 0 where the run went on from a checkpoint."""
    curve: tuple[CurvePoint, ...] = ()
    """From the very start, also where the run went on from a checkpoint; empty without `evaluate_every`."""
    metrics: Metrics | None = None
    """On all held-out samples, at the end; None without `evaluate_every`, or where the run was stopped."""
    finished: bool = True
    """Whether all steps were made; False where `stop` ended the run before."""
    stages: Stages = field(default_factory=Stages)
    """init, compile (the first two steps), input (making batches), train, evaluate, checkpoint."""


def train(
    task: Task,
    dataset: Dataset,
    *,
    steps: int,
    batch: int,
    devices: int = 1,
    mode: Mode = "jit",
    seed: int = 0,
    on_step: Callable[[int, float], None] | None = None,
    evaluate_every: int = 0,
    on_evaluate: Callable[[CurvePoint], None] | None = None,
    checkpoints: Checkpoints | None = None,
    checkpoint_every: int = 0,
    resume: bool = False,
    start: Any = None,  # noqa: ANN401 - a pytree
    stop: Callable[[], bool] = lambda: False,
    stages: Stages | None = None,
) -> Training:
    """Train for a number of steps, from scratch or from where a checkpoint left off.

    A run that goes on from a checkpoint ends bit by bit where it would have ended without the break, on the same
    devices and in the same mode; on others to rounding, and with other dropout masks.

    Args:
        task: what to train; with a schedule, loaded with the same `steps`.
        dataset: what to train on.
        steps: updates from the very start, at least 1; a resumed run makes those that are missing.
        batch: samples per device and step.
        devices: how many devices share a step.
        mode: how they share it.
        seed: of the first parameters and of the order of samples.
        on_step: called with each step's number, from 0, and its loss.
        evaluate_every: steps between points of the learning curve, which has one before the first step and one
            after the last too; 0: no curve.
        on_evaluate: called with each point.
        checkpoints: where to keep them; None: nowhere.
        checkpoint_every: steps between checkpoints; one is written at the end too. 0: at the end only.
        resume: whether to go on from the latest checkpoint, if there is one.
        start: parameters to begin with, on the host; None: freshly drawn ones.
        stop: asked after each step; where it says yes the run writes a checkpoint and ends.
        stages: where to count the time; None: a new one.

    Raises:
        InputError: for a recipe, steps or a batch that cannot be, all at once; for devices and a mode that cannot
            share this model and batch; for a checkpoint of another run or of more steps; for a folder that holds checkpoints without
            `resume`.
        ResultError: if the checkpoint is damaged.
    """
    if problems := run_problems(task.recipe, steps=steps, batch=batch, schedule_steps=task.steps):
        raise InputError(problems)
    with _refusing(mode, devices):
        parallel = parallelise(task, mode, devices)
    loop = _Loop(task, dataset, parallel, stages or Stages(), batch, seed)
    if checkpoints is not None:
        loop.keep(checkpoints, resume=resume)
    loop.begin(start, resume=resume)
    loop.require(steps)
    hooks = _Hooks(on_step, on_evaluate, stop, evaluate_every, checkpoint_every)
    return _run(loop, steps, hooks)


@dataclass(frozen=True)
class _Hooks:
    """What happens between steps."""

    on_step: Callable[[int, float], None] | None
    on_evaluate: Callable[[CurvePoint], None] | None
    stop: Callable[[], bool]
    evaluate_every: int
    checkpoint_every: int


def _run(loop: _Loop, steps: int, hooks: _Hooks) -> Training:
    """Make the steps that are missing."""
    first, every = loop.made, hooks.evaluate_every
    if every and not loop.curve:
        loop.evaluate(hooks.on_evaluate)
    while loop.made < steps:
        loop.step()
        if hooks.on_step is not None:
            hooks.on_step(loop.made - 1, loop.losses[-1])
        last = loop.made == steps
        if every and (last or loop.made % every == 0):
            loop.evaluate(hooks.on_evaluate)
        if not last and hooks.stop():
            loop.save()
            return loop.training(first, finished=False)
        if last or (hooks.checkpoint_every and loop.made % hooks.checkpoint_every == 0):
            loop.save()
    return loop.training(first, finished=True)


@contextmanager
def _refusing(mode: Mode, devices: int) -> Iterator[None]:
    """Turn what a parallel mode says of a layout that cannot be into an error of the input."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"mode {mode} on {devices} devices: {error}") from error


class _Loop:
    """A run between two steps."""

    def __init__(
        self, task: Task, dataset: Dataset, parallel: Parallel, stages: Stages, batch: int, seed: int
    ) -> None:
        self._task = task
        self._dataset = dataset
        self._parallel = parallel
        self._stages = stages
        self._batch = batch
        self._seed = seed
        self._evaluator = Evaluator(task)
        self._rate = schedule(task.recipe, task.steps)
        self._checkpoints: Checkpoints | None = None
        self._mark: Fingerprint | None = None
        self._source: Iterator[tuple[Array, Array]] = iter(())
        self._state: State
        self._metrics: Metrics | None = None
        self._since: list[float] = []
        """Losses since the last point of the curve."""
        self.made = 0
        """Updates from the very start."""
        self.losses: list[float] = []
        self.curve: list[CurvePoint] = []

    def keep(self, checkpoints: Checkpoints, *, resume: bool) -> None:
        """Keep checkpoints there; a run that does not go on from one takes an empty folder."""
        from trainers.checkpoint import fingerprint

        if not resume:
            checkpoints.require_empty()
        self._checkpoints = checkpoints
        self._mark = fingerprint(self._task, self._dataset, seed=self._seed, batch=self._whole_batch)

    def _go_on(self, notes: Mapping[str, Any], step: int) -> None:
        """Take the learning curve of a checkpoint."""
        curve, since = notes.get("curve"), notes.get("since")
        try:
            if not isinstance(curve, list) or not isinstance(since, list):
                raise ValueError("no learning curve")  # noqa: TRY301, TRY004 - one message for all that is damaged
            self.curve = [point_from(point) for point in curve]
            self._since = [float(loss) for loss in since]
        except (TypeError, ValueError) as error:
            if self._checkpoints is None:
                raise
            raise self._checkpoints.damaged(step, str(error)) from error

    @property
    def _whole_batch(self) -> int:
        return self._batch * self._parallel.devices

    def begin(self, start: Any, *, resume: bool) -> None:  # noqa: ANN401 - a pytree
        """Draw the first state or read one, and place it."""
        with self._stages("init"):
            state = initial_state(self._task, self._dataset, self._seed)
            if start is not None:
                state = state._replace(
                    params=start, opt_state=jax.device_get(self._task.optimizer.init(start))
                )
        if resume and self._checkpoints is not None and self._mark is not None:
            with self._stages("checkpoint"):
                saved = self._checkpoints.restore(state, self._mark)
            if saved is not None:
                state = saved.state
                self._go_on(saved.notes, int(state.step))
        self.made = int(state.step)
        source = batches(
            self._dataset,
            self._whole_batch,
            self._seed,
            first=self.made,
            augment=self._task.card.augment,
        )
        with _refusing(self._parallel.mode, self._parallel.devices):
            self._state = self._parallel.place_state(state)
            first = next(source)
            self._parallel.place_batch(first)
        self._source = itertools.chain([first], source)

    def require(self, steps: int) -> None:
        """Refuse to end before what the checkpoint has."""
        if self.made > steps:
            expected = f"at least {self.made:,}, the steps of the checkpoint"
            raise InputError(
                [Problem("run", None, "steps", str(steps), expected, "they cannot be taken back")]
            )

    def step(self) -> None:
        """Make one update and wait for its loss."""
        with self._stages("input"):
            batch = self._parallel.place_batch(next(self._source))
        with self._stages("compile" if len(self.losses) < COMPILING_STEPS else "train"):
            self._state, loss = self._parallel.step(self._state, *batch)
            # Under pmap every device returns the same averaged loss.
            value = float(jax.device_get(loss).reshape(-1)[0])
        self.losses.append(value)
        self._since.append(value)
        self.made += 1

    def evaluate(self, tell: Callable[[CurvePoint], None] | None) -> None:
        """Add a point to the curve."""
        with self._stages("evaluate"):
            state = self._parallel.fetch_state(self._state)
            held_out = len(self._dataset.test_x)
            seen = self._evaluator(state, self._dataset, part="train", batch=self._batch, limit=held_out)
            self._metrics = self._evaluator(state, self._dataset, batch=self._batch)
        mean = math.fsum(self._since) / len(self._since) if self._since else None
        self._since = []
        point = CurvePoint(
            step=self.made,
            samples=self.made * self._whole_batch,
            learning_rate=float(self._rate(self.made)),
            batch_loss=mean,
            train=seen.scalars(),
            test=self._metrics.scalars(),
        )
        self.curve.append(point)
        if tell is not None:
            tell(point)

    def save(self) -> None:
        """Write a checkpoint, if they are kept."""
        if self._checkpoints is None or self._mark is None:
            return
        with self._stages("checkpoint"):
            notes = {"curve": [point.as_json() for point in self.curve], "since": self._since}
            self._checkpoints.save(self._parallel.fetch_state(self._state), self._mark, notes)

    def training(self, first: int, *, finished: bool) -> Training:
        """Return what the run leaves."""
        return Training(
            state=self._parallel.fetch_state(self._state),
            losses=tuple(self.losses),
            first=first,
            curve=tuple(self.curve),
            metrics=self._metrics if finished else None,
            finished=finished,
            stages=self._stages,
        )
