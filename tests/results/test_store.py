"""A run on disk: round trip, equal bytes, and damage that is always found and named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dcsim.errors import ResultError
from dcsim.results.arrow import arrow_schema, to_arrow
from dcsim.results.links import ListedLinks, pack_links, unpack_links
from dcsim.results.manifest import manifest_bytes
from dcsim.results.run_result import RunResult
from dcsim.results.schema import ACCOUNT, EVENTS, Column
from dcsim.results.store import RUN_LOG, TABLES, read_run, read_table, verify_run, write_run
from tests.results.synthetic import make_result, make_scenario

FILES = ("manifest.json", *(f"{name}.parquet" for name in TABLES))


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_a_run_comes_back_as_it_was_written(run_dir: Path, result: RunResult) -> None:
    back = read_run(run_dir).result
    for name in TABLES:
        for column, values in getattr(result, name).items():
            np.testing.assert_array_equal(getattr(back, name)[column], values, err_msg=f"{name}.{column}")
            if values.dtype != object:
                assert getattr(back, name)[column].dtype == values.dtype
    assert dict(back.summary) == dict(result.summary)
    assert list(back.account) == [column.name for column in ACCOUNT]
    np.testing.assert_equal(dict(back.account), dict(result.account))
    assert back.server_names == result.server_names
    np.testing.assert_array_equal(back.server_racks, result.server_racks)
    assert back.listed_links.names == result.listed_links.names
    assert back.listed_links.tiers == result.listed_links.tiers
    np.testing.assert_array_equal(
        back.listed_links.capacity_bytes_per_s, result.listed_links.capacity_bytes_per_s
    )
    assert (back.seed, back.event_kinds, back.warnings) == (3, result.event_kinds, result.warnings)


def test_the_same_result_gives_the_same_bytes(run_dir: Path, tmp_path: Path, result: RunResult) -> None:
    elsewhere = tmp_path / "somewhere" / "else"
    elsewhere.mkdir(parents=True)
    again = write_run(
        result, elsewhere / "run", scenario=make_scenario(), base_dir=elsewhere, log={"elapsed_s": 12.5}
    )
    assert contents(again) == contents(run_dir)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("text", "\ud800"), ("text", object()), ("int64", 2**70), ("int32", 2**40), ("int64", "seven")],
)
def test_a_value_that_fits_no_column_is_named(dtype: str, value: object) -> None:
    column = Column("made_up", dtype, "", "of a test")
    with pytest.raises(ResultError, match=r"events\.made_up: does not fit"):
        to_arrow({"made_up": np.array([value], dtype=object)}, [column], "events")


def test_nan_survives_in_tables_and_summary(tmp_path: Path) -> None:
    result = make_result(count=5, unfinished=5)
    out = write_run(result, tmp_path / "run", scenario=make_scenario(), base_dir=tmp_path)
    back = read_run(out).result
    assert np.isnan(back.jobs["end_s"]).all()
    assert np.isnan(float(back.summary["jct_mean_s"]))
    assert back.summary["jobs_completed"] == 0


def test_what_an_account_does_not_know_is_null_in_the_manifest(run_dir: Path, result: RunResult) -> None:
    written = json.loads((run_dir / "manifest.json").read_text())["account"]
    unknown = {name for name, value in result.account.items() if np.isnan(value)}
    assert unknown >= {"carbon_market_kg", "hottest_inlet_deg_c"}
    assert {name for name, value in written.items() if value is None} == unknown


def test_an_account_of_other_columns_is_refused_by_name(run_dir: Path) -> None:
    path = run_dir / "manifest.json"
    manifest = json.loads(path.read_text())
    for damaged, words in (
        ({k: v for k, v in manifest["account"].items() if k != "ere"}, "its account is without ere"),
        (list(manifest["account"].values()), "its field 'account' is missing or no dict"),
    ):
        path.write_bytes(manifest_bytes(manifest | {"account": damaged}))
        with pytest.raises(ResultError, match=words):
            read_run(run_dir)


def test_a_run_without_jobs_can_be_stored(tmp_path: Path) -> None:
    result = make_result(count=0)
    out = write_run(result, tmp_path / "run", scenario=make_scenario(), base_dir=tmp_path)
    assert read_run(out).result.jobs["job_id"].size == 0


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_byte_is_found_and_the_file_named(run_dir: Path, name: str) -> None:
    path = run_dir / name
    original = path.read_bytes()
    for position in range(0, len(original), max(1, len(original) // 150)):
        damaged = bytearray(original)
        damaged[position] ^= 0x10
        path.write_bytes(bytes(damaged))
        with pytest.raises(ResultError, match=name):
            verify_run(run_dir)
    path.write_bytes(original)
    verify_run(run_dir)


@pytest.mark.parametrize("name", FILES)
def test_truncated_and_missing_files_are_named(run_dir: Path, name: str) -> None:
    path = run_dir / name
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ResultError, match=name):
        read_run(run_dir)
    path.unlink()
    with pytest.raises(ResultError, match=name):
        verify_run(run_dir)


def test_page_checksums_are_in_the_file_itself(run_dir: Path) -> None:
    """Damage is found even by readers that never look at the manifest."""
    path = run_dir / "events.parquet"
    original = path.read_bytes()
    start = pq.ParquetFile(path).metadata.row_group(0).column(0).data_page_offset
    silent = 0
    for position in range(start, start + 400, 5):
        damaged = bytearray(original)
        damaged[position] ^= 0x01
        try:
            table = pq.read_table(pa.BufferReader(bytes(damaged)), page_checksum_verification=True)
        except (OSError, pa.ArrowException):
            continue
        silent += not table.equals(pq.read_table(path))
    assert silent == 0


def test_another_version_is_refused(run_dir: Path) -> None:
    path = run_dir / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["version"] = 999
    path.write_text(json.dumps(manifest))
    with pytest.raises(ResultError, match="999"):
        read_run(run_dir)


def test_a_folder_that_is_not_a_run_is_refused_and_untouched(tmp_path: Path, result: RunResult) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.tex").write_text("mine")
    with pytest.raises(ResultError, match="not a dcsim run"):
        write_run(result, folder, scenario=make_scenario(), base_dir=tmp_path)
    assert (folder / "chapter.tex").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["thesis"]


def test_a_run_with_a_users_note_in_it_is_not_replaced(
    run_dir: Path, result: RunResult, tmp_path: Path
) -> None:
    (run_dir / "notes.txt").write_text("mine")
    with pytest.raises(ResultError, match="not a dcsim run"):
        write_run(result, run_dir, scenario=make_scenario(), base_dir=tmp_path)


def test_an_older_run_is_replaced_as_a_whole(run_dir: Path, tmp_path: Path) -> None:
    write_run(make_result(seed=4), run_dir, scenario=make_scenario(), base_dir=tmp_path)
    assert verify_run(run_dir)["seed"] == 4
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_full_disk_leaves_the_old_run_intact(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(run_dir)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultError, match=r"run: cannot be written \(No space left on device\)"):
        write_run(make_result(seed=4), run_dir, scenario=make_scenario(), base_dir=tmp_path)
    assert contents(run_dir) == before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_numbers_reach_arrow_without_a_copy(result: RunResult) -> None:
    table = to_arrow(result.events, EVENTS, "events")
    for column in EVENTS:
        address = result.events[column.name].__array_interface__["data"][0]
        assert table.column(column.name).chunk(0).buffers()[1].address == address


@pytest.mark.parametrize("name", TABLES)
def test_files_carry_type_unit_and_meaning(run_dir: Path, name: str) -> None:
    schema = pq.read_schema(run_dir / f"{name}.parquet")
    assert schema.remove_metadata().equals(arrow_schema(TABLES[name]).remove_metadata())
    assert all(field.metadata[b"meaning"] for field in schema)


def test_wrong_tables_are_refused(result: RunResult, tmp_path: Path) -> None:
    missing = {k: v for k, v in result.jobs.items() if k != "wait_s"}
    ragged = {**result.jobs, "wait_s": result.jobs["wait_s"][:-1]}
    wide = {**result.jobs, "accelerators": np.full(40, 2**40)}
    for jobs, word in ((missing, "wait_s"), (ragged, "lengths"), (wide, "accelerators")):
        with pytest.raises(ResultError, match=word):
            write_run(replace(result, jobs=jobs), tmp_path / "x", scenario=make_scenario(), base_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_table_can_be_read_alone(run_dir: Path) -> None:
    (run_dir / "events.parquet").unlink()
    assert read_table(run_dir, "series")["time_s"].size == 48


def test_a_run_without_links_can_be_stored(tmp_path: Path, result: RunResult) -> None:
    bare = RunResult(
        **{
            name: value
            for name, value in vars(result).items()
            if name not in ("links", "tiers", "listed_links")
        }
    )
    back = read_run(write_run(bare, tmp_path / "run", scenario=make_scenario(), base_dir=tmp_path)).result
    assert [values.size for values in (*back.links.values(), *back.tiers.values())] == [0] * 11
    assert back.listed_links.names == ()


def test_links_without_a_limit_come_back() -> None:
    listed = ListedLinks(("up", "down"), ("server", "server"), np.array([np.inf, 1e9]), left_out=3)
    text = json.dumps(pack_links(listed), allow_nan=False)
    back = unpack_links(json.loads(text))
    assert (back.names, back.tiers, back.left_out) == (listed.names, listed.tiers, 3)
    np.testing.assert_array_equal(back.capacity_bytes_per_s, listed.capacity_bytes_per_s)


def test_the_run_log_is_neither_hashed_nor_needed(run_dir: Path) -> None:
    (run_dir / RUN_LOG).unlink()
    read_run(run_dir)


LIMITED = """
import resource, sys
from pathlib import Path
from dcsim.errors import ResultError
from dcsim.results.store import write_run
from tests.results.synthetic import make_result, make_scenario
result = make_result(seed=4, count=2000)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_run(result, Path(sys.argv[1]), scenario=make_scenario(), base_dir=Path("."))
except ResultError as error:
    print(error)
"""


def test_a_file_the_system_refuses_to_grow_leaves_nothing_half_written(tmp_path: Path) -> None:
    """A real refusal from the kernel in the middle of a table, not a simulated one."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "run")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "run: cannot be written" in done.stdout
    assert list(tmp_path.iterdir()) == []
