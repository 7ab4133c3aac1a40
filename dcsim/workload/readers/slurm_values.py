"""Values as Slurm writes them: times, durations, memory, and trackable resources."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Tres", "parse_duration_s", "parse_memory_bytes", "parse_stamp_s", "parse_tres", "write_duration"]

_DURATION = re.compile(
    r"(?:(?P<days>\d{1,7})-)?(?:(?P<hours>\d{1,9}):)?(?P<minutes>\d{1,9}):(?P<seconds>\d\d(?:\.\d+)?)\Z",
    re.ASCII,
)
_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)?\Z", re.ASCII)
_MEMORY = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)([KMGTPE]?)[nc]?\Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENDLESS = frozenset({"unlimited", "infinite", "partition_limit", "invalid", "unknown", "none", "n/a", ""})
_SCALE = {"": 2.0**20, "K": 2.0**10, "M": 2.0**20, "G": 2.0**30, "T": 2.0**40, "P": 2.0**50, "E": 2.0**60}

_REMEMBERED = 1 << 16
"""Values of which what they say is kept: a log says the same over and over."""


class Tres(NamedTuple):
    """What a list of trackable resources says of one job; 0 where it says nothing."""

    cpu_cores: float = 0.0
    memory_bytes: float = 0.0
    nodes: int = 0
    gpus: int = 0
    gpu_types: tuple[str, ...] = ()
    """Types named, in their order."""


@lru_cache(_REMEMBERED)
def parse_duration_s(text: str) -> float:
    """Return seconds of `d-hh:mm:ss`, `hh:mm:ss` or `mm:ss`; NaN for a word that means none.

    UNLIMITED, Partition_Limit, INVALID, Unknown, None and blank say that there is no limit, or that
    none is known.

    Raises:
        ValueError: It is none of these, or minutes or seconds of 60 and more behind a larger unit.

    >>> parse_duration_s("1-02:03:04"), parse_duration_s("05:30"), parse_duration_s("UNLIMITED")
    (93784.0, 330.0, nan)
    """
    if text.strip().lower() in _ENDLESS:
        return math.nan
    found = _DURATION.match(text.strip())
    if found is None or (found["days"] and not found["hours"]):
        raise ValueError(text)
    days, hours = int(found["days"] or 0), int(found["hours"] or 0)
    minutes, seconds = int(found["minutes"]), float(found["seconds"])
    if seconds >= 60 or (found["hours"] and minutes >= 60) or (found["days"] and hours >= 24):
        raise ValueError(text)
    return 86_400.0 * days + 3_600.0 * hours + 60.0 * minutes + seconds


def write_duration(duration_s: int) -> str:
    """Return a duration as Slurm writes it.

    >>> write_duration(93784), write_duration(59)
    ('1-02:03:04', '00:00:59')
    """
    days, left = divmod(duration_s, 86_400)
    hours, left = divmod(left, 3_600)
    minutes, seconds = divmod(left, 60)
    clock = f"{hours:02d}:{minutes:02d}:{seconds:02d}"
    return f"{days}-{clock}" if days else clock


@lru_cache(_REMEMBERED)
def parse_stamp_s(text: str) -> tuple[float, bool]:
    """Return (seconds since 1970, whether the text says how far local time is from UTC).

    A time without offset is counted as if it were UTC. A whole number is seconds since 1970. A word
    that means no time (Unknown, None, N/A, blank) is NaN.

    Raises:
        ValueError: It is no time, or one that does not exist.

    >>> parse_stamp_s("1970-01-02T00:00:00"), parse_stamp_s("1970-01-01T01:00:00+0100")
    ((86400.0, False), (0.0, True))
    """
    bare = text.strip()
    if bare.lower() in _ENDLESS:
        return math.nan, False
    if bare.isascii() and bare.isdigit() and len(bare) <= 10:
        return float(bare), True
    found = _STAMP.match(bare)
    if found is None:
        raise ValueError(text)
    local = datetime(*(int(found[i]) for i in range(1, 7)), tzinfo=UTC)  # type: ignore[arg-type,misc]  # six fields
    offset = found[7] or ""
    if offset not in {"", "Z"}:
        away = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
        local = local - away if offset[0] == "+" else local + away
    return (local - _EPOCH).total_seconds(), bool(offset)


def parse_memory_bytes(text: str) -> float:
    """Return bytes of `64G`, `4000M`, `512` (then MiB); K, M, G, T, P and E are powers of 1024.

    Raises:
        ValueError: It is no size.

    >>> parse_memory_bytes("64G") == 64 * 2**30
    True
    """
    found = _MEMORY.match(text.strip())
    if found is None:
        raise ValueError(text)
    return float(found[1]) * _SCALE[found[2]]


@lru_cache(_REMEMBERED)
def parse_tres(text: str) -> Tres:
    """Return what a list such as `cpu=8,mem=64G,node=2,gres/gpu:a100=4` says.

    Slurm counts typed GPUs in `gres/gpu` as well, so the untyped figure is the total where it is
    given; else the types are added. Others than cpu, mem, node and gres/gpu are passed over. Blank: nothing.

    Raises:
        ValueError: An entry without a number.

    >>> parse_tres("billing=8,cpu=8,mem=64G,node=2,gres/gpu=4,gres/gpu:a100=4").gpus
    4
    """
    cores = memory = 0.0
    nodes = 0
    total: int | None = None
    typed: dict[str, int] = {}
    for entry in filter(None, text.strip().split(",")):
        name, equals, value = entry.partition("=")
        key = name.strip().lower()
        if not equals or not value.strip():
            raise ValueError(entry)
        if key == "cpu":
            cores = float(_count(value))
        elif key == "mem":
            memory = parse_memory_bytes(value)
        elif key == "node":
            nodes = _count(value)
        elif key == "gres/gpu":
            total = _count(value)
        elif key.startswith("gres/gpu:"):
            typed[key.removeprefix("gres/gpu:")] = _count(value)
    gpus = sum(typed.values()) if total is None else total
    return Tres(cores, memory, nodes, gpus, tuple(name for name, count in typed.items() if count))


def _count(text: str) -> int:
    """Return a whole number, or raise ValueError."""
    bare = text.strip()
    if not (bare.isascii() and bare.isdigit() and len(bare) <= 9):
        raise ValueError(text)
    return int(bare)
