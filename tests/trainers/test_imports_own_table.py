"""A CSV file of one's own: units, names, and every way in which it can be wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from dcsim.workload.profile import CostProfile
from dcsim.workload.profile_store import load_profile
from trainers.__main__ import main
from trainers.imports import sources

TABLE = "devices,batch_per_device,step_time_ms\n1,8,100\n1,16,150\n2,8,125\n"
DEVICE = ("--device", "T4")


def imported(path: Path, *options: str) -> list[CostProfile]:
    out = path.parent / "out"
    assert main(["import", "csv", str(path), "--out", str(out), *options]) == 0
    return [load_profile(file)[0] for file in sorted(out.glob("*.json"))]


def refused(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    out = path.parent / "out"
    assert main(["import", "csv", str(path), "--out", str(out), *options]) == 2
    assert not out.exists()
    return capsys.readouterr().err


def write(folder: Path, content: bytes | str) -> Path:
    path = folder / "mine.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


SAME = [
    TABLE,
    "devices,batch_per_device,step_time_s\n1,8,0.1\n1,16,0.15\n2,8,0.125\n",
    "devices,batch_per_device,step_time_us\n1,8,1e5\n1,16,150000\n2,8,125000\n",
    "devices,batch_per_device,samples_per_s\n1,8,80\n1,16,106.66666666666667\n2,8,128\n",
    "devices,global_batch,steps_per_s\n1,8,10\n1,16,6.666666666666667\n2,16,8\n",
    "\ufeff" + TABLE.replace("\n", "\r\n"),
    TABLE.replace("\n", "\r\n", 2),
    "note,step_time_ms,devices,batch_per_device\n a ,100,1,8\n,150,1,16\n\n,125,2,8\n",
]


@pytest.mark.parametrize("content", SAME)
def test_units_line_ends_and_order_make_no_difference(content: str, tmp_path: Path) -> None:
    (profile,) = imported(write(tmp_path, content), *DEVICE)
    assert [(p.devices, p.batch_per_device) for p in profile.points] == [(1, 8), (1, 16), (2, 8)]
    assert [p.step_time_s for p in profile.points] == pytest.approx([0.1, 0.15, 0.125])
    assert (profile.origin, profile.parameters, profile.flops_per_sample) == ("imported", None, None)


def test_of_few_points_the_error_is_said_to_be_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(write(tmp_path, TABLE), *DEVICE)
    assert "3 points on" in (said := capsys.readouterr().out)
    assert "error not known" in said


def test_columns_and_facts_that_are_said(tmp_path: Path) -> None:
    path = write(tmp_path, "iter time,gpus\n250,4\n")
    options = (
        "--column",
        "step_time_ms=iter time",
        "--column",
        "devices=gpus",
        "--batch",
        "32",
        "--parameters",
        "1000",
    )
    (profile,) = imported(path, *options, "--model", "mine", *DEVICE)
    (point,) = profile.points
    assert (point.devices, point.batch_per_device, point.step_time_s) == (4, 32, 0.25)
    assert (profile.name, profile.collectives.all_reduce_bytes) == ("mine", 4000.0)


def test_a_profile_for_each_model_and_device_with_its_power(tmp_path: Path) -> None:
    rows = "a,t4,1,8,1.0,50\na,t4,1,16,2.0,60\na,P100,1,8,0.5,200\nb,t4,1,8,3.0,40\n"
    path = write(tmp_path, "model,device,devices,batch_per_device,step_time_s,power_w\n" + rows)
    profiles = {profile.name: profile for profile in imported(path)}
    assert {name: (p.device, p.energy.power_w) for name, p in profiles.items()} == {
        "a-p100": ("P100", 200.0),
        "a-t4": ("T4", 60.0),
        "b-t4": ("T4", 40.0),
    }


def test_repeats_become_their_median_when_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "devices,batch_per_device,step_time_s\n1,8,1.0\n1,8,3.0\n1,8,1.5\n")
    said = refused(path, capsys, *DEVICE)
    assert "mine.csv:3" in said
    assert "mine.csv:4" in said
    assert "--repeats" in said
    (profile,) = imported(path, "--repeats", *DEVICE)
    assert [(p.step_time_s, p.steps) for p in profile.points] == [(1.5, 3)]


def test_every_problem_is_told_at_once_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, TABLE + "x,8,1\n4,8,-1\n4,0,nan\n4,1.5,inf\n4,2,1e999\n")
    said = refused(path, capsys, *DEVICE)
    for expected in (
        "mine.csv:5: devices: 'x'",
        "mine.csv:6: step_time_ms: '-1'",
        "mine.csv:7: batch_per_device: '0'",
        "mine.csv:7: step_time_ms: 'nan'",
        "mine.csv:8: batch_per_device: '1.5'",
        "mine.csv:8: step_time_ms: 'inf'",
        "mine.csv:9: step_time_ms: '1e999'",
    ):
        assert expected in said


def test_a_lone_quote_hides_no_other_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(write(tmp_path, TABLE + '4,8,nan\n8,8,"1\n'), capsys, *DEVICE)
    assert "mine.csv:5: step_time_ms: 'nan'" in said
    assert "look for a lone quote" in said


BAD = [
    ("", "an empty file"),
    ("devices,batch_per_device,step_time_s\n", "no rows below the header"),
    (TABLE.replace(",", ";"), "separated by commas"),
    (TABLE + '4,8,"1,5\n', "well-formed CSV"),
    (TABLE + "4,8,1,5\n", "a decimal comma or an unquoted comma?"),
    (TABLE + "4,8\n", "is the file cut off?"),
    ("devices,devices,batch_per_device,step_time_s\n1,1,1,1\n", "given twice"),
    ("devices,batch_per_device\n1,1\n", "exactly one of"),
    ("devices,batch_per_device,step_time_s,steps_per_s\n1,1,1,1\n", "exactly one of"),
    ("batch_per_device,step_time_s\n1,1\n", "--devices"),
    ("devices,step_time_s\n1,1\n", "--batch"),
    ("devices,global_batch,step_time_s\n3,8,1\n", "a multiple of the devices"),
    ("devices,batch_per_device,step_time_s,mode\n3,8,1,magic\n", "one of pmap"),
    (TABLE.encode("utf-16"), "UTF-16"),
    (b"devices\x00,batch\n", "a zero byte"),
    (TABLE.encode() + b"\xe9,8,1\n", "mine.csv:5: byte 0xe9"),
    (gzip.compress(TABLE.encode(), mtime=0)[:-6], "ends in the middle"),
]


@pytest.mark.parametrize(("content", "said"), BAD)
def test_bad_tables_are_refused(
    content: bytes | str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(write(tmp_path, content), capsys, *DEVICE)


def test_columns_that_are_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--column", "step_time_s=time", "--column", "speed=step_time_ms")
    said = refused(write(tmp_path, TABLE), capsys, *options, *DEVICE)
    assert "'time' is not in the header" in said
    assert "--column speed: unknown" in said


def test_no_device_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "say --device" in refused(write(tmp_path, TABLE), capsys)


def test_a_small_file_cannot_fill_the_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "TEXT_BYTES_MAX", 100_000)
    bomb = gzip.compress(TABLE.encode() + b"\n" * 1_000_000)
    assert len(bomb) < 2_000
    assert "more than 100,000 bytes unpacked" in refused(write(tmp_path, bomb), capsys, *DEVICE)


def test_a_folder_that_takes_no_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, TABLE)
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        main(["import", "csv", str(path), "--out", str(tmp_path / "file"), *DEVICE])
    assert "file is a file -> expected" in capsys.readouterr().err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "mine.csv"]
