"""Real jobs: one in this process, and a whole small loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dcsim.errors import InputError
from tests.trainers.test_closed_loop_report import WHERE
from trainers.closed_loop.bench_process import Bench
from trainers.closed_loop.job_process import EVENTS, run_job
from trainers.closed_loop.jobs import QueuedJob
from trainers.closed_loop.loop import LoopSettings, run_loop
from trainers.closed_loop.report import loop_result
from trainers.devices import core_numbers


@pytest.mark.usefixtures("eight_devices")
def test_a_job_says_what_it_does_in_order() -> None:
    said: list[tuple[str, dict[str, Any]]] = []
    job = QueuedJob("a", "linear", 25, 8, submit_s=0.0, estimate_s=1.0, seed=0)
    run_job(job, lambda event, **more: said.append((event, more)))
    assert tuple(event for event, _ in said) == EVENTS[1:]  # its process says the first
    last = said[-1][1]
    assert 0.0 < last["step_s"] < 1.0
    assert 0.0 < last["input_s"] < 1.0
    assert Bench("linear", 25, seed=0).step() > 0.0


def test_settings_that_cannot_be_are_refused_together(tmp_path: Path) -> None:
    settings = LoopSettings(policies=("fifo", "best"), jobs=2, cores=99_999)
    with pytest.raises(InputError) as caught:
        run_loop(settings, tmp_path, lambda _: None)
    for part in ("--policies best", "--jobs 2", "--cores 99999"):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(len(core_numbers()) < 2, reason="needs two cores")
def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(InputError, match=r"other settings.*budget_s: None -> 60"):
        run_loop(LoopSettings(), tmp_path, lambda _: None)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(InputError, match="remove it"):
        run_loop(LoopSettings(), tmp_path, lambda _: None)


@pytest.mark.slow
@pytest.mark.usefixtures("eight_devices")
@pytest.mark.skipif(len(core_numbers()) < 2, reason="needs two cores")
def test_a_small_loop_comes_round_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    settings = LoopSettings(models=("linear", "rings"), policies=("fifo",), jobs=3, repeats=1, budget_s=5.0)
    said: list[str] = []
    loop = run_loop(settings, tmp_path, said.append)
    result = loop_result(loop, WHERE)
    assert len(loop.real["fifo"][0]) == 3
    assert all(run.events_s["trained"] < run.end_s for run in loop.real["fifo"][0])
    # A host that is not quiet may miss the targets, but not by a factor.
    assert (result.verdicts[0].value or 0.0) < 1.0
    said.clear()
    again = run_loop(settings, tmp_path, said.append)
    assert again.real == loop.real
    assert not any(text.startswith(("calibrating", "real cluster")) for text in said)
