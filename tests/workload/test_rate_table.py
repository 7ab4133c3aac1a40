"""Rate tables: lookups by hand, what lies outside said, and files that are not trusted."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import ProfileError
from dcsim.workload.rate_table import (
    KindFacts,
    MeasuredPair,
    MeasuredRate,
    MeasuredShape,
    RateProvenance,
    RateTable,
    ring_of,
    split_batch,
)
from dcsim.workload.rate_table_file import load_rate_table, save_rate_table

SOURCE = RateProvenance(source="by hand")


def _rate(layout: tuple[int, ...], batch: int, step_s: float, sync_s: float = 0.0) -> MeasuredRate:
    return MeasuredRate(kind="lm", accelerator="T4", layout=layout, batch=batch, step_s=step_s, sync_s=sync_s)


def _shape(servers: int, accelerators: int, step_s: float) -> MeasuredShape:
    return MeasuredShape(
        kind="lm", accelerator="T4", servers=servers, accelerators=accelerators, batch=8, step_s=step_s
    )


def _table(*rates: MeasuredRate, shapes: tuple[MeasuredShape, ...] = (), **more: object) -> RateTable:
    return RateTable.model_validate({"provenance": SOURCE, "rates": rates, "shapes": shapes, **more})


def test_what_was_measured_comes_back_and_between_batches_a_line() -> None:
    table = _table(_rate((2, 1), 8, 0.5), _rate((2, 1), 24, 0.9))
    assert table.rate_steps_per_s("lm", "T4", (2, 1), 8) == (2.0, False, "measured")
    assert table.rate_steps_per_s("lm", "T4", (1, 2), 8) == (2.0, False, "measured")
    middle = table.rate_steps_per_s("lm", "T4", (2, 1), 16)
    assert middle.steps_per_s == pytest.approx(1 / 0.7)
    assert not middle.extrapolated
    # No batch asked for: the largest.
    assert table.rate_steps_per_s("lm", "T4", (2, 1)).steps_per_s == 1 / 0.9


def test_outside_of_the_batches_is_said() -> None:
    table = _table(_rate((1,), 8, 0.5, 0.1), _rate((1,), 16, 0.9, 0.1))
    small, large = (table.rate_steps_per_s("lm", "T4", (1,), batch) for batch in (4, 32))
    assert small == (2.0, True, "batch 4 of 8 to 16 measured on (1,)")
    assert large.steps_per_s == pytest.approx(1 / (0.1 + 0.8 * 2))
    assert large.extrapolated


def test_layouts_between_shapes_are_interpolated_and_outside_said() -> None:
    shapes = (_shape(2, 2, 1.0), _shape(2, 8, 4.0), _shape(6, 6, 5.0), _shape(6, 12, 11.0))
    table = _table(shapes=shapes)
    # On 2 servers 1 + 3 (6 - 2) / 6 = 3 s, on 6 servers 5 s: 4 s on 4 servers.
    found = table.rate_steps_per_s("lm", "T4", (2, 2, 1, 1), 8)
    assert found.steps_per_s == pytest.approx(1 / 4)
    assert not found.extrapolated
    wide = table.rate_steps_per_s("lm", "T4", (1,) * 8, 8)
    assert wide.extrapolated
    assert "8 servers of 2 to 6 measured" in wide.reason
    lone = table.rate_steps_per_s("lm", "T4", (1,), 8)
    assert lone == (1.0, True, "layout (1,): 1 accelerators, that of 2 on 2 servers taken")
    assert table.rate_steps_per_s("lm", "T4", (4, 4, 4, 4), 8).extrapolated


def test_a_kind_that_does_not_run_stays_at_0() -> None:
    zero = MeasuredRate(kind="lm", accelerator="T4", layout=(1,), steps_per_s=0.0)
    two = MeasuredRate(kind="lm", accelerator="T4", layout=(4,), steps_per_s=2.0)
    table = _table(zero, two)
    assert table.rate_steps_per_s("lm", "T4", (1,)).steps_per_s == 0.0
    assert table.rate_steps_per_s("lm", "T4", (2,)).steps_per_s == 0.0
    assert table.rate_steps_per_s("lm", "T4", (4,)).steps_per_s == 2.0


def test_micro_steps_do_not_exchange_gradients() -> None:
    facts = {"lm": KindFacts(largest_batch=8)}
    table = _table(_rate((2,), 8, 1.0, 0.25), kinds=facts)
    assert table.rate_steps_per_s("lm", "T4", (2,), 16).steps_per_s == pytest.approx(1 / 1.75)
    three = table.rate_steps_per_s("lm", "T4", (2,), 24)
    assert three.steps_per_s == pytest.approx(0.4)
    assert three.reason == "measured, 3 micro-steps of 8"


@pytest.mark.parametrize(
    ("batch", "devices", "facts", "split"),
    [
        (64, 6, KindFacts(largest_batch=12, total_batch_max=384, initial_batch=12), (10, 5)),
        (24, 16, KindFacts(largest_batch=12, total_batch_max=384, initial_batch=12), (12, 1)),
        (32768, 1, KindFacts(largest_batch=32768, total_batch_max=32768, initial_batch=256), (16384, 1)),
        (256, 1, KindFacts(largest_batch=32768, total_batch_max=32768, initial_batch=256), (256, 0)),
        (16, 4, KindFacts(largest_batch=8, total_batch_max=512, initial_batch=8), (8, 1)),
        (342, 6, KindFacts(largest_batch=1024, total_batch_max=4096, initial_batch=128), (342, 0)),
        (100, 3, KindFacts(), (100, 0)),
        (0, 3, KindFacts(largest_batch=8), (0, 0)),
    ],
)
def test_batches_are_split_as_published(
    batch: int, devices: int, facts: KindFacts, split: tuple[int, int]
) -> None:
    assert split_batch(batch, devices, facts) == split


@given(st.integers(1, 5000), st.integers(1, 64), st.integers(1, 500))
def test_a_split_batch_fits_and_is_no_smaller(batch: int, devices: int, largest: int) -> None:
    micro, extra = split_batch(batch, devices, KindFacts(largest_batch=largest))
    assert 1 <= micro <= largest
    assert batch <= micro * (extra + 1) < batch + extra + 1


@given(st.lists(st.integers(1, 8), min_size=1, max_size=6))
def test_a_ring_has_no_first_server(layout: list[int]) -> None:
    ring = ring_of(tuple(layout))
    assert sorted(ring) == sorted(layout)
    for turn in range(len(layout)):
        assert ring_of((*layout[turn:], *layout[:turn])) == ring


@given(st.integers(1, 40), st.lists(st.floats(0.01, 10.0), min_size=3, max_size=3))
def test_rates_lie_between_those_measured(batch: int, times: list[float]) -> None:
    table = _table(*(_rate((1,), 2**i * 8, step_s) for i, step_s in enumerate(sorted(times))))
    found = table.rate_steps_per_s("lm", "T4", (1,), batch)
    assert found.extrapolated is not (8 <= batch <= 32)
    if not found.extrapolated:
        assert 1 / max(times) * (1 - 1e-12) <= found.steps_per_s <= 1 / min(times) * (1 + 1e-12)


def test_unknown_names_and_impossible_layouts() -> None:
    table = _table(_rate((1,), 8, 0.5))
    with pytest.raises(
        ProfileError, match=r"kind: 'lmm' -> expected a kind of the rate table, did you mean 'lm'"
    ):
        table.rate_steps_per_s("lmm", "T4", (1,))
    with pytest.raises(ProfileError, match="no rates on 'V100' -> expected one of T4"):
        table.rate_steps_per_s("lm", "V100", (1,))
    for layout, batch in (((), 1), ((0,), 1), ((2, -1), 1), ((1,), -1), ((10**7,), 1)):
        with pytest.raises(ValueError, match="expected counts >= 1"):
            table.rate_steps_per_s("lm", "T4", layout, batch)


def test_pairs_absolute_and_relative() -> None:
    rates = (_rate((1,), 8, 0.5), _rate((1,), 8, 0.25).model_copy(update={"kind": "cnn"}))
    pair = MeasuredPair(kind_a="lm", kind_b="cnn", accelerator="T4", layout=(1,), rate_a=0.5, rate_b=0.75)
    assert _table(*rates, pairs=(pair,)).pair_rates("cnn", "lm", "T4") == (0.75, 0.5)
    relative = pair.model_copy(update={"relative": True})
    assert _table(*rates, pairs=(relative,)).pair_rates("lm", "cnn", "T4") == (1.0, 3.0)
    assert _table(*rates, pairs=(pair,)).pair_rates("lm", "cnn", "T4", (2,)) is None


def test_files_come_back_equal_and_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    pair = MeasuredPair(kind_a="lm", kind_b="lm", accelerator="T4", layout=(1,), rate_a=1.0, rate_b=1.0)
    table = _table(
        _rate((2, 1), 8, 1 / 3, 0.1),
        shapes=(_shape(2, 2, 0.7),),
        pairs=(pair,),
        kinds={"lm": KindFacts(largest_batch=9)},
    )
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    digest = save_rate_table(table, first)
    loaded, found = load_rate_table(first)
    loaded.rate_steps_per_s("lm", "T4", (2, 1), 8)
    assert (loaded, found) == (table, digest)
    assert save_rate_table(loaded, second) == digest
    assert first.read_bytes() == second.read_bytes()
    second.write_bytes(gzip.compress(first.read_bytes()))
    assert load_rate_table(second)[0] == table


def test_changed_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    save_rate_table(_table(_rate((1,), 8, 0.5)), path)
    sound = json.loads(path.read_text())
    for change, words in (
        ({"rates": [sound["rates"][0] | {"step_s": 0.4}]}, "the file was changed"),
        ({"version": 2}, "version: 2 -> expected 1, write it with dcsim trace rates"),
        ({"version": True}, "version: True -> expected 1"),
        ({"sha256": None}, "sha256: missing"),
        ({"ratess": []}, "ratess: .* -> expected a known field, did you mean 'rates'"),
        (
            {"rates": [sound["rates"][0] | {"step_s": "0.5"}]},
            "rates.0.step_s: '0.5' -> expected a valid number",
        ),
        ({"rates": [sound["rates"][0] | {"batch": 1.5}]}, "rates.0.batch"),
    ):
        path.write_text(json.dumps(sound | change))
        with pytest.raises(ProfileError, match=words):
            load_rate_table(path)
    for text, words in (
        ("[]", "list -> expected a JSON object"),
        ("{", "JSON"),
        ('{"a": NaN}', "NaN"),
        ("", "JSON"),
    ):
        path.write_text(text)
        with pytest.raises(ProfileError, match=words):
            load_rate_table(path)
    with pytest.raises(ProfileError, match="No such file"):
        load_rate_table(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (_table(), "none -> expected at least one measurement"),
        (_table(_rate((1,), 8, 0.5), _rate((1,), 8, 0.6)), "again -> expected each measured once"),
        (_table(_rate((2, 1), 8, 0.5), _rate((1, 2), 8, 0.6)), "again -> expected each measured once"),
        (_table(_rate((1,), 8, 0.5, 0.6)), "sync_s: 0.6 -> expected at most the time of the step"),
        (_table(_rate((1,), 8, 0.5).model_copy(update={"steps_per_s": 1.0})), "exactly one of the two"),
        (_table(shapes=(_shape(4, 2, 1.0),)), "expected >= 4"),
        (
            _table(
                _rate((1,), 8, 0.5),
                pairs=(
                    MeasuredPair(
                        kind_a="lm", kind_b="x", accelerator="T4", layout=(1,), rate_a=1.0, rate_b=1.0
                    ),
                ),
            ),
            "'x' -> expected a kind of the rates",
        ),
    ],
)
def test_tables_that_contradict_themselves_are_not_written(
    tmp_path: Path, table: RateTable, words: str
) -> None:
    with pytest.raises(ProfileError, match=words):
        save_rate_table(table, tmp_path / "rates.json")
    assert list(tmp_path.iterdir()) == []


def test_infinite_times_are_no_figures() -> None:
    with pytest.raises(ValueError):
        _rate((1,), 8, math.inf)
