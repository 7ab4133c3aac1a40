"""Which servers have how many free accelerators: found without looking at all of them.

One set of servers for each number of free accelerators, each a bitmap in two layers: words of
`_WORD_BITS` servers and, above, one bit for each word that is not empty. The first member is two lowest
set bits away, and a change touches one word of two sets, whatever the number of servers; the upper layer
is one whole number of a bit for 128 servers. It is van Emde Boas's idea (FOCS 1975) cut off at two
layers, which are enough for the numbers of servers there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from dcsim.errors import GuardError

__all__ = ["FreeIndex"]

_SHIFT = 7
_WORD_BITS = 1 << _SHIFT
_IN_WORD = _WORD_BITS - 1
_BIT = [1 << place for place in range(_WORD_BITS)]


class FreeIndex:
    """The free accelerators of S servers, and the servers by how many are free.

    Args:
        free: (S,) free accelerators of each server, >= 0; no server will ever have more free than
            the most of them all.

    Raises:
        GuardError: below zero.

    >>> index = FreeIndex([4, 0, 2, 4])
    >>> index.tightest(2), index.tightest(3), index.lowest(2), index.roomiest(), index.tightest(5)
    (2, 0, 0, 0, -1)
    >>> index.take(0, 3)
    >>> index.tightest(3), index.tightest(1), index.total
    (3, 0, 7)
    >>> index.find_free(4), index.find_free(4, start=4)
    (3, -1)
    """

    __slots__ = ("_full", "_present", "_words", "free", "total")

    def __init__(self, free: Sequence[int]) -> None:
        self.free = list(free)
        """Free accelerators of each server; changed by `take` and `give` alone."""
        if min(self.free, default=0) < 0:
            raise GuardError(f"free accelerators below zero: {min(self.free)}")
        self.total = sum(self.free)
        """Free accelerators of all servers."""
        words, levels = (len(self.free) + _IN_WORD) >> _SHIFT, max(self.free, default=0) + 1
        self._words = [[0] * words for _ in range(levels)]
        """By number free, > 0: bit i of word w is server w * 128 + i."""
        self._full = [0] * levels
        """By number free: bit w says that word w is not empty."""
        self._present = 0
        """Bit f: some server has f > 0 free."""
        for server, count in enumerate(self.free):
            if count:
                self._add(server, count)

    def take(self, server: int, count: int) -> None:
        """Take accelerators, >= 1, of a server.

        Raises:
            GuardError: fewer are free.
        """
        before = self.free[server]
        after = before - count
        if after < 0:
            raise GuardError(f"server {server}: {count} accelerators wanted, {before} free")
        self.free[server] = after
        self.total -= count
        self._remove(server, before)
        if after:
            self._add(server, after)

    def give(self, server: int, count: int) -> None:
        """Free accelerators, >= 1, of a server."""
        before = self.free[server]
        self.free[server] = before + count
        self.total += count
        if before:
            self._remove(server, before)
        self._add(server, before + count)

    def _add(self, server: int, level: int) -> None:
        word, words = server >> _SHIFT, self._words[level]
        here = words[word]
        words[word] = here | _BIT[server & _IN_WORD]
        if not here:
            full = self._full[level]
            if not full:
                self._present |= 1 << level
            self._full[level] = full | 1 << word

    def _remove(self, server: int, level: int) -> None:
        word, words = server >> _SHIFT, self._words[level]
        left = words[word] ^ _BIT[server & _IN_WORD]
        words[word] = left
        if not left:
            full = self._full[level] ^ 1 << word
            self._full[level] = full
            if not full:
                self._present ^= 1 << level

    def find_free(self, free: int, start: int = 0) -> int:
        """Return the first server from `start` on with exactly `free` >= 1 accelerators free, or -1."""
        if not self._present >> free & 1:
            return -1
        if not start:
            return self._first(free)
        word, words, full = start >> _SHIFT, self._words[free], self._full[free]
        if word >= len(words):
            return -1
        here = words[word] >> (start & _IN_WORD)
        if here:
            return start + (here & -here).bit_length() - 1
        full = full >> (word + 1) << (word + 1)
        if not full:
            return -1
        word = (full & -full).bit_length() - 1
        here = words[word]
        return (word << _SHIFT) + (here & -here).bit_length() - 1

    def _first(self, level: int) -> int:
        """Return the first server of a level that has some."""
        full = self._full[level]
        word = (full & -full).bit_length() - 1
        here = self._words[level][word]
        return (word << _SHIFT) + (here & -here).bit_length() - 1

    def _members(self, level: int) -> Iterator[int]:
        """Go through the servers of a level, ascending."""
        words, full = self._words[level], self._full[level]
        while full:
            low = full & -full
            full ^= low
            word = low.bit_length() - 1
            base, here = (word << _SHIFT) - 1, words[word]
            while here:
                bit = here & -here
                here ^= bit
                yield base + bit.bit_length()

    def _levels(self, least: int) -> list[int]:
        """Return the numbers >= least of accelerators that some server has free, ascending."""
        levels, left = [], self._present >> least << least
        while left:
            low = left & -left
            left ^= low
            levels.append(low.bit_length() - 1)
        return levels

    def tightest(self, need: int) -> int:
        """Return the first server with the least sufficient free accelerators, need >= 1, or -1."""
        enough = self._present >> need
        if not enough:
            return -1
        return self._first(need + (enough & -enough).bit_length() - 1)

    def tightest_but(self, need: int, taken: AbstractSet[int]) -> int:
        """Return what `tightest` would if the servers `taken` had none free."""
        for level in self._levels(need):
            for server in self._members(level):
                if server not in taken:
                    return server
        return -1

    def lowest(self, need: int) -> int:
        """Return the first server with at least `need` >= 1 free accelerators, or -1."""
        return min(map(self._first, self._levels(need)), default=-1)

    def roomiest(self) -> int:
        """Return the first server with the most free accelerators, or -1 where none is free."""
        return self._first(self._present.bit_length() - 1) if self._present else -1

    def by_room(self) -> Iterator[int]:
        """Go through the servers with free accelerators: most first, of equals the first.

        Nothing must change meanwhile.
        """
        for level in reversed(self._levels(1)):
            yield from self._members(level)

    def in_order(self) -> Iterator[int]:
        """Go through the servers with free accelerators, ascending; nothing must change meanwhile."""
        heads = {level: self._first(level) for level in self._levels(1)}
        while heads:
            level = min(heads, key=heads.__getitem__)
            server = heads[level]
            yield server
            following = self.find_free(level, server + 1)
            if following < 0:
                del heads[level]
            else:
                heads[level] = following

    def __len__(self) -> int:
        return len(self.free)

    def __repr__(self) -> str:
        return f"<FreeIndex of {len(self.free)} servers, {self.total} accelerators free>"
