"""The job table: its invariants, and what happens when they are broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import TraceError
from dcsim.workload.jobs import JobTable, concat_jobs, empty_jobs, job_table


def test_defaults_and_order() -> None:
    table = job_table(
        submit_s=[5.0, 0.0, 5.0], duration_s=1.0, job_id=["b", "c", "a"], tenant=["x", "y", "x"]
    )
    assert table.job_id == ("c", "a", "b")
    assert table.submit_s.tolist() == [0.0, 5.0, 5.0]
    assert table.texts("tenant") == ["y", "x", "x"]
    assert table.accelerators.tolist() == [1, 1, 1]
    assert table.texts("profile") == ["", "", ""]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"submit_s": [-1.0, 0.0]}, "submit_s: -1.0 -> expected a finite number >= 0"),
        ({"submit_s": [0.0, np.nan]}, "submit_s: nan"),
        ({"duration_s": np.inf}, "duration_s: inf"),
        ({"duration_s": -1.0}, "duration_s: -1.0"),
        ({"duration_s": np.nan}, "exactly one of duration_s and steps"),
        ({"steps": 3.0, "profile": "p"}, "exactly one of duration_s and steps"),
        ({"duration_s": np.nan, "steps": 3.0}, "a profile where steps are given"),
        ({"profile": "p", "accelerators": 0}, ">= 1 where a profile is named"),
        ({"accelerator_share": 0.0}, "a number in (0, 1]"),
        ({"accelerator_share": 1.5}, "a number in (0, 1]"),
        ({"accelerator_share": 0.5, "accelerators": 2}, "1 where accelerator_share is below 1"),
        ({"accelerators": -1}, "an integer >= 0"),
        ({"accelerators": 1.5}, "whole numbers"),
        ({"accelerators": True}, "numbers"),
        ({"accelerators": [1, 2, 3]}, "shape (2,)"),
        ({"job_id": ["a", "a"]}, "an id used once"),
        ({"job_id": ["a", ""]}, "a printable name"),
        ({"job_id": ["a\nb", "c"]}, "a printable name"),
        ({"accelerator_types": "T4||A10"}, "none empty"),
        ({"slack_s": np.inf}, "slack_s: inf"),
        ({"cpu_cores": -0.5}, "cpu_cores: -0.5"),
        ({"tenant": ""}, "tenant"),
    ],
)
def test_each_broken_invariant_is_named(changes: dict[str, Any], words: str) -> None:
    columns: dict[str, Any] = {"submit_s": [0.0, 1.0], "duration_s": 1.0}
    with pytest.raises(TraceError) as caught:
        job_table(**(columns | changes))
    assert words in str(caught.value)


def test_all_problems_come_at_once_and_many_are_counted() -> None:
    with pytest.raises(TraceError) as caught:
        job_table(submit_s=np.zeros(100), duration_s=-1.0, cpu_cores=-1.0)
    assert len(caught.value.problems) == 22  # ten of each and a count of each
    assert "90 more jobs" in str(caught.value)


def test_check_refuses_a_table_out_of_order_or_of_unequal_columns() -> None:
    table = job_table(submit_s=[0.0, 1.0], duration_s=1.0)
    with pytest.raises(TraceError, match="ordered by"):
        table.take(np.array([1, 0])).check()
    with pytest.raises(TraceError, match="2 values, one a job"):
        replace(table, slack_s=np.zeros(3)).check()
    with pytest.raises(TraceError, match=r"a code in \[-1, 0\)"):
        replace(table, profile=np.array([0, -1])).check()


def test_empty_take_and_concatenate() -> None:
    assert len(empty_jobs()) == 0
    assert len(concat_jobs()) == 0
    first = job_table(submit_s=[0.0, 4.0], duration_s=1.0, job_id=["a", "b"], tenant="x", notes=("one",))
    second = job_table(
        submit_s=2.0, steps=9.0, profile="p", job_id=["c"], accelerator_types="T4|A10", notes=("two",)
    )
    both = concat_jobs(first, second)
    assert both.job_id == ("a", "c", "b")
    assert both.texts("tenant") == ["x", "default", "x"]
    assert both.texts("accelerator_types") == ["", "T4|A10", ""]
    assert both.notes == ("one", "two")
    with pytest.raises(TraceError, match="an id used once"):
        concat_jobs(first, first)


@given(st.permutations(range(6)))
def test_the_order_of_rows_does_not_show(order: list[int]) -> None:
    rows = [(f"j{i}", float(i // 2), "xyxyzz"[i], ("", "T4", "A10")[i % 3]) for i in range(6)]

    def table(rows: list[tuple[str, float, str, str]]) -> JobTable:
        names, times, tenants, types = (list(column) for column in zip(*rows, strict=True))
        return job_table(
            job_id=names, submit_s=times, duration_s=1.0, tenant=tenants, accelerator_types=types
        )

    one, two = table(rows), table([rows[i] for i in order])
    assert (one.job_id, one.tenant_names, one.type_constraints) == (
        two.job_id,
        two.tenant_names,
        two.type_constraints,
    )
    np.testing.assert_array_equal(one.tenant, two.tenant)
    np.testing.assert_array_equal(one.accelerator_types, two.accelerator_types)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.text("abc", min_size=1, max_size=3)), unique_by=lambda row: row[1]
    )
)
def test_order_is_that_of_submit_time_then_name(rows: list[tuple[int, str]]) -> None:
    table = job_table(
        submit_s=np.array([time for time, _ in rows], dtype=float),
        duration_s=np.ones(len(rows)),
        job_id=[name for _, name in rows],
    )
    assert list(zip(table.submit_s.tolist(), table.job_id, strict=True)) == sorted(rows)
    assert isinstance(table.sorted(), JobTable)
