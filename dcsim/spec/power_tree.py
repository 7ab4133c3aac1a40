"""What a scenario says of the power tree: which PDU feeds which racks, with ratings and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field, field_validator

from dcsim.spec.model import FieldIssue, SpecModel
from dcsim.spec.names import fold, nearest, refuse_alike
from dcsim.spec.quantities import Count, Fraction, Name, PowerW
from dcsim.units import Quantity, format_quantity

__all__ = ["PduSpec", "PowerTreeSpec", "numbered", "pdu_of_racks", "power_tree_issues"]


def numbered(name: str, count: int) -> tuple[str, ...]:
    """Return the names of `count` equal things: the name itself, or numbered from 0.

    >>> numbered("pdu", 1), numbered("pdu", 2)
    (('pdu',), ('pdu-0', 'pdu-1'))
    """
    return (name,) if count == 1 else tuple(f"{name}-{number}" for number in range(count))


class PduSpec(SpecModel):
    """`count` equal PDUs, and the racks that they feed."""

    name: Name
    """Unique; PDUs with a count above 1 are numbered from it."""
    count: Count = 1
    """The racks are dealt out to them in their order, as evenly as can be."""
    racks: tuple[Name, ...] = Field(min_length=1)
    """Names of `cluster.racks`: a group of racks, or one of its numbered racks."""
    rated_power_w: PowerW | None = Field(default=None, gt=0)
    """What each can deliver for ever; None: not watched."""
    budget_w: PowerW | None = Field(default=None, gt=0)
    """What policies keep each to; None: the rating."""


class PowerTreeSpec(SpecModel):
    """Server, rack, PDU, hall: ratings that are watched, and budgets that policies keep to."""

    continuous_fraction: Fraction = Field(default=0.8, gt=0)
    """Part of a breaker's rating that it may carry for hours: 80 % by NEC 210.20 and 215.3."""
    server_breaker_w: PowerW | None = Field(default=None, gt=0)
    """Rating of each server's supply; None: not watched."""
    rack_breaker_w: PowerW | None = Field(default=None, gt=0)
    """Rating of each rack's breaker; None: not watched."""
    rack_budget_w: PowerW | None = Field(default=None, gt=0)
    """What policies keep each rack to; None: its breaker's continuous rating."""
    pdus: tuple[PduSpec, ...] = ()
    """None: the hall feeds the racks."""
    hall_rated_power_w: PowerW | None = Field(default=None, gt=0)
    """Of what feeds all PDUs together; None: not watched."""

    @field_validator("pdus")
    @classmethod
    def _distinct_names(cls, pdus: tuple[PduSpec, ...]) -> tuple[PduSpec, ...]:
        refuse_alike([pdu.name for pdu in pdus], "a PDU name of its own", at="name")
        return pdus


def _by_label(groups: Sequence[tuple[str, int]]) -> dict[str, tuple[int, ...]]:
    """Return the racks that each name stands for: a group's, and each numbered rack's."""
    found: dict[str, tuple[int, ...]] = {}
    first = 0
    for name, count in groups:
        found[fold(name)] = tuple(range(first, first + count))
        for number, label in enumerate(numbered(name, count)):
            found.setdefault(fold(label), (first + number,))
        first += count
    return found


