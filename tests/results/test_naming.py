"""Packed server names unpack to themselves, and ten thousand take a line."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dcsim.results.naming import (
    pack_equal,
    pack_names,
    pack_racks,
    unpack_equal,
    unpack_names,
    unpack_racks,
)


@given(st.lists(st.text(alphabet="a-0189é/", max_size=20)))
def test_any_names_come_back(names: list[str]) -> None:
    assert unpack_names(pack_names(names)) == tuple(names)


@given(st.lists(st.integers(0, 3)))
def test_any_racks_come_back(racks: list[int]) -> None:
    array = np.array(racks, dtype=np.int64)
    np.testing.assert_array_equal(unpack_racks(pack_racks(array)), array)


@given(st.lists(st.sampled_from(["leaf", "spine", None])))
def test_any_values_come_back(values: list[str | None]) -> None:
    packed = pack_equal(values)
    assert unpack_equal(packed) == values
    assert all(times > 0 for _, times in packed)


def test_numbered_names_take_one_run() -> None:
    names = [f"server-{i:05d}" for i in range(10_000)]
    assert len(pack_names(names)) == 1
    assert unpack_names(pack_names([f"s{i}" for i in range(8, 12)])) == ("s8", "s9", "s10", "s11")
