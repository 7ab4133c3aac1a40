"""Slurm's short form of lists of names: n[001-016,020]-ib0,login1."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

__all__ = ["HOSTS_MAX", "HostlistError", "compress_hosts", "expand_hosts"]

HOSTS_MAX = 1_000_000
"""Names that one list may stand for."""

_NAME = re.compile(r"[A-Za-z0-9_.\-]+\Z")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?\Z", re.ASCII)
_NUMBERED = re.compile(r"(.*?)(\d{1,9})\Z", re.ASCII)


class HostlistError(ValueError):
    """A list of hosts that cannot be read: `got`, and what was `expected`."""

    def __init__(self, got: str, expected: str) -> None:
        super().__init__(f"{got} -> expected {expected}")
        self.got = got[:100]
        self.expected = expected


def expand_hosts(text: str, *, hosts_max: int = HOSTS_MAX) -> tuple[str, ...]:
    """Return the names that a Slurm host list stands for, in its order, repeated ones too.

    Numbers keep their leading zeros; several brackets in one name stand for all combinations.

    Raises:
        HostlistError: Brackets that do not match, a range that runs backwards, a name with other
            characters than letters, digits, "_", "." and "-", or more than `hosts_max` names.

    >>> expand_hosts("n[08-10,12],login")
    ('n08', 'n09', 'n10', 'n12', 'login')
    """
    names: list[str] = []
    for part in _parts(text):
        pieces = list(_pieces(part))
        count = len(names)
        sizes = 1
        for piece in pieces:
            sizes *= len(piece)
        if count + sizes > hosts_max:
            raise HostlistError(part, f"at most {hosts_max:,} names in a list")
        names += ["".join(choice) for choice in itertools.product(*pieces)]
    for name in names:
        if not _NAME.match(name):
            raise HostlistError(name, "a name of letters, digits, '_', '.' and '-'")
    return tuple(names)


def compress_hosts(names: tuple[str, ...]) -> str:
    """Return a host list that stands for `names`, in their order: runs of numbers become ranges.

    >>> compress_hosts(("n08", "n09", "n10", "login"))
    'n[08-10],login'
    """
    parts: list[str] = []
    run: list[tuple[str, str]] = []

    def close() -> None:
        if len(run) > 1:
            parts.append(f"{run[0][0]}[{run[0][1]}-{run[-1][1]}]")
        elif run:
            parts.append("".join(run[0]))
        run.clear()

    for name in names:
        numbered = _NUMBERED.match(name)
        if numbered is None:
            close()
            parts.append(name)
            continue
        stem, digits = numbered[1], numbered[2]
        follows = run and run[-1][0] == stem and digits == f"{int(run[-1][1]) + 1:0{len(run[0][1])}d}"
        if not follows:
            close()
        run.append((stem, digits))
    close()
    return ",".join(parts)


def _parts(text: str) -> Iterator[str]:
    """Yield the parts between commas that are not in brackets."""
    depth, start = 0, 0
    for place, letter in enumerate(text):
        if letter == "[":
            depth += 1
        elif letter == "]":
            depth -= 1
        if depth not in {0, 1}:
            raise HostlistError(text, "brackets in pairs, none inside another")
        if letter == "," and depth == 0:
            yield text[start:place]
            start = place + 1
    if depth:
        raise HostlistError(text, "brackets in pairs, none inside another")
    yield text[start:]


def _pieces(part: str) -> Iterator[list[str]]:
    """Yield what each piece of one name can be: a single text, or all that a bracket stands for."""
    if not part:
        raise HostlistError("an empty name", "names with a comma between them")
    for literal, bracket in re.findall(r"([^\[\]]+)|\[([^\]]*)\]", part):
        yield [literal] if literal else list(_numbers(bracket))


def _numbers(bracket: str) -> Iterator[str]:
    """Yield the numbers of "001-003,7", leading zeros kept."""
    total = 0
    for piece in bracket.split(","):
        found = _RANGE.match(piece)
        if found is None:
            raise HostlistError(f"[{bracket}]", "numbers and ranges, as in [001-016,20]")
        low, high = found[1], found[2] or found[1]
        if int(high) < int(low):
            raise HostlistError(f"[{bracket}]", "a range that runs upwards")
        total += int(high) - int(low) + 1
        if total > HOSTS_MAX:
            raise HostlistError(f"[{bracket}]", f"at most {HOSTS_MAX:,} names in a list")
        yield from (f"{number:0{len(low)}d}" for number in range(int(low), int(high) + 1))
