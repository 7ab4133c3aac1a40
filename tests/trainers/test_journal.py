"""A journal gives back what was measured in the same way and is whole, and says why it does not the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from trainers.drift import corrected_s, drifts
from trainers.host_noise import drift_warnings, load_warnings, noise_relative, taken_warnings
from trainers.journal import Journal
from trainers.worker import Reading

HOW = {"model": "linear", "steps": 200, "packages": {"jax": "1"}}


def reading(batch: int, *, devices: int = 1, anchor_s: float = 1e-3, taken: float | None = 0.0) -> Reading:
    point = {
        "devices": devices, "batch_per_device": batch, "mode": "jit", "steps": 20, "step_time_s": 1e-3 * batch,
        "step_time_low_s": None, "step_time_high_s": None, "cpu_time_per_step_s": None, "split_half_spread": 0.02,
        "compile_time_s": None, "flops_per_device": None, "bytes_accessed_per_device": None, "temporary_bytes": None,
        "argument_bytes": None,
    }  # fmt: skip
    return Reading(
        devices=devices, cores=devices, precision="fp32", point=point, anchor=(8, "jit"), anchor_s=anchor_s,
        taken_share=taken, memory_bytes=1.0, energy_per_step_j=None, energy_method="none", energy_devices=None,
        all_reduce_bytes=0.0, all_reduce_count=0, collectives=[], operators=[], parameters=1, checkpoint_bytes=1,
        sample_bytes=1, dataset_bytes=1, dataset="none", device_kind="cpu", process_s=1.0, data_s=1.0, warm_up_s=1.0,
    )  # fmt: skip


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The file of three readings."""
    journal = Journal(tmp_path / "j", HOW)
    journal.open()
    for batch in (8, 16, 32):
        journal.add(reading(batch))
    return tmp_path / "j"


def read(path: Path, how: dict[str, object] | None = None) -> Journal:
    journal = Journal(path, how or HOW)
    journal.open()
    return journal


def test_readings_come_back_in_order(written: Path) -> None:
    journal = read(written)
    assert journal.readings == [reading(batch) for batch in (8, 16, 32)]
    assert journal.problems == []
    journal.add(reading(64))
    assert [each.key for each in read(written).readings] == [(1, batch, "jit") for batch in (8, 16, 32, 64)]


@pytest.mark.parametrize("lost", range(1, 40, 7))
def test_a_write_cut_short_loses_its_own_reading_only(written: Path, lost: int) -> None:
    written.write_bytes(written.read_bytes()[:-lost])
    journal = read(written)
    # The last byte is the end of the line: without it all is there still.
    assert [each.key[1] for each in journal.readings] == ([8, 16, 32] if lost == 1 else [8, 16])
    # And what is added does not run into the half line.
    journal.add(reading(64))
    assert read(written).readings[-1] == reading(64)
    assert read(written).problems == []


def test_a_damaged_line_is_left_out_and_named(written: Path) -> None:
    lines = written.read_text().splitlines()
    lines[2] = lines[2].replace('"devices": 1', '"devices": 2')
    written.write_text("\n".join(lines) + "\n")
    journal = read(written)
    assert [each.key[1] for each in journal.readings] == [8, 32]
    assert journal.problems == ["line 3 is damaged: left out"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda text: text.replace("linear", "lunar", 1), "line 1 is damaged: measured again"),
        (lambda _: "", ""),
        (lambda _: '{"some": "other file"}\n', "line 1 is damaged: measured again"),
        (lambda _: "\x00\xff" * 100, "line 1 is damaged: measured again"),
    ],
)
def test_what_is_no_journal_is_measured_again(written: Path, spoil: Callable[[str], str], words: str) -> None:
    written.write_text(spoil(written.read_text()))
    journal = read(written)
    assert journal.readings == []
    assert journal.problems == ([words] if words else [])


def test_other_settings_or_versions_are_measured_again(written: Path) -> None:
    journal = read(written, {**HOW, "packages": {"jax": "2"}, "steps": 7})
    assert journal.readings == []
    assert journal.problems == ["measured with another steps, packages: measured again"]


def test_only_what_is_kept_stays(written: Path) -> None:
    journal = read(written)
    journal.keep(journal.readings[1:])
    assert [each.key[1] for each in read(written).readings] == [16, 32]
    journal.discard()
    assert not written.exists()
    assert read(written).readings == []


def test_drift_is_that_of_the_anchor_of_the_same_devices() -> None:
    times = [(1, 1.0), (2, 4.0), (1, 1.2), (1, 1.0), (2, 3.6)]
    found = drifts([reading(8, devices=devices, anchor_s=anchor_s) for devices, anchor_s in times])
    # Medians: 1.0 of one device, 3.8 of two.
    assert found == pytest.approx([0.0, 4.0 / 3.8 - 1, 0.2, 0.0, 3.6 / 3.8 - 1])


def test_drift_within_noise_corrects_nothing_and_a_large_one_nearly_all() -> None:
    assert corrected_s(1.0, 0.0, 0.01) == 1.0
    assert corrected_s(1.02, 0.02, 0.02) == 1.02
    assert corrected_s(2.0, 1.0, 0.02) == pytest.approx(1.0, rel=1e-3)


def test_a_noisy_host_is_told() -> None:
    busy = [reading(8, taken=0.3), replace(reading(16, anchor_s=2e-3), taken_share=0.1)]
    assert taken_warnings(busy) == ["other processes took 20% of the cores while 1 devices were timed"]
    assert taken_warnings([reading(8, taken=None)]) == []
    assert drift_warnings(busy) == [
        "the host drifted by -33% to +33% between points: corrected in fit and surface"
    ]
    assert drift_warnings([]) == drift_warnings([reading(8)]) == []
    assert load_warnings(1.5, 2) == ["load average 1.50 on 2 cores before measuring"]
    assert load_warnings(0.4, 2) == []
    assert noise_relative(busy) == noise_relative([]) == 0.02
    assert (
        noise_relative([replace(each, point={**each.point, "split_half_spread": 0.04}) for each in busy])
        == 0.04
    )
