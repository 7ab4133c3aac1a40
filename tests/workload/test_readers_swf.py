"""The Standard Workload Format: fields by hand, and every malformed line named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import TraceError
from dcsim.workload.readers.swf import SWF_FIELDS, read_swf

HEADER = "; Version: 2.2\n; Computer: Caf\u00e9 SP2\n; MaxProcs: 128\n;\n"


def _line(**changes: object) -> str:
    """One job; fields by name."""
    values: dict[str, object] = {column.name: -1 for column in SWF_FIELDS}
    values |= {"job_number": 1, "submit_s": 0, "run_s": 60, "allocated": 4, "status": 1} | changes
    return " ".join(str(values[column.name]) for column in SWF_FIELDS)


def _file(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = folder / "log.swf"
    path.write_bytes((HEADER + "\n".join(lines) + "\n").encode(encoding))
    return path


def test_fields_become_columns(tmp_path: Path) -> None:
    table = read_swf(
        _file(
            tmp_path,
            _line(job_number=8, submit_s=100, requested=6, requested_s=90, user=7, requested_memory_kib=2),
            "",
            _line(job_number=9, submit_s=160, run_s=30.5, used_memory_kib=1, preceding=8, think_s=4),
            _line(job_number=10, submit_s=160, run_s=0, allocated=1),
        )
    )
    assert table.job_id == ("08", "09", "10")
    assert table.submit_s.tolist() == [0.0, 60.0, 60.0]
    assert table.accelerators.tolist() == [6, 4, 1]
    assert table.max_servers.tolist() == [0, 0, 0]
    assert table.duration_s.tolist() == [60.0, 30.5, 0.0]
    assert table.memory_bytes.tolist() == [6 * 2048.0, 4 * 1024.0, 0.0]
    assert table.time_limit_s[0] == 90.0
    assert math.isnan(table.time_limit_s[1])
    assert table.texts("tenant") == ["user-7", "default", "default"]
    assert table.after == {"09": ("08",)}
    assert "swf: Computer: Caf\u00e9 SP2" in table.notes
    assert "swf: MaxProcs: 128" in table.notes


def test_a_job_that_outran_its_limit_has_none(tmp_path: Path) -> None:
    table = read_swf(_file(tmp_path, _line(run_s=100, requested_s=60)))
    assert math.isnan(table.time_limit_s[0])
    assert any("1 jobs outran the time they asked for" in note for note in table.notes)


def test_what_never_ran_is_left_out_and_counted(tmp_path: Path) -> None:
    table = read_swf(
        _file(
            tmp_path,
            _line(job_number=1),
            _line(job_number=2, run_s=-1, status=5),
            _line(job_number=3, run_s=0, status=5, allocated=-1),
            _line(job_number=4, run_s=9, status=5),
            _line(job_number=1, status=2),
            _line(job_number=5, preceding=2),
        )
    )
    assert table.job_id == ("1", "4", "5")
    text = "\n".join(table.notes)
    assert "2 (lines 6, 7) jobs were cancelled before they ran and are left out" in text
    assert "1 (line 9) lines tell of parts of jobs and are left out" in text
    assert "1 jobs follow a job that is not in the trace" in text
    assert table.after == {}


def test_every_malformed_line_is_named_at_once(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        _line(job_number=1),
        _line(job_number=2, submit_s=-5),
        _line(job_number=3, run_s=-1),
        _line(job_number=4, allocated=-1),
        _line(job_number=1),
        "1 2 3",
        _line(job_number=6, run_s="1_0"),
        _line(job_number=7, run_s="nan"),
        _line(job_number=8, allocated=2.5),
        _line(job_number=9, preceding=9),
    )
    with pytest.raises(TraceError) as caught:
        read_swf(path)
    found = {(problem.line, problem.path) for problem in caught.value.problems}
    assert found == {
        (6, "submit_s"),
        (7, "run_s"),
        (8, "requested"),
        (9, "job_number"),
        (10, ""),
        (11, "run_s"),
        (12, "run_s"),
        (13, "allocated"),
        (14, "preceding"),
    }
    assert "log.swf:11: run_s: '1_0' -> expected a finite number >= -1" in str(caught.value)
    table = read_swf(path, on_bad="skip")
    assert table.job_id == ("1",)
    assert "9 malformed rows left out (lines 6, 7, 8, 9, 10, 11, 12, 13, 14)" in table.notes


def test_another_format_is_told(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"3 fields -> expected 18 fields, is it another format\?"):
        read_swf(_file(tmp_path, "job_id submit_s duration_s"), on_bad="skip")


def test_old_comments_may_be_latin_1_and_data_may_not(tmp_path: Path) -> None:
    assert read_swf(_file(tmp_path, _line(), encoding="latin-1")).notes[0] == "swf: Computer: Caf\u00e9 SP2"
    with pytest.raises(TraceError, match=r"log.swf:5: run_s"):
        read_swf(_file(tmp_path, _line(run_s="\u00bd"), encoding="latin-1"))


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**5), st.integers(1, 512)), min_size=1, max_size=20
    )
)
def test_what_is_written_comes_back(tmp_path_factory: pytest.TempPathFactory, jobs) -> None:
    lines = [
        _line(job_number=number, submit_s=submit_s, run_s=run_s, requested=width)
        for number, (submit_s, run_s, width) in enumerate(jobs, start=1)
    ]
    table = read_swf(_file(tmp_path_factory.mktemp("swf"), *lines))
    first_s = min(submit_s for submit_s, _, _ in jobs)
    facts = zip(table.job_id, table.submit_s + first_s, table.duration_s, table.accelerators, strict=True)
    assert {int(name): (s, r, w) for name, s, r, w in facts} == dict(enumerate(jobs, start=1))
