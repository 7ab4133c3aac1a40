"""Policies that users registered themselves: sent along to workers, and part of what a cell depends on."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Sequence

from dcsim.policies.registry import POLICY_KINDS, PolicyClass, known_policies, make_policy, register
from dcsim.spec.scenario import Scenario
from dcsim.study.arms import Arm, with_policies

__all__ = ["check_policies", "ensure_registered", "source_hashes", "user_policies"]


def user_policies() -> tuple[PolicyClass, ...]:
    """Return the registered policy classes that are not dcsim's own, sorted by kind and name."""
    return tuple(
        policy
        for kind in POLICY_KINDS
        for _, policy in sorted(known_policies(kind).items())
        if not policy.__module__.startswith("dcsim.policies.")
    )


def source_hashes(policies: Iterable[PolicyClass]) -> dict[str, str]:
    """Return the SHA-256 of each class's source by its name, so that an edited policy runs again.

    A class whose source is not on disk (typed into a console) counts by its name only.
    """
    return {policy.name: hashlib.sha256(_source(policy).encode()).hexdigest() for policy in policies}


def _source(policy: PolicyClass) -> str:
    try:
        return inspect.getsource(policy)
    except (OSError, TypeError):
        return policy.__qualname__


def ensure_registered(policies: Iterable[PolicyClass]) -> None:
    """Register, in a worker, the policies that the main process knows; known names are left alone."""
    known = {name for kind in POLICY_KINDS for name in known_policies(kind)}
    for policy in policies:
        if policy.name not in known:
            register(policy)


def check_policies(scenario: Scenario, arms: Sequence[Arm]) -> None:
    """Make each arm's policies once, so that a mistyped name stops a study before it starts.

    Raises:
        PolicyError: a policy is unknown or refuses its parameters.
    """
    for arm in arms:
        policies = with_policies(scenario, arm).policies
        for kind in POLICY_KINDS:
            choice = getattr(policies, kind)
            make_policy(kind, choice.name, choice.parameters)
