"""How commands end: exit codes, what is said on stderr, and that nothing is left behind."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from dcsim.errors import DeadlockError

Dcsim = Callable[..., Result]
FAILED, UNUSABLE_INPUT, INTERRUPTED = 1, 2, 130


def _words(message: str) -> str:
    """A message without the frame and the line breaks that typer puts around it."""
    return " ".join(message.replace("│", " ").split())


def test_every_problem_of_a_scenario_is_named_and_nothing_is_written(
    dcsim: Dcsim, scenario_file: Path, tmp_path: Path
) -> None:
    text = scenario_file.read_text(encoding="utf-8")
    broken = text.replace("accelerators: 4", "accelerators: -4").replace("description", "descripton")
    scenario_file.write_text(broken, encoding="utf-8")
    out = tmp_path / "out"
    for arguments in (["check"], ["run", "--out", out], ["compare", "--out", out]):
        result = dcsim(arguments[0], scenario_file, *arguments[1:])
        assert result.exit_code == UNUSABLE_INPUT
        assert result.stdout == ""
        assert f"{scenario_file}:2:" in result.stderr
        assert "did you mean" in result.stderr
        assert f"{scenario_file}:7:" in result.stderr
        assert "-4" in result.stderr
        assert "2 problems" in result.stderr
        assert not out.exists()


def test_a_missing_file_is_unusable_input(dcsim: Dcsim, tmp_path: Path) -> None:
    result = dcsim("run", tmp_path / "absent.yaml")
    assert result.exit_code == UNUSABLE_INPUT
    assert "absent.yaml" in result.stderr


def test_a_mistyped_policy_is_named_with_the_nearest(
    dcsim: Dcsim, scenario_file: Path, tmp_path: Path
) -> None:
    for command in ("run", "compare"):
        result = dcsim(command, scenario_file, "--placement", "sprad", "--out", tmp_path / "out")
        assert result.exit_code == UNUSABLE_INPUT
        assert "did you mean 'spread'" in _words(result.stderr)
        assert not (tmp_path / "out").exists()


def test_one_policy_to_a_run(dcsim: Dcsim, scenario_file: Path) -> None:
    result = dcsim("run", scenario_file, "--placement", "spread,best_fit")
    assert result.exit_code == UNUSABLE_INPUT
    assert "dcsim compare" in _words(result.stderr)


def test_a_data_folder_that_does_not_exist_is_refused(
    dcsim: Dcsim, scenario_file: Path, tmp_path: Path
) -> None:
    result = dcsim("check", scenario_file, "--data", tmp_path / "absent")
    assert result.exit_code == UNUSABLE_INPUT
    assert "is not a folder" in _words(result.stderr)


def test_a_profile_folder_without_any_profile_used_is_refused(
    dcsim: Dcsim, scenario_file: Path, tmp_path: Path
) -> None:
    result = dcsim("check", scenario_file, "--profiles", tmp_path)
    assert result.exit_code == UNUSABLE_INPUT
    assert "holds no profile" in _words(result.stderr)


def _raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_a_failed_simulation_is_one_clean_message(
    dcsim: Dcsim, scenario_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "dcsim.simulation.simulate", _raising(DeadlockError("jobs a, b wait for 16 accelerators"))
    )
    result = dcsim("run", scenario_file)
    assert result.exit_code == FAILED
    assert result.stderr == "error: jobs a, b wait for 16 accelerators\n"


def test_a_full_disk_is_a_message_with_the_path(
    dcsim: Dcsim, scenario_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/mnt/study")
    monkeypatch.setattr("dcsim.simulation.simulate", _raising(full))
    result = dcsim("run", scenario_file)
    assert result.exit_code == FAILED
    assert result.stderr == "error: /mnt/study: No space left on device\n"


def test_an_interrupted_comparison_says_how_to_go_on(
    dcsim: Dcsim, scenario_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("dcsim.study.compare", _raising(KeyboardInterrupt()))
    command = ["compare", str(scenario_file), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", ["dcsim", *command])
    result = dcsim(*command)
    assert result.exit_code == INTERRUPTED
    assert "finished runs are kept" in result.stderr
    assert f"dcsim compare {scenario_file} --out {tmp_path / 'out'}" in result.stderr


def test_a_bug_is_not_hidden(dcsim: Dcsim, scenario_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcsim.simulation.simulate", _raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        dcsim("run", scenario_file)


def test_the_installed_command_exits_as_documented(scenario_file: Path) -> None:
    command = [sys.executable, "-m", "dcsim", "check"]
    good = subprocess.run([*command, scenario_file], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    scenario_file.write_text("name: [", encoding="utf-8")
    bad = subprocess.run([*command, scenario_file], capture_output=True, text=True, check=False)
    assert bad.returncode == UNUSABLE_INPUT
    assert "Traceback" not in bad.stderr
