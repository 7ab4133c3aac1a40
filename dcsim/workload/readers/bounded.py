"""Files read whole, plain or gzipped, with a bound on what comes out of them."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from dcsim.errors import Problem, TraceError
from dcsim.workload.readers.rows import check_size

__all__ = ["TEXT_BYTES_MAX", "decoded", "numbered_lines", "read_bounded"]

TEXT_BYTES_MAX = 512 * 2**20
"""Text that a reader takes in at once, unpacked; more is refused [B]."""

_CHUNK_BYTES = 2**20


def read_bounded(path: Path, *, bytes_max: int = TEXT_BYTES_MAX) -> bytes:
    """Return the bytes of a file, unpacked where it is gzip, by its first bytes and not by its name.

    Unpacking stops at `bytes_max`, so that a small file cannot fill the memory.

    Raises:
        TraceError: No such file, a folder, larger than `bytes_max`, or broken gzip (truncated, a wrong
            checksum, or further bytes behind it).
    """
    check_size(path)
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            content = bytearray()
            while chunk := stream.read(_CHUNK_BYTES):
                content += chunk
                if len(content) > bytes_max:
                    raise _too_large(path, bytes_max, packed=packed)
    except EOFError:
        raise _refusal(path, "gzip that ends in the middle", "a whole gzip file", "copy it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _refusal(path, f"broken gzip ({error})", "a sound gzip file", "copy it again") from None
    except OSError as error:
        raise _refusal(path, error.strerror or str(error), "a readable file") from None
    return bytes(content)


def decoded(content: bytes, path: Path, *, latin_1: bool = False) -> str:
    r"""Return UTF-8 text, its byte order mark gone; any line ends.

    Args:
        content: Bytes of the file.
        path: Only shown.
        latin_1: Take text that is not UTF-8 for Latin-1, as for formats whose data are plain ASCII and
            whose comments are old.

    Raises:
        TraceError: UTF-16, a zero byte, or not UTF-8, with the line.

    >>> decoded(b"\xef\xbb\xbfa;b\r\n", Path("log"))
    'a;b\r\n'
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refusal(path, "UTF-16 text", "UTF-8 text", "save the file as UTF-8", line=1)
    zero = content.find(b"\x00")
    if zero >= 0:
        line = content.count(b"\n", 0, zero) + 1
        raise _refusal(path, "a zero byte", "text", "is it a binary file?", line=line)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if latin_1:
            return content.decode("latin-1")
        line = content.count(b"\n", 0, error.start) + 1
        hint = "the file may be Latin-1: save it as UTF-8"
        got = f"byte 0x{content[error.start]:02x}"
        raise _refusal(path, got, "UTF-8 text", hint, line=line) from None


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    r"""Yield (number from 1, line without its end), whatever ends the lines: \n, \r\n or \r.

    >>> list(numbered_lines("a\r\nb\u2028c\n"))
    [(1, 'a'), (2, 'b\u2028c')]
    """
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        yield number, line.rstrip("\n")


def _too_large(path: Path, bytes_max: int, *, packed: bool) -> TraceError:
    got = f"more than {bytes_max:,} bytes{' unpacked' if packed else ''}"
    return _refusal(path, got, f"at most {bytes_max:,} bytes", "split the file")


def _refusal(path: Path, got: str, expected: str, hint: str = "", *, line: int | None = None) -> TraceError:
    return TraceError([Problem(str(path), line, "", got, expected, hint)])
