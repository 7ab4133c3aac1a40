"""The study as CSV: `summary.csv`, one row per arm and seed, and `arms.csv` where orderings differ."""

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


def summary_csv(rows: Iterable[Row], orderings: Mapping[str, str] | None = None) -> bytes:
    """Return the rows as CSV with the columns of `schema.SUMMARY`; floats keep every bit, NaN is "nan".

    Args:
        rows: one an arm and seed.
        orderings: ordering policy of each arm, a last column where several are compared.
    """
    columns = [column.name for column in SUMMARY]
    if orderings is None:
        return _csv(columns, ([_cell(row.values[name]) for name in columns] for row in rows))
    cells = ([*(_cell(row.values[name]) for name in columns), orderings[row.arm]] for row in rows)
    return _csv([*columns, "ordering"], cells)


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

    `arms.csv` has a row for each row of `summary.csv`, in the same order, that names its ordering.

    Raises:
        ResultError: the disk is full, read-only or failing.
    """
    path = study.path / SUMMARY_CSV
    several = any(arm.shows_ordering or arm.cooling or arm.battery for arm in study.arms)
    orderings = {arm.name: arm.ordering for arm in study.arms} if several else None
    write_atomically(path, summary_csv(study.rows, orderings))
    if several:
        arms = {arm.name: arm for arm in study.arms}
        kinds = ["ordering", "placement", "energy"]
        kinds += [kind for kind in ("cooling", "battery") if any(getattr(arm, kind) for arm in study.arms)]
        rows = (
            [row.arm, *(getattr(arms[row.arm], kind) for kind in kinds), str(row.seed)] for row in study.rows
        )
        header = ["arm", *kinds, "seed"]
        write_atomically(study.path / ARMS_CSV, _csv(header, rows))
    return path
