"""A closed loop as a result to read: targets, tables and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from trainers.closed_loop.comparison import (
    JobError,
    Outcome,
    compare,
    floor_relative,
    order_agrees,
    phase_shares,
    repeats_in_order,
)
from trainers.closed_loop.dispatcher import JobRun
from trainers.closed_loop.loop import ClosedLoop
from trainers.closed_loop.simulated import EFFECTS, SimulatedJob
from trainers.validation.holdout import predicted_step_s
from trainers.validation.result import (
    Bar,
    Bars,
    Chart,
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
)

__all__ = ["MEAN_LIMIT", "QUIET_SHARE", "WORST_LIMIT", "loop_result"]

MEAN_LIMIT, WORST_LIMIT = 0.07, 0.20
QUIET_SHARE = 0.05
"""Of the cores' time, that others may take on a host that is called quiet."""


def loop_result(loop: ClosedLoop, where: Where) -> Validation:
    """Return what a closed loop found."""
    settings = loop.settings
    outcomes = {name: compare(loop.jobs, loop.real, loop.simulated[name]) for name in EFFECTS}
    outcome, load = outcomes["all"], _load(loop.loads)
    return Validation(
        name="closed-loop",
        title="Closed loop: a small real cluster and its simulation",
        summary=(
            f"{len(loop.jobs)} real training jobs of {len(settings.models)} models, a process each, came to "
            f"{settings.cores} cores of this machine and were started by a real dispatcher, one job a core, in the order "
            "of each policy. The simulator ran the same jobs from profiles calibrated before on the same machine, with "
            "start-ups and co-location measured apart; nothing of the runs themselves went into it."
        ),
        repeats=settings.repeats,
        load=load,
        where=where,
        verdicts=_verdicts(loop, outcome, load),
        tables=(
            _policies(loop, outcome),
            _effects(loop, outcomes),
            _jobs(outcome),
            _phases(loop),
            _startups(loop),
            _colocation(loop),
        ),
        charts=(*_gantts(loop), _scatter(outcome), _bars(outcomes)),
        notes=(*_notes(load), *_profile_notes(loop), *_order_notes(loop)),
    )


def _load(loads: Sequence[Load]) -> Load:
    """Return the load of all repeats: before the first, after the last, and the median of what others took."""
    taken = [load.taken_share for load in loads if load.taken_share is not None]
    return Load(
        average_start=loads[0].average_start,
        average_end=loads[-1].average_end,
        taken_share=float(np.median(taken)) if taken else None,
    )


def _notes(load: Load) -> tuple[str, ...]:
    if load.taken_share is None or load.taken_share <= QUIET_SHARE:
        return ()
    taken = f"{load.taken_share:.0%}"
    return (
        f"The host was not quiet: others took {taken} of the cores' time. The targets are those of a quiet host.",
    )


def _profile_notes(loop: ClosedLoop) -> tuple[str, ...]:
    """Return what the profiles warn of, but for the load average, which contains the loop's own work."""
    return tuple(
        f"Profile of {name}: {warning}."
        for name, profile in loop.profiles.items()
        for warning in profile.provenance.warnings
        if not warning.startswith("load average")
    )


def _order_notes(loop: ClosedLoop) -> tuple[str, ...]:
    """Return, for each policy, in how many repeats jobs did not start in the simulated order, where there are any."""
    counts = {
        policy: (repeats_in_order(repeats, loop.simulated["all"][policy]), len(repeats))
        for policy, repeats in loop.real.items()
    }
    return tuple(
        f"{policy}: jobs started in another order than in the simulation in {of - equal} of {of} repeats; "
        "their errors contain that."
        for policy, (equal, of) in counts.items()
        if equal < of
    )


def _verdicts(loop: ClosedLoop, outcome: Outcome, load: Load) -> tuple[Verdict, ...]:
    worst, floor = outcome.worst, floor_relative(loop.real)
    return (
        Verdict(
            what="mean error of job completion times",
            value=outcome.mean_error,
            unit="%",
            limit=MEAN_LIMIT,
            meaning="mean over jobs and policies of |simulated / median of repeats - 1|; completion time is from submission to end",
        ),
        Verdict(
            what="largest error of a job",
            value=abs(worst.error_relative),
            unit="%",
            limit=WORST_LIMIT,
            meaning=f"{worst.job.name} ({worst.job.model}) under {worst.policy}",
        ),
        Verdict(
            what="policies in the order of reality",
            value=float(order_agrees(outcome, loop.settings.policies)),
            limit=1.0,
            relation="is",
            meaning="1: sorted by mean completion time, simulated and real policies come in the same order",
        ),
        Verdict(
            what="error of the medians themselves",
            value=floor,
            unit="%",
            meaning=(
                "mean |error| that a perfect simulator would show: mean over jobs of standard deviation / median / "
                "sqrt(repeats), the mean absolute error of a median of normal repeats; a mean error near it is "
                "indistinguishable from none"
            )
            if floor is not None
            else "not applicable: one repeat does not say how repeats differ",
        ),
        Verdict(
            what="bias",
            value=outcome.bias,
            unit="%",
            meaning="mean of simulated / median of repeats - 1, with its sign",
        ),
        Verdict(
            what="taken by others",
            value=load.taken_share,
            unit="%",
            meaning="part of the cores' time during the real runs, median over runs; above 5 % a host is not quiet"
            if load.taken_share is not None
            else "not applicable: this system does not say",
        ),
    )


