"""What is generated from the code has not drifted from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.generate_reference import generated_files

FILES = generated_files()


@pytest.mark.parametrize("relative", sorted(FILES), ids=str)
def test_generated_file_is_up_to_date(repository: Path, relative: Path) -> None:
    path = repository / relative
    assert path.exists(), "run `make reference`"
    assert path.read_text(encoding="utf-8") == FILES[relative], "out of date: run `make reference`"


def test_every_reference_page_is_generated(repository: Path) -> None:
    on_disk = {path.relative_to(repository) for path in (repository / "docs/reference").iterdir()}
    assert on_disk == {path for path in FILES if path.parent == Path("docs/reference")}


def test_every_make_target_is_described_and_runs_what_exists(repository: Path) -> None:
    text = (repository / "Makefile").read_text(encoding="utf-8")
    phony = next(line for line in text.splitlines() if line.startswith(".PHONY:")).split()[1:]
    for target in phony:
        assert f"\n{target}: " in text
        line = next(line for line in text.splitlines() if line.startswith(f"{target}: "))
        assert " ## " in line, f"{target} is not described"
