"""A search tries what it says, in the same order every time, also when it is broken off in between."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dcsim.errors import InputError, MissingExtraError
from trainers.__main__ import main
from trainers.checked_line import checked_line
from trainers.search import search
from trainers.space import Choice, Range, axis_from
from trainers.trial import Method, Request, Trial, trials_csv
from trainers.trial_journal import TrialJournal

AXES = (axis_from("rate=1e-4:1e-1:log"), axis_from("width=4,8,16"), axis_from("layers=1:3"))


def request_of(method: Method, trials: int = 8, **changed: Any) -> Request:
    given = {"seed": 3, "metric": "loss", "maximise": False, "settings": {"steps": 10}}
    return Request("model", method, AXES, trials, **{**given, **changed})


def bowl(values: Mapping[str, Any]) -> dict[str, float]:
    """Return a loss that is least at rate 0.01, width 8, 2 layers."""
    off = math.log10(values["rate"]) + 2.0
    return {"loss": off**2 + abs(values["width"] - 8) / 8 + abs(values["layers"] - 2)}


METHODS = ["grid", "random", pytest.param("optuna", marks=pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="needs the extra search"))]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_a_search_that_was_broken_off_ends_like_one_that_was_not(method: Method, tmp_path: Path) -> None:
    whole = search(request_of(method, 14), bowl, tmp_path / "whole")
    asked: list[Any] = []

    def counting(values: Mapping[str, Any]) -> dict[str, float]:
        asked.append(values)
        return bowl(values)

    journal = tmp_path / "broken"
    search(request_of(method, 14), counting, journal, stop=lambda: len(asked) == 5)
    # Killed while the sixth was written down.
    with journal.open("a") as file:
        file.write('{"number": 5, "val')
    assert search(request_of(method, 14), counting, journal) == whole
    assert len(asked) == 14
    assert len(journal.read_text().splitlines()) == 15
    assert [trial.metrics["loss"] for trial in whole] == sorted(trial.metrics["loss"] for trial in whole)


def test_a_grid_is_every_combination_once(tmp_path: Path) -> None:
    trials = search(request_of("grid", 100), bowl, tmp_path / "journal")
    points = {tuple(trial.values.values()) for trial in trials}
    assert len(trials) == len(points) == 27
    assert {point[2] for point in points} == {1, 2, 3}
    assert sorted({point[0] for point in points}) == pytest.approx([1e-4, 10**-2.5, 1e-1])


def test_random_trials_depend_on_seed_and_number_only(tmp_path: Path) -> None:
    found = {
        name: sorted(search(request, bowl, tmp_path / name), key=lambda trial: trial.number)
        for name, request in (
            ("few", request_of("random", 3)),
            ("many", request_of("random", 200)),
            ("other", request_of("random", 3, seed=4)),
        )
    }
    assert found["many"][:3] == found["few"]
    assert found["other"] != found["few"]
    assert all(1e-4 <= trial.values["rate"] <= 1e-1 for trial in found["many"])  # type: ignore[operator]
    below = sum(trial.values["rate"] < 10**-2.5 for trial in found["many"])  # type: ignore[operator]
    # Even in the logarithm: half of 200, with a standard deviation of 7.
    assert 70 < below < 130


def test_more_trials_go_on_and_another_search_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "trials.jsonl"
    few = search(request_of("random", 2), bowl, journal)
    assert {trial.number for trial in search(request_of("random", 4), bowl, journal)} == {0, 1, 2, 3}
    assert len(few) == 2
    with pytest.raises(InputError, match=r"trials\.jsonl:1: seed: 4 -> expected 3, as in the journal"):
        search(request_of("random", seed=4), bowl, journal)


def test_diverged_trials_come_last(tmp_path: Path) -> None:
    values = iter([math.nan, 2.0, math.inf, 1.0])
    trials = search(request_of("random", 4), lambda _: {"loss": next(values)}, tmp_path / "journal")
    assert [trial.number for trial in trials] == [3, 1, 0, 2]
    again = search(request_of("random", 4), bowl, tmp_path / "journal")
    assert [trial.number for trial in again] == [3, 1, 0, 2]


def test_a_classifier_of_nan_is_diverged_however_often_it_guesses_right(tmp_path: Path) -> None:
    found = iter([{"accuracy": 0.9, "loss": math.nan}, {"accuracy": 0.1, "loss": 2.0}])
    asked = request_of("random", 2, metric="accuracy", maximise=True)
    assert [trial.number for trial in search(asked, lambda _: next(found), tmp_path / "journal")] == [1, 0]
    assert "NaN" not in (tmp_path / "journal").read_text()


def test_a_trial_that_was_stopped_is_left_out(tmp_path: Path) -> None:
    found = iter([{"loss": 1.0}, None])
    assert len(search(request_of("random", 3), lambda _: next(found), tmp_path / "journal")) == 1
    assert len((tmp_path / "journal").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"[]",
        b"[]\n",
        b'{"number": 1}\n',
        b"\xff\xfe\n",
        b"\n",
        b'{"number": 1}',
        checked_line({"a": 1}).encode(),
    ],
)
def test_a_file_that_is_no_journal_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    journal = tmp_path / "trials.jsonl"
    journal.write_bytes(content)
    with pytest.raises(InputError, match=r"^trials\.jsonl:1: .*move it away"):
        search(request_of("random"), bowl, journal)
    assert journal.read_bytes() == content


@pytest.mark.parametrize("torn", ["", "12ab", '12ab34cd {"model"'])
def test_a_journal_torn_in_its_first_line_begins_anew(tmp_path: Path, torn: str) -> None:
    journal = tmp_path / "trials.jsonl"
    journal.write_text(torn)
    assert len(search(request_of("random", 2), bowl, journal)) == 2
    assert len(search(request_of("random", 2), bowl, journal)) == 2


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"\xff\n",
        b"[]\n",
        checked_line({"number": 1}).encode(),
        checked_line({"number": 7, "values": {}, "metrics": {"loss": 1.0}}).encode(),
    ],
)
def test_a_damaged_line_in_the_middle_is_refused_with_its_number(tmp_path: Path, line: bytes) -> None:
    journal = tmp_path / "trials.jsonl"
    search(request_of("random", 3), bowl, journal)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], line, *lines[3:]]))
    with pytest.raises(InputError, match=r"^trials\.jsonl:3: "):
        search(request_of("random", 3), bowl, journal)


def test_a_folder_in_the_place_of_the_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the journal of a search"):
        search(request_of("random"), bowl, tmp_path)


def test_a_changed_trial_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "trials.jsonl"
    search(request_of("random", 1), bowl, journal)
    head, _ = journal.read_text().splitlines(keepends=True)
    journal.write_text(head + checked_line({"number": 0, "values": {"rate": 1.0}, "metrics": {"loss": 0.0}}))
    with pytest.raises(InputError, match=r"trials\.jsonl:2: another trial than"):
        search(request_of("random", 1), bowl, journal)


def test_two_searches_in_one_folder_are_refused(tmp_path: Path) -> None:
    with (
        TrialJournal(tmp_path / "trials.jsonl").alone(),
        pytest.raises(InputError, match="another search writes there"),
    ):
        search(request_of("random"), bowl, tmp_path / "trials.jsonl")


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'dcsim\[search\]'"):
        search(request_of("optuna"), bowl, tmp_path / "journal")


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("optimizer=sgd,adam", Choice("optimizer", ("sgd", "adam"))),
        ("l2=0,1e-3", Choice("l2", (0, 1e-3))),
        ("warmup-steps=1:9", Range("warmup_steps", 1, 9, log=False, whole=True)),
        ("rate=0.1:1:log:5", Range("rate", 0.1, 1.0, log=True, whole=False, points=5)),
    ],
)
def test_axes_are_read_as_typed(text: str, axis: Any) -> None:
    assert axis_from(text) == axis


@pytest.mark.parametrize(
    "text", ["", "rate", "rate=", "=1,2", "rate=1:0", "rate=0:1:log", "rate=1:2:1", "rate=a:b"]
)
def test_what_cannot_be_searched_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected name="):
        axis_from(text)


def test_results_are_a_table_with_a_column_for_each_value_and_metric() -> None:
    table = trials_csv([Trial(1, {"a": 1}, {"loss": 0.5}), Trial(0, {"a": 2}, {"loss": 1.0})])
    assert list(csv.reader(table.splitlines())) == [
        ["trial", "a", "loss"],
        ["1", "1", "0.5"],
        ["0", "2", "1.0"],
    ]


@pytest.mark.usefixtures("eight_devices")
def test_the_command_ranks_by_samples_set_apart_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["search", "linear", "--try", "learning_rate=1e-6,0.05", "--method", "grid", "--steps", "40"]
    assert main([*asked, "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "best of 2: learning_rate 0.05" in told
    rows = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    assert [row["learning_rate"] for row in rows] == ["0.05", "1e-06"]
    assert set(rows[0]) == {"trial", "learning_rate", "validation_loss", "test_loss"}
    head = (tmp_path / "trials.jsonl").read_text().splitlines()[0].partition(" ")[2]
    assert json.loads(head)["metric"] == "validation_loss"
    assert main([*asked, "--out", str(tmp_path)]) == 0
    assert "trial " not in capsys.readouterr().out


@pytest.mark.usefixtures("eight_devices")
def test_a_search_in_which_every_trial_diverged_fails_and_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["search", "linear", "--steps", "20", "--try", "learning_rate=1e30"]
    assert main([*asked, "--trials", "1", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "every trial diverged, 1 of them" in told
    assert "diverged, ranked last: trial 0, learning_rate 1e+30" in told
    assert "best of" not in told


@pytest.mark.usefixtures("eight_devices")
def test_a_signal_stops_a_search_inside_its_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers.train import _Loop

    made: list[int] = []
    step = _Loop.step

    def interrupting(loop: _Loop) -> None:
        step(loop)
        made.append(loop.made)
        if loop.made == 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(_Loop, "step", interrupting)
    asked = ["search", "linear", "--try", "l2=0,1", "--steps", "100000", "--out", str(tmp_path)]
    assert main(asked) == 128 + signal.SIGTERM
    assert made == [1, 2]
    assert "stopped after 0 trials" in capsys.readouterr().out
    assert len((tmp_path / "trials.jsonl").read_text().splitlines()) == 1


def test_a_batch_of_more_than_there_is_to_train_on_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jax", reason="needs the extra train")
    assert main(["search", "linear", "--try", "batch=8,100000", "--out", str(tmp_path)]) == 2
    assert "--try batch: 100000 -> expected at most" in capsys.readouterr().err


def test_everything_wrong_with_a_search_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jax", reason="needs the extra train")
    wrong = ["--try", "dropot=0", "--try", "l2=1:0", "--try", "dropout=0,1.5", "--metric", "accuracy"]
    assert main(["search", "linear", *wrong]) == 2
    said = capsys.readouterr().err
    for part in (
        "dropot -> expected one of batch",
        "'l2=1:0'",
        "--try dropout: 1.5",
        "--metric: accuracy -> expected",
    ):
        assert part in said
