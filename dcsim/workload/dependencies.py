"""Dependencies between jobs: who waits for whom, and that nobody waits for himself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dcsim.errors import Problem

__all__ = ["after_problems", "waits_for"]

_EXAMPLES = 10
"""Jobs named for each broken rule; the rest is counted."""


def after_problems(job_ids: Sequence[str], after: Mapping[str, tuple[str, ...]]) -> Iterator[Problem]:
    """Yield jobs and predecessors that do not exist, and circles.

    >>> [problem.got for problem in after_problems(["a", "b"], {"a": ("b",), "b": ("a",)})]
    ['a after b after a']
    """
    if not after:
        return
    known = set(job_ids)
    wrong = [
        Problem("jobs", None, f"{job!r}.after", repr(before), "the id of a job of this table")
        for job, befores in after.items()
        for before in befores
        if before not in known
    ]
    wrong += [
        Problem("jobs", None, "after", repr(job), "the id of a job of this table")
        for job in after
        if job not in known
    ]
    yield from wrong[:_EXAMPLES]
    if len(wrong) > _EXAMPLES:
        yield Problem("jobs", None, "after", f"{len(wrong) - _EXAMPLES} more", "ids of jobs of this table")
    circle = _circle(after)
    if circle:
        shown = " after ".join(circle[:_EXAMPLES])
        yield Problem("jobs", None, "after", shown, "dependencies without a circle")


def _circle(after: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return one circle of jobs, its first repeated at the end, or nothing; no recursion, for long chains."""
    done: set[str] = set()
    for start in after:
        if start in done:
            continue
        path, on_path = [start], {start: 0}
        iterators = [iter(after.get(start, ()))]
        while path:
            following = next(iterators[-1], None)
            if following is None:
                done.add(path[-1])
                del on_path[path.pop()]
                iterators.pop()
            elif following in on_path:
                return [*path[on_path[following] :], following]
            elif following not in done:
                on_path[following] = len(path)
                path.append(following)
                iterators.append(iter(after.get(following, ())))
    return []


def waits_for(
    job_ids: Sequence[str], after: Mapping[str, tuple[str, ...]]
) -> tuple[dict[int, int], dict[int, tuple[int, ...]]]:
    """Return (job -> how many jobs it waits for, job -> those that wait for it), by row.

    >>> waits_for(["a", "b", "c"], {"c": ("a", "b")})
    ({2: 2}, {0: (2,), 1: (2,)})
    """
    row = {name: number for number, name in enumerate(job_ids)} if after else {}
    count: dict[int, int] = {}
    followers: dict[int, list[int]] = {}
    for job, befores in after.items():
        distinct = dict.fromkeys(befores)
        count[row[job]] = len(distinct)
        for before in distinct:
            followers.setdefault(row[before], []).append(row[job])
    return count, {before: tuple(sorted(jobs)) for before, jobs in followers.items()}
