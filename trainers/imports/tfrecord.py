"""TFRecord framing: length, checksum, data, checksum; every checksum is verified.

A record is the length as 8 bytes, the masked CRC-32C of these as 4 bytes, the data, and the masked CRC-32C of the data
as 4 bytes, all little-endian (tensorflow/core/lib/io/record_writer.h). CRC-32C is that of RFC 3720, appendix B.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trainers.imports.sources import refusal

__all__ = ["crc32c", "masked_crc32c", "records"]

_POLYNOMIAL = 0x82F63B78
"""Castagnoli's, bits reversed."""
_MASK_DELTA = 0xA282EAD8
_HEAD_BYTES = 12
_FOOT_BYTES = 4


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of some bytes.

    >>> hex(crc32c(b"123456789"))  # the check value of this CRC
    '0xe3069283'
    """
    table, value = _TABLE, 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C rotated right by 15 bits plus a constant, as the format stores it.

    >>> masked_crc32c(b"")
    2726488792
    """
    value = crc32c(data)
    return (((value >> 15) | (value << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def records(content: bytes, path: Path) -> Iterator[bytes]:
    """Yield the data of each record.

    Args:
        content: The file.
        path: Only shown.

    Raises:
        ProfileError: A wrong checksum, with the record and its first byte, or a file cut off within a record.
    """
    first, count = 0, 0
    while first < len(content):
        where = f"record {count} at byte {first}"
        if len(content) - first < _HEAD_BYTES:
            raise refusal(path, f"{where} is cut off", "whole records", "was the run still writing?")
        length_bytes = content[first : first + 8]
        if masked_crc32c(length_bytes) != int.from_bytes(content[first + 8 : first + _HEAD_BYTES], "little"):
            raise refusal(path, f"a wrong checksum of the length of {where}", "an event log (TFRecord)")
        start, length = first + _HEAD_BYTES, int.from_bytes(length_bytes, "little")
        end = start + length
        if end + _FOOT_BYTES > len(content):
            raise refusal(path, f"{where} is cut off", "whole records", "was the run still writing?")
        data = content[start:end]
        if masked_crc32c(data) != int.from_bytes(content[end : end + _FOOT_BYTES], "little"):
            raise refusal(path, f"a wrong checksum of {where}", "sound records", "copy the file again")
        yield data
        first, count = end + _FOOT_BYTES, count + 1
