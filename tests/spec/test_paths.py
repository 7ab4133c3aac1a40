"""Data files: found in the scenario's folder or a declared one, and no way out of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dcsim.errors import ScenarioError
from dcsim.spec import resolve_data_path

Folders = tuple[Path, Path, Path]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    """A scenario's folder, a declared data folder, and a secret beside them."""
    base, data = tmp_path / "base", tmp_path / "data"
    base.mkdir()
    data.mkdir()
    (base / "here.csv").write_text("1")
    (data / "there.csv").write_text("2")
    (tmp_path / "secret").write_text("3")
    monkeypatch.setenv("DCSIM_DATA_DIRS", str(data))
    return base, data, tmp_path


def test_files_in_both_folders_are_found(folders: Folders) -> None:
    base, data, _ = folders
    assert resolve_data_path(base, "here.csv") == base / "here.csv"
    assert resolve_data_path(base, "there.csv") == data / "there.csv"
    assert resolve_data_path(base, str(data / "there.csv")) == data / "there.csv"
    assert resolve_data_path(base, "../data/there.csv") == data / "there.csv"


def test_the_scenario_folder_goes_first(folders: Folders) -> None:
    base, data, _ = folders
    (data / "here.csv").write_text("other")
    assert resolve_data_path(base, "here.csv").read_text() == "1"


@pytest.mark.parametrize("text", ["../secret", "/etc/passwd", "sub/../../secret", "link", "linked/secret"])
def test_ways_out_are_refused(folders: Folders, text: str) -> None:
    base, _, outside = folders
    (base / "link").symlink_to(outside / "secret")
    (base / "linked").symlink_to(outside)
    with pytest.raises(ScenarioError, match="a file inside the scenario's folder or a data folder"):
        resolve_data_path(base, text)


def test_undeclared_folders_are_refused(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    base, data, _ = folders
    monkeypatch.delenv("DCSIM_DATA_DIRS")
    with pytest.raises(ScenarioError, match="declare its folder with --data"):
        resolve_data_path(base, str(data / "there.csv"))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nothing.csv", "an existing file"),
        ("", "the path of a file"),
        ("a\x00b", "the path of a file"),
        (".", "a folder, a pipe or a device"),
        ("https://example.org/a.csv", "opens no URLs"),
        ("file:///etc/passwd", "opens no URLs"),
        ("x" * 5_000, "an existing file"),
        ("loop", "an existing file"),
        ("pipe", "a folder, a pipe or a device"),
    ],
)
def test_what_is_no_file_is_refused(folders: Folders, text: str, part: str) -> None:
    base, _, _ = folders
    (base / "loop").symlink_to(base / "loop")
    os.mkfifo(base / "pipe")
    with pytest.raises(ScenarioError, match=part):
        resolve_data_path(base, text)
