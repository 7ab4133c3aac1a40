"""Protocol-buffer fields by number, without their schema (protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["WireError", "double", "fields", "signed", "single"]

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_VARINT_BYTES_MAX = 10


class WireError(ValueError):
    """Bytes that are no message."""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    r"""Yield (field number, value): a whole number of a varint, else the bytes as they lie there.

    Raises:
        WireError: The bytes are no message.

    >>> list(fields(b"\x08\x96\x01\x12\x07testing"))
    [(1, 150), (2, b'testing')]
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if not number:
            raise WireError("field number 0")
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _LENGTH:
            length, at = _varint(message, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise WireError(f"wire type {kind}")
        if at + length > len(message):
            raise WireError("a field beyond the end")
        yield number, message[at : at + length]
        at += length


def double(value: int | bytes) -> float:
    """Return a field of type double."""
    return float(struct.unpack("<d", _sized(value, 8))[0])


def single(value: int | bytes) -> float:
    """Return a field of type float."""
    return float(struct.unpack("<f", _sized(value, 4))[0])


def signed(value: int | bytes) -> int:
    """Return a field of type int64.

    >>> signed(2**64 - 1)
    -1
    """
    if not isinstance(value, int):
        raise WireError("bytes in place of a number")
    return value - 2**64 if value >= 2**63 else value


def _sized(value: int | bytes, size: int) -> bytes:
    if not isinstance(value, bytes) or len(value) != size:
        raise WireError(f"not {size} bytes")
    return value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return (value, first byte behind it)."""
    value = 0
    for k in range(_VARINT_BYTES_MAX):
        if at + k >= len(message):
            raise WireError("a number beyond the end")
        byte = message[at + k]
        value |= (byte & 0x7F) << (7 * k)
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, at + k + 1
    raise WireError("a number of more than 64 bits")
