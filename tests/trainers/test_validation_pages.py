"""Results: kept, found again, and shown; wrong ones are refused with every problem."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dcsim.errors import InputError
from trainers.__main__ import main
from trainers.validation.charts import chart_svg
from trainers.validation.gather import gather
from trainers.validation.markdown import document, fragment
from trainers.validation.page import page
from trainers.validation.result import (
    Bar,
    Bars,
    Column,
    Gantt,
    GanttBar,
    GanttLane,
    Load,
    Point,
    Scatter,
    Table,
    Validation,
    Verdict,
    Where,
    load_result,
    save_result,
)


def _result(name: str = "holdout", **changes: Any) -> Validation:
    where = Where(
        created_utc="2026-01-02T03:04:05+00:00", host_cpu="a <b>", host_cores=2, operating_system="Linux",
        python_version="3.11.0", packages={"jax": "1.2.3"}, command="python -m trainers validate holdout",
    )  # fmt: skip
    return Validation(
        name=name,
        title=changes.pop("title", "Held out | <i>"),
        summary="Some & others.",
        repeats=5,
        load=Load(average_start=0.25, average_end=1.5, taken_share=0.021),
        where=where,
        verdicts=(
            Verdict(what="mean error", value=0.031, unit="%", limit=0.05, meaning="mean of |e|"),
            Verdict(what="largest error", value=0.2, unit="%", limit=0.12),
            Verdict(what="bytes", value=4000.0, unit="B", limit=4000.0, relation="is"),
            Verdict(what="floor", value=None, unit="s"),
        ),
        tables=(
            Table(
                title="Rows",
                columns=(Column(name="model"), Column(name="step", unit="ms", meaning="median")),
                rows=(("a|b", 1.23456), ("c", None)),
            ),
        ),
        charts=(
            Scatter(title="s", x_label="x", y_label="y", points=(Point(label="<p>", x=1.0, y=2.0, low=1.5, high=2.5),)),
            Gantt(title="g", lanes=(GanttLane(name="core 0", bars=(GanttBar(label="<j>", start=0.0, end=50.0, prepared=9.0),)),)),
            Bars(title="b", unit="%", bars=(Bar(label="<up>", value=0.1), Bar(label="down", value=-0.1)), limit=0.07),
        ),
        **changes,
    )  # fmt: skip


class _Checked(HTMLParser):
    """Fails where tags do not nest, or where something would be fetched."""

    VOID = ("meta", "line", "rect", "circle", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "img", "iframe"), tag
        assert not {"src", "href", "onload"} & {name for name, _ in attrs}
        self.seen.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_a_page_stands_alone_and_escapes_what_it_shows() -> None:
    checked = _Checked()
    text = page([_result(), _result("closed-loop")])
    checked.feed(text)
    assert checked.open == []
    assert "svg" in checked.seen
    assert "<i>" not in text
    assert "<p>:" not in text
    assert "http" not in text
    assert "prefers-color-scheme: dark" in text


@pytest.mark.parametrize("chart", _result().charts, ids=lambda chart: chart.kind)
def test_charts_stay_inside_their_frame(chart: Any) -> None:
    text = chart_svg(chart)
    width, height = (float(part) for part in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text).groups())  # type: ignore[union-attr]
    for name, limit in (
        ("x", width),
        ("x1", width),
        ("x2", width),
        ("cx", width),
        ("y", height),
        ("y1", height),
        ("cy", height),
    ):
        for found in re.findall(rf' {name}="([-\d.]+)"', text):
            assert 0.0 <= float(found) <= limit


def _squeezed(text: str) -> str:
    return re.sub(" +", " ", text)


def _aligned(text: str) -> bool:
    """Return whether the bars of each table stand above each other, but for the last."""
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    bars = [
        {tuple(bar.start() for bar in re.finditer(r"(?<!\\)\|", row))[:-1] for row in table.splitlines()}
        for table in tables
    ]
    return bool(bars) and all(len(each) == 1 for each in bars)


def test_markdown_keeps_its_tables_whole() -> None:
    lines = fragment(_result()).splitlines()
    assert _aligned(fragment(_result()))
    rows = [_squeezed(line) for line in lines if line.startswith("|")]
    cells = {len(re.split(r"(?<!\\)\|", row)) for row in rows[:6]}
    assert len(cells) == 1
    assert "| a\\|b | 1.235 |" in rows
    assert "| c | - |" in rows
    assert "| mean error | 3.1 % | at most 5.0 % | passed | mean of \\|e\\| |" in rows
    assert "| largest error | 20.0 % | at most 12.0 % | failed | |" in rows
    assert "| bytes | 4000 B | is 4000 B | passed | |" in rows
    assert "| floor | - | | skipped | |" in rows
    assert any("others took 2.1%" in line for line in lines)


def test_a_result_is_passed_where_all_targets_are_reached() -> None:
    assert not _result().passed
    assert [verdict.state for verdict in _result().verdicts] == ["passed", "failed", "passed", "skipped"]
    assert Verdict(what="x", value=None, limit=1.0).state == "failed"
    assert Verdict(what="x", value=1.0).state == "told"
    assert not Verdict(what="x", value=None).passed
    told = tuple(verdict for verdict in _result().verdicts if verdict.state != "failed")
    assert _result().model_copy(update={"verdicts": told}).passed
    assert Verdict(what="x", value=0.95, limit=0.9, relation="at least").passed
    assert Verdict(what="x", value=1.1, limit=1.0, relation="is").passed is False


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    assert load_result(save_result(_result(), tmp_path)) == _result()


def test_results_of_folders_come_in_the_order_of_the_page(tmp_path: Path) -> None:
    for folder, name in (("b", "closed-loop"), ("a", "zebra"), ("a", "holdout"), ("a", "exact-counts")):
        save_result(_result(name), tmp_path / folder)
    (tmp_path / "a" / "settings.json").write_text("{}")
    # As `make validate` leaves them: each in a folder of its own, told as one.
    for sources in ([tmp_path / "b", tmp_path / "a"], [tmp_path]):
        found = gather(sources)
        assert [result.name for result in found] == ["exact-counts", "holdout", "closed-loop", "zebra"]


def test_all_wrong_results_are_told_at_once(tmp_path: Path) -> None:
    good = save_result(_result(), tmp_path / "a")
    save_result(_result(), tmp_path / "b")
    content = json.loads(good.read_text())
    content["repeats"], content["load"]["average_end"] = 0, "much"
    (tmp_path / "bad.json").write_text(json.dumps(content))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        gather(
            [
                tmp_path / "a",
                tmp_path / "b",
                tmp_path / "bad.json",
                tmp_path / "empty",
                tmp_path / "none.json",
            ]
        )
    said = str(caught.value)
    for part in ("repeats", "load.average_end", "another name", "no result", "none.json"):
        assert part in said
    assert len(caught.value.problems) == 5


def test_the_command_writes_markdown_or_html(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_result(_result(), tmp_path)
    for name, begin in (("validation.md", "# Validation"), ("validation.html", "<!doctype html>")):
        assert main(["validate", "page", "--from", str(tmp_path), "--out", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_text().startswith(begin)
    assert main(["validate", "page", "--out", str(tmp_path / "x.md")]) == 2
    assert "expected at least one result" in capsys.readouterr().err
    assert not (tmp_path / "x.md").exists()


def test_the_document_begins_with_every_target() -> None:
    text = document([_result(), _result("closed-loop", title="Loop")])
    first = text.index("## ")
    assert _squeezed(text[:first]).count("| mean error |") == 2
    assert "Targets: 4 passed, 2 failed, 2 skipped." in text[:first]
    assert _aligned(text)
    assert "| Loop | 2026-01-02T03:04:05 | a <b> | 2 | 0.25 | 1.5 | 2.1 % |" in _squeezed(text[:first])