def _jobs(outcome: Outcome) -> Table:
    return Table(
        title="Jobs",
        columns=(
            Column(name="policy"),
            Column(name="job"),
            Column(name="model"),
            Column(name="steps"),
            Column(name="comes", unit="s", meaning="submission, from the start of the run"),
            Column(name="real", unit="s", meaning="completion time, median over repeats"),
            Column(name="least", unit="s"),
            Column(name="most", unit="s", meaning="smallest and largest of the repeats"),
            Column(name="simulated", unit="s"),
            Column(name="error", unit="%", meaning="simulated / real - 1"),
        ),
        rows=tuple(
            (
                each.policy,
                each.job.name,
                each.job.model,
                each.job.steps,
                round(each.job.submit_s, 1),
                each.real_s,
                each.real_low_s,
                each.real_high_s,
                each.simulated_s,
                each.error_relative,
            )
            for each in outcome.jobs
        ),
    )


def _policies(loop: ClosedLoop, outcome: Outcome) -> Table:
    rows = []
    for policy in loop.settings.policies:
        real_s, simulated_s = outcome.mean_completion_s(policy)
        real_end_s = float(np.median([max(run.end_s for run in runs) for runs in loop.real[policy]]))
        end_s = max(job.end_s for job in loop.simulated["all"][policy])
        rows.append(
            (
                policy,
                real_s,
                simulated_s,
                simulated_s / real_s - 1.0,
                real_end_s,
                end_s,
                end_s / real_end_s - 1.0,
                f"{repeats_in_order(loop.real[policy], loop.simulated['all'][policy])} of {len(loop.real[policy])}",
            )
        )
    return Table(
        title="Policies",
        columns=(
            Column(name="policy"),
            Column(
                name="real mean completion", unit="s", meaning="mean over jobs of the medians over repeats"
            ),
            Column(name="simulated", unit="s"),
            Column(name="error", unit="%"),
            Column(name="real makespan", unit="s", meaning="end of the last job, median over repeats"),
            Column(name="simulated makespan", unit="s"),
            Column(name="its error", unit="%"),
            Column(
                name="starts in the simulated order",
                meaning="repeats in which all jobs started in the order in which the simulation started them",
            ),
        ),
        rows=tuple(rows),
    )


def _effects(loop: ClosedLoop, outcomes: Mapping[str, Outcome]) -> Table:
    policies = loop.settings.policies
    return Table(
        title="What each effect is worth",
        note=(
            "The same simulation with one effect left out: the error it would then make. Policies that go by run times keep "
            "the estimates that the real dispatcher was told."
        ),
        columns=(
            Column(name="simulated with"),
            Column(name="mean error", unit="%", meaning="mean |error| of completion times"),
            Column(name="largest", unit="%"),
            Column(name="bias", unit="%", meaning="mean error with its sign"),
            *(Column(name=f"mean completion, {policy}", unit="s") for policy in policies),
        ),
        rows=tuple(
            (
                "all effects" if name == "all" else name,
                each.mean_error,
                abs(each.worst.error_relative),
                each.bias,
                *(each.mean_completion_s(policy)[1] for policy in policies),
            )
            for name, each in outcomes.items()
        ),
    )


def _phases(loop: ClosedLoop) -> Table:
    return Table(
        title="Where the real jobs' time on their cores went",
        columns=(
            Column(name="phase"),
            Column(name="share", unit="%", meaning="of the time from start to end of all jobs"),
        ),
        rows=tuple(phase_shares(loop.real).items()),
    )


def _loop_s(loop: ClosedLoop, model: str) -> float | None:
    """Return the median step of a model in the real runs, input included; None: it made too few."""
    times_s = [
        run.step_s + (run.input_s or 0.0)
        for repeats in loop.real.values()
        for runs in repeats
        for run, job in zip(runs, loop.jobs, strict=True)
        if job.model == model and run.step_s is not None
    ]
    return float(np.median(times_s)) if times_s else None