def pdu_of_racks(
    tree: PowerTreeSpec, groups: Sequence[tuple[str, int]]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the names of all PDUs, and the PDU of each rack (-1: fed by the hall).

    `groups` are (name, count) of `cluster.racks`, in order. A valid tree is taken for granted.

    >>> tree = PowerTreeSpec(pdus=[{"name": "p", "count": 2, "racks": ["a"]}])
    >>> pdu_of_racks(tree, [("a", 4), ("b", 1)])
    (('p-0', 'p-1'), (0, 0, 1, 1, -1))
    """
    places = _by_label(groups)
    names: list[str] = []
    feeds = [-1] * sum(count for _, count in groups)
    for pdu in tree.pdus:
        racks = [rack for label in pdu.racks for rack in places.get(fold(label), ())]
        for number, rack in enumerate(racks):
            feeds[rack] = len(names) + number * pdu.count // len(racks)
        names += numbered(pdu.name, pdu.count)
    return tuple(names), tuple(feeds)


def power_tree_issues(
    tree: PowerTreeSpec,
    groups: Sequence[tuple[str, int]],
    rack_idle_w: Sequence[float],
    server_peak_w: Mapping[str, float] = {},
) -> tuple[FieldIssue, ...]:
    """Return what is wrong with a tree beside the cluster; paths start below `power.tree`.

    Every rack that is named exists and is fed once, with PDUs every rack is fed by one, and no rating or budget
    is below the idle draw. `rack_idle_w` holds one power for each rack of all `groups` (name, count), in order;
    `server_peak_w` the largest draw of a server of each rack group, for its breaker.
    """
    issues = [*_feeding_issues(tree, groups)]
    watts = [
        ("rack_breaker_w", tree.rack_breaker_w, tree.continuous_fraction),
        ("rack_budget_w", tree.rack_budget_w, 1.0),
    ]
    most_w = max(rack_idle_w, default=0.0)
    for name, rated_w, part in watts:
        if rated_w is not None and part * rated_w < most_w:
            issues.append(_below_idle((name,), rated_w, most_w / part, "the idle draw of its largest rack"))
    if tree.hall_rated_power_w is not None and tree.hall_rated_power_w < sum(rack_idle_w):
        what = "the idle draw of all racks"
        issues.append(_below_idle(("hall_rated_power_w",), tree.hall_rated_power_w, sum(rack_idle_w), what))
    for group, peak_w in server_peak_w.items():
        rated_w = tree.server_breaker_w
        if rated_w is not None and rated_w * tree.continuous_fraction < peak_w:
            what = f"the peak draw of a server of {group!r}"
            issues.append(
                _below_idle(("server_breaker_w",), rated_w, peak_w / tree.continuous_fraction, what)
            )
    if not issues:
        issues += _pdu_issues(tree, groups, rack_idle_w)
    return tuple(issues)


def _feeding_issues(tree: PowerTreeSpec, groups: Sequence[tuple[str, int]]) -> list[FieldIssue]:
    """Return the racks that do not exist, are fed twice, or not at all."""
    places = _by_label(groups)
    known = [label for name, count in groups for label in dict.fromkeys((name, *numbered(name, count)))]
    fed: dict[int, str] = {}
    issues = []
    for i, pdu in enumerate(tree.pdus):
        for j, label in enumerate(pdu.racks):
            at = ("pdus", i, "racks", j)
            racks = places.get(fold(label))
            if racks is None:
                issues.append(
                    FieldIssue(
                        repr(label),
                        "a rack of `cluster.racks`",
                        nearest(label, known) or "name it as there",
                        at,
                    )
                )
                continue
            twice = next((fed[rack] for rack in racks if rack in fed), None)
            if twice is not None:
                hint = "list each rack at one PDU"
                issues.append(
                    FieldIssue(repr(label), f"a rack that {twice!r} does not feed already", hint, at)
                )
            fed.update(dict.fromkeys(racks, pdu.name))
        racks_here = sum(len(places.get(fold(label), ())) for label in pdu.racks)
        if 0 < racks_here < pdu.count:
            expected = f"at most its {racks_here} racks"
            issues.append(FieldIssue(f"{pdu.count} PDUs", expected, "lower `count`", ("pdus", i, "count")))
    if tree.pdus and not issues:
        total = sum(count for _, count in groups)
        labels = [label for name, count in groups for label in numbered(name, count)]
        left = [labels[rack] for rack in range(total) if rack not in fed]
        if left:
            shown = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
            hint = "add them to `racks` of a PDU"
            issues.append(FieldIssue(f"no PDU for {shown}", "a PDU for every rack", hint, ("pdus",)))
    return issues


def _pdu_issues(
    tree: PowerTreeSpec, groups: Sequence[tuple[str, int]], rack_idle_w: Sequence[float]
) -> list[FieldIssue]:
    """Return ratings and budgets of PDUs below the idle draw of their racks."""
    _, feeds = pdu_of_racks(tree, groups)
    issues = []
    first = 0
    for i, pdu in enumerate(tree.pdus):
        idle_w = [0.0] * pdu.count
        for rack, place in enumerate(feeds):
            if first <= place < first + pdu.count:
                idle_w[place - first] += rack_idle_w[rack]
        first += pdu.count
        for name, rated_w in (("rated_power_w", pdu.rated_power_w), ("budget_w", pdu.budget_w)):
            if rated_w is not None and rated_w < max(idle_w):
                issues.append(
                    _below_idle(("pdus", i, name), rated_w, max(idle_w), "the idle draw of its racks")
                )
    return issues


def _below_idle(at: tuple[str | int, ...], rated_w: float, least_w: float, what: str) -> FieldIssue:
    """Return the issue of a rating too small, with what it takes."""
    least = format_quantity(least_w, Quantity.POWER)
    hint = f"give at least {least}, feed fewer racks with it, or leave it out"
    return FieldIssue(format_quantity(rated_w, Quantity.POWER), f"at least {least}, for {what}", hint, at)
