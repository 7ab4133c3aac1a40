"""The learning curve: loss and metrics by step, on training and on held-out samples."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from trainers.files import write_text

__all__ = ["CurvePoint", "curve_csv", "point_from", "write_curve"]

METRICS = ("loss", "accuracy", "precision", "recall", "f1", "perplexity")


@dataclass(frozen=True)
class CurvePoint:
    """How good the model is after a number of updates."""

    step: int
    """Updates made."""
    samples: int
    """Samples seen, repetitions counted."""
    learning_rate: float
    """Of the next update."""
    batch_loss: float | None
    """Mean loss of the batches since the point before, penalties included; None before the first update."""
    train: Mapping[str, float]
    """`Metrics.scalars` on training samples, as they are: without augmentation and dropout."""
    test: Mapping[str, float]
    """`Metrics.scalars` on all held-out samples."""

    def as_json(self) -> dict[str, Any]:
        """Return the point as plain values; `CurvePoint(**values)` is equal to it."""
        return asdict(self)


def point_from(values: Any) -> CurvePoint:  # noqa: ANN401 - what a file held
    """Return the point that `as_json` gave these values for.

    Raises:
        ValueError: if they are no point's values; says of which field.
    """
    names = {each.name for each in fields(CurvePoint)}
    if not isinstance(values, dict) or values.keys() != names:
        raise ValueError(f"no point of a learning curve: {values!r:.80}")
    kinds: dict[str, Any] = {"step": int, "samples": int, "learning_rate": int | float}
    kinds |= {"batch_loss": int | float | None, "train": dict, "test": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(values[name], kind)]
    wrong += [
        part
        for part in ("train", "test")
        if part not in wrong and not all(isinstance(each, int | float) for each in values[part].values())
    ]
    if wrong:
        raise ValueError(f"no point of a learning curve: {', '.join(wrong)}")
    return CurvePoint(**values)


def curve_csv(curve: Sequence[CurvePoint]) -> str:
    """Return the curve as CSV: a row a point, metrics that mean nothing left out as columns.

    >>> print(curve_csv([CurvePoint(0, 0, 0.1, None, {"loss": 2.0}, {"loss": 2.5})]), end="")
    step,samples,learning_rate,batch_loss,train_loss,test_loss
    0,0,0.1,,2.0,2.5
    """
    names = [name for name in METRICS if any(name in point.test for point in curve)]
    head = ["step", "samples", "learning_rate", "batch_loss"]
    head += [f"{part}_{name}" for part in ("train", "test") for name in names]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for point in curve:
        values = [part.get(name) for part in (point.train, point.test) for name in names]
        writer.writerow([point.step, point.samples, point.learning_rate, point.batch_loss, *values])
    return text.getvalue()


def write_curve(curve: Sequence[CurvePoint], folder: Path) -> tuple[Path, ...]:
    """Write `curve.csv`, and `curve.png` where matplotlib is installed; return what was written."""
    table = folder / "curve.csv"
    write_text(table, curve_csv(curve))
    picture = _draw(curve, folder / "curve.png")
    return (table,) if picture is None else (table, picture)


def _draw(curve: Sequence[CurvePoint], path: Path) -> Path | None:
    """Draw loss, and accuracy where there is one, over updates."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    names = [name for name in ("loss", "accuracy") if any(name in point.test for point in curve)]
    figure = Figure(figsize=(5.0 * len(names), 3.5), layout="constrained")
    steps = [point.step for point in curve]
    for place, name in enumerate(names, start=1):
        axes = figure.add_subplot(1, len(names), place)
        axes.plot(steps, [point.train.get(name, float("nan")) for point in curve], label="training")
        axes.plot(steps, [point.test.get(name, float("nan")) for point in curve], label="held out")
        axes.set_xlabel("updates")
        axes.set_ylabel(name)
        axes.legend()
    figure.savefig(path, dpi=120)
    return path
