"""The rules of generated jobs as columns: each drawn from a stream of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.rng import stream
from dcsim.spec.job_rules import JobRulesSpec
from dcsim.workload.jobs import without_rules

__all__ = ["rule_columns"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def rule_columns(
    rules: Sequence[JobRulesSpec], seed: int, kind: Ints, width: Ints, submit_s: Floats, run_s: Floats
) -> dict[str, Any]:
    """Return the columns (N,) of priority, deadline, limit, elasticity and array of generated jobs.

    Limits are spread evenly between two factors of the run time, as users' estimates are in the f-model
    of Mu'alem and Feitelson (IEEE TPDS 12, 2001). Kinds without rules draw nothing that others would miss.

    Args:
        rules: of each kind of job.
        seed: of the named random streams.
        kind: (N,) index into `rules`.
        width: (N,) accelerators.
        submit_s: (N,) arrivals.
        run_s: (N,) ideal run times.
    """
    count = len(kind)
    columns = without_rules(count)
    by_limit = stream(seed, "workload", "time_limits").random(count)
    by_elastic = stream(seed, "workload", "elastic").random(count)
    for number, rule in enumerate(rules):
        mine = np.flatnonzero(kind == number)
        columns["priority"][mine] = rule.priority
        if rule.time_limit_most is not None:
            spread = rule.time_limit_most - rule.time_limit_least
            columns["time_limit_s"][mine] = run_s[mine] * (rule.time_limit_least + spread * by_limit[mine])
        if rule.deadline_factor is not None:
            columns["deadline_s"][mine] = submit_s[mine] + rule.deadline_factor * run_s[mine]
        elastic = mine[by_elastic[mine] < rule.elastic_fraction]
        asked = width[elastic]
        columns["min_accelerators"][elastic] = np.maximum(1, np.floor(asked * rule.least_width_factor))
        columns["max_accelerators"][elastic] = np.maximum(asked, np.floor(asked * rule.most_width_factor))
        if rule.noise_scale_samples is not None:
            columns["noise_scale_samples"][elastic] = rule.noise_scale_samples
    return columns
