"""Files of any readers: gzip that lies, text in other encodings, line ends."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from dcsim.errors import TraceError
from dcsim.workload.readers import read_trace
from dcsim.workload.readers.bounded import decoded, numbered_lines, read_bounded

SWF_JOB = "{} {} 0 60 4 -1 -1 4 90 -1 1 3 1 -1 1 -1 -1 -1"


def _swf(*rows: tuple[int, int]) -> str:
    return "\n".join(SWF_JOB.format(*row) for row in rows) + "\n"


def test_gzip_is_told_by_its_bytes_and_not_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "log.swf"
    path.write_bytes(gzip.compress(_swf((1, 0), (2, 5)).encode()))
    assert len(read_trace(path, "swf")) == 2


def test_a_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.swf.gz"
    path.write_bytes(gzip.compress(b" " * 20_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(TraceError, match=r"more than 1,000,000 bytes unpacked -> expected at most 1,000,000"):
        read_bounded(path, bytes_max=1_000_000)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda packed: packed[:-20], "gzip that ends in the middle"),
        (lambda packed: packed[:-8] + b"\0" * 8, "broken gzip"),
        (lambda packed: packed[:30] + b"\xff" * 8 + packed[38:], "broken gzip"),
        (lambda packed: packed + b"more", "broken gzip"),
    ],
)
def test_broken_gzip_is_refused(tmp_path: Path, broken, words: str) -> None:
    path = tmp_path / "log.swf.gz"
    path.write_bytes(broken(gzip.compress(_swf(*((i, i) for i in range(1, 200))).encode())))
    with pytest.raises(TraceError, match=words):
        read_trace(path, "swf")


@pytest.mark.parametrize("form", ["swf", "sacct", "gavel", "kubernetes"])
def test_no_file_and_folders_are_told_apart_from_data(tmp_path: Path, form) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(TraceError, match=r"No such file|Is a directory"):
            read_trace(path, form)


@pytest.mark.parametrize("form", ["swf", "sacct", "gavel", "kubernetes"])
def test_empty_files_and_other_encodings_are_refused(tmp_path: Path, form) -> None:
    path = tmp_path / "log"
    for content in (b"", b"\n\n", "a b".encode("utf-16"), b"\0\0\0"):
        path.write_bytes(content)
        with pytest.raises(TraceError):
            read_trace(path, form)


def test_latin_1_is_refused_with_its_line() -> None:
    with pytest.raises(TraceError, match=r"log:2: byte 0xe9 -> expected UTF-8 text"):
        decoded(b"a\nb\xe9\n", Path("log"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_ends_and_a_byte_order_mark(tmp_path: Path, end: str) -> None:
    path = tmp_path / "log.swf"
    path.write_bytes(b"\xef\xbb\xbf" + _swf((1, 0), (2, 5)).replace("\n", end).encode())
    assert read_trace(path, "swf").job_id == ("1", "2")


def test_only_line_ends_end_lines() -> None:
    assert [number for number, _ in numbered_lines("a\x0bb\x85c\x1cd\n\ne")] == [1, 2, 3]
