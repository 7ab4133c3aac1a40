"""Rows of published tables as a result to read, beside the errors that other tools published."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.validation.result import Bar, Bars, Column, Load, Table, Validation, Verdict, Where
from trainers.validation.tables import SEEDS, Compared, Skipped

__all__ = ["PUBLISHED", "tables_result"]

PUBLISHED = (
    ("Calculon", 0.0365, 0.0887, "Megatron-LM on A100; 3.65 and 8.87 % (Isaev et al., SC 2023)"),
    ("Habitat", 0.118, None, "five models on six GPUs, from steps on another GPU (Yu et al., USENIX ATC 2021)"),
    ("Proteus", 0.03, None, "throughputs of parallel layouts on three clusters (Duan et al. 2023, arXiv:2306.02267)"),
)  # fmt: skip
"""Name, mean and largest relative error as published, and of what: each on rows of its authors' choice."""

_NOTES = (
    (
        "The intervals without a fit (0.93 to 1.38 times the prediction) were set on vTrain's, Selene's and ten other "
        "published steps: that they hold those rows is no test of them. All other intervals were made without the rows they "
        "are tested on."
    ),
    (
        "No parameter of the assumed efficiencies was fitted to these rows, but two counts of operators and the host time of "
        "one, out of four within a published range, were chosen on the 288 rows that seed 0 fits: "
        "docs/decisions/0095-large-models.md."
    ),
    (
        "Published errors are of other tools on rows of their authors' choice: they set a scale and are no comparison on "
        "equal rows."
    ),
)


def tables_result(found: Sequence[Compared | Skipped], *, load: Load, where: Where) -> Validation:
    """Return the comparisons as a result to read."""
    compared = [each for each in found if isinstance(each, Compared)]
    published = tuple(
        (name, "as published", None, mean, None, None, most, None, None, note) for name, mean, most, note in PUBLISHED
    )  # fmt: skip
    rows = tuple((each.what, _target(each), *each.errors, each.coverage, each.basis) for each in compared)
    return Validation(
        name="tables",
        title="Published tables",
        summary=(
            "Rows of published measurements are predicted by models that have not seen them; random parts are drawn five "
            "times. The tables are not part of this project: where they are missing, the comparison is skipped and says so."
        ),
        repeats=len(SEEDS),
        load=load,
        where=where,
        verdicts=tuple(_verdict(each) for each in found),
        tables=(
            Table(title="Errors, and published ones beside them", columns=_columns("what"), rows=(*rows, *published)),
            *(
                Table(title=f"{each.what}: in detail", note=each.note, columns=_DETAIL, rows=tuple((name, *errors) for name, errors in each.detail))
                for each in compared
                if each.detail
            ),
        ),
        charts=(_bars(compared),) if compared else (),
        notes=_NOTES if compared else (),
    )  # fmt: skip


_FIGURES = (
    Column(name="rows"),
    Column(name="mean", unit="%", meaning="of |predicted / measured - 1|"),
    Column(name="median", unit="%"),
    Column(name="90th percentile", unit="%"),
    Column(name="max", unit="%"),
    Column(name="inside", unit="%", meaning="share of rows within their intervals"),
)
_DETAIL = (Column(name="part"), *_FIGURES)


def _columns(first: str) -> tuple[Column, ...]:
    return (
        Column(name=first),
        Column(name="wanted"),
        *_FIGURES,
        Column(name="stated", unit="%", meaning="share that the intervals state"),
        Column(name="of what"),
    )


def _target(each: Compared) -> str:
    if each.limit is None:
        return "told"
    return f"{'max' if each.judged == 'worst' else 'mean'} at most {each.limit:.0%}"


def _verdict(each: Compared | Skipped) -> Verdict:
    if isinstance(each, Skipped):
        return Verdict(what=each.what, value=None, meaning=f"skipped: {each.reason}")
    value = float(getattr(each.errors, each.judged))
    name = "largest error" if each.judged == "worst" else "mean error"
    return Verdict(what=f"{each.what}: {name}", value=value, unit="%", limit=each.limit, meaning=each.basis)


def _bars(compared: Sequence[Compared]) -> Bars:
    ours = [Bar(label=each.what, value=each.errors.mape) for each in compared]
    others = [Bar(label=f"{name}, as published", value=mean) for name, mean, _, _ in PUBLISHED]
    return Bars(title="Mean |relative error|", unit="%", bars=(*ours, *others))
