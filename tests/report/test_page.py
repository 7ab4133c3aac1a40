"""The page: self-contained, escaped, reproducible, and drawn by a real browser without a complaint."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dcsim.errors import ResultError
from dcsim.report import write_report
from dcsim.report.page import page_html
from dcsim.study import Study

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
VOID = {"meta", "link", "br"}


@pytest.fixture(scope="module")
def html(study: Study) -> str:
    return page_html(study)


def own_part(html: str) -> str:
    """Return the page without plotly's own script."""
    start, end = html.index("<script>"), html.index('<script type="application/json"')
    return html[:start] + html[end:]


class Balance(HTMLParser):
    """Collects elements left open and attributes that could load something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [
            str(v) for k, v in attrs if k in ("src", "href") and not str(v).startswith(("#", "data:"))
        ]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_element_is_closed_and_nothing_is_loaded(html: str) -> None:
    parser = Balance()
    parser.feed(own_part(html))
    assert parser.open == []
    assert parser.loads == []
    assert "default-src 'none'" in html


def test_what_users_wrote_is_escaped(study: Study) -> None:
    bad = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'
    evil = replace(study, scenario_name=bad, description=bad, warnings=(bad,), provenance=({bad: bad},))
    page = own_part(page_html(evil))
    assert bad not in page
    assert "<img" not in page
    assert page.count("<script") == 2


def test_names_inside_the_data_cannot_end_the_script(html: str) -> None:
    data = re.search(r'<script type="application/json" id="figures">(.*?)</script>', html, re.DOTALL)
    assert data is not None
    assert "<" not in data[1]
    figures = json.loads(data[1])
    each_arm = ("series", "site", "gantt", "links")
    assert {name: len(of_name) for name, of_name in figures.items()} == {
        "pareto": 1, "energy": 1, **dict.fromkeys(each_arm, 6),
    }  # fmt: skip


def test_the_same_study_gives_the_same_page(study: Study, html: str) -> None:
    assert page_html(study) == html


def test_the_page_says_what_it_must(html: str) -> None:
    page = own_part(html)
    for words in (
        "Modelled, not measured",
        "Is &lt;b&gt;spread&lt;/b&gt; &amp; cap worth it?",
        "2 runs failed",
        "digits-mlp",
        "location-based",
        "prefers-color-scheme: dark",
        "@media print",
        "jct_p95_s",
        "Energy by part",
        "partial PUE of the power chain",
        "nobody (free servers, network, storage)",
        "Wh/1,000 steps",
        "digits-mlp<small>extrapolated</small>",
    ):
        assert words in page, words


def test_figures_are_valid_plotly(html: str) -> None:
    import plotly.graph_objects as go

    data = re.search(r'id="figures">(.*?)</script>', html, re.DOTALL)
    assert data is not None
    for figures in json.loads(data[1]).values():
        for figure in figures:
            go.Figure({"data": figure["data"], "layout": figure["layout"]})


def test_a_study_without_any_result_has_a_page(study: Study) -> None:
    page = page_html(replace(study, rows=()))
    assert "nothing to show" in page


def test_written_beside_the_study_and_refuses_what_is_damaged(study: Study, tmp_path: Path) -> None:
    assert write_report(study.path) == study.path / "report.html"
    assert write_report(study, tmp_path / "page.html").stat().st_size < 8_000_000
    with pytest.raises(ResultError, match=r"study\.json"):
        write_report(tmp_path)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium to look at the page as a reader does")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_draws_all_charts_without_an_error(html: str, tmp_path: Path, scheme: str) -> None:
    probe = (
        "<script>window.addEventListener('load', function () { console.log('SCHEME ' + "
        "matchMedia('(prefers-color-scheme: dark)').matches); "
        "console.log('DRAWN ' + document.querySelectorAll('.chart .main-svg').length); });</script></body>"
    )
    page = tmp_path / "report.html"
    page.write_text(html.replace("</body>", probe), encoding="utf-8")
    setting = {"dark": 0, "light": 1}[scheme]
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--window-size=1280,4000",
        f"--blink-settings=preferredColorScheme={setting}", "--virtual-time-budget=5000",
        f"--screenshot={tmp_path / 'page.png'}", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert any(f"SCHEME {str(scheme == 'dark').lower()}" in line for line in said), said
    assert any("DRAWN 18" in line for line in said), said
    assert len(said) == 2, said
