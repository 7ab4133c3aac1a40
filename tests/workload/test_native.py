"""The native trace format: nothing lost on the way out and back, and nothing wrong let in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcsim.errors import TraceError
from dcsim.workload.jobs import JobTable, empty_jobs, job_table
from dcsim.workload.readers.native import NATIVE_FIELDS, column_reference, read_native, write_jobs

TEXTS = ("profile", "tenant", "accelerator_types")
NUMBERS = tuple(field.name for field in NATIVE_FIELDS if field.kind != "text")

NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
TIMES = st.floats(0, 1e12, allow_subnormal=False)


@st.composite
def tables(draw: st.DrawFn) -> JobTable:
    """Any sound table."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    rows = [
        draw(st.tuples(TIMES, st.booleans(), TIMES, st.integers(1, 99), st.booleans(), TIMES)) for _ in names
    ]
    tenants = draw(st.lists(NAMES, min_size=len(names), max_size=len(names)))
    return job_table(
        job_id=names,
        submit_s=[row[0] for row in rows],
        steps=[row[2] if row[1] else np.nan for row in rows],
        duration_s=[np.nan if row[1] else row[2] for row in rows],
        profile=["p" if row[1] else "" for row in rows],
        accelerators=[1 if row[4] else row[3] for row in rows],
        accelerator_share=[0.3 if row[4] else 1.0 for row in rows],
        slack_s=[row[5] for row in rows],
        tenant=tenants,
        accelerator_types=["T4|A10" if row[4] else "" for row in rows],
        notes=("a note, with \u00fcmlaut",),
    )


def _same(one: JobTable, two: JobTable) -> None:
    assert one.job_id == two.job_id
    for name in NUMBERS:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    for name in TEXTS:
        assert one.texts(name) == two.texts(name)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
@given(table=tables())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_round_trip(table: JobTable, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"jobs{suffix}"
    write_jobs(table, path)
    back = read_native(path)
    _same(table, back)
    assert back.notes == (table.notes if suffix == ".parquet" else ())
    before = path.read_bytes()
    write_jobs(back if suffix == ".parquet" else table, path)
    assert path.read_bytes() == before


def _read(tmp_path: Path, text: str | bytes, **options: Any) -> JobTable:
    path = tmp_path / "jobs.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_native(path, **options)


def test_defaults_and_spellings(tmp_path: Path) -> None:
    text = 'submit_s,job_id,duration_s,accelerators,tenant\r\n+1e1,"b, c",.5, 4 ,\r\n\r\n0,a,2.,1.0,x\r\n'
    for content in (text.encode(), b"\xef\xbb\xbf" + text.encode(), text.replace("\r\n", "\n").encode()):
        table = _read(tmp_path, content)
        assert table.job_id == ("a", "b, c")
        assert table.submit_s.tolist() == [0.0, 10.0]
        assert table.accelerators.tolist() == [1, 4]
        assert table.texts("tenant") == ["x", "default"]
        assert table.duration_s.tolist() == [2.0, 0.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("job_id,submit_s,duration\na,0,1\n", ":1: 'duration': unknown column"),
        ("job_id,submit_s,durations_s\na,0,1\n", "did you mean 'duration_s'?"),
        ("job_id,submit_s,submit_s,duration_s\na,0,0,1\n", ":1: submit_s: 2 columns of that name"),
        ("job_id,duration_s\na,1\n", ":1: submit_s: no such column"),
        ("job_id,submit_s,duration_s\na,0,1\nb,nan,1\n", ":3: submit_s: 'nan' -> expected a finite number >= 0 [s]"),
        ("job_id,submit_s,duration_s\na,0,nan\n", ":2: duration_s: 'nan'"),
        ("job_id,submit_s,duration_s\na,0,inf\n", ":2: duration_s: 'inf'"),
        ("job_id,submit_s,duration_s\na,1e400,1\n", ":2: submit_s: '1e400'"),
        ("job_id,submit_s,duration_s\na,,1\n", ":2: submit_s: blank"),
        ("job_id,submit_s,duration_s\na,0,\n", ":2: duration_s: nan -> expected a number here or in steps"),
        ("job_id,submit_s,duration_s\na,0,-1\n", ":2: duration_s: '-1'"),
        ('job_id,submit_s,duration_s\na,"1,000",1\n', ":2: submit_s: '1,000'"),
        ("job_id,submit_s,duration_s\na,1,000,1\n", ":2: 4 fields -> expected 3 fields as in the header, a decimal comma"),
        ("job_id,submit_s,duration_s\na,0\n", ":2: 2 fields -> expected 3"),
        ("job_id,submit_s,duration_s\n,0,1\n", ":2: job_id: blank"),
        ("job_id,submit_s,duration_s\n a,0,1\n", ":2: job_id: ' a'"),
        ("job_id,submit_s,duration_s\na,0,1\n\nb,0,1\na,0,1\n", ":5: job_id: 'a' -> expected a name used once"),
        ('job_id,submit_s,duration_s\n"a\nb",0,1\nc,x,1\n', ":4: submit_s: 'x'"),
        ("job_id,submit_s,duration_s,accelerators\na,0,1,1.5\n", ":2: accelerators: '1.5' -> expected a whole number"),
        ("job_id,submit_s,duration_s,accelerators\na,0,1,1e9\n", ":2: accelerators: '1e9'"),
        ("job_id,submit_s,duration_s,accelerators\na,0,1,True\n", ":2: accelerators: 'True'"),
        ("job_id,submit_s,duration_s,accelerators\na,0,1,0x10\n", ":2: accelerators: '0x10'"),
        ("job_id,submit_s,duration_s,accelerator_share\na,0,1,0\n", ":2: accelerator_share: '0' -> expected a finite number > 0 and <= 1"),
        ("job_id,submit_s,duration_s,accelerators,accelerator_share\na,0,1,2,.5\n", ":2: accelerators: 2 -> expected 1 where"),
        ("job_id,submit_s,steps\na,0,1\n", ":2: profile: '' -> expected a name where steps are given"),
        ("job_id,submit_s,steps,profile,accelerators\na,0,1,p,0\n", ":2: accelerators: 0 -> expected >= 1"),
        ("job_id,submit_s,steps,duration_s,profile\na,0,1,1,p\n", ":2: steps: 1 -> expected blank where"),
        ("job_id,submit_s,duration_s,accelerator_types\na,0,1,T4||A10\n", ":2: accelerator_types: 'T4||A10'"),
        ('job_id,submit_s,duration_s\na,0,1\n"b,0,1\n', "look for a lone quote"),
        ("", "an empty file"),
        ("\n\n", "an empty file"),
        ("job_id,submit_s,duration_s\n", "no usable row -> expected at least one job"),
        ("job_id,submit_s,duration_s\na,0,1\nb,0,1\n".encode("utf-16"), ":1: UTF-16 text -> expected UTF-8 text"),
        ("job_id,submit_s,duration_s\na,0,1\nm\u00fc,0,1\n".encode("latin-1"), ":3: byte 0xfc -> expected UTF-8 text"),
        ("job_id,submit_s,duration_s\na\x00,0,1\n", ":2: job_id: 'a\\x00'"),
    ],
)  # fmt: skip
def test_bad_rows_are_named_with_their_line(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(TraceError) as caught:
        _read(tmp_path, text)
    assert words in str(caught.value)
    assert "jobs.csv" in str(caught.value)


def test_all_bad_rows_come_at_once_in_order_and_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"j{i},-1,x\n" for i in range(100))
    with pytest.raises(TraceError) as caught:
        _read(tmp_path, f"job_id,submit_s,duration_s\n{rows}")
    assert [problem.line for problem in caught.value.problems[:4]] == [2, 2, 3, 3]
    assert len(caught.value.problems) == 51
    assert "and 150 more problems" in str(caught.value)


