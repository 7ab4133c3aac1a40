"""Results from several folders, in the order in which a reader wants them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dcsim.errors import InputError, Problem
from trainers.files import read_json_bytes
from trainers.validation.result import BYTES_MAX, EXPECTED, Validation, load_result

__all__ = ["gather"]

ORDER = ("exact-counts", "holdout", "closed-loop", "tables", "resume")
"""Results that have a place on the page; others follow by name."""


def gather(sources: Sequence[Path]) -> list[Validation]:
    """Return the results of files, and of folders: all `NAME.json` that are results, in them or in one of their folders.

    Raises:
        InputError: a file is none, a folder holds none, or two results have one name; with every problem.
    """
    problems: list[Problem] = []
    found: dict[str, tuple[Path, Validation]] = {}
    if not sources:
        problems.append(Problem("--from", None, "", "nothing", "at least one result or folder of results"))
    for source in sources:
        paths = _results_in(source) if source.is_dir() else [source]
        if not paths:
            problems.append(
                Problem(
                    str(source),
                    None,
                    "",
                    "no result",
                    "a folder that holds results",
                    "run `validate` with --out",
                )
            )
        for path in paths:
            try:
                result = load_result(path)
            except InputError as error:
                problems.extend(error.problems)
                continue
            if result.name in found:
                other = found[result.name][0]
                problems.append(
                    Problem(str(path), None, "name", repr(result.name), f"another name than in {other}")
                )
            found[result.name] = path, result
    if problems:
        raise InputError(problems)
    ranks = {name: at for at, name in enumerate(ORDER)}
    return [found[name][1] for name in sorted(found, key=lambda name: (ranks.get(name, len(ORDER)), name))]


def _results_in(folder: Path) -> list[Path]:
    """Return the files of a folder and of those in it that are results, by what they are made of, not by their names."""
    paths = sorted([*folder.glob("*.json"), *folder.glob("*/*.json")])
    return [path for path in paths if b'"verdicts"' in read_json_bytes(path, BYTES_MAX, EXPECTED)]
