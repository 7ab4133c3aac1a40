"""What batteries end with is told beside the tables that it bears on."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from dcsim.report import print_study
from dcsim.report.sections import header, summary_section
from dcsim.study import Study

TOLD = "battery under a < b: ended with 11 kWh less than it began with"


def test_it_stands_below_the_differences_and_at_the_top_of_the_page(study: Study) -> None:
    drained = replace(study, stored_energy=(TOLD,))
    for part in (summary_section(drained), header(drained)):
        assert TOLD.replace("<", "&lt;") in part
    assert summary_section(drained).index("battery under") < summary_section(drained).index("<details>")
    assert "battery under" not in summary_section(study) + header(study)


def test_the_terminal_says_it_after_the_differences(study: Study) -> None:
    said = io.StringIO()
    print_study(replace(study, stored_energy=(TOLD,)), Console(file=said, width=120))
    assert said.getvalue().index("paired by seed") < said.getvalue().index(f"warning: {TOLD}")
