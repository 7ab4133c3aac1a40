"""Several processes train as one would; when one fails, it is heard, and none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from trainers.__main__ import main
from trainers.launch import LaunchError, free_port, run_together

# Says its number and waits for its standard input to end, as a process that hangs would.
WAITS = "import sys, os; print(os.getpid(), flush=True); sys.stdin.read()"


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has asked for its exit code has, too."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return True
    return state == "Z"


def test_only_the_first_process_is_heard_where_all_end_well() -> None:
    heard: list[str] = []
    run_together([python("print('one')"), python("print('two')")], timeout_s=60, say=heard.append)
    assert heard == ["one"]


def test_a_death_is_told_with_its_last_words_and_the_others_are_stopped() -> None:
    heard: list[str] = []
    with pytest.raises(LaunchError, match=r"process 1 of 2 ended with exit code 7(.|\n)*out of memory"):
        run_together(
            [python(WAITS), python("print('out of memory'); raise SystemExit(7)")],
            timeout_s=60,
            say=heard.append,
        )
    # It may have been stopped before it could speak.
    assert all(gone(int(pid)) for pid in heard)


def test_a_signal_is_told_by_its_number() -> None:
    with pytest.raises(LaunchError, match="ended with signal 9"):
        run_together([python("import os; os.kill(os.getpid(), 9)")], timeout_s=60, say=lambda _: None)


def test_what_does_not_end_in_time_is_stopped() -> None:
    with pytest.raises(LaunchError, match=r"process 0, 1: still running after 0\.3 s"):
        run_together([python(WAITS), python(WAITS)], timeout_s=0.3, say=lambda _: None)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_nothing_outlives_a_launcher_that_is_killed() -> None:
    member = (
        "from trainers.launch import die_with_parent; import os, threading; die_with_parent();"
        "print(os.getpid(), flush=True); threading.Event().wait()"
    )
    launcher = (
        "import sys; from trainers.launch import run_together;"
        f"run_together([[sys.executable, '-c', {member!r}]], timeout_s=60, say=lambda line: print(line, flush=True))"
    )
    read, write = os.pipe()
    with subprocess.Popen(python(launcher), stdout=write, pass_fds=()) as process:
        os.close(write)
        pid = int(os.read(read, 100))
        process.kill()
    assert process.returncode == -signal.SIGKILL
    deadline_s = time.monotonic() + 30
    while not gone(pid):
        assert time.monotonic() < deadline_s
    os.close(read)


def test_a_free_port_can_be_bound() -> None:
    assert 0 < free_port() < 65536


@pytest.mark.parametrize(
    ("arguments", "problems"),
    [
        (["--process-id", "0"], ["--process-id: 0 -> expected it together with --coordinator"]),
        (
            ["--coordinator", "node0"],
            ["node0 -> expected HOST:PORT", "--num-processes: nothing", "--process-id: nothing"],
        ),
        (
            ["--coordinator", "node0:99", "--num-processes", "2", "--process-id", "2"],
            ["--process-id: 2 -> expected 0 to 1"],
        ),
        (
            ["--processes", "2", "--coordinator", "a:1", "--backend", "gpu"],
            ["a:1 -> expected nothing beside --processes", "gpu -> expected cpu beside --processes"],
        ),
    ],
)
def test_options_that_contradict_each_other_are_told_together(
    arguments: list[str], problems: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jax", reason="needs the extra train")
    assert main(["distributed", "linear", *arguments]) == 2
    said = capsys.readouterr().err
    assert all(problem in said for problem in problems)


def _saved(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return dict(stored)


@pytest.mark.usefixtures("eight_devices")
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    _compare("linear", "jit", 2, 1, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("eight_devices")
@pytest.mark.parametrize("mode", ["jit", "shard_map", "fsdp", "tensor", "pipeline"])
def test_two_processes_of_two_devices_learn_what_one_learns(mode: str, tmp_path: Path) -> None:
    if mode == "pipeline":
        _compare("tiny_transformer", mode, 2, 1, tmp_path)
    else:
        _compare("digits_mlp_64", mode, 2, 2, tmp_path)


def _compare(model: str, mode: str, processes: int, devices: int, folder: Path) -> None:
    from trainers.distributed import Run, save
    from trainers.registry import load_task
    from trainers.train import train

    out, steps, batch = folder / "together.npz", 5, 8
    done = subprocess.run(
        [
            sys.executable, "-m", "trainers", "distributed", model, "--processes", str(processes),
            "--devices", str(devices), "--mode", mode, "--steps", str(steps), "--batch", str(batch),
            "--seed", "3", "--out", str(out), "--timeout-s", "500",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{processes} processes, {processes * devices} devices, {mode}" in done.stdout
    task = load_task(model, steps=steps)
    alone = train(task, task.card.dataset(3), steps=steps, batch=batch * processes * devices, seed=3)
    save(alone, folder / "alone.npz")
    got, wanted = _saved(out), _saved(folder / "alone.npz")
    assert got.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(
            got[name], values, rtol=0, atol=5e-4 * float(np.abs(values).max()) + 1e-8, err_msg=name
        )
    assert Run(model, steps, batch).mode == "jit"


@pytest.mark.slow
def test_a_member_that_dies_ends_the_run_with_its_words(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="needs the extra train")
    # A name of 252 bytes has no room for that of the temporary file: process 0 fails after the last step, process 1 must not hang.
    blocked = tmp_path / f"{'n' * 248}.npz"
    done = subprocess.run(
        [sys.executable, "-m", "trainers", "distributed", "linear", "--processes", "2", "--steps", "2",
         "--out", str(blocked)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "process 0 of 2 ended with" in done.stderr
    assert "File name too long" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_file_can_have_is_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["distributed", "linear", "--out", f"{'n' * 300}.npz"])
    assert "File name too long -> expected the name of a file" in capsys.readouterr().err
