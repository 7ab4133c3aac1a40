"""The tree as a whole: words that have no place in it, file names, decisions, what is installed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT_SUFFIXES = {".cfg", ".css", ".html", ".js", ".json", ".md", ".py", ".sh", ".toml", ".yaml", ""}
# Split so that this file does not hold the words it looks for.
UNFINISHED = ["TO" + "DO", "FIX" + "ME", "X" * 3, "NotImplemented" + "Error", "To be " + "described"]
PRIVATE_PATHS = ["/ro" + "ot/", "/wo" + "rk/", "/ho" + "me/"]


def _files() -> Iterator[Path]:
    """Files that git tracks or would track; without git (an unpacked archive), those of the known folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    names = listed.stdout.splitlines() if listed.returncode == 0 else []
    if not names:
        folders = ("benchmarks", "dcsim", "docs", "scenarios", "scripts", "tests", "trainers")
        names = [str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*")]
    for name in sorted(names):
        path = ROOT / name
        if path.is_file() and path.suffix in TEXT_SUFFIXES and "__pycache__" not in path.parts:
            yield path


FILES = list(_files())


@pytest.mark.parametrize("word", [*UNFINISHED, *PRIVATE_PATHS])
def test_nothing_is_unfinished_and_no_machine_is_named(word: str) -> None:
    pattern = re.compile(rf"(?<![\w.]){re.escape(word)}" + (r"\b" if word[-1].isalnum() else ""))
    hits = [str(path.relative_to(ROOT)) for path in FILES if pattern.search(path.read_text(encoding="utf-8"))]
    assert hits == []


def test_no_file_is_a_drawer_for_everything() -> None:
    drawers = {"utils.py", "helpers.py", "common.py", "misc.py", "util.py"}
    assert [path for path in FILES if path.name in drawers] == []


def test_no_test_is_switched_off() -> None:
    marker = re.compile(r"pytest\.mark\.(?:skip|xfail)\b")
    tests = [path for path in FILES if path.suffix == ".py" and path != Path(__file__)]
    assert [path for path in tests if marker.search(path.read_text(encoding="utf-8"))] == []


def test_decisions_are_numbered_once_and_say_what_was_decided() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    numbers = [page.name[:4] for page in pages]
    assert sorted(set(numbers)) == numbers, "two decisions share a number"
    for page in pages:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", page.name)
        assert page.read_text(encoding="utf-8").startswith(f"# {page.name[:4]}: "), page.name


def test_references_to_decisions_lead_somewhere() -> None:
    known = {page.stem for page in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    for path in FILES:
        named = re.findall(r"decisions/(\d{4}-[a-z0-9-]+)", path.read_text(encoding="utf-8"))
        assert set(named) <= known, f"{path.relative_to(ROOT)}: {set(named) - known}"


def _requirement_names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].lower() for requirement in requirements}


def test_the_simulator_installs_without_jax_and_extras_are_those_documented() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = _requirement_names(project["dependencies"])
    assert core.isdisjoint({"jax", "flax", "optax", "mlxtend", "ray", "hypothesis"})
    assert sorted(project["optional-dependencies"]) == [
        "dev",
        "energy",
        "fmi",
        "ray",
        "search",
        "testing",
        "tpu-aot",
        "train",
    ]
    assert _requirement_names(project["optional-dependencies"]["train"]) == {
        "jax",
        "flax",
        "optax",
        "matplotlib",
        "mlxtend",
        "orbax-checkpoint",
    }


# pydantic pins the release of pydantic_core that it was made for.
IMPORTED_AS = {
    "annotated_types": "annotated-types",
    "orbax": "orbax-checkpoint",
    "pydantic_core": "pydantic",
    "yaml": "pyyaml",
}


def _third_party(path: Path) -> set[str]:
    """The distributions that a module imports, at its top or inside its functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return {IMPORTED_AS.get(name, name) for name in found - sys.stdlib_module_names - {"dcsim", "trainers"}}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("dcsim", ["fmi", "ray"]),
        ("dcsim/testing", ["testing"]),
        ("trainers", ["train", "search", "tpu-aot", "energy"]),
    ],
)
def test_what_is_imported_is_declared(folder: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = _requirement_names(project["dependencies"])
    for extra in extras:
        declared |= _requirement_names(project["optional-dependencies"][extra])
    for path in sorted((ROOT / folder).rglob("*.py")):
        if folder != "dcsim" or "testing" not in path.parts:
            assert _third_party(path) <= declared, path.relative_to(ROOT)


def test_every_lint_exception_of_the_project_says_why() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.isort]")]
    rules = re.findall(r'^    "[A-Z]+\d*",.*$', block, flags=re.MULTILINE)
    assert len(rules) > 10
    assert [rule for rule in rules if not re.search(r"# \w", rule)] == []


def test_package_data_lies_where_the_package_looks_for_it() -> None:
    assert (ROOT / "dcsim/py.typed").exists()
    assert sorted(path.stem for path in (ROOT / "dcsim/workload/profiles").glob("*.json")) != []
