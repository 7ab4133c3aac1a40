"""Fixtures of the report tests: one small finished study."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcsim.study import Study, compare
from tests.results.synthetic import make_scenario
from tests.study.fakes import simulate


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return a study of 3 x 2 arms on 3 seeds, one cell of which failed."""
    folder: Path = tmp_path_factory.mktemp("study")
    scenario = make_scenario().model_copy(update={"description": "Is <b>spread</b> & cap worth it?"})
    return compare(
        scenario,
        placements=["first_fit", "spread", "raises"],
        energies=["none", "power_cap"],
        seeds=[0, 1, 2],
        out=folder,
        executor="inline",
        simulate=simulate,
    )
