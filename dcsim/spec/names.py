"""Names that people would confuse: equal but for case or for how Unicode composes them."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence

from dcsim.spec.model import FieldError, FieldIssue

__all__ = ["fold", "nearest", "refuse_alike"]


def fold(name: str) -> str:
    """Return the form in which two confusable names are equal.

    >>> fold("Rack-A") == fold("rack-a")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "did you mean ...?" for the closest of the known names, or "" when none is close.

    >>> nearest("bandwith", ["power", "bandwidth"])
    "did you mean 'bandwidth'?"
    """
    by_fold = {fold(candidate): candidate for candidate in sorted(known)}
    # A unit or a prefix left out ("bandwidth" for "bandwidth_bytes_per_s") scores low in difflib.
    started = [text for text in by_fold if len(name) >= 4 and text.startswith(fold(name))]
    close = difflib.get_close_matches(fold(name)[:200], by_fold, n=1, cutoff=0.7) or started[:1]
    close = close or difflib.get_close_matches(fold(name)[:200], by_fold, n=1, cutoff=0.55)
    return f"did you mean {by_fold[close[0]]!r}?" if close else ""


def refuse_alike(names: Sequence[str], expected: str, at: str | None = None) -> None:
    """Raise `FieldError` for each name that is like an earlier one.

    `at` is the field of each item that holds the name; None where the names are mapping keys.
    """
    first: dict[str, str] = {}
    issues = []
    for index, name in enumerate(names):
        earlier = first.get(fold(name))
        if earlier is None:
            first[fold(name)] = name
            continue
        where = (name,) if at is None else (index, at)
        hint = "it is used above" if earlier == name else f"it differs only by case from {earlier!r}"
        issues.append(FieldIssue(repr(name), expected, hint, at=where))
    if issues:
        raise FieldError(*issues)
