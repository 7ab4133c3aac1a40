"""`train` as it is typed: what it prints, writes and refuses, and how it is interrupted and goes on."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jax", reason="needs the extra train")

import trainers.commands.train as command
from trainers.__main__ import main

pytestmark = pytest.mark.usefixtures("eight_devices")

STAGES = {"data", "import", "init", "compile", "input", "train", "evaluate"}


@pytest.fixture(autouse=True)
def own_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what the command sets: JAX runs already."""
    monkeypatch.setenv("XLA_FLAGS", "")


def test_it_prints_a_falling_loss_and_writes_what_it_came_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["train", "linear", "--steps", "200", "--batch", "50", "--devices", "2", "--eval-every", "50"]
    assert main([*asked, "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    losses = [float(line.split()[3]) for line in told if line.startswith("step")]
    assert len(losses) == 5
    assert losses[-1] < losses[0] / 100
    table = [line.split() for line in told if line.startswith(("held-out", "loss"))]
    assert table[0] == ["held-out", "samples", "100"]

    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert [(row["step"], row["samples"]) for row in rows] == [(str(n * 50), str(n * 5000)) for n in range(5)]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert float(rows[-1]["test_loss"]) == summary["metrics"]["loss"]
    assert summary["parameters"] == 11
    assert summary["run"]["epochs"] == 200.0
    assert set(summary["time_s"]["wall"]) == set(summary["time_s"]["cpu"]) == STAGES
    assert all(seconds >= 0.0 for seconds in summary["time_s"]["wall"].values())
    assert summary["provenance"]["seed"] == 0
    assert summary["provenance"]["command"].startswith("python -m trainers train linear --batch 50")
    assert str(tmp_path) not in json.dumps(summary)


def test_everything_wrong_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = "--steps 0 --dropout 1 --schedule cosin --batch 999 --accumulation 7 --epochs -1 --mode x --devices 0 --resume"
    assert main(["train", "linear", *wrong.split()]) == 2
    said = capsys.readouterr().err
    assert [line.removeprefix("error: ").split(": ")[1] for line in said.splitlines()] == [
        "--schedule",
        "--dropout",
        "--steps",
        "--batch",
        "--epochs",
        "--epochs",
        "--devices",
        "--batch",
        "--mode",
        "--checkpoint",
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--devices", "9", "--batch", "1"], "9 devices -> expected 1 to 8"),
        (
            ["--mode", "pipeline", "--devices", "2", "--batch", "2"],
            "mode pipeline on 2 devices: modules Dense_0",
        ),
    ],
)
def test_a_layout_that_cannot_be_is_refused(
    wrong: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "linear", "--steps", "1", *wrong]) == 2
    assert message in capsys.readouterr().err


def test_a_signal_ends_the_run_after_the_step_and_resume_goes_on(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ["train", "linear", "--steps", "4", "--eval-every", "2", "--checkpoint", str(tmp_path / "kept")]
    tell = command._tell

    def interrupting(point: Any) -> None:
        tell(point)
        if point.step == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(command, "_tell", interrupting)
    assert main(asked) == 130
    told = capsys.readouterr()
    assert "stopped after step 2, which is kept" in told.out
    assert "once more stops at once" in told.err
    monkeypatch.undo()
    monkeypatch.setenv("XLA_FLAGS", "")
    assert main([*asked, "--resume"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("step")] == [
        "4"
    ]


def test_a_second_signal_interrupts_at_once_and_handlers_are_put_back() -> None:
    from trainers.interrupt import Interrupt

    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.requested()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    "wrong", [["--epochs", "1e300"], ["--epochs", "1e308"], ["--steps", "100000000000000000000"]]
)
def test_more_steps_than_can_be_counted_are_refused(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "linear", *wrong]) == 2
    assert "expected at most 2147483647" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["train", "search", "infer", "compress", "distributed"])
def test_where_nothing_can_be_written_no_work_is_done(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as ended:
        main([name, "linear", "--out", str(tmp_path / "file" / "out")])
    assert ended.value.code == 2
    assert "a place below a folder" in capsys.readouterr().err
