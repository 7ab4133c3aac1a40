"""Readers of Gavel's traces and tables of measured throughput (Narayanan et al., OSDI 2020)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dcsim.errors import Problem, TraceError
from dcsim.spec.strict_json import strict_json
from dcsim.workload.jobs import JobTable, job_table
from dcsim.workload.rate_table import MeasuredPair, MeasuredRate, RateProvenance, RateTable
from dcsim.workload.readers.bounded import decoded, numbered_lines, read_bounded
from dcsim.workload.readers.columns import rows_of_columns
from dcsim.workload.readers.rows import Field, OnBad, Rows

__all__ = ["GAVEL_FIELDS", "read_gavel", "read_gavel_rates"]

GAVEL_FIELDS = (
    Field("job_type", "text", "", "kind of job; becomes the profile"),
    Field("command", "text", "", "not used", default=""),
    Field("working_directory", "text", "", "not used", default=""),
    Field("num_steps_arg", "text", "", "not used", default=""),
    Field("needs_data_dir", "whole", "", "not used", high=1),
    Field("total_steps", "number", "", "becomes the steps", low_open=True, high=1e15),
    Field("scale_factor", "whole", "", "gang width", low=1, high=1e6),
    Field("priority_weight", "number", "", "becomes the priority", high=1e9),
    Field(
        "slo", "number", "", "not used: a part of a run time that the trace does not give", low=-1, high=1e9
    ),
    Field("arrival_s", "number", "s", "arrival, as it stands", high=1e10),
)

_SOURCE = "Narayanan et al., Heterogeneity-Aware Cluster Scheduling Policies for Deep Learning Workloads (OSDI 2020)"
_KEY = re.compile(r"""\((['"])(?P<kind>[^'"]{1,200})\1,\s*(?P<width>[1-9]\d{0,6})\)\Z""", re.ASCII)
_SPREAD = "_unconsolidated"
_SHOWN = 50


def read_gavel(path: Path, *, on_bad: OnBad = "refuse") -> JobTable:
    """Return the jobs of a Gavel trace: one line a job, ten fields between tabs, no header.

    A job's work is its total of steps, its profile the kind that a rate table names
    (`read_gavel_rates`), its width the scale factor, on any number of servers. Jobs are named by their
    line, gavel-00 being the first, as Gavel numbers them.

    Raises:
        TraceError: With every malformed line, unless `on_bad` is skip.
    """
    rows = _parse(path, decoded(read_bounded(path), path))
    kept = rows.kept(on_bad)
    numbers, pick = rows.numbers, kept.tolist()
    digits = len(str(len(rows) - 1))
    promised = int((numbers["slo"][kept] >= 0).sum())
    notes = []
    if promised:
        notes.append(
            f"gavel: the service level of {promised} jobs is not used: it is a part of their run time"
        )
    return job_table(
        job_id=[f"gavel-{row:0{digits}d}" for row in pick],
        submit_s=numbers["arrival_s"][kept],
        accelerators=numbers["scale_factor"][kept],
        steps=numbers["total_steps"][kept],
        profile=[rows.texts["job_type"][row] for row in pick],
        priority=numbers["priority_weight"][kept],
        notes=(*notes, *rows.skipped()),
    )


def read_gavel_rates(path: Path, *, any_layout: bool = False) -> RateTable:
    """Return the rates of one of Gavel's JSON tables: accelerator -> (kind, width) -> alone or with another.

    `v100` holds gangs on one server, `v100_unconsolidated` those with each accelerator on a server of
    its own; of one accelerator the former is taken. Names of accelerators become capitals (V100). Two
    rates of 0 in a pair say that the two did not fit; a rate of 0 alone, that the kind does not run.

    Args:
        path: The JSON file.
        any_layout: Take the rates of one server whatever the layout, as Gavel's own simulator does.

    Raises:
        TraceError: Not strict JSON, or every entry that is not as described.
    """
    content = read_bounded(path)
    record = strict_json(decoded(content, path), str(path))
    reader = _RateReader(str(path))
    if isinstance(record, dict):
        for label, kinds in record.items():
            spread = label.endswith(_SPREAD)
            if not (any_layout and spread):
                reader.accelerator(label, label.removesuffix(_SPREAD).upper(), kinds, spread=spread)
    else:
        reader.refuse("", type(record).__name__, "a JSON object")
    if not reader.problems and not reader.rates:
        reader.refuse("", "no rates", "at least one")
    if reader.problems:
        raise TraceError(reader.problems[:_SHOWN])
    return RateTable(
        provenance=RateProvenance(
            source=_SOURCE,
            measured_on="V100, P100 and K80 GPUs, PyTorch 1.4, as published with the paper",
            licence="MIT (stanford-futuredata/gavel)",
            files_sha256={path.name: hashlib.sha256(content).hexdigest()},
        ),
        layouts="any" if any_layout else "measured",
        rates=tuple(reader.rates),
        pairs=tuple(reader.pairs),
    )


def _parse(path: Path, text: str) -> Rows:
    """Return the rows of a trace."""
    lines: list[int] = []
    found: list[list[str]] = []
    problems: list[Problem] = []
    dropped: list[int] = []
    for number, line in numbered_lines(text):
        if not line.strip():
            continue
        values = line.split("\t")
        if len(values) != len(GAVEL_FIELDS):
            hint = "fields are separated by tabs" if len(values) == 1 else ""
            expected = f"{len(GAVEL_FIELDS)} fields"
            problems.append(Problem(str(path), number, "", f"{len(values)} fields", expected, hint))
            dropped.append(number)
            continue
        lines.append(number)
        # Commands may be longer than a name, and are not used.
        found.append([values[0], "", "", "", *values[4:]])
    if not lines:
        none = Problem(str(path), None, "", "no jobs", f"lines of {len(GAVEL_FIELDS)} fields")
        raise TraceError(problems[:_SHOWN] or [none])
    names = [column.name for column in GAVEL_FIELDS]
    rows = rows_of_columns(path, lines, dict(zip(names, zip(*found, strict=True), strict=True)), GAVEL_FIELDS)
    rows.problems += problems
    rows.dropped += dropped
    return rows


class _RateReader:
    """Collects the rates of one file, and what is wrong with it."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.problems: list[Problem] = []
        self.rates: list[MeasuredRate] = []
        self.pairs: list[MeasuredPair] = []

    def refuse(self, path: str, got: object, expected: str) -> None:
        self.problems.append(Problem(self._file, None, path, str(got)[:80], expected))

    def accelerator(self, label: str, name: str, kinds: Any, *, spread: bool) -> None:  # noqa: ANN401  JSON
        """Take the rates on one accelerator."""
        if not isinstance(kinds, dict):
            self.refuse(label, type(kinds).__name__, "an object of kinds")
            return
        for text, entries in kinds.items():
            key = self.key(label, text)
            if key is None or (spread and key[1] == 1):
                continue
            if not isinstance(entries, dict) or not _is_rate(entries.get("null")):
                self.refuse(f"{label}.{text}.null", repr(getattr(entries, "get", str)("null")), "a rate >= 0")
                continue
            kind, width = key
            layout = (1,) * width if spread else (width,)
            self.rates.append(
                MeasuredRate(kind=kind, accelerator=name, layout=layout, steps_per_s=float(entries["null"]))
            )
            self.pairs += self.partners(label, text, kind, name, layout, entries)

    def partners(
        self, label: str, text: str, kind: str, name: str, layout: tuple[int, ...], entries: dict[str, Any]
    ) -> Iterator[MeasuredPair]:
        """Yield the pairs of one kind whose other kind does not come before it in the alphabet."""
        for other, rates in entries.items():
            if other == "null":
                continue
            key = self.key(f"{label}.{text}", other)
            if key is None:
                continue
            sound = isinstance(rates, list) and len(rates) == 2 and all(map(_is_rate, rates))
            if not sound or key[1] != sum(layout):
                self.refuse(f"{label}.{text}.{other}", repr(rates), "two rates >= 0 of gangs equally wide")
            elif kind <= key[0]:
                yield MeasuredPair(
                    kind_a=kind,
                    kind_b=key[0],
                    accelerator=name,
                    layout=layout,
                    rate_a=float(rates[0]),
                    rate_b=float(rates[1]),
                )

    def key(self, path: str, text: str) -> tuple[str, int] | None:
        """Return (kind, width) of a key such as ('LM (batch size 5)', 2)."""
        found = _KEY.match(text)
        if found is None:
            self.refuse(path, repr(text), "a key such as ('LM (batch size 5)', 2)")
            return None
        return found["kind"], int(found["width"])


def _is_rate(value: object) -> bool:
    """Return whether a JSON value is a number >= 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
