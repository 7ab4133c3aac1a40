"""The contract holds for every policy that dcsim ships."""

from __future__ import annotations

from typing import Any

from dcsim.policies import known_policies
from dcsim.policies.allocation import AllocationPolicy
from dcsim.policies.energy import SleepIdle
from dcsim.policies.ordering import EarliestDeadline, Fifo, Priority
from dcsim.policies.tenants import FairShare
from dcsim.testing import PolicyContract


class TestFifoThatSkips(PolicyContract):
    policy = Fifo(skip=2)


class TestPriorityThatPreempts(PolicyContract):
    policy = Priority(preemptive=1, skip=3)


class TestEarliestDeadlineThatPreempts(PolicyContract):
    policy = EarliestDeadline(preemptive=1)


class TestFairShareThatDoesNotPreempt(PolicyContract):
    policy = FairShare(preemptive=0)


class TestSleepIdle(PolicyContract):
    policy = SleepIdle(after_s=3.0)


def _contracts(kind: str) -> dict[str, type[PolicyContract]]:
    """Return a class of checks for each registered policy of a kind that is dcsim's own."""
    found = {}
    for name, policy in sorted(known_policies(kind).items()):
        own = policy.__module__.startswith("dcsim.")
        if own and not issubclass(policy, AllocationPolicy | SleepIdle):
            title = "Test" + "".join(word.capitalize() for word in (*name.split("_"), kind))
            members: dict[str, Any] = {
                "policy": policy,
                "max_examples": 20,
                "runs": 4,
                "__module__": __name__,
            }
            found[title] = type(title, (PolicyContract,), members)
    return found


for _kind in ("ordering", "placement", "energy"):
    globals().update(_contracts(_kind))
