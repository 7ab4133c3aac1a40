"""What no command can use is refused at once, in words: numbers, names, files that never end, places to write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dcsim.errors import InputError
from dcsim.workload.profile_store import builtin_profiles
from trainers.__main__ import main
from trainers.large.architecture import read_architecture
from trainers.validation.gather import gather
from trainers.worker import serve

PROFILE = str(builtin_profiles()["digits_mlp"])
LARGE = str(Path(__file__).parents[2] / "scenarios" / "profiles" / "gpt3_175b.json")

USAGE = [
    (["calibrate", "linear", "--budget-s", "-5"], "'-5' -> expected a number above 0"),
    (["calibrate", "linear", "--max-spread", "nan"], "'nan' -> expected a number above 0"),
    (["calibrate", "linear", "--max-spread", "inf"], "'inf' -> expected a number above 0"),
    (["calibrate", "linear", "--budget-s", "soon"], "'soon' -> expected a number above 0"),
    (["calibrate", "linear", "--target", "nan"], "'nan' -> expected a number above 0 and below 1"),
    (["calibrate", "linear", "--devices", "1,nan"], "'1,nan' -> expected integers >= 1"),
    (["calibrate", "linear", "--device", "A100"], "did you mean 'A100-40'?"),
    (["validate", "holdout", "--budget-s", "0"], "'0' -> expected a number above 0"),
    (["validate", "holdout", "--worst-error", "nan"], "'nan' -> expected a number above 0"),
    (["validate", "closed-loop", "--budget-s", "-inf"], "expected"),
    (["predict", PROFILE, "--overlap", "nan"], "'nan' -> expected a number from 0 to 1"),
    (["import", "trace", "x", "--devices", "1", "--batch", "1", "--warm-up", "-5"], "an integer from 0"),
    (["import", "csv", "x", "--device", "../../x"], "'../../x' -> expected a name of letters"),
]


@pytest.mark.parametrize(("arguments", "said"), USAGE)
def test_values_that_are_none_are_refused_with_what_is_expected(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["calibrate", "linear"],
        ["compile", "linear"],
        ["large", "gpt2"],
        ["predict", PROFILE],
        ["validate", "holdout"],
        ["validate", "page"],
    ],
)
def test_where_nothing_can_be_written_no_work_is_begun(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--out", str(file / "x" / "y.json")])
    assert stopped.value.code == 2
    assert "file is a file -> expected a place below a folder" in capsys.readouterr().err


def test_a_folder_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["predict", PROFILE, "--out", str(tmp_path)])
    assert "a folder -> expected the name of a file" in capsys.readouterr().err
    assert main(["predict", PROFILE, "--out", str(tmp_path / "new" / "x.json")]) == 0


REFUSED = [
    (["calibrate", "linear", "--batch", "1000000000"], ["2,000,000,000 samples", "at most 1,048,576"]),
    (["calibrate", "linear", "--devices", "4096"], ["4096 -> expected one of at most", "the cores here"]),
    (["compile", "linear", "--batch", "1000000000"], ["1,000,000,000 -> expected at most 1,048,576"]),
    (["predict", PROFILE, "--device", "nope"], ["nope -> expected one of cpu-core"]),
    (["predict", PROFILE, "--latency", "5parsec"], ["--latency: '5parsec'"]),
    (["predict", PROFILE, "--latency", "5parsec", "--bandwidth", "1 m"], ["--latency", "--bandwidth"]),
    (
        ["large", "nope", "--device", "nope", "--network", "nan", "--latency", "-1", "--overlap", "nan"],
        ["model: 'nope'", "device: nope", "network: nan", "latency: -1", "overlap: nan"],
    ),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED)
def test_all_that_is_wrong_is_told_at_once(
    arguments: list[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    text = capsys.readouterr().err
    assert [words for words in said if words not in text] == []


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(28, "No space left on device", "x.json"), 2, "error: x.json: No space left on device\n"),
        (MemoryError(), 1, "error: out of memory -> expected a smaller batch or model\n"),
    ],
)
def test_what_the_system_refuses_is_told_in_a_line(
    error: Exception,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("trainers.predict.predict", fail)
    assert main(["predict", PROFILE]) == code
    assert capsys.readouterr().err == said


def test_files_that_never_end_or_go_too_deep_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "deep.json").write_text("[" * 200_000)
    (tmp_path / "long.json").write_text(" " * (2**20 + 1))
    for name, said in (
        ("pipe", "not a regular file"),
        ("deep.json", "too deep"),
        ("long.json", "more than 1 MiB"),
        ("none.json", "No such file"),
    ):
        with pytest.raises(InputError, match=said):
            read_architecture(tmp_path / name)
    with pytest.raises(InputError, match="not a regular file"):
        read_architecture(Path("/dev/zero"))


def test_a_result_that_goes_too_deep_is_told_as_no_result(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(InputError, match=r"Invalid JSON.* -> expected a result of `validate`"):
        gather([tmp_path / "deep.json"])


def test_a_worker_that_cannot_start_says_why_without_frames() -> None:
    (answer,) = serve(iter(['{"devices": 1, "seed": 0, "backend": "cpu", "no_such_field": 1}\n']))  # type: ignore[arg-type]
    assert answer["failed"].startswith("TypeError: ")
    assert "\n" not in answer["failed"]


def test_a_prediction_is_of_the_devices_that_the_profile_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", LARGE]) == 0
    text = capsys.readouterr().out
    assert "1024 x A100-80" in text
    assert "e+" not in text


@pytest.mark.parametrize("command", [["large"], ["large", "gpt2", "--devices", "8"], ["prepare", "linear"]])
def test_tables_fit_a_terminal(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_step_that_the_host_cannot_hold_is_not_taken() -> None:
    measure = pytest.importorskip("trainers.measure", reason="needs the extra train")
    measure._refuse_more_than_memory(2.0**20)
    with pytest.raises(MemoryError, match="a smaller batch"):
        measure._refuse_more_than_memory(2.0**60)
