"""What the contracts of all kinds of policies share: how a promise is checked and how a broken one is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dcsim.testing.isolation import answers_under_hash_seeds, frozen_state

__all__ = ["ContractError", "Promises", "require"]

T = TypeVar("T")

_PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink, Phase.explain)
_SHRINKING = (Phase.shrink, Phase.explain)


class ContractError(AssertionError):
    """A policy broke a promise that the simulator relies on."""


def require(kept: object, broken: str) -> None:
    """Raise ContractError unless the promise is kept."""
    if not kept:
        raise ContractError(broken)


class Promises:
    """What the contracts of all kinds share."""

    policy: ClassVar[Any]
    """The policy class, or an instance."""
    max_examples: ClassVar[int] = 50
    """Random examples a check tries."""
    runs: ClassVar[int] = 8
    """Random whole runs."""
    shrink: ClassVar[bool] = True
    """Look for the smallest example that fails; False: report the first."""
    max_decision_s: ClassVar[float] = 0.25
    """CPU time for one decision on 10,000 servers, or for the keys or caps of 10,000 jobs."""

    def make_policy(self) -> Any:  # noqa: ANN401  of the kind under test
        """Return the policy to test; override it for a policy with arguments."""
        return self.policy() if isinstance(self.policy, type) else self.policy

    def _for_all(
        self, check: Callable[[Any], None], examples: st.SearchStrategy[Any], count: int | None = None
    ) -> None:
        """Run a check on random examples."""
        config = settings(
            max_examples=count or self.max_examples,
            deadline=None,
            phases=[phase for phase in _PHASES if self.shrink or phase not in _SHRINKING],
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        config(given(examples)(check))()

    def _keeps_no_state(self, ask: Callable[[Any, T], object], questions: Sequence[T]) -> None:
        """Ask one policy in both orders, and a fresh one each time: the answers must be the same."""
        policy = self.make_policy()
        before = frozen_state(policy)
        forwards = [ask(policy, question) for question in questions]
        backwards = [ask(policy, question) for question in reversed(questions)][::-1]
        fresh = [ask(self.make_policy(), question) for question in questions]
        require(
            forwards == backwards == fresh and frozen_state(policy) == before,
            "an answer depends on what was asked before",
        )

    def _ignores_hash_seed(self, method: str, questions: Sequence[tuple[Any, ...]]) -> None:
        one, other = answers_under_hash_seeds(self.make_policy(), method, questions, (0, 1))
        require(one == other, "the answer changes with PYTHONHASHSEED: a set or hash() decides")
