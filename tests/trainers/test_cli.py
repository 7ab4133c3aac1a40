"""The command line is quick, works without JAX as far as it can, and fails with the right code."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcsim.workload.profile_store import builtin_profiles
from trainers.__main__ import _parser, main
from trainers.commands.arguments import seed
from trainers.registry import CARDS

WITHOUT_JAX = """
import importlib.util, runpy, sys
found = importlib.util.find_spec
hidden = {"jax", "jaxlib", "flax", "optax", "mlxtend"}
importlib.util.find_spec = lambda name, package=None: None if name.split(".")[0] in hidden else found(name, package)
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in hidden:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hide())
sys.argv = ["trainers", *sys.argv[1:]]
runpy.run_module("trainers", run_name="__main__")
"""


def run(*arguments: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    start = ["-c", script] if script else ["-m", "trainers"]
    return subprocess.run([sys.executable, *start, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["show", str(builtin_profiles()["digits_mlp"])]])
def test_what_needs_no_jax_works_without(arguments: list[str]) -> None:
    done = run(*arguments, script=WITHOUT_JAX)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["train", "linear"], ["calibrate", "linear"], ["validate", "holdout"]])
def test_what_needs_jax_names_the_remedy(arguments: list[str]) -> None:
    done = run(*arguments, script=WITHOUT_JAX)
    assert done.returncode == 2
    assert "pip install 'dcsim[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    script = (
        "import sys, time\nfrom trainers.__main__ import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(time.process_time(), sorted({'jax', 'pandas', 'scipy', 'flax', 'pyarrow'} & set(sys.modules)))"
    )
    seconds, _, heavy = run(script=script).stdout.splitlines()[-1].partition(" ")
    assert heavy == "[]"
    assert float(seconds) < 1.0


@pytest.mark.parametrize(
    "arguments",
    [
        ["calibrate", "resnet"],
        ["calibrate", "linear", "--devices", "0"],
        ["calibrate", "linear", "--modes", "tensor"],
        ["train", "linear", "--steps", "many"],
        ["validate", "holdout", "resnet"],
        [],
    ],
)
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "error" in capsys.readouterr().err


def test_a_broken_profile_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"schema_version": 1}')
    assert main(["show", str(broken)]) == 2
    assert "broken.json" in capsys.readouterr().err


def test_an_interrupt_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trainers.calibrate.calibrate_together", interrupted)
    assert main(["calibrate", "linear", "--out", str(tmp_path / "profiles")]) == 130
    assert "goes on from there" in capsys.readouterr().err
    assert not (tmp_path / "profiles").exists()


def test_list_names_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(CARDS)
    assert {"linear", "digits_mlp", "tiny_transformer"} <= CARDS.keys()


BROKEN_FLAX = """
import runpy, sys
class Break:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("flax.") or (name == "flax" and "jax" in sys.modules):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Break())
sys.argv = ["trainers", "prepare", "linear"]
import trainers.commands.prepare
def run(options):
    import jax, flax.linen
trainers.commands.prepare.run = run
runpy.run_module("trainers", run_name="__main__")
"""


def test_a_package_in_pieces_names_the_remedy() -> None:
    done = run(script=BROKEN_FLAX)
    assert done.returncode == 2
    assert "pip install 'dcsim[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _parsers(each)


def test_every_seed_is_one_that_random_numbers_can_be_drawn_from() -> None:
    found = [
        action.type for parser in _parsers(_parser()) for action in parser._actions if action.dest == "seed"
    ]
    assert len(found) >= 11
    assert set(found) == {seed}
    assert (seed("0"), seed(str(2**63 - 1))) == (0, 2**63 - 1)
    for wrong in ("-1", str(2**63), "1.5", "x"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected an integer from 0 to 2"):
            seed(wrong)
