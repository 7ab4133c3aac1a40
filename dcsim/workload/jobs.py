"""The job table: every job of a run as a struct of arrays, sorted by submit time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import Problem, TraceError
from dcsim.workload.dependencies import after_problems
from dcsim.workload.layouts import divides

__all__ = ["JobTable", "concat_jobs", "empty_jobs", "job_table", "without_rules"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_FLOAT_COLUMNS = (
    "submit_s",
    "accelerator_share",
    "cpu_cores",
    "memory_bytes",
    "duration_s",
    "steps",
    "slack_s",
    "priority",
    "deadline_s",
    "time_limit_s",
    "noise_scale_samples",
)
_COUNT_COLUMNS = (
    "accelerators",
    "max_servers",
    "batch_per_accelerator",
    "min_accelerators",
    "max_accelerators",
    "array_limit",
)
_CODE_COLUMNS = ("profile", "tenant", "accelerator_types", "array", "dataset", "parallelism")
_NON_NEGATIVE = ("submit_s", "cpu_cores", "memory_bytes", "slack_s")
_EXAMPLES = 10
"""Jobs named for each broken rule; the rest is counted."""


@dataclass(frozen=True, slots=True)
class JobTable:
    """All jobs of one run; index i of every array is job i, ordered by (submit_s, job_id).

    Text columns are dictionary-coded: `profile[i]` indexes `profile_names` (-1: none).
    Unknown CPU or memory is 0: the job takes the share of its server that goes with its
    accelerators. `job_table` builds one from plain columns; `check` states the invariants.
    """

    job_id: tuple[str, ...]
    """Unique names."""
    submit_s: Floats
    """>= 0, non-decreasing."""
    accelerators: Ints
    """Whole devices of the gang; 0 for a CPU-only job."""
    accelerator_share: Floats
    """1.0, or the fraction of the one device asked for (then accelerators == 1)."""
    max_servers: Ints
    """The gang may span up to this many servers; 1: one server only; 0: any number."""
    cpu_cores: Floats
    """Total; 0: proportional to accelerators."""
    memory_bytes: Floats
    """Total; 0: proportional to accelerators."""
    duration_s: Floats
    """Run time at reference speed (alone, uncapped); NaN where `steps` rules. 0 is allowed."""
    steps: Floats
    """Optimizer steps; NaN where `duration_s` rules. Exactly one of the two is finite."""
    profile: Ints
    batch_per_accelerator: Ints
    """0: the profile's largest measured batch (or no profile)."""
    slack_s: Floats
    """How long the job may be held back; 0: not deferrable."""
    tenant: Ints
    accelerator_types: Ints
    """Index into `type_constraints`; -1: any accelerator."""
    priority: Floats
    """Larger goes first under policies that look at it."""
    deadline_s: Floats
    """Absolute, in the run's seconds; NaN: none."""
    time_limit_s: Floats
    """Wall-time limit of one attempt, and the estimate that backfilling trusts; NaN: none."""
    min_accelerators: Ints
    """Least width of an elastic gang; 0: rigid (then `max_accelerators` is 0 too)."""
    max_accelerators: Ints
    """Greatest width of an elastic gang; 0: rigid."""
    noise_scale_samples: Floats
    """Gradient noise scale of an elastic job: batches beyond it buy little progress; NaN: none."""
    array: Ints
    """Index into `array_names`: the job array it belongs to; -1: none."""
    array_limit: Ints
    """At most so many jobs of its array hold accelerators at once; 0: no limit."""
    dataset: Ints
    """Index into `dataset_names`: what it reads, one of the scenario's; -1: what its profile says."""
    parallelism: Ints
    """Index into `parallelism_names`: how its gang divides the model, as `tensor=8 pipeline=4`; -1: data parallel."""
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Job id -> ids of jobs that must have completed before it may start; only jobs that wait for some."""
    array_names: tuple[str, ...] = ()
    dataset_names: tuple[str, ...] = ()
    parallelism_names: tuple[str, ...] = ()
    profile_names: tuple[str, ...] = ()
    tenant_names: tuple[str, ...] = ()
    type_constraints: tuple[tuple[str, ...], ...] = ()
    """Sets of catalogue names a job accepts."""
    notes: tuple[str, ...] = field(default=())
    """What the reader had to change or leave out, with counts; goes to the manifest's warnings."""

    def __len__(self) -> int:
        return len(self.job_id)

    def check(self) -> None:
        """Raise TraceError with every broken invariant.

        Ids unique and not empty; columns equally long; times, cores and bytes finite and >= 0;
        `submit_s` non-decreasing and ties in order of `job_id`; exactly one of duration and steps;
        share in (0, 1], with one accelerator where below 1; steps only with a profile; codes
        within their names; widths of elastic gangs in order; gangs that divide as they say, elastic ones at
        any width; nobody waits for a job that is not there, or in a circle.
        """
        problems = list(_length_problems(self))
        if not problems:
            problems = [*_id_problems(self), *_value_problems(self), *_work_problems(self)]
            problems += [*_rule_problems(self), *_division_problems(self)]
            problems += after_problems(self.job_id, self.after)
        if problems:
            raise TraceError(problems)

    def sorted(self) -> JobTable:
        """Return the same jobs ordered by (submit_s, job_id)."""
        if _in_order(self):
            return self
        return self.take(np.lexsort((np.asarray(self.job_id), self.submit_s)))

    def take(self, index: Ints | slice) -> JobTable:
        """Return the jobs at `index` (K,), in that order, with the same names and notes.

        >>> job_table(submit_s=[0.0, 5.0], duration_s=1.0).take(slice(0, 1)).job_id
        ('job-0',)
        """
        rows = np.arange(len(self))[index]
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in _array_columns()}
        names = tuple(map(self.job_id.__getitem__, rows.tolist()))
        if self.after and len(rows) < len(self):
            # A job that is not taken cannot be waited for.
            kept = set(names)
            left = {job: tuple(b for b in self.after[job] if b in kept) for job in self.after if job in kept}
            columns["after"] = {job: befores for job, befores in left.items() if befores}
        return replace(self, job_id=names, **columns)

    def texts(self, column: str) -> list[str]:
        """Return a coded column (`profile`, `tenant`, `array`, ...) as text, "" where there is none.

        Accelerator types are joined by "|".

        >>> job_table(submit_s=0.0, duration_s=1.0, tenant="ann").texts("tenant")
        ['ann']
        """
        names = {
            "profile": self.profile_names,
            "tenant": self.tenant_names,
            "array": self.array_names,
            "dataset": self.dataset_names,
            "parallelism": self.parallelism_names,
            "accelerator_types": tuple("|".join(types) for types in self.type_constraints),
        }[column]
        with_none = (*names, "")  # code -1 picks the last
        return [with_none[code] for code in getattr(self, column).tolist()]

    def with_notes(self, *notes: str) -> JobTable:
        """Return the same jobs with further notes."""
        return replace(self, notes=(*self.notes, *notes))


