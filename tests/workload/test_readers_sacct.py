"""Slurm accounting: any fields in any order, steps, arrays, words for no time, and malformed rows."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import TraceError
from dcsim.workload.readers.sacct import read_sacct
from dcsim.workload.readers.slurm_values import (
    parse_duration_s,
    parse_memory_bytes,
    parse_stamp_s,
    parse_tres,
    write_duration,
)

DEFAULT = {
    "JobID": "1",
    "Account": "ml",
    "State": "COMPLETED",
    "Submit": "2024-05-01T10:00:00",
    "Start": "2024-05-01T10:00:10",
    "End": "2024-05-01T10:01:10",
    "Elapsed": "00:01:00",
    "ReqTRES": "cpu=8,gres/gpu=2,mem=64G,node=1",
}


def _dump(folder: Path, *jobs: dict[str, str], end: str = "\n", bar: str = "") -> Path:
    header = list(DEFAULT | {name: "" for job in jobs for name in job})
    lines = ["|".join(header) + bar]
    lines += ["|".join((DEFAULT | job).get(name, "") for name in header) + bar for job in jobs]
    path = folder / "sacct.txt"
    path.write_bytes((end.join(lines) + end).encode())
    return path


def test_fields_become_columns(tmp_path: Path) -> None:
    table = read_sacct(
        _dump(
            tmp_path,
            {
                "JobID": "7",
                "Timelimit": "1-02:00:00",
                "Priority": "4294901754",
                "ReqTRES": "billing=16,cpu=16,gres/gpu:a100=4,gres/gpu=4,mem=64G,node=1",
                "AllocTRES": "cpu=128,gres/gpu:a100=8,gres/gpu=8,mem=900G,node=2",
            },
            {
                "JobID": "10",
                "Account": "",
                "User": "ann",
                "Submit": "2024-05-01T10:02:00",
                "ReqTRES": "cpu=2",
            },
        )
    )
    assert table.job_id == ("07", "10")
    assert table.submit_s.tolist() == [0.0, 120.0]
    assert table.accelerators.tolist() == [4, 0]
    assert table.max_servers.tolist() == [2, 0]
    assert table.cpu_cores.tolist() == [16.0, 2.0]
    assert table.memory_bytes.tolist() == [64 * 2.0**30, 0.0]
    assert table.duration_s.tolist() == [60.0, 60.0]
    assert table.time_limit_s[0] == 93_600.0
    assert math.isnan(table.time_limit_s[1])
    assert table.priority.tolist() == [4294901754.0, 0.0]
    assert table.texts("tenant") == ["ml", "ann"]
    assert table.texts("accelerator_types") == ["A100-40|A100-80", ""]
    assert "times are local without offset" in table.notes[0]


def test_names_of_accelerators_can_be_given(tmp_path: Path) -> None:
    path = _dump(
        tmp_path, {"ReqTRES": "cpu=1,gres/gpu:a100=1"}, {"JobID": "2", "ReqTRES": "cpu=1,gres/gpu:x9=1"}
    )
    table = read_sacct(path, accelerator_names={"A100": "A100-80"})
    assert table.texts("accelerator_types") == ["A100-80", "x9"]
    assert "accelerators: 'x9' is in no catalogue: jobs ask for 'x9'" in table.notes


def test_arrays_steps_and_components(tmp_path: Path) -> None:
    table = read_sacct(
        _dump(
            tmp_path,
            {"JobID": "123_9"},
            {"JobID": "123_9.batch"},
            {"JobID": "123_9.extern"},
            {"JobID": "123_10"},
            {"JobID": "123_[11-20,30%2]", "State": "PENDING", "Start": "Unknown", "Elapsed": "00:00:00"},
            {"JobID": "200+0"},
            {"JobID": "200+1"},
            {"JobID": "200+1.0"},
        )
    )
    assert table.job_id == ("123_09", "123_10", "200+0", "200+1")
    assert table.texts("array") == ["123", "123", "", ""]
    assert table.array_limit.tolist() == [2, 2, 0, 0]
    text = "\n".join(table.notes)
    assert "3 lines tell of steps" in text
    assert "1 (line 6) tell of tasks of an array that had not started" in text


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"State": "PENDING", "Start": "Unknown", "Elapsed": "00:00:00"}, "had not started"),
        ({"State": "CANCELLED by 1000", "Start": "None", "Elapsed": "00:00:00"}, "never started"),
        ({"State": "CANCELLED", "Elapsed": "00:00:00"}, "never started"),
        ({"State": "FAILED", "Start": "Unknown", "End": "Unknown", "Elapsed": "INVALID"}, "never started"),
    ],
)
def test_what_never_started_is_left_out(tmp_path: Path, job: dict[str, str], words: str) -> None:
    table = read_sacct(_dump(tmp_path, {"JobID": "9"}, job))
    assert table.job_id == ("9",)
    assert any(f"1 (line 3) {words}" in note for note in table.notes)


def test_cancelled_running_and_requeued_jobs(tmp_path: Path) -> None:
    table = read_sacct(
        _dump(
            tmp_path,
            {"JobID": "1", "State": "CANCELLED by 7"},
            {"JobID": "2", "State": "RUNNING", "End": "Unknown", "Elapsed": "2-00:00:00"},
            {"JobID": "3", "State": "NODE_FAIL", "Elapsed": "00:00:30", "End": "2024-05-01T10:00:40"},
            {"JobID": "3", "Submit": "2024-05-01T10:05:00"},
        )
    )
    assert table.job_id == ("1", "2", "3")
    assert table.duration_s.tolist() == [60.0, 172_800.0, 60.0]
    text = "\n".join(table.notes)
    assert "1 (line 3) had not ended" in text
    assert "1 (line 4) were requeued" in text


def test_arrival_is_when_a_job_could_have_started(tmp_path: Path) -> None:
    table = read_sacct(
        _dump(
            tmp_path,
            {"JobID": "1", "Eligible": "2024-05-01T10:00:30"},
            {"JobID": "2", "Eligible": "Unknown"},
            {"JobID": "3", "Submit": "2024-05-01T10:00:20", "Eligible": "2024-05-01T10:00:00"},
        )
    )
    assert dict(zip(table.job_id, table.submit_s.tolist(), strict=True)) == {"1": 30.0, "2": 0.0, "3": 20.0}
    assert any("1 (line 2) could start only after" in note for note in table.notes)


@pytest.mark.parametrize(
    ("limit", "raw", "expected_s"),
    [
        ("UNLIMITED", "", math.nan),
        ("Partition_Limit", "Partition_Limit", math.nan),
        ("INVALID", "", math.nan),
        ("00:02:00", "", 120.0),
        ("", "5", 300.0),
        ("00:00:30", "", math.nan),  # it ran for a minute
    ],
)
def test_time_limits(tmp_path: Path, limit: str, raw: str, expected_s: float) -> None:
    (found_s,) = read_sacct(_dump(tmp_path, {"Timelimit": limit, "TimelimitRaw": raw})).time_limit_s.tolist()
    assert found_s == pytest.approx(expected_s, nan_ok=True)


def test_fewer_fields_will_do(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(
        "End|JobIDRaw|Start|NCPUS|ReqMem|NNodes|Submit|\n"
        "2024-05-01T11:00:00|5|2024-05-01T10:00:00|8|4Gc|2|2024-05-01T09:00:00|\n"
        "2024-05-01T11:00:00|6|2024-05-01T10:00:00|8|4Gn|2|1714554000|\n"
    )
    with pytest.raises(TraceError, match="times that all have an offset, or all none"):
        read_sacct(path)
    table = read_sacct(path, on_bad="skip")
    assert table.duration_s.tolist() == [3600.0]
    assert table.memory_bytes.tolist() == [32 * 2.0**30]
    assert (table.cpu_cores.tolist(), table.max_servers.tolist()) == ([8.0], [2])


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"JobID": "abc"}, r"JobID: 'abc' -> expected a job id"),
        ({"State": "COMPLETD"}, r"State: 'COMPLETD' -> .*did you mean 'COMPLETED'"),
        ({"Submit": "2024-02-30T00:00:00"}, r"Submit: '2024-02-30T00:00:00' -> expected a time that exists"),
        ({"Submit": "Unknown"}, r"Submit: 'Unknown' -> expected a time"),
        ({"Elapsed": "1:2:3:4"}, r"Elapsed: '1:2:3:4' -> expected a duration"),
        ({"ElapsedRaw": "-5"}, r"ElapsedRaw: '-5' -> expected whole seconds"),
        (
            {"Elapsed": "", "End": "2024-05-01T09:00:00"},
            r"End: .* an End not before Start, a change of clocks\?",
        ),
        ({"ReqTRES": "cpu=x"}, r"ReqTRES: 'cpu=x' -> expected entries such as"),
        ({"ReqTRES": "cpu"}, r"ReqTRES: 'cpu' -> expected entries such as"),
        ({"ReqTRES": "mem=4G"}, r"ReqTRES: 'mem=4G' -> expected cpu= or gres/gpu="),
        ({"ReqTRES": "cpu=9999999"}, r"ReqTRES: .* at most 1,000,000 of each"),
        ({"Timelimit": "soon"}, r"Timelimit: 'soon' -> expected a duration"),
        ({"Priority": "-1"}, r"Priority: '-1' -> expected a number"),
        ({"JobID": "9"}, r"JobID: '9' -> expected a job once"),
    ],
)
def test_malformed_rows_are_refused_or_skipped(tmp_path: Path, job: dict[str, str], words: str) -> None:
    path = _dump(tmp_path, {"JobID": "9"}, {"JobID": "1"} | job)
    with pytest.raises(TraceError, match=rf"sacct.txt:3: {words}"):
        read_sacct(path)
    table = read_sacct(path, on_bad="skip")
    assert table.job_id == ("9",)
    assert any("1 malformed rows left out (line 3)" in note for note in table.notes)


def test_a_bar_in_a_field_is_named(tmp_path: Path) -> None:
    path = _dump(tmp_path, {"JobID": "1"}, {"JobID": "2", "Account": "a|b"})
    with pytest.raises(TraceError, match=r":3: 9 fields -> expected 8 fields.*leave JobName"):
        read_sacct(path)
    assert read_sacct(path, on_bad="skip").job_id == ("1",)


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("JobID  State  Submit", "print the dump with sacct --parsable2"),
        ("1|COMPLETED|x", "leave --noheader out"),
        ("JobID|Submit|Elapsed", "add ReqTRES to sacct --format"),
        ("JobID|Submit|Elapsed|ReqTRES|Submit", "Submit: the field more than once"),
    ],
)
def test_a_header_is_required_whatever_is_done_with_rows(tmp_path: Path, first: str, words: str) -> None:
    path = tmp_path / "log"
    path.write_text(f"{first}\n1|2024-05-01T10:00:00|00:01:00|cpu=1|x\n")
    with pytest.raises(TraceError, match=words):
        read_sacct(path, on_bad="skip")


def test_parsable_with_bars_at_the_end_and_carriage_returns(tmp_path: Path) -> None:
    assert read_sacct(_dump(tmp_path, {"JobID": "4"}, end="\r\n", bar="|")).job_id == ("4",)


@given(st.integers(0, 10**9))
def test_durations_come_back(duration_s: int) -> None:
    assert parse_duration_s(write_duration(duration_s)) == duration_s


@pytest.mark.parametrize("text", ["1-00", "00:60:00", "00:00:60", "1-24:00:00", "5", "-1:00", "1:2", "a"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration_s(text)


@given(st.datetimes(), st.sampled_from(["", "Z", "+02:00", "-0730"]))
def test_stamps_are_those_of_the_standard_library(when, offset: str) -> None:
    from datetime import UTC, datetime

    when = when.replace(microsecond=0)
    text = when.isoformat() + offset
    expected = datetime.fromisoformat(text if offset else text + "Z")
    seconds, told = parse_stamp_s(text)
    assert seconds == (expected - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    assert told is bool(offset)


def test_sizes_and_resources() -> None:
    assert parse_memory_bytes("1.5T") == 1.5 * 2**40
    tres = parse_tres("cpu=4,gres/gpu:v100=1,gres/gpu:t4=2,gres/shard=5,energy=12")
    assert (tres.gpus, tres.gpu_types) == (3, ("v100", "t4"))
    assert parse_tres("") == (0.0, 0.0, 0, 0, ())
    for text in ("4X", "", "-4G", "G"):
        with pytest.raises(ValueError):
            parse_memory_bytes(text)


def test_parts_of_gpus_and_slips_in_names_are_told_of(tmp_path: Path) -> None:
    path = _dump(
        tmp_path,
        {"ReqTRES": "cpu=1,gres/shard=3"},
        {"JobID": "2", "ReqTRES": "cpu=1,gres/gpu:a100=1,gres/gpumem=4G"},
    )
    table = read_sacct(path, accelerator_names={"a100": "A100-8"})
    assert table.accelerators.tolist() == [0, 1]
    assert (
        "sacct: 1 (line 2) ask for parts of GPUs (gres/shard, gres/mps), which are passed over" in table.notes
    )
    slip = "'A100-8' is in no catalogue: define it under `accelerators` (did you mean 'A100-80'?)"
    assert any(slip in note for note in table.notes)
