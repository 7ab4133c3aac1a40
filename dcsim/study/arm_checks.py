"""What an arm's policies lack: found for every arm before any of them runs."""

from __future__ import annotations

from collections.abc import Sequence

from dcsim.errors import Problem, ScenarioError
from dcsim.spec.energy_likely import energy_doubts
from dcsim.spec.onsite import onsite_issues
from dcsim.spec.room import recirculation_issues
from dcsim.spec.scenario import Scenario
from dcsim.spec.site_likely import site_doubts
from dcsim.study.arms import Arm, with_policies

__all__ = ["check_arms", "policy_doubts", "policy_needs"]


def policy_needs(scenario: Scenario) -> tuple[Problem, ...]:
    """Return what the policies of a scenario need and it has not: a battery, a room.

    Problems say "scenario" in place of a file.
    """
    issues = [(issue.at, issue) for issue in recirculation_issues(scenario)]
    policy = scenario.policies.battery.name
    # Where the panels stand is no matter of policies: the check of the scenario has looked.
    onsite = onsite_issues(scenario.onsite, policy, located=True, clearness_known=True)
    issues += [(("onsite", *issue.at), issue) for issue in onsite]
    return tuple(
        Problem("scenario", None, ".".join(map(str, at)), issue.got, issue.expected, issue.hint)
        for at, issue in issues
    )


def policy_doubts(scenario: Scenario) -> tuple[str, ...]:
    """Return warnings of policies that can change nothing in a scenario, as without a budget or events.

    What only another policy could keep to, such as a budget, is no matter here: an arm without is often the baseline.
    """
    of_site = (doubt for doubt in site_doubts(scenario) if doubt.startswith("policies."))
    return (*energy_doubts(scenario), *of_site)


def check_arms(scenario: Scenario, arms: Sequence[Arm]) -> tuple[str, ...]:
    """Return the warnings of all arms' policies, each once.

    Raises:
        ScenarioError: with what the policies of any arm need and the scenario has not.
    """
    chosen = [with_policies(scenario, arm) for arm in arms]
    problems = dict.fromkeys(problem for one in chosen for problem in policy_needs(one))
    if problems:
        raise ScenarioError(list(problems))
    return tuple(dict.fromkeys(doubt for one in chosen for doubt in policy_doubts(one)))
