"""A run that was broken off and goes on ends bit by bit where it would have ended."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra train")
pytest.importorskip("orbax.checkpoint", reason="needs the extra train")

import jax

import trainers.train as loop
from dcsim.errors import InputError, ResultError
from trainers.checkpoint import Checkpoints, Fingerprint, Saved, fingerprint
from trainers.data import Array, Dataset
from trainers.recipe import Recipe
from trainers.registry import State, Task, load_task
from trainers.train import Training, train

pytestmark = pytest.mark.usefixtures("eight_devices")

STEPS = 12
RECIPE = Recipe("adamw", 1e-2, "cosine", 3, weight_decay=0.01, dropout=0.4, l2=1e-3, clip_norm=1.0)


def shaken(draws: np.random.Generator, x: Array) -> Array:
    """Return augmented samples."""
    return x + draws.normal(scale=0.1, size=x.shape).astype(x.dtype)


@cache
def task_and_data() -> tuple[Task, Dataset]:
    task = load_task("rings", RECIPE, STEPS)
    task = dataclasses.replace(task, card=dataclasses.replace(task.card, augment=shaken))
    return task, task.card.dataset(0)


def remembered(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that makes a thing once for the same task, data and numbers."""
    made: dict[str, Any] = {}

    def once(*given: Any) -> Any:
        key = str([id(each) if isinstance(each, Task | Dataset) else each for each in given])
        if key not in made:
            made[key] = make(*given)
        return made[key]

    return once


@pytest.fixture(scope="module", autouse=True)
def compiled_once() -> Iterator[None]:
    """Let all runs of one task share what is compiled."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("parallelise", "Evaluator", "initial_state"):
            patch.setattr(loop, name, remembered(getattr(loop, name)))
        yield


def run(folder: Path | None = None, **settings: Any) -> Training:
    task, dataset = task_and_data()
    kept = None if folder is None else Checkpoints(folder, keep=2)
    given = {"steps": STEPS, "batch": 10, "evaluate_every": 4, "checkpoint_every": 3}
    return train(task, dataset, checkpoints=kept, **{**given, **settings})


def after(steps: int) -> Callable[[], bool]:
    """Return what asks a run to stop after so many steps."""
    made = iter(range(1, 1000))
    return lambda: next(made) == steps


@pytest.fixture(scope="module")
def whole() -> Training:
    return run()


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that was stopped after 5 of 12 steps, with checkpoints of 3 and 5."""
    folder = tmp_path_factory.mktemp("checkpoints")
    stopped = run(folder, stop=after(5))
    assert (len(stopped.losses), stopped.finished, stopped.metrics) == (5, False, None)
    return folder


def same(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)


