"""How good a model is on data with known answers, in plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trainers.data import Array

__all__ = ["ClassMetrics", "Metrics", "class_metrics", "confusion_matrix", "metrics_of", "ratio"]


@dataclass(frozen=True)
class ClassMetrics:
    """One class against all others."""

    precision: float
    """Share of the guesses of this class that were right; 0 where there was none."""
    recall: float
    """Share of its samples that were found; 0 where there was none."""
    f1: float
    """Harmonic mean of both; 0 where both are 0."""
    support: int
    """Samples of this class."""
    undefined: bool
    """Whether one of the three divides by nothing and is 0 for that reason only."""


@dataclass(frozen=True)
class Metrics:
    """How good a trained state is; None where the kind of the task gives a number no meaning."""

    loss: float
    """Mean over all samples, or over all tokens that count, without penalties."""
    samples: int
    accuracy: float | None = None
    """Share of classes, or of tokens, that were guessed right."""
    precision: float | None = None
    """Of class 1 where there are two; else the mean over the classes that occur or were guessed (macro)."""
    recall: float | None = None
    """Likewise."""
    f1: float | None = None
    """Likewise; the mean of the classes' F1, not the F1 of the means."""
    perplexity: float | None = None
    """exp(loss), of tokens: how many equally likely tokens would be as hard to guess."""
    classes: tuple[ClassMetrics, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    """Samples by class (row) and guessed class (column)."""

    def scalars(self) -> dict[str, float]:
        """Return the numbers that mean something, by name.

        >>> Metrics(0.5, 100).scalars()
        {'loss': 0.5}
        """
        names = ("loss", "accuracy", "precision", "recall", "f1", "perplexity")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def confusion_matrix(truth_N: Array, guessed_N: Array, classes: int) -> Array:
    """Return how many samples of each class (row) were taken for each class (column).

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs_N = truth_N.astype(np.int64) * classes + guessed_N.astype(np.int64)
    return np.bincount(pairs_N, minlength=classes * classes).reshape(classes, classes)


def ratio(part: float, whole: float) -> float:
    """Return part / whole, and 0 where there is no whole."""
    return part / whole if whole else 0.0


def class_metrics(confusion_CxC: Array) -> tuple[ClassMetrics, ...]:
    """Return precision, recall and F1 of each class from a confusion matrix.

    >>> class_metrics(np.array([[1, 1], [0, 1]]))[1]
    ClassMetrics(precision=0.5, recall=1.0, f1=0.6666666666666666, support=1, undefined=False)
    """
    found = []
    for each in range(len(confusion_CxC)):
        right = int(confusion_CxC[each, each])
        support, guessed = int(confusion_CxC[each].sum()), int(confusion_CxC[:, each].sum())
        f1 = ratio(2.0 * right, support + guessed)
        undefined = not support or not guessed
        found.append(ClassMetrics(ratio(right, guessed), ratio(right, support), f1, support, undefined))
    return tuple(found)


def metrics_of(loss: float, truth_N: Array, guessed_N: Array, classes: int) -> Metrics:
    """Return the metrics of a classifier.

    Args:
        loss: mean over the samples.
        truth_N: classes from 0, integers.
        guessed_N: likewise.
        classes: how many there are; of two, class 1 is the one that is looked for.
    """
    confusion_CxC = confusion_matrix(truth_N, guessed_N, classes)
    each = class_metrics(confusion_CxC)
    occurring = (confusion_CxC.sum(axis=0) + confusion_CxC.sum(axis=1)) > 0
    chosen = (
        [each[1]] if classes == 2 else [one for one, occurs in zip(each, occurring, strict=True) if occurs]
    )
    return Metrics(
        loss=loss,
        samples=len(truth_N),
        accuracy=ratio(float(np.trace(confusion_CxC)), len(truth_N)),
        precision=math.fsum(one.precision for one in chosen) / len(chosen),
        recall=math.fsum(one.recall for one in chosen) / len(chosen),
        f1=math.fsum(one.f1 for one in chosen) / len(chosen),
        classes=each,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion_CxC),
    )
