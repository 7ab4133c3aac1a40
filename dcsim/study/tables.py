"""The study as CSV: `summary.csv`, one row per arm and seed, and `arms.csv` where more than placement and energy differ."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dcsim.results.files import write_atomically
from dcsim.results.schema import SUMMARY
from dcsim.study.study import Row, Study

__all__ = ["ARMS_CSV", "SUMMARY_CSV", "summary_csv", "write_tables"]

SUMMARY_CSV = "summary.csv"
ARMS_CSV = "arms.csv"


def summary_csv(rows: Iterable[Row], policies: Mapping[str, Mapping[str, str]] | None = None) -> bytes:
    """Return the rows as CSV with the columns of `schema.SUMMARY`; floats keep every bit, NaN is "nan".

    Args:
        rows: one an arm and seed.
        policies: by kind, that of each arm: one more column at the end for each kind.
    """
    columns, more = [column.name for column in SUMMARY], policies or {}
    cells = (
        [*(_cell(row.values[name]) for name in columns), *(of_arm[row.arm] for of_arm in more.values())]
        for row in rows
    )
    return _csv([*columns, *more], cells)


def _cell(value: float | str) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def write_tables(study: Study) -> Path:
    """Write the CSV files of a study; return the path of `summary.csv`.

    `arms.csv` has a row for each row of `summary.csv`, in the same order, that names its policies.

    Raises:
        ResultError: the disk is full, read-only or failing.
    """
    path = study.path / SUMMARY_CSV
    kinds = _kinds_beyond(study)
    of_arms = {kind: {arm.name: getattr(arm, kind) for arm in study.arms} for kind in kinds}
    write_atomically(path, summary_csv(study.rows, of_arms))
    if kinds:
        arms = {arm.name: arm for arm in study.arms}
        named = ["ordering", "placement", "energy", *kinds[1:]]
        rows = (
            [row.arm, *(getattr(arms[row.arm], kind) for kind in named), str(row.seed)] for row in study.rows
        )
        header = ["arm", *named, "seed"]
        write_atomically(study.path / ARMS_CSV, _csv(header, rows))
    return path


def _kinds_beyond(study: Study) -> list[str]:
    """Return the kinds that tell arms apart beside placement and energy, ordering first; none: no more columns."""
    hall = [kind for kind in ("cooling", "battery") if any(getattr(arm, kind) for arm in study.arms)]
    several = hall or any(arm.shows_ordering for arm in study.arms)
    return ["ordering", *hall] if several else []