def test_bad_rows_can_be_left_out_and_are_counted(tmp_path: Path) -> None:
    text = "job_id,submit_s,duration_s\na,0,1\nb,x,1\nc,1,1,1\na,2,2\nd,3,\ne,4,4\n"
    table = _read(tmp_path, text, on_bad="skip")
    assert table.job_id == ("a", "e")
    assert table.notes == ("4 malformed rows left out (lines 3, 4, 5, 6)",)
    with pytest.raises(TraceError, match="no usable row"):
        _read(tmp_path, "job_id,submit_s,duration_s\nb,x,1\n", on_bad="skip")
    with pytest.raises(TraceError, match="unknown column"):
        _read(tmp_path, "job_id,submit_s,duration_s,x\na,0,1,1\n", on_bad="skip")
    with pytest.raises(TraceError, match="lone quote"):
        _read(tmp_path, 'job_id,submit_s,duration_s\na,0,1\n"b,0,1\n', on_bad="skip")


def test_both_parsers_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dcsim.workload.readers import rows

    text = "submit_s,job_id,duration_s,accelerators,tenant\n10,\u00e9,0.1,4,\n0,a,1e-3,1,x\n"
    fast = _read(tmp_path, text)
    monkeypatch.setattr(rows, "_bulk", lambda *_: None)
    _same(fast, _read(tmp_path, text))


