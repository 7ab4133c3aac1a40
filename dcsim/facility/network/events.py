"""Changes of links at given times, with the patterns of a scenario resolved to links."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from dcsim.errors import Problem, ScenarioError
from dcsim.spec.names import nearest
from dcsim.spec.network_events import LinkEventSpec

__all__ = ["LinkEvent", "link_events"]

_MAX_CHANGES = 1_000_000
_SHOWN = 50


class LinkEvent(NamedTuple):
    """One link changes."""

    time_s: float
    link: int
    fraction: float
    """Of its bandwidth that it has from then on: 0 failed, 1 as built."""


def link_events(
    specs: Sequence[LinkEventSpec], link_names: Sequence[str], first_link: int, file: str
) -> list[LinkEvent]:
    """Return all changes in the order of time; at the same time in the order of the scenario, then of links.

    Args:
        specs: as the scenario has them.
        link_names: (L,) unique.
        first_link: number of the first of these links.
        file: shown in problems.

    Raises:
        ScenarioError: names and patterns that no link has, or very many changes.
    """
    number = {name: first_link + place for place, name in enumerate(link_names)} if specs else {}
    found: dict[str, list[int]] = {}
    problems: list[Problem] = []
    changes: list[LinkEvent] = []
    for place, spec in enumerate(specs):
        links = found.get(spec.link)
        if links is None:
            links = found[spec.link] = _matching(spec.link, number)
        if not links:
            hint = nearest(spec.link.replace("*", ""), number) if len(problems) < _SHOWN else ""
            expected = f"one of {len(link_names):,} links, from {link_names[0]!r} to {link_names[-1]!r}"
            path = f"network.events.{place}.link"
            problems.append(Problem(file, None, path, repr(spec.link), expected, hint))
        fraction = {"fail": 0.0, "repair": 1.0}.get(spec.action, spec.fraction or 0.0)
        changes += [LinkEvent(spec.at_s, link, fraction) for link in links]
        if len(changes) > _MAX_CHANGES:
            path, got = f"network.events.{place}.link", f"{repr(spec.link)[:80]} and those before it"
            expected = f"at most {_MAX_CHANGES:,} changes of links in all"
            problems.append(Problem(file, None, path, got, expected, "a pattern with fewer links"))
            break
    if problems:
        raise ScenarioError(problems[:_SHOWN])
    return sorted(changes, key=lambda change: change.time_s)


def _matching(pattern: str, number: dict[str, int]) -> list[int]:
    """Return the links of a name, or of a pattern in which * stands for any letters."""
    if pattern in number:
        return [number[pattern]]
    if "*" not in pattern:
        return []
    matches = re.compile(".*".join(map(re.escape, re.sub(r"\*+", "*", pattern).split("*")))).fullmatch
    return [link for name, link in number.items() if matches(name)]
