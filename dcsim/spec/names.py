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
    >>> nearest("A100", ["A10", "A100-40", "H100"])  # what it begins is nearer than what is shorter
    "did you mean 'A100-40'?"
    """
    candidates = sorted(known)
    typed = fold(name)[:200]
    by_fold = {fold(candidate): candidate for candidate in candidates}
    close = [text for text in by_fold if text.startswith(typed)][:1] if len(typed) >= 3 else []
    close = close or difflib.get_close_matches(typed, by_fold, n=1, cutoff=0.7)
    if not close and len(typed) >= 4:
        # "bandwith" for "server_bandwidth_bytes_per_s": one word of a long name, or the start of it.
        words = {word: text for text in reversed(by_fold) for word in text.split("_") if len(word) >= 4}
        close = [text for text in by_fold if typed in text][:1]
        close = close or [words[word] for word in difflib.get_close_matches(typed, words, n=1, cutoff=0.8)]
    close = close or difflib.get_close_matches(typed, by_fold, n=1, cutoff=0.55)
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
