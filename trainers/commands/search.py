"""`search`: try recipes and batches, and rank them by samples that training has not seen."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcsim.errors import InputError, Problem
from trainers import require_jax
from trainers.card import Card
from trainers.commands.arguments import model, positive, say, seed
from trainers.commands.outputs import out_folder
from trainers.interrupt import Interrupt
from trainers.recipe import Recipe, run_problems
from trainers.registry import card
from trainers.space import Axis, Value, axis_from

if TYPE_CHECKING:
    from trainers.data import Dataset
    from trainers.trial import Trial

__all__ = ["add", "run"]

EXIT_FAILED = 1
EXIT_SIGNAL = 128
FIELDS = ("batch", *(field.name for field in fields(Recipe)))
MINIMISED = ("loss", "perplexity")
METRICS = {
    "regression": ("loss",),
    "binary": ("accuracy", "precision", "recall", "f1", "loss"),
    "classes": ("accuracy", "precision", "recall", "f1", "loss"),
    "tokens": ("loss", "perplexity", "accuracy"),
}
"""By kind of model; the first is the default."""
VALIDATION = 0.1
"""Share of the training samples that trials are ranked by."""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names the type privately
    """Add the command to those of `python -m trainers`."""
    search = commands.add_parser("search", help="search recipes and batches for the best ones")
    search.add_argument("model", type=model)
    search.add_argument(
        "--try", dest="axes", action="append", default=[], metavar="NAME=VALUES",
        help="e.g. dropout=0,0.2 or learning_rate=1e-4:1e-1:log",
    )  # fmt: skip
    search.add_argument("--method", choices=("grid", "random", "optuna"), default="random")
    search.add_argument("--trials", type=positive, default=10, help="at most")
    search.add_argument("--steps", type=positive, help="of each trial (default: the model's own number)")
    search.add_argument("--metric", help="to rank by (default: accuracy, else loss)")
    search.add_argument("--seed", type=seed, default=0)
    search.add_argument(
        "--out", type=out_folder, default=Path("search"), metavar="DIR", help="journal and results"
    )
    search.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Search as the options say; a search that was broken off goes on."""
    require_jax()
    chosen = card(options.model)
    steps = options.steps or chosen.train_steps
    dataset = chosen.dataset(options.seed)
    axes = _axes(options, chosen, len(_with_validation(dataset).train_x))
    metric = options.metric or METRICS[chosen.kind][0]
    from trainers.files import write_text
    from trainers.search import search
    from trainers.trial import Request, trials_csv

    request = Request(
        options.model, options.method, axes, options.trials, options.seed, f"validation_{metric}",
        maximise=metric not in MINIMISED, settings={"steps": steps, "recipe": asdict(chosen.recipe)},
    )  # fmt: skip
    journal, table = options.out / "trials.jsonl", options.out / "trials.csv"
    note = "stopping after this step; this trial is left out; once more stops at once"
    with Interrupt(note) as interrupt:
        trying = _Trying(chosen, steps, options.seed, dataset, interrupt.requested)
        trials = search(
            request, trying, journal, stop=interrupt.requested, on_trial=lambda trial: _tell(trial, metric)
        )
    if trials:
        write_text(table, trials_csv(trials))
        _report(trials, metric)
        say(f"wrote {table}")
    if interrupt.signal is None:
        return EXIT_FAILED if trials and trials[0].diverged else 0
    say(f"stopped after {len(trials)} trials, which are kept: the same command goes on from there")
    return EXIT_SIGNAL + interrupt.signal


def _report(trials: Sequence[Trial], metric: str) -> None:
    """Say which trial is the best and which ones ran away."""
    best, lost = trials[0], [trial for trial in trials if trial.diverged]
    if best.diverged:
        say(f"every trial diverged, {len(trials)} of them: there is no best one")
    else:
        say(f"best of {len(trials)}: {_values(best.values)}")
        say(f"validation {metric} {best.metrics[f'validation_{metric}']:.4f}, "
            f"held out {best.metrics[f'test_{metric}']:.4f}")  # fmt: skip
    for trial in lost:
        say(f"diverged, ranked last: trial {trial.number}, {_values(trial.values)}")


