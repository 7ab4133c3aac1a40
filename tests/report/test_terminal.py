"""Tables on the terminal fit 80 columns and say what a careful reader needs."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from dcsim.report import print_run, print_study
from dcsim.study import Study, compare
from tests.results.synthetic import make_result, make_scenario
from tests.study.fakes import simulate


def printed(function: object, value: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    function(value, console)  # type: ignore[operator]
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_study_fits_eighty_columns_with_units_and_intervals(study: Study) -> None:
    text = printed(print_study, study)
    tables = text.split("warning:", maxsplit=1)[0]
    assert max(len(line.rstrip()) for line in tables.splitlines()) <= 80
    assert "\u2026" not in tables
    for words in (
        "modelled, not measured",
        "kWh",
        "kgCO2e",
        "\u00b1",
        "+ power_cap",
        "Against first_fit + none",
    ):
        assert words in text


def test_a_study_of_one_seed_fits_too_and_claims_no_interval(tmp_path: Path) -> None:
    study = compare(
        make_scenario(),
        placements=["first_fit", "rack_local"],
        energies=["none", "carbon_shift"],
        seeds=[0],
        out=tmp_path,
        executor="inline",
        simulate=simulate,
    )
    tables = printed(print_study, study).split("warning:", maxsplit=1)[0]
    assert "\u2026" not in tables
    assert "one seed, no intervals" in tables
    assert "\u00b1" not in tables


def test_failures_come_with_how_to_see_them_again(study: Study) -> None:
    text = printed(print_study, study, width=200)
    assert "failed: raises__none, seed 1: ValueError: the hall is on fire" in text
    assert "seed=1" in text


def test_a_run_is_listed_with_units_and_its_warnings() -> None:
    text = printed(print_run, make_result(3))
    assert "synthetic: fifo, first_fit, none, seed 3" in text
    assert "warning: profile digits-mlp is extrapolated" in text
    assert "kWh" in text


def test_markup_in_names_is_printed_as_it_is() -> None:
    assert "[red]hall[/red]" in printed(print_run, make_result(3, name="[red]hall[/red]"))


def test_arms_of_one_kind_of_policy_are_told_by_it_alone(tmp_path: Path) -> None:
    orderings = ["fifo", "finish_time_fairness_perf", "conservative_backfill"]
    study = compare(
        make_scenario(),
        placements=["first_fit"],
        energies=["none"],
        orderings=orderings,
        seeds=[0, 1, 2],
        out=tmp_path,
        executor="inline",
        simulate=simulate,
    )
    means, _, differences = printed(print_study, study).partition("Against")
    assert "\u2026" not in means + differences
    assert max(len(line.rstrip()) for line in means.splitlines()) <= 80
    assert means.count("first_fit") == 1
    assert "all under first_fit and none" in means
    for table in (means, differences):
        assert "finish_time_ " in table
        assert "\n fairness_perf " in table
        assert "\n conservative_ " in table