def _startup_row(loop: ClosedLoop, model: str) -> tuple[str | float | None, ...]:
    probe, real_s = loop.measured.probes[model], _loop_s(loop, model)
    batch = next(job.batch for job in loop.jobs if job.model == model)
    step_s = predicted_step_s(loop.profiles[model], 1, batch)
    steps_ms = [each * 1e3 for each in (probe.input_s, probe.tail_s, step_s, probe.step_s)]
    real_ms = None if real_s is None else real_s * 1e3
    return (model, batch, probe.process_s, probe.data_s, probe.compile_s, *steps_ms, real_ms)


def _startups(loop: ClosedLoop) -> Table:
    return Table(
        title="What was measured apart from the runs",
        note=f"Start-ups beside a job that trains take x {loop.measured.colocation.startup_slowdown:.3f}.",
        columns=(
            Column(name="model"),
            Column(name="batch", meaning="samples a step"),
            Column(
                name="process",
                unit="s",
                meaning="until the libraries are there, and from the last step to the end",
            ),
            Column(name="data", unit="s", meaning="reading and preparing it, drawing parameters"),
            Column(name="compile", unit="s", meaning="the first steps, less what other steps take"),
            Column(
                name="input",
                unit="ms",
                meaning="what a loop adds to a step on one kept batch: preparing, placing and touching its own, fetching the loss",
            ),
            Column(name="hiccups", unit="ms", meaning="mean of a loop's steps over their median"),
            Column(name="step", unit="ms", meaning="as the profile predicts it, and the simulator uses it"),
            Column(
                name="step alone",
                unit="ms",
                meaning="on one kept batch, in a job alone: to be compared with the profile's",
            ),
            Column(
                name="loop in the runs",
                unit="ms",
                meaning="step and input, median over the jobs of the real cluster",
            ),
        ),
        rows=tuple(_startup_row(loop, model) for model in loop.settings.models),
    )


def _colocation(loop: ClosedLoop) -> Table:
    relative, models = loop.measured.colocation.relative_throughput, loop.settings.models
    return Table(
        title="Rates beside each other",
        note="Rate of a model on one core while another trains on the next, over its rate alone.",
        columns=(Column(name="model"), *(Column(name=f"beside {other}") for other in models)),
        rows=tuple((model, *(relative[model].get(other) for other in models)) for model in models),
    )


def _gantts(loop: ClosedLoop) -> list[Chart]:
    return [
        Gantt(
            title=f"Who had which core when, {policy}: real and simulated",
            lanes=(
                *_lanes("real", _typical(loop.real[policy]), loop),
                *_lanes("simulated", loop.simulated["all"][policy], loop),
            ),
        )
        for policy in loop.settings.policies
    ]


def _typical(repeats: Sequence[Sequence[JobRun]]) -> Sequence[JobRun]:
    """Return the repeat whose mean completion time is the (lower) median."""
    ranked = sorted(repeats, key=lambda runs: float(np.mean([run.completion_s for run in runs])))
    return ranked[(len(ranked) - 1) // 2]


def _lanes(kind: str, runs: Sequence[JobRun | SimulatedJob], loop: ClosedLoop) -> list[GanttLane]:
    models = {job.name: job.model for job in loop.jobs}
    cores = sorted({run.core for run in runs})
    return [
        GanttLane(
            name=f"{kind}, core {at}",
            bars=tuple(
                GanttBar(
                    label=run.name.removeprefix("job-"),
                    start=run.start_s,
                    end=run.end_s,
                    group=models[run.name],
                    prepared=_prepared_s(run),
                )
                for run in sorted(runs, key=lambda each: each.start_s)
                if run.core == core
            ),
        )
        for at, core in enumerate(cores)
    ]


def _prepared_s(run: JobRun | SimulatedJob) -> float:
    """Return when a job made its first step."""
    return run.events_s["compiled"] if isinstance(run, JobRun) else run.start_s + run.startup_s


def _scatter(outcome: Outcome) -> Scatter:
    def point(each: JobError) -> Point:
        return Point(
            label=f"{each.job.name} ({each.job.model})", x=each.simulated_s, y=each.real_s,
            low=each.real_low_s, high=each.real_high_s, series=each.policy,
        )  # fmt: skip

    return Scatter(
        title="Completion times, real (median and range of repeats) over simulated",
        x_label="simulated [s]",
        y_label="real [s]",
        points=tuple(point(each) for each in outcome.jobs),
    )


def _bars(outcomes: Mapping[str, Outcome]) -> Bars:
    return Bars(
        title="Mean error of completion times, with one effect left out",
        unit="%",
        bars=tuple(
            Bar(label="all effects" if name == "all" else name, value=each.mean_error)
            for name, each in outcomes.items()
        ),
        limit=MEAN_LIMIT,
    )
