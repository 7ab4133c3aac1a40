"""The real dispatcher, with processes that only pretend to train."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.trainers.closed_loops import queued
from trainers.closed_loop.dispatcher import ClosedLoopError, Dispatcher, JobRun, run_of
from trainers.closed_loop.jobs import JobCost, QueuedJob, draw_jobs
from trainers.devices import core_numbers

TELLS = """
import json, os, sys, time
for event in ("began", "imported", "prepared", "compiled", "trained"):
    print(json.dumps({"event": event, "s": time.monotonic(), "cores": sorted(os.sched_getaffinity(0))}), flush=True)
"""
WAITS = "import sys; print('{}', flush=True); sys.stdin.read()"
"""Until its input ends."""


def _command(code: str = TELLS) -> Sequence[str]:
    return [sys.executable, "-S", "-c", code]


def _order(runs: Sequence[JobRun]) -> list[str]:
    return [run.name for run in sorted(runs, key=lambda run: run.start_s)]


def _run(folder: Path, jobs: Sequence[QueuedJob], policy: str, cores: Sequence[int] = (0,)) -> list[JobRun]:
    return Dispatcher(cores, lambda job: _command(), folder).run(jobs, policy)


@pytest.mark.parametrize(("policy", "order"), [("fifo", "abcd"), ("shortest_first", "dcba")])
def test_one_core_serves_the_line_in_the_order_of_the_policy(tmp_path: Path, policy: str, order: str) -> None:
    # Ties of fifo go by the order of the jobs.
    jobs = [queued("a", steps=400), queued("b", steps=300), queued("c", steps=200), queued("d", steps=100)]
    runs = _run(tmp_path, jobs, policy)
    assert [run.name for run in runs] == list("abcd")
    assert _order(runs) == list(order)
    by_start = sorted(runs, key=lambda run: run.start_s)
    assert all(one.end_s <= other.start_s for one, other in itertools.pairwise(by_start))
    assert all(run.start_s <= run.events_s["began"] <= run.events_s["trained"] <= run.end_s for run in runs)


def test_nobody_starts_before_he_comes(tmp_path: Path) -> None:
    runs = _run(tmp_path, [queued("late", submit_s=0.2), queued("early")], "fifo")
    assert runs[0].start_s >= 0.2
    assert runs[0].completion_s == runs[0].end_s - 0.2


def test_each_core_has_one_job_and_each_job_its_core(tmp_path: Path) -> None:
    cores = core_numbers()[:2]
    pinned = "import os, json; print(json.dumps({'event': str(sorted(os.sched_getaffinity(0))), 's': 0.0}))"
    jobs = [queued(name) for name in "abcd"]
    runs = Dispatcher(cores, lambda job: _command(pinned), tmp_path).run(jobs, "fifo")
    assert {run.core for run in runs} <= set(cores)
    for run in runs:
        assert list(run.events_s) == [str([run.core])]
    for core in cores:
        mine = sorted((run for run in runs if run.core == core), key=lambda run: run.start_s)
        assert all(one.end_s <= other.start_s for one, other in itertools.pairwise(mine))


def test_a_job_that_fails_stops_the_run_and_says_why(tmp_path: Path) -> None:
    code = "import sys; sys.exit('no such data')"
    with pytest.raises(ClosedLoopError, match=r"a \(digits_mlp\) ended with code 1\nno such data"):
        Dispatcher((0,), lambda job: _command(code), tmp_path).run([queued("a")], "fifo")


@pytest.mark.skipif(len(core_numbers()) < 2, reason="needs two cores")
def test_what_still_runs_is_ended_where_another_fails(tmp_path: Path) -> None:
    def command(job: QueuedJob) -> Sequence[str]:
        return _command(WAITS if job.name == "a" else "raise SystemExit(3)")

    # The first would wait for ever; that this comes back at all is the proof that it was ended.
    with pytest.raises(ClosedLoopError, match="code 3"):
        Dispatcher(core_numbers()[:2], command, tmp_path).run([queued("a"), queued("b")], "fifo")


def test_interrupted_it_leaves_no_process(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom tests.trainers.closed_loops import queued\n"
        "from trainers.closed_loop.dispatcher import Dispatcher\n"
        f"Dispatcher((0,), lambda job: [sys.executable, '-S', '-c', {WAITS!r}], Path(sys.argv[1]), print)"
        ".run([queued('a')], 'fifo')"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", script, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()  # it is about to start the job
    while not (tmp_path / "a.out").exists() or not (tmp_path / "a.out").read_text():
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert b"KeyboardInterrupt" in said
    children = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert WAITS not in children


def test_a_run_survives_its_record(tmp_path: Path) -> None:
    (run,) = _run(tmp_path, [queued("a")], "fifo")
    assert run_of(run.record()) == run


# -- what is submitted -----------------------------------------------------------------------------------

COSTS = {name: JobCost(64, startup_s=4.0, step_s=0.01 * (at + 1)) for at, name in enumerate("wxyz")}


def test_jobs_are_drawn_once_and_differ() -> None:
    jobs = draw_jobs(COSTS, 12, cores=2, seed=1)
    assert jobs == draw_jobs(COSTS, 12, cores=2, seed=1)
    assert jobs != draw_jobs(COSTS, 12, cores=2, seed=2)
    assert len({job.name for job in jobs}) == 12
    assert sorted(job.model for job in jobs) == sorted("wxyz" * 3)
    lengths = sorted(job.estimate_s for job in jobs)
    assert lengths[0] == pytest.approx(8.0, abs=0.1)
    assert lengths[-1] == pytest.approx(18.0, abs=0.1)
    assert all(later / earlier > 1.05 for earlier, later in itertools.pairwise(lengths))


@pytest.mark.parametrize("factor", [1.0, 1.05, 1.2, 1.5])
def test_slower_startups_never_change_who_is_shorter(factor: float) -> None:
    costs = {
        "w": JobCost(32, 3.0, 0.003), "x": JobCost(32, 3.2, 0.004), "y": JobCost(32, 5.0, 0.03), "z": JobCost(8, 7.0, 0.05)
    }  # fmt: skip
    for count, seed in itertools.product((5, 12, 20), range(5)):
        jobs = sorted(draw_jobs(costs, count, 2, seed), key=lambda job: job.estimate_s)
        slow_s = [factor * costs[job.model].startup_s + job.steps * costs[job.model].step_s for job in jobs]
        assert all(later >= 1.0199 * earlier for earlier, later in itertools.pairwise(slow_s))


def test_a_line_forms_in_which_order_matters() -> None:
    """Fifo and shortest first, by hand over the estimates: the means differ by more than repeats do."""
    for seed in range(1, 6):
        jobs = draw_jobs(COSTS, 12, cores=2, seed=seed)
        means = {}
        for policy in ("fifo", "shortest_first"):
            free, waiting, done, total = [0.0, 0.0], list(jobs), [], 0.0
            while waiting:
                now_s = max(min(free), min(job.submit_s for job in waiting))
                ready = [job for job in waiting if job.submit_s <= now_s]
                job = min(ready, key=lambda each: each.submit_s if policy == "fifo" else each.estimate_s)
                waiting.remove(job)
                free[free.index(min(free))] = now_s + job.estimate_s
                total += now_s + job.estimate_s - job.submit_s
                done.append(job)
            means[policy] = total / len(done)
        assert means["fifo"] > 1.1 * means["shortest_first"], seed