def test_a_resumed_run_is_the_whole_run_bit_by_bit(whole: Training, broken: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(broken, tmp_path / "copy")
    rest = run(folder, resume=True)
    assert rest.first == 5
    assert rest.losses == whole.losses[5:]
    assert rest.curve == whole.curve
    assert rest.metrics == whole.metrics
    assert same(rest.state, whole.state)
    assert Checkpoints(folder).steps() == (9, 12)


def test_a_finished_run_has_nothing_left_to_do(whole: Training, tmp_path: Path) -> None:
    assert run(tmp_path).losses == whole.losses
    again = run(tmp_path, resume=True)
    assert (again.first, again.losses, again.curve) == (STEPS, (), whole.curve)
    assert same(again.state, whole.state)


def test_a_checkpoint_of_another_run_is_refused(broken: Path) -> None:
    with pytest.raises(InputError, match="batch: 20 -> expected 10, as in the checkpoint"):
        run(broken, resume=True, batch=20)


def test_steps_that_were_made_cannot_be_taken_back(tmp_path: Path) -> None:
    task = load_task("rings", Recipe("sgd", 1e-2))
    _, dataset = task_and_data()
    train(task, dataset, steps=3, batch=10, checkpoints=Checkpoints(tmp_path))
    with pytest.raises(InputError, match="steps: 2 -> expected at least 3, the steps of the checkpoint"):
        train(task, dataset, steps=2, batch=10, checkpoints=Checkpoints(tmp_path), resume=True)


def test_a_new_run_does_not_mix_its_checkpoints_with_those_of_another(broken: Path) -> None:
    with pytest.raises(InputError, match="checkpoints of step 3, 5 -> expected none, --resume to go on"):
        run(broken)
    assert Checkpoints(broken).steps() == (3, 5)


def test_every_difference_is_named() -> None:
    task, dataset = task_and_data()
    mark = fingerprint(task, dataset, seed=0, batch=10)
    other = load_task("rings", dataclasses.replace(RECIPE, l2=0.5, optimizer="adam", weight_decay=0.0), 30)
    stored = dataclasses.asdict(fingerprint(other, dataset, seed=1, batch=10))
    assert [each.path for each in mark.differences(stored, "file")] == [
        "recipe.l2",
        "recipe.optimizer",
        "recipe.weight_decay",
        "schedule_steps",
        "seed",
    ]


STATE = State({"w": np.arange(2000, dtype=np.float32)}, (np.ones(3, np.float32), None), np.int32(7))
MARK = Fingerprint("toy", {"optimizer": "sgd"}, 0, "nothing", 1, 0, 1)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    assert kept.restore(STATE, MARK) is None
    kept.save(STATE, MARK, {"losses": [0.1, 1e-300]})
    saved = kept.restore(jax.tree.map(np.zeros_like, STATE), MARK)
    assert saved is not None
    assert same(saved.state, STATE)
    assert saved.notes == {"losses": [0.1, 1e-300]}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        # What Orbax finds itself depends on which bytes are hit; a flipped bit of a number goes through to the checksum.
        (lambda text: text.replace('"crc32": ', '"crc32": 1'), "its checksum is wrong"),
        (lambda text: text[:-9], "damaged"),
    ],
)
def test_a_damaged_checkpoint_is_refused_and_the_earlier_one_named(
    tmp_path: Path, damage: Callable[[str], str], reason: str
) -> None:
    kept = Checkpoints(tmp_path)
    kept.save(STATE, MARK, {})
    kept.save(STATE._replace(step=np.int32(9)), MARK, {})
    about = tmp_path / "9" / "about" / "metadata"
    about.write_text(damage(about.read_text()))
    with pytest.raises(ResultError, match=r"9: the checkpoint is damaged .*step 7 is next") as refused:
        kept.restore(STATE, MARK)
    assert reason in str(refused.value)
    saved = kept.restore(STATE, MARK, step=7)
    assert saved is not None
    assert same(saved.state, STATE)


@pytest.mark.parametrize(
    "about", [[1, 2], 7, {"format": 1}, {"format": 1, "fingerprint": "x", "notes": [], "crc32": None}]
)
def test_what_is_written_about_a_checkpoint_is_not_believed(tmp_path: Path, about: Any) -> None:
    kept = Checkpoints(tmp_path)
    kept.save(STATE, MARK, {})
    (tmp_path / "7" / "about" / "metadata").write_text(json.dumps(about))
    with pytest.raises(ResultError, match="7: the checkpoint is damaged"):
        kept.restore(STATE, MARK)


@pytest.mark.parametrize(
    "notes", [{}, {"curve": {}, "since": []}, {"curve": [], "since": [[]]}, "unknown key"]
)
def test_a_learning_curve_that_is_none_is_refused(
    broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notes: Any
) -> None:
    restore = Checkpoints.restore

    def with_notes(self: Checkpoints, like: State, mark: Fingerprint) -> Saved | None:
        saved = restore(self, like, mark)
        assert saved is not None
        point = {**saved.notes["curve"][0], "surprise": 1}
        given = {"curve": [point], "since": []} if isinstance(notes, str) else notes
        return dataclasses.replace(saved, notes=given)

    monkeypatch.setattr(Checkpoints, "restore", with_notes)
    with pytest.raises(ResultError, match="5: the checkpoint is damaged"):
        run(shutil.copytree(broken, tmp_path / "copy"), resume=True)


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
import numpy as np
from trainers.checkpoint import Checkpoints, Fingerprint
from trainers.registry import State

def killer(event, arguments):
    # The last thing Orbax does is to move the finished folder to its place.
    if event == "os.rename" and Path(os.fsdecode(arguments[1])).name == "9":
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(killer)
kept = Checkpoints(Path(sys.argv[1]))
mark = Fingerprint("toy", {"optimizer": "sgd"}, 0, "nothing", 1, 0, 1)
for step in (7, 9):
    state = State({"w": np.arange(2000, dtype=np.float32)}, (np.ones(3, np.float32), None), np.int32(step))
    kept.save(state, mark, {})
"""


def test_a_kill_while_writing_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert any("tmp" in path.name for path in tmp_path.iterdir())
    kept = Checkpoints(tmp_path)
    assert kept.steps() == (7,)
    saved = kept.restore(STATE, MARK)
    assert saved is not None
    assert same(saved.state, STATE)
    kept.save(STATE._replace(step=np.int32(9)), MARK, {})
    assert kept.steps() == (7, 9)