def job_table(
    *,
    submit_s: npt.ArrayLike,
    job_id: Sequence[str] | None = None,
    accelerators: npt.ArrayLike = 1,
    accelerator_share: npt.ArrayLike = 1.0,
    max_servers: npt.ArrayLike = 0,
    cpu_cores: npt.ArrayLike = 0.0,
    memory_bytes: npt.ArrayLike = 0.0,
    duration_s: npt.ArrayLike = np.nan,
    steps: npt.ArrayLike = np.nan,
    profile: str | Sequence[str] = "",
    batch_per_accelerator: npt.ArrayLike = 0,
    slack_s: npt.ArrayLike = 0.0,
    tenant: str | Sequence[str] = "default",
    accelerator_types: str | Sequence[str] = "",
    priority: npt.ArrayLike = 0.0,
    deadline_s: npt.ArrayLike = np.nan,
    time_limit_s: npt.ArrayLike = np.nan,
    min_accelerators: npt.ArrayLike = 0,
    max_accelerators: npt.ArrayLike = 0,
    noise_scale_samples: npt.ArrayLike = np.nan,
    array: str | Sequence[str] = "",
    array_limit: npt.ArrayLike = 0,
    dataset: str | Sequence[str] = "",
    parallelism: str | Sequence[str] = "",
    after: Mapping[str, tuple[str, ...]] | None = None,
    notes: tuple[str, ...] = (),
) -> JobTable:
    """Build a checked, sorted JobTable from plain columns; scalars hold for every job.

    Args are the columns of JobTable, each an array (J,) or one value, in its units; NaN where the other
    of `duration_s` and `steps` is given. Texts are names, "" for none, accelerator types joined by "|".
    `job_id` None: job-0, job-1, ... in the order given.

    Raises:
        TraceError: With every broken invariant of JobTable.check.

    >>> table = job_table(submit_s=[60.0, 0.0], duration_s=[10.0, 20.0], accelerators=8)
    >>> table.job_id, table.submit_s.tolist()
    (('job-1', 'job-0'), [0.0, 60.0])
    """
    given: dict[str, Any] = dict(locals())  # the arguments by name: each is a column
    count = np.atleast_1d(np.asarray(submit_s)).shape[0]
    arrays = {name: _column(name, given[name], count) for name in (*_FLOAT_COLUMNS, *_COUNT_COLUMNS)}
    names: dict[str, tuple[str, ...]] = {}
    for name in _CODE_COLUMNS:
        arrays[name], names[name] = _encode(given[name], count)
    table = JobTable(
        job_id=tuple(job_id) if job_id is not None else tuple(f"job-{i}" for i in range(count)),
        **arrays,  # type: ignore[arg-type]  # each name has its own element type, set just above
        after=dict(after or {}),
        type_constraints=tuple(tuple(text.split("|")) for text in names.pop("accelerator_types")),
        **{f"{name}_names": known for name, known in names.items()},  # type: ignore[arg-type]  # as above
        notes=notes,
    )
    return _checked(table)