def _parquet(path: Path, **changes: Any) -> Path:
    columns: dict[str, Any] = {
        "job_id": ["a", "b"],
        "submit_s": [0.0, 1.0],
        "duration_s": [1.0, 2.0],
    } | changes
    pq.write_table(pa.table({name: value for name, value in columns.items() if value is not None}), path)
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": [1, 2]}, "unknown column"),
        ({"submit_s": None}, "submit_s: no such column"),
        ({"submit_s": ["0", "1"]}, "submit_s: a column of string -> expected a column of numbers"),
        ({"accelerators": [True, False]}, "a column of bool"),
        ({"job_id": [1, 2]}, "job_id: a column of int64 -> expected a column of texts"),
        ({"submit_s": [0.0, -1.0]}, "row 2.submit_s: -1"),
        ({"submit_s": [None, 1.0]}, "row 1.submit_s: nan"),
        ({"accelerators": [1, 0.5]}, "row 2.accelerators: 0.5"),
        ({"job_id": ["a", "a"]}, "row 2.job_id: 'a'"),
        ({"job_id": ["a", None]}, "row 2.job_id: ''"),
        ({"duration_s": [1.0, None]}, "row 2.duration_s: nan -> expected a number here or in steps"),
        (
            {"job_id": pa.array([], pa.string()), "submit_s": pa.array([], pa.float64()), "duration_s": None},
            "no rows",
        ),
    ],
)
def test_bad_parquet_is_named_by_row(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TraceError) as caught:
        read_native(_parquet(tmp_path / "jobs.parquet", **changes))
    assert words in str(caught.value)


def test_parquet_of_other_writers_is_read(tmp_path: Path) -> None:
    path = _parquet(
        tmp_path / "jobs.parquet",
        submit_s=pa.array([0, 1], pa.int32()),
        tenant=pa.array(["x", None]).dictionary_encode(),
        accelerators=[4.0, 8.0],
    )
    table = read_native(path)
    assert table.texts("tenant") == ["x", "default"]
    assert table.accelerators.tolist() == [4, 8]


def test_no_flipped_byte_of_parquet_goes_unnoticed(tmp_path: Path) -> None:
    table = job_table(submit_s=np.arange(50.0), duration_s=np.arange(50.0) ** 1.5, tenant="t", notes=("n",))
    path = tmp_path / "jobs.parquet"
    write_jobs(table, path)
    content = path.read_bytes()
    refused = 0
    for position in range(0, len(content), 29):
        changed = bytearray(content)
        changed[position] ^= 0x10
        path.write_bytes(bytes(changed))
        try:
            _same(table, read_native(path))
        except TraceError:
            refused += 1
    assert refused > 20


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.parquet"
    columns = pa.table({"job_id": ["a"], "submit_s": [0.0], "duration_s": [1.0]})
    pq.write_table(columns.replace_schema_metadata({"dcsim.jobs.version": "2"}), path)
    with pytest.raises(TraceError, match="version: 2 -> expected 1"):
        read_native(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    table = job_table(submit_s=0.0, duration_s=1.0)
    (tmp_path / "folder.csv").mkdir()
    for name, words in (
        ("a.txt", "suffix '.txt'"),
        ("none.csv", "No such file"),
        ("none.parquet", "No such file"),
    ):
        with pytest.raises(TraceError, match=words):
            read_native(tmp_path / name)
    with pytest.raises(TraceError, match="a readable file"):
        read_native(tmp_path / "folder.csv")
    with pytest.raises(TraceError, match=r"suffix '\.json'"):
        write_jobs(table, tmp_path / "a.json")
    with pytest.raises(TraceError, match="at least one job"):
        write_jobs(empty_jobs(), tmp_path / "a.csv")


def test_the_reference_lists_every_column() -> None:
    lines = column_reference().splitlines()
    assert len(lines) == 2 + len(NATIVE_FIELDS)
    assert "| `submit_s` | number | s | required | arrival, from 0 |" in lines


def test_a_header_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_bytes(b"job_id,submit_s,dura\xfftion_s\na,0,1\n")
    with pytest.raises(TraceError, match="UTF-8"):
        read_native(tmp_path / "jobs.csv")


def test_a_parquet_column_that_is_no_text_is_refused(tmp_path: Path) -> None:
    write_jobs(job_table(submit_s=[0.0], duration_s=1.0), tmp_path / "jobs.parquet")
    stored = (tmp_path / "jobs.parquet").read_bytes()
    (tmp_path / "jobs.parquet").write_bytes(stored.replace(b"tenant", b"\xffenant"))
    with pytest.raises(TraceError):
        read_native(tmp_path / "jobs.parquet")


def test_what_jobs_say_of_each_other_is_refused_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("job_id,submit_s,duration_s,after\na,0,1,b\nb,0,1,a\n")
    with pytest.raises(TraceError, match=r"jobs.csv: after: a after b after a -> expected dependencies"):
        read_native(path)


def test_an_array_has_one_limit(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    header = "job_id,submit_s,duration_s,array,array_limit\n"
    path.write_text(header + "a,0,1,x,2\nb,0,1,y,0\nc,0,1,x,3\nd,0,1,,1\ne,0,1,x,2\n")
    with pytest.raises(TraceError) as refused:
        read_native(path)
    assert [problem.line for problem in refused.value.problems] == [4, 5]
    assert "array_limit: 3 -> expected one limit in an array" in str(refused.value)


def test_a_log_of_another_format_is_told_of_formats(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="another format\\? say which: --format"):
        read_native(tmp_path / "log.swf")
