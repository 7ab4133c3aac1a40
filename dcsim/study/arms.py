"""The arms of a comparison: one choice of policies each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from dcsim.errors import ScenarioError
from dcsim.spec.policy import PolicyChoice, PolicySpec, rewritten
from dcsim.spec.scenario import Scenario

__all__ = ["Arm", "make_arms", "with_policies"]


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """One choice of placement, energy and ordering policy, by registry name, and of those of the hall."""

    placement: str
    energy: str
    ordering: str
    shows_ordering: bool = False
    """Whether the name must tell orderings apart."""
    cooling: str = ""
    """Policy of the cooling's set points; "": the scenario's own."""
    battery: str = ""
    """Policy of the battery; "": the scenario's own."""

    @property
    def name(self) -> str:
        """Folder-safe name.

        >>> Arm("spread", "none", "fifo").name
        'spread__none'
        """
        parts = [self.placement, self.energy, self.ordering if self.shows_ordering else ""]
        return "__".join(part for part in (*parts, self.cooling, self.battery) if part)

    @property
    def label(self) -> str:
        """Name for people.

        >>> Arm("spread", "none", "fifo").label
        'spread + none'
        """
        return self.name.replace("__", " + ")


def make_arms(
    placements: Sequence[str],
    energies: Sequence[str],
    orderings: Sequence[str],
    coolings: Sequence[str] = (),
    batteries: Sequence[str] = (),
) -> tuple[Arm, ...]:
    """Return the product of the policies given, in the order given.

    Args:
        placements: names, at least one.
        energies: names, at least one; combined ones joined by "+".
        orderings: names, at least one.
        coolings: names; none: the scenario's own.
        batteries: names; none: the scenario's own.

    Raises:
        ScenarioError: a list is empty or names a policy twice.

    >>> [arm.name for arm in make_arms(["spread"], ["none", "power_cap"], ["fifo"])]
    ['spread__none', 'spread__power_cap']
    """
    for kind, names in (("placement", placements), ("energy", energies), ("ordering", orderings)):
        if not names:
            raise ScenarioError(f"no {kind} policy to compare; name at least one")
        repeated = sorted({name for name in names if list(names).count(name) > 1})
        if repeated:
            raise ScenarioError(f"{kind} policy named twice: {', '.join(repeated)}")
    for kind, names in (("cooling", coolings), ("battery", batteries)):
        repeated = sorted({name for name in names if list(names).count(name) > 1})
        if repeated:
            raise ScenarioError(f"{kind} policy named twice: {', '.join(repeated)}")
    several = len(orderings) > 1
    hall = list(product(coolings or ("",), batteries or ("",)))
    return tuple(
        Arm(p, e, o, several, *rest) for o, p, e, rest in product(orderings, placements, energies, hall)
    )


def with_policies(scenario: Scenario, arm: Arm) -> Scenario:
    """Return the scenario under an arm's policies.

    Parameters written in the scenario hold for the policy they were written for; other policies
    take their defaults.
    """
    chosen = {}
    for kind in PolicySpec.model_fields:
        written: PolicyChoice = getattr(scenario.policies, kind)
        chosen[kind] = rewritten(written, getattr(arm, kind, "") or written.name)
    return scenario.model_copy(update={"policies": PolicySpec(**chosen)})