class _Trying:
    """Trains with one set of values; ranks by samples set apart from the training part, so that the held-out ones
    stay unseen by the choice as well."""  # noqa: D205, D209 - one sentence

    def __init__(
        self, chosen: Card, steps: int, number: int, dataset: Dataset, stop: Callable[[], bool]
    ) -> None:
        self._card = chosen
        self._steps = steps
        self._seed = number
        self._dataset = dataset
        self._stop = stop

    def __call__(self, values: Mapping[str, Value]) -> Mapping[str, float] | None:
        """Return validation and held-out metrics; None where it was stopped."""
        from trainers.evaluate import Evaluator
        from trainers.registry import load_task
        from trainers.train import train

        ranking = _with_validation(self._dataset)
        recipe, batch = _trial(self._card, values, len(ranking.train_x))
        recipe = replace(recipe, warmup_steps=min(recipe.warmup_steps, self._steps // 4))
        task = load_task(self._card.name, recipe, self._steps)
        trained = train(task, ranking, steps=self._steps, batch=batch, seed=self._seed, stop=self._stop)
        if not trained.finished:
            return None
        evaluator = Evaluator(task)
        found: dict[str, float] = {}
        for name, dataset in (("validation", ranking), ("test", self._dataset)):
            metrics = evaluator(trained.state, dataset, batch=batch).scalars()
            found |= {f"{name}_{key}": value for key, value in metrics.items()}
        return found


def _trial(chosen: Card, values: Mapping[str, Value], samples: int) -> tuple[Recipe, int]:
    """Return the recipe and the batch of a trial; the model's own batch may be more than the samples left to train on."""
    changed: dict[str, Any] = {name: value for name, value in values.items() if name != "batch"}
    if changed.get("optimizer", chosen.recipe.optimizer) != "adamw":
        changed.setdefault("weight_decay", 0.0)
    return replace(chosen.recipe, **changed), int(values.get("batch", min(samples, chosen.train_batch)))


def _with_validation(dataset: Dataset) -> Dataset:
    """Return the data set with the last tenth of its training samples, which are shuffled, held out instead."""
    kept = len(dataset.train_x) - max(1, int(VALIDATION * len(dataset.train_x)))
    return replace(
        dataset,
        train_x=dataset.train_x[:kept],
        train_y=dataset.train_y[:kept],
        test_x=dataset.train_x[kept:],
        test_y=dataset.train_y[kept:],
    )


def _axes(options: argparse.Namespace, chosen: Card, samples: int) -> tuple[Axis, ...]:
    """Return what to choose from, or refuse with everything that is wrong with it."""
    wrong: list[Problem] = []
    axes: list[Axis] = []
    for text in options.axes:
        try:
            axes.append(axis_from(text))
        except InputError as error:
            wrong += [replace(each, file="options", path="--try") for each in error.problems]
    if not options.axes:
        wrong.append(Problem("options", None, "--try", "nothing", f"a field of {', '.join(FIELDS)}"))
    names = [axis.name for axis in axes]
    for axis in axes:
        if axis.name not in FIELDS:
            wrong.append(Problem("options", None, "--try", axis.name, f"one of {', '.join(FIELDS)}"))
        elif names.count(axis.name) > 1:
            wrong.append(Problem("options", None, "--try", axis.name, "each name once"))
        else:
            wrong += _impossible(chosen, axis, samples)
    known = METRICS[chosen.kind]
    if options.metric is not None and options.metric not in known:
        wrong.append(Problem("options", None, "--metric", options.metric, f"one of {', '.join(known)}"))
    if wrong:
        raise InputError(list(dict.fromkeys(wrong)))
    return tuple(axes)


def _impossible(chosen: Card, axis: Axis, samples: int) -> Sequence[Problem]:
    """Return what is wrong with the values of one axis, its ends included."""
    found: list[Problem] = []
    for value in axis.grid():
        try:
            recipe, batch = _trial(chosen, {axis.name: value}, samples)
            problems = run_problems(recipe, steps=1, batch=batch, schedule_steps=0)
            if batch > samples and axis.name == "batch":
                expected = f"at most {samples}, the samples to train on beside those to rank by"
                problems += (Problem("recipe", None, axis.name, str(value), expected),)
        except (TypeError, ValueError):
            problems = (Problem("recipe", None, axis.name, str(value), "a value of that field"),)
        found += [replace(each, file="options", path=f"--try {axis.name}") for each in problems]
    return found


def _values(values: Mapping[str, Value]) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )


def _tell(trial: Trial, metric: str) -> None:
    say(
        f"trial {trial.number:3d}  {metric} {trial.metrics[f'validation_{metric}']:.4f}  {_values(trial.values)}"
    )
