"""Parallelism as a scenario and a cost profile say it: what is taken, refused, and left as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dcsim.spec.workload import JobKindSpec
from dcsim.workload.parallel import Layout
from dcsim.workload.profile import CollectiveTraffic, CostProfile, DimensionTraffic
from dcsim.workload.profile_store import builtin_profiles, load_profile, save_profile
from dcsim.workload.step_traffic import step_traffic


def kind(parallelism: dict[str, Any] | None, **fields: Any) -> JobKindSpec:
    return JobKindSpec.model_validate({"profile": "round", "parallelism": parallelism, **fields})


def test_a_mix_entry_says_how_its_gangs_are_divided() -> None:
    spec = kind({"tensor": 4, "pipeline": 2, "micro_batches": 8, "zero_stage": 1}, widths={16: 1})
    assert Layout.of(spec.parallelism) == Layout(4, 2, 1, 1, 8, 1)
    assert Layout.of(kind(None).parallelism) == Layout()


def test_widths_that_do_not_divide_are_refused_with_those_that_do() -> None:
    with pytest.raises(ValidationError) as error:
        kind({"tensor": 2, "expert": 3}, widths={6: 1, 8: 1, 4: 1})
    text = str(error.value)
    assert "width 4 -> expected widths that are multiples of tensor x pipeline x context x expert = 6" in text
    assert "the next are 6 and 12" in text
    assert "width 6" not in text


def test_elastic_gangs_cannot_be_divided() -> None:
    fields: dict[str, Any] = {"widths": {4: 1}, "rules": {"elastic_fraction": 0.5}}
    with pytest.raises(ValidationError, match=r"rules\.elastic_fraction 0"):
        kind({"tensor": 4}, **fields)
    assert kind({"zero_stage": 3}, **fields).parallelism is not None  # data parallel at any width


@pytest.mark.parametrize(
    "wrong",
    [{"tensor": 0}, {"pipeline": 1.5}, {"expert": True}, {"zero_stage": 4}, {"data": 2}, {"context": "2"}],
)
def test_degrees_are_whole_numbers_from_one(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kind(wrong, widths={4: 1})


@pytest.mark.parametrize("name", sorted(builtin_profiles()))
def test_kept_profiles_load_and_keep_their_bytes(name: str, tmp_path: Path) -> None:
    path = builtin_profiles()[name]
    profile, digest = load_profile(path)
    assert profile.collectives.parallel == ()
    assert profile.collectives.overlap_fraction == 0.0
    assert save_profile(profile, tmp_path / "again.json") == digest
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_parallel_entries_survive_a_round_trip(
    make_profile: Callable[..., CostProfile], tmp_path: Path
) -> None:
    entry = {
        "dimension": "tensor",
        "collective": "all_reduce",
        "bytes_per_sample": 8.0,
        "messages_per_step": 4,
    }
    profile = make_profile(collectives={"overlap_fraction": 0.25, "parallel": [entry]})
    save_profile(profile, tmp_path / "p.json")
    assert load_profile(tmp_path / "p.json")[0] == profile
    written = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))["collectives"]
    assert written["overlap_fraction"] == 0.25
    assert written["parallel"][0] | entry == written["parallel"][0]


def test_a_kind_of_exchange_is_named_once() -> None:
    entry = DimensionTraffic(dimension="context", collective="all_gather", bytes_per_step=1.0)
    with pytest.raises(ValidationError, match="once"):
        CollectiveTraffic(all_reduce_bytes=1.0, all_reduce_count=1, parallel=(entry, entry))


def test_a_profile_says_what_its_steps_move(profile: CostProfile) -> None:
    whole, part = (
        step_traffic(costs, Layout(), [(2, 1), (5, 1)], 32) for costs in (profile, profile.collectives)
    )
    assert whole == part
    assert whole.transfers == ((2, 5, 400_004.0), (5, 2, 400_004.0))
