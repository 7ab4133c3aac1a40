"""Killed calibrations and refused files as a result to read."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.validation.refusals import Refusal
from trainers.validation.result import Column, Load, Table, Validation, Verdict, Where
from trainers.validation.resume import Kill

__all__ = ["LOST_LIMIT", "resume_result"]

LOST_LIMIT = 1
"""Measurements that a kill may cost."""


def resume_result(
    kills: Sequence[Kill], refused: Sequence[Refusal], *, load: Load, where: Where
) -> Validation:
    """Return what was kept over kills, and what was refused.

    Args:
        kills: at least one.
        refused: files that are wrong, and the answers.
        load: of the host meanwhile.
        where: and when.
    """
    return Validation(
        name="resume",
        title="Going on after kill -9, and files that are refused",
        summary=(
            "A real calibration of the linear model is killed by SIGKILL at random moments while it measures, and started "
            "again each time. Then copies of its profile and of what it kept are spoilt in one way each and read."
        ),
        repeats=1,  # the worst kill counts, not the median one
        load=load,
        where=where,
        verdicts=_verdicts(kills, refused),
        tables=(_kill_table(kills), _refusal_table(refused)),
        notes=(
            "A sound profile from another processor is no error: `python -m trainers show` says where it was measured.",
        ),
    )


def _verdicts(kills: Sequence[Kill], refused: Sequence[Refusal]) -> tuple[Verdict, ...]:
    whole = sum(kill.points == kill.asked and kill.unchanged for kill in kills)
    return (
        Verdict(
            what="measurements lost by a kill", value=max(kill.lost for kill in kills), limit=LOST_LIMIT,
            meaning=f"most of {len(kills)} kills: finished but not kept, and the one that was broken off",
        ),
        Verdict(
            what="whole profiles afterwards", value=whole, limit=len(kills), relation="is",
            meaning="with every point, and what was kept as it had been measured",
        ),
        Verdict(
            what="wrong files refused with the reason", value=sum(bool(each.reason) for each in refused),
            limit=len(refused), relation="is", meaning="profiles and journals: corrupted, of another version, foreign",
        ),
    )  # fmt: skip


def _kill_table(kills: Sequence[Kill]) -> Table:
    return Table(
        title="Kills",
        columns=(
            Column(name="killed after", unit="s", meaning="from the moment at which the worker was ready"),
            Column(name="asked", meaning="measurements of the whole calibration"),
            Column(name="finished", meaning="before the kill"),
            Column(name="kept"),
            Column(name="measured after"),
            Column(name="lost", meaning="finished but not kept, and the one that was broken off"),
            Column(
                name="unchanged", meaning="whether what was kept stands in the profile as it was measured"
            ),
        ),
        rows=tuple(
            (
                kill.after_s,
                kill.asked,
                kill.finished,
                kill.kept,
                kill.measured_after,
                kill.lost,
                "yes" if kill.unchanged else "no",
            )
            for kill in kills
        ),
    )


def _refusal_table(refused: Sequence[Refusal]) -> Table:
    return Table(
        title="Refusals, word for word",
        columns=(Column(name="file"), Column(name="answer")),
        rows=tuple((each.what, each.reason or "believed") for each in refused),
    )
