"""The pseudo-random numbers of Go's math/rand, for experiments that were shuffled by it.

An additive lagged Fibonacci generator, x[n] = x[n-607] + x[n-273] mod 2^64 (D. P. Mitchell, J. A.
Reeds), whose start is a linear congruential generator's output, xor-ed with the state that the same
recurrence has after 7.8e12 steps. That state is found by jumping ahead: x^n modulo x^607 - x^334 - 1.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["GoRandom"]

Words = npt.NDArray[np.uint64]

_LENGTH, _TAP = 607, 273
_PRIME = 2**31 - 1
_WORD = 2**64 - 1
_STEPS = 7_800_000_000_000
_START = _LENGTH - _TAP - 1
"""Where in the vector the first output is written; outputs go downwards from there."""


def _congruential(seed: int, high: int, low: int) -> list[int]:
    """Return 607 words, each of three numbers of x -> 48271 x mod 2^31 - 1, shifted and xor-ed."""
    value = seed % _PRIME or 89482311
    for _ in range(20):
        value = 48271 * value % _PRIME
    words = []
    for _ in range(_LENGTH):
        word = 0
        for shift in (high, low, 0):
            value = 48271 * value % _PRIME
            word ^= value << shift
        words.append(word & _WORD)
    return words


def _reduced(product: Words) -> Words:
    """Return a polynomial, lowest power first, modulo x^607 = x^334 + 1 (coefficients modulo 2^64)."""
    for power in range(len(product) - 1, _LENGTH - 1, -1):
        factor = product[power]
        product[power - _LENGTH] += factor
        product[power - _TAP] += factor
    return product[:_LENGTH].copy()


def _power_of_x(exponent: int) -> Words:
    """Return x^exponent modulo the recurrence's polynomial."""
    result = np.zeros(_LENGTH, dtype=np.uint64)
    result[0] = 1
    for bit in f"{exponent:b}":
        product = np.zeros(2 * _LENGTH, dtype=np.uint64)
        for power in np.flatnonzero(result).tolist():
            product[power : power + _LENGTH] += result[power] * result
        result = _reduced(np.roll(product, int(bit)))
    return result


@cache
def _far_state() -> tuple[int, ...]:
    """Return the generator's vector after 7.8e12 steps from seed 1."""
    vector = _congruential(1, 20, 10)
    past = [vector[(_START - j) % _LENGTH] for j in range(_LENGTH)]
    for k in range(_LENGTH):
        past.append((past[k] + past[k + _LENGTH - _TAP]) & _WORD)
    sequence, state = np.array(past, dtype=np.uint64), [0] * _LENGTH
    with np.errstate(over="ignore"):  # modulo 2^64 is what is wanted
        factors = _power_of_x(_STEPS)
        for j in range(_LENGTH):
            word = (factors * sequence[j : j + _LENGTH]).sum(dtype=np.uint64)
            state[(_START - _STEPS - j) % _LENGTH] = int(word)
    return tuple(state)


class GoRandom:
    """A seeded source with the methods the experiments use.

    Args:
        seed: as given to `rand.Seed`, > 0.
    """

    def __init__(self, seed: int) -> None:
        start = _congruential(seed, 40, 20)
        self._vector = [word ^ far for word, far in zip(start, _far_state(), strict=True)]
        self._at = 0

    def int63(self) -> int:
        """Return the next number in [0, 2^63)."""
        self._at -= 1
        feed, tap = (self._at - _TAP) % _LENGTH, self._at % _LENGTH
        self._vector[feed] = (self._vector[feed] + self._vector[tap]) & _WORD
        return self._vector[feed] & (2**63 - 1)

    def intn(self, bound: int) -> int:
        """Return a number in [0, bound), bound < 2^31, as `Intn` does: by remainder, without bias."""
        if bound & (bound - 1) == 0:
            return self.int63() >> 32 & (bound - 1)
        most = 2**31 - 1 - 2**31 % bound
        while (value := self.int63() >> 32) > most:
            pass
        return value % bound

    def _below(self, bound: int) -> int:
        """Return a number in [0, bound) as `Shuffle` draws it: the high half of a product (Lemire)."""
        product = (self.int63() >> 31) * bound
        if product % 2**32 < bound:
            least = (2**32 - bound) % bound
            while product % 2**32 < least:
                product = (self.int63() >> 31) * bound
        return product >> 32

    def shuffle(self, items: list[Any]) -> None:
        """Shuffle in place as `Shuffle` does (Fisher-Yates from the end)."""
        for last in range(len(items) - 1, 0, -1):
            other = self._below(last + 1)
            items[last], items[other] = items[other], items[last]

    def permutation(self, count: int) -> list[int]:
        """Return a permutation of range(count) as `Perm` does."""
        numbers = [0] * count
        for last in range(count):
            other = self.intn(last + 1)
            numbers[last] = numbers[other]
            numbers[other] = last
        return numbers
