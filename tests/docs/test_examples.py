"""README and the guides are run, page by page, as a reader would type them.

The blocks of a page are taken in order, in an empty folder beside a copy of scenarios/:
- a block whose first line is a comment with a file name (`# small.yaml`) is saved under that name;
- other ```python blocks are run as scripts;
- ```bash blocks are run by bash, which stops at the first failing command. Three commands are replaced by stand-ins:
  `make` only checks that the target exists (a dry run in the repository), `pip install` that the extra does, and
  `apt-get` that README promises the package. What they would do is tested elsewhere: `.ci/run` runs `make` itself;
- ```text blocks show output and are not run.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("[!dr]*/*.md"))]
ALL_PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "tests/README.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# ([\w./-]+\.(?:py|yaml))\n")
LANGUAGES = {"bash", "python", "text", "yaml"}
TIME_LIMIT_S = 120


def _blocks(page: Path) -> Iterator[tuple[str, str]]:
    yield from BLOCK.findall(page.read_text(encoding="utf-8"))


def _stand_in(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _environment(folder: Path) -> dict[str, str]:
    """A PATH on which our commands come first, then the stand-ins, then everything else."""
    bin_folder = folder.with_name("bin")
    bin_folder.mkdir()
    extras = "|".join(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    )
    _stand_in(
        bin_folder / "make", f'exec "{shutil.which("make")}" --dry-run --directory "{ROOT}" "$@" >/dev/null'
    )
    _stand_in(bin_folder / "pip", f'echo "$*" | grep -Eqx "install -e \\.(\\[({extras})(,({extras}))*\\])?"')
    _stand_in(bin_folder / "apt-get", 'test "$*" = "install -y make python3-venv"')
    for name in ("python", "pytest", "dcsim"):
        module = "" if name == "python" else f"-m {name} "
        _stand_in(bin_folder / name, f'exec "{sys.executable}" {module}"$@"')
    path = os.pathsep.join([str(bin_folder), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}


def _run(command: list[str], folder: Path, environment: dict[str, str], source: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIME_LIMIT_S,
    )
    assert done.returncode == 0, f"{source}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_example_of_the_page_works(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    shutil.copytree(ROOT / "scenarios", folder / "scenarios")
    environment = _environment(folder)
    for language, source in _blocks(page):
        assert language in LANGUAGES, f"{page.name}: a block of {language or 'no language'}"
        named = FILE_NAME.match(source)
        if named:
            (folder / named[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / named[1]).write_text(source, encoding="utf-8")
        elif language == "python":
            _run([sys.executable, "-c", source], folder, environment, source)
        elif language == "bash":
            _run(["bash", "-euo", "pipefail", "-c", source], folder, environment, source)
        else:
            assert language == "text", (
                f"{page.name}: a {language} block needs a first line that names its file"
            )


@pytest.mark.parametrize("page", ALL_PAGES, ids=[str(page.relative_to(ROOT)) for page in ALL_PAGES])
def test_every_link_leads_to_a_file(page: Path) -> None:
    text = re.sub(BLOCK, "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


def test_the_make_stand_in_refuses_an_unknown_target(tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    environment = _environment(folder)
    for command, works in (("make demo", True), ("make demos", False), ('pip install -e ".[trian]"', False)):
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, check=False
        )
        assert (done.returncode == 0) is works, command
