"""The arms of a comparison: one choice of policies each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from dcsim.errors import ScenarioError
from dcsim.spec.policy import PolicyChoice, PolicySpec
from dcsim.spec.scenario import Scenario

__all__ = ["Arm", "make_arms", "with_policies"]


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """One choice of placement, energy and ordering policy, by registry name."""

    placement: str
    energy: str
    ordering: str
    shows_ordering: bool = False
    """Whether the name must tell orderings apart."""

    @property
    def name(self) -> str:
        """Folder-safe name.

        >>> Arm("spread", "none", "fifo").name
        'spread__none'
        """
        parts = (self.placement, self.energy) + ((self.ordering,) if self.shows_ordering else ())
        return "__".join(parts)

    @property
    def label(self) -> str:
        """Name for people.

        >>> Arm("spread", "none", "fifo").label
        'spread + none'
        """
        return self.name.replace("__", " + ")


def make_arms(
    placements: Sequence[str], energies: Sequence[str], orderings: Sequence[str]
) -> tuple[Arm, ...]:
    """Return the product of the policies given, in the order given.

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
    several = len(orderings) > 1
    return tuple(Arm(p, e, o, several) for o, p, e in product(orderings, placements, energies))


def with_policies(scenario: Scenario, arm: Arm) -> Scenario:
    """Return the scenario under an arm's policies.

    Parameters written in the scenario hold for the policy they were written for; other policies
    take their defaults.
    """
    chosen = {
        kind: _choice(getattr(scenario.policies, kind), getattr(arm, kind))
        for kind in ("ordering", "placement", "energy")
    }
    return scenario.model_copy(update={"policies": PolicySpec(**chosen)})


def _choice(written: PolicyChoice, name: str) -> PolicyChoice:
    return written if written.name == name else PolicyChoice(name=name)