def _encode(texts: str | Iterable[str], count: int) -> tuple[Ints, tuple[str, ...]]:
    """Return (codes (count,), names by first appearance) of a text column; "" has code -1.

    >>> _encode(["b", "", "b", "a"], 4)
    (array([ 0, -1,  0,  1]), ('b', 'a'))
    """
    if isinstance(texts, str):
        code = -1 if texts == "" else 0
        return np.full(count, code, dtype=np.int64), ((texts,) if texts else ())
    names: dict[str, int] = {}
    codes = np.array([names.setdefault(text, len(names)) if text else -1 for text in texts], dtype=np.int64)
    return codes, tuple(names)


def empty_jobs() -> JobTable:
    """Return a table without jobs.

    >>> len(empty_jobs())
    0
    """
    return job_table(submit_s=np.empty(0), duration_s=np.empty(0))


def without_rules(count: int) -> dict[str, Any]:
    """Return the columns (count,) of jobs without priority, deadline, limit, elasticity, array and data set.

    >>> without_rules(2)["array"].tolist()
    [-1, -1]
    """
    columns: dict[str, Any] = {
        name: np.full(count, np.nan) for name in ("deadline_s", "time_limit_s", "noise_scale_samples")
    }
    columns |= {
        name: np.zeros(count, dtype=np.int64)
        for name in ("min_accelerators", "max_accelerators", "array_limit")
    }
    columns |= {name: np.full(count, -1, dtype=np.int64) for name in ("array", "dataset", "parallelism")}
    return columns | {"priority": np.zeros(count)}


def concat_jobs(*tables: JobTable) -> JobTable:
    """Return all jobs of `tables` in one sorted table; raises TraceError where ids repeat.

    >>> one = job_table(submit_s=9.0, duration_s=1.0, job_id=["a"])
    >>> concat_jobs(one, job_table(submit_s=3.0, duration_s=1.0, job_id=["b"])).job_id
    ('b', 'a')
    """
    if not tables:
        return empty_jobs()
    numbers: dict[str, Any] = {
        name: np.concatenate([getattr(table, name) for table in tables])
        for name in (*_FLOAT_COLUMNS, *_COUNT_COLUMNS)
    }
    texts: dict[str, Any] = {
        name: [text for table in tables for text in table.texts(name)] for name in _CODE_COLUMNS
    }
    return job_table(
        job_id=[name for table in tables for name in table.job_id],
        notes=tuple(note for table in tables for note in table.notes),
        after={job: befores for table in tables for job, befores in table.after.items()},
        **numbers,
        **texts,
    )


def _array_columns() -> tuple[str, ...]:
    """Return the names of all array columns."""
    return (*_FLOAT_COLUMNS, *_COUNT_COLUMNS, *_CODE_COLUMNS)


