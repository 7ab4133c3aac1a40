"""The facility's account on the terminal and on the page: the lines that say something, in one unit, adding up."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.errors import ResultError
from dcsim.report import account, print_run
from dcsim.report.account import lines_of
from dcsim.report.site_figures import energy_figure, site_figure
from dcsim.report.site_sections import facility_tables, read_accounts, shares_section
from dcsim.report.terminal_account import MAX_TENANTS, account_table, profile_table, tenant_table
from dcsim.results.run_result import RunResult
from dcsim.results.schema import ACCOUNT
from dcsim.results.shares import NOBODY, profile_shares, tenant_shares
from dcsim.study import Study
from tests.report.test_terminal import printed
from tests.results.synthetic import make_result, make_series

SECTIONS = ("ENERGY", "ONSITE", "STANDARDS", "WATER", "CARBON", "BILL", "LIMITS")
ONSITE = {
    "energy_import_j": 3.6e8,
    "energy_export_j": 3.6e7,
    "energy_solar_j": 1.8e8,
    "energy_charged_j": 7.2e7,
    "energy_discharged_j": 3.6e7,
    "energy_stored_change_j": -1.8e7,
    "heat_reused_j": 7.2e7,
    "erf": 0.25,
    "carbon_market_kg": 12.0,
    "hottest_inlet_deg_c": 27.5,
}


def show(part: object, width: int = 80) -> str:
    return printed(lambda value, console: console.print(value), part, width)


def with_site(result: RunResult) -> RunResult:
    return replace(result, account={**result.account, **ONSITE})


def figure(text: str, label: str) -> float:
    """Return the number after a label in a table."""
    found = re.search(rf"{re.escape(label)}\s+([\u2212\d.,]+)", text)
    assert found is not None, label
    return float(found[1].replace(",", "").replace("\u2212", "-"))


def test_every_line_is_a_column_of_the_schema_and_has_one_place() -> None:
    named = [line.column for section in SECTIONS for line in getattr(account, section)]
    assert len(named) == len(set(named))
    known = {column.name for column in ACCOUNT}
    assert set(named) <= known
    assert {need for s in SECTIONS for line in getattr(account, s) for need in line.needs} <= known
    # What has no line: what is nobody's (in the table of tenants), and heat that balances close on.
    assert {n for n in known - set(named) if not n.startswith("unattributed_")} == {
        "heat_removed_j",
        "heat_rejected_j",
    }


def test_a_run_fits_eighty_columns() -> None:
    for result in (make_result(3), with_site(make_result(3)), make_result(0, count=0)):
        text = printed(print_run, result).split("warning:", maxsplit=1)[0]
        assert "\u2026" not in text
        assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_parts_are_in_one_unit_and_add_up() -> None:
    result = make_result(3)
    text = show(account_table(result))
    parts = ("IT", "cooling", "conversion losses")
    assert sum(figure(text, f" {part}") for part in parts) == pytest.approx(
        figure(text, "facility, at the meter"), abs=0.2
    )
    assert figure(text, "PUE") == 1.25
    assert figure(text, "WUE") == pytest.approx(0.36)  # 1e-7 L/J
    assert figure(text, "ITEUsv") == 40.0
    assert figure(text, "energy  ") + figure(text, "demand charges") == pytest.approx(
        figure(text, "whole bill"), rel=1e-3
    )
    assert re.search(r"operational, market-based\s+\u2013", text)


def test_the_site_is_shown_only_where_there_is_one() -> None:
    bare, site = show(account_table(make_result(3))), show(account_table(with_site(make_result(3))))
    for words in (
        "On site",
        "bought from the grid",
        "into the battery",
        "ERF",
        "hottest inlet",
        "heat reused",
    ):
        assert words not in bare, words
        assert words in site, words
    assert figure(site, "made by the sun") == pytest.approx(50.0)  # kWh
    assert figure(site, "change of what it stores") == pytest.approx(-5.0)
    assert "fixed charges" not in site


def test_lines_that_say_nothing_of_any_are_left_out() -> None:
    nothing = dict.fromkeys((column.name for column in ACCOUNT), math.nan)
    some = {**nothing, "erf": 0.0, "heat_reused_j": 1.0}
    assert [line.label for line in lines_of(account.STANDARDS, [nothing, some]) if line.needs] == [
        "ERF",
        "ERE",
    ]
    assert not [line for line in lines_of(account.STANDARDS, [nothing]) if line.needs]


def test_tenants_and_nobody_add_up_to_the_meter() -> None:
    result = make_result(3)
    text = show(tenant_table(result))
    rows = [line.split() for line in text.splitlines() if line.strip()]
    energies = {
        row[0]: float(row[1 if row[0] == "nobody" else 2])
        for row in rows
        if row[0] in ("ada", "grace", "nobody")
    }
    assert len(energies) == 3
    meter = re.search(r"at the meter\s+40\s+([\d.]+)", text)
    assert meter is not None
    assert sum(energies.values()) == pytest.approx(float(meter[1]), abs=0.2)
    assert "kWh/job" in text


def test_many_tenants_are_few_rows_that_still_add_up() -> None:
    result = make_result(3, count=200)
    jobs = {**result.jobs, "tenant": np.array([f"team-{i % 50}" for i in range(200)], dtype=object)}
    text = show(tenant_table(replace(result, jobs=jobs)))
    assert text.count("team-") == MAX_TENANTS - 1
    assert f"{50 - MAX_TENANTS + 1} others" in text
    assert re.search(r"at the meter\s+200", text)


def test_steps_are_paid_for_by_the_thousand() -> None:
    result = make_result(3)
    text = show(profile_table(result))
    row = next(line.split() for line in text.splitlines() if line.startswith(" digits-mlp"))
    # 300 W of IT for each of 10 steps a second, times 1.25: 37.5 J a step, 10.42 Wh a thousand.
    assert row[1] == "20"
    assert row[3] == "10.42"
    bare = {**result.jobs, "profile": np.full(40, "", dtype=object)}
    assert profile_table(replace(result, jobs=bare)) is None


def test_names_are_printed_as_they_are() -> None:
    result = make_result(3)
    jobs = {**result.jobs, "tenant": np.full(40, "[red]a[/red]", dtype=object)}
    assert "[red]a[/red]" in show(tenant_table(replace(result, jobs=jobs)))


def test_the_page_has_every_arms_means_and_the_meaning_of_each_column(study: Study) -> None:
    arms = read_accounts(study)
    assert [len(arm.accounts) for arm in arms] == [3, 3, 3, 3, 2, 2]
    page = facility_tables(arms)
    assert page.count('<th scope="row">first_fit + none</th>') == 6
    assert "Behind the meter" not in page
    for column in ("ppue_cooling", "cost_demand_usd", "carbon_embodied_kg"):
        assert f'title="{escape(account.MEANING[column])}"' in page, column
    pue = arms[0].interval("pue")
    assert pue.mean == pytest.approx(1.25)
    assert pue.n == 3
    assert ">1.250<small>&plusmn; 0</small></td>" in page


def test_a_damaged_account_is_named(study: Study, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"manifest\.json"):
        read_accounts(replace(study, path=tmp_path))


def test_stacked_parts_are_the_meter() -> None:
    accounts = [("a", make_result(3).account), ("<b>", make_result(4).account)]
    drawn = energy_figure(accounts)
    left = [trace for trace in drawn["data"] if trace.get("xaxis") != "x2"]
    assert [trace["name"] for trace in left] == [
        "IT", "air handlers", "compressors", "pumps", "fans of towers and dry coolers", "conversion losses",
    ]  # fmt: skip
    assert left[0]["y"] == ["a", "&lt;b&gt;"]
    factor = 3.6e9 if "MWh" in drawn["layout"]["xaxis"]["title"]["text"] else 3.6e6
    for row, (_, known) in enumerate(accounts):
        whole = sum(trace["x"][row] for trace in left) * factor
        assert whole == pytest.approx(known["energy_facility_j"], rel=1e-4)
    right = [trace for trace in drawn["data"] if trace.get("xaxis") == "x2"]
    assert [trace["name"] for trace in right] == [trace["name"] for trace in left[1:]]


def test_over_time_only_what_there_is() -> None:
    bare = site_figure(make_series(7_200.0, 1.0, 12))
    assert [trace["name"] for trace in bare["data"]] == [
        "return air (\u00b0C)", "supply air (\u00b0C)", "outdoors, dry bulb (\u00b0C)", "outdoors, wet bulb (\u00b0C)",
    ]  # fmt: skip
    series: dict[str, Any] = make_series(7_200.0, 1.0, 12)
    series["solar_power_w"] = np.full(12, 5e3)
    series["battery_power_w"] = np.linspace(-1e3, 1e3, 12)
    series["stored_j"] = np.linspace(3.6e6, 7.2e6, 12)
    series["hottest_inlet_deg_c"] = series["supply_temperature_deg_c"] + 3.0
    full = site_figure(series)
    assert {trace["yaxis"] for trace in full["data"]} == {"y", "y2", "y3"}
    (stored,) = [trace for trace in full["data"] if "in the battery" in trace["name"]]
    assert (stored["y"][0], stored["y"][-1]) == (1.0, 2.0)
    assert any("hottest rack" in trace["name"] for trace in full["data"])
    assert full["layout"]["xaxis"]["anchor"] == "y3"


def test_what_is_stored_in_a_wider_bin_is_that_at_its_end() -> None:
    series: dict[str, Any] = make_series(7_200.0, 1.0, 1_000)
    series["stored_j"] = np.arange(1.0, 1_001.0) * 3.6e6
    (stored,) = [t for t in site_figure(series)["data"] if "in the battery" in t["name"]]
    assert stored["y"][-1] == 1.0  # MWh
    assert stored["y"][0] == pytest.approx(0.002)


def test_who_answers_is_told_for_each_arm_and_extrapolations_are_flagged() -> None:
    result = make_result(3)
    shares = {"<arm>": (tenant_shares(result.jobs, result.account), profile_shares(result.jobs))}
    flagged, plain = (shares_section(shares, frozenset(names)) for names in (("digits-mlp",), ()))
    assert "&lt;arm&gt;" in plain
    assert NOBODY in plain
    assert "at the meter" in plain
    assert "<small>extrapolated</small>" in flagged
    assert "<small>extrapolated</small>" not in plain