def _column(name: str, value: npt.ArrayLike, count: int) -> Floats | Ints:
    """Return `value` as a (count,) array, refusing what only looks like a number."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise TraceError([Problem("jobs", None, name, f"{array.dtype} values", "numbers")])
    whole = name in _COUNT_COLUMNS
    if whole and array.dtype.kind == "f" and not np.all(array == np.floor(array)):
        raise TraceError([Problem("jobs", None, name, "fractions or NaN", "whole numbers")])
    if array.ndim and array.shape != (count,):
        raise TraceError([Problem("jobs", None, name, f"shape {array.shape}", f"shape ({count},)")])
    wide = np.broadcast_to(array, (count,))
    return np.array(wide, dtype=np.int64) if whole else np.array(wide, dtype=np.float64)


def _checked(table: JobTable) -> JobTable:
    """Return the table in order and without broken invariants."""
    problems = list(_length_problems(table))
    if problems:
        raise TraceError(problems)
    ordered = table if _in_order(table) else _recoded(table.sorted())
    ordered.check()
    return ordered


def _recoded(table: JobTable) -> JobTable:
    """Return the table with names numbered as the jobs come, so that the order of a file does not show."""
    changes: dict[str, Any] = {}
    for column, field_name in (
        ("profile", "profile_names"),
        ("tenant", "tenant_names"),
        ("accelerator_types", "type_constraints"),
        ("array", "array_names"),
        ("dataset", "dataset_names"),
        ("parallelism", "parallelism_names"),
    ):
        names, codes = getattr(table, field_name), getattr(table, column)
        used, first = np.unique(codes[codes >= 0], return_index=True)
        order = used[np.argsort(first)]
        new = np.full(len(names) + 1, -1, dtype=np.int64)  # the last entry is that of code -1
        new[order] = np.arange(len(order))
        changes |= {column: new[codes], field_name: tuple(names[code] for code in order.tolist())}
    return replace(table, **changes)


def _in_order(table: JobTable) -> bool:
    """Return whether jobs ascend by (submit_s, job_id)."""
    gaps = np.diff(table.submit_s)
    if np.any(gaps < 0):
        return False
    ties = np.flatnonzero(gaps == 0).tolist()
    return all(table.job_id[i] <= table.job_id[i + 1] for i in ties)


def _length_problems(table: JobTable) -> Iterator[Problem]:
    """Yield columns that are not as long as `job_id`."""
    for name in _array_columns():
        got = len(getattr(table, name))
        if got != len(table):
            yield Problem("jobs", None, name, f"{got} values", f"{len(table)} values, one a job")


def _broken(table: JobTable, column: str, bad: Bools, expected: str) -> Iterator[Problem]:
    """Yield a problem for the first jobs where `bad`, and one for the count of the rest."""
    rows = np.flatnonzero(bad)
    for row in rows[:_EXAMPLES].tolist():
        got = table.job_id[row] if column == "job_id" else str(getattr(table, column)[row])
        yield Problem("jobs", None, f"{table.job_id[row]!r}.{column}", got, expected)
    if len(rows) > _EXAMPLES:
        yield Problem("jobs", None, column, f"{len(rows) - _EXAMPLES} more jobs", expected)


def _id_problems(table: JobTable) -> Iterator[Problem]:
    """Yield ids that are empty, unprintable or repeated, and jobs out of order."""
    bad = np.array([not name or not name.isprintable() for name in table.job_id], dtype=bool)
    yield from _broken(table, "job_id", bad, "a printable name")
    if len(set(table.job_id)) < len(table):
        repeated = [name for name, times in Counter(table.job_id).items() if times > 1]
        for name in repeated[:_EXAMPLES]:
            yield Problem("jobs", None, "job_id", repr(name), "an id used once")
        if len(repeated) > _EXAMPLES:
            yield Problem("jobs", None, "job_id", f"{len(repeated) - _EXAMPLES} more ids", "ids used once")
    if not _in_order(table):
        yield Problem("jobs", None, "submit_s", "not in order", "jobs ordered by (submit_s, job_id)")


def _value_problems(table: JobTable) -> Iterator[Problem]:
    """Yield values out of range, column by column."""
    for name in _NON_NEGATIVE:
        values = getattr(table, name)
        yield from _broken(table, name, ~(np.isfinite(values) & (values >= 0)), "a finite number >= 0")
    for name in _COUNT_COLUMNS:
        yield from _broken(table, name, getattr(table, name) < 0, "an integer >= 0")
    share = table.accelerator_share
    yield from _broken(table, "accelerator_share", ~((share > 0) & (share <= 1)), "a number in (0, 1]")
    shared = (share < 1) & (table.accelerators != 1)
    yield from _broken(table, "accelerators", shared, "1 where accelerator_share is below 1")
    limits = {
        "profile": len(table.profile_names),
        "accelerator_types": len(table.type_constraints),
        "tenant": len(table.tenant_names),
        "array": len(table.array_names),
        "dataset": len(table.dataset_names),
        "parallelism": len(table.parallelism_names),
    }
    for name, limit in limits.items():
        codes = getattr(table, name)
        low = 0 if name == "tenant" else -1
        yield from _broken(table, name, (codes < low) | (codes >= limit), f"a code in [{low}, {limit})")
    for types in table.type_constraints:
        if not types or not all(types):
            yield Problem("jobs", None, "type_constraints", repr(types), "accelerator names, none empty")


def _rule_problems(table: JobTable) -> Iterator[Problem]:
    """Yield priorities, deadlines, limits and elastic widths that mean nothing."""
    with np.errstate(invalid="ignore"):
        for name, low, expected in (
            ("deadline_s", 0.0, "a finite number >= 0, or nothing"),
            ("time_limit_s", np.nextafter(0.0, 1.0), "a finite number > 0, or nothing"),
            ("noise_scale_samples", 0.0, "a finite number >= 0, or nothing"),
        ):
            values = getattr(table, name)
            yield from _broken(
                table, name, ~np.isnan(values) & ~((values >= low) & np.isfinite(values)), expected
            )
    yield from _broken(table, "priority", ~np.isfinite(table.priority), "a finite number")
    least, most, width = table.min_accelerators, table.max_accelerators, table.accelerators
    elastic = (least > 0) | (most > 0)
    wrong = elastic & ~((least >= 1) & (least <= width) & (width <= most))
    expected = "1 <= min_accelerators <= accelerators <= max_accelerators, or 0 and 0"
    yield from _broken(table, "min_accelerators", wrong, expected)
    yield from _broken(
        table, "accelerator_share", elastic & (table.accelerator_share < 1.0), "1 where elastic"
    )


def _division_problems(table: JobTable) -> Iterator[Problem]:
    """Yield gangs that cannot be divided as they say."""
    width = np.where(table.max_accelerators > 0, 1, table.accelerators)
    bad = np.zeros(len(table), dtype=bool)
    for code, text in enumerate(table.parallelism_names):
        mine = np.flatnonzero(table.parallelism == code)
        wrong = [each for each in np.unique(width[mine]).tolist() if not divides(text, each)]
        bad[mine] = np.isin(width[mine], wrong)
    expected = (
        "degrees such as tensor=8 pipeline=4 whose product divides the accelerators; none where elastic"
    )
    rows = np.flatnonzero(bad)
    for row in rows[:_EXAMPLES].tolist():
        got = f"{table.parallelism_names[table.parallelism[row]]!r} of {table.accelerators[row]}"
        yield Problem("jobs", None, f"{table.job_id[row]!r}.parallelism", got, expected)
    if len(rows) > _EXAMPLES:
        yield Problem("jobs", None, "parallelism", f"{len(rows) - _EXAMPLES} more jobs", expected)


def _work_problems(table: JobTable) -> Iterator[Problem]:
    """Yield jobs whose amount of work is missing, given twice, negative or infinite."""
    timed, stepped = ~np.isnan(table.duration_s), ~np.isnan(table.steps)
    yield from _broken(table, "duration_s", timed == stepped, "exactly one of duration_s and steps")
    for name, given in (("duration_s", timed), ("steps", stepped)):
        values = getattr(table, name)
        with np.errstate(invalid="ignore"):
            bad = given & ~(np.isfinite(values) & (values >= 0))
        yield from _broken(table, name, bad, "a finite number >= 0")
    yield from _broken(table, "profile", stepped & (table.profile < 0), "a profile where steps are given")
    profiled = (table.profile >= 0) & (table.accelerators < 1)
    yield from _broken(table, "accelerators", profiled, ">= 1 where a profile is named")
