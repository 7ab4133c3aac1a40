"""Which dispatch realises the ordering policy of a run."""

from __future__ import annotations

from collections.abc import Callable

from dcsim.engine import Engine
from dcsim.errors import PolicyError
from dcsim.policies import DecidingPolicy
from dcsim.policies.allocation import AllocationPolicy
from dcsim.policies.backfill import BackfillOrdering, ConservativeBackfill
from dcsim.policies.preempting import PreemptingKeys
from dcsim.policies.scaling import Scaling
from dcsim.policies.suspending import Suspending
from dcsim.policies.views import GridView
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.backfilling import EasyDispatch
from dcsim.simulation.backfilling_reservations import ConservativeDispatch
from dcsim.simulation.deciding import DecidingDispatch
from dcsim.simulation.dispatch import Dispatch, ListDispatch
from dcsim.simulation.ledger import Ledger
from dcsim.simulation.placing import Placer
from dcsim.simulation.record import RunRecord
from dcsim.simulation.time_share import TimeShareDispatch

__all__ = ["make_dispatch"]


def make_dispatch(
    engine: Engine,
    record: RunRecord,
    placer: Placer,
    attempts: Attempts,
    grid: Callable[[float], GridView],
) -> Dispatch:
    """Return what starts and stops jobs by the run's ordering policy, and by an energy policy that suspends.

    Raises:
        PolicyError: jobs are to be suspended under an ordering that cannot leave them out.
    """
    inputs = record.inputs
    policy = inputs.policies.ordering
    if inputs.policies.energy.suspends:
        policy = _suspending(record, grid)
    if policy.preemptive and not isinstance(policy, DecidingPolicy | AllocationPolicy):
        policy = PreemptingKeys(policy, inputs.order_keys)
    if isinstance(policy, AllocationPolicy):
        ledger = Ledger(inputs, attempts, knows_progress=True)
        return TimeShareDispatch(engine, policy, record, placer, attempts, ledger)
    if isinstance(policy, DecidingPolicy):
        ledger = Ledger(
            inputs,
            attempts,
            knows_progress=policy.knows_progress,
            thresholds=policy.service_thresholds_accelerator_s,
        )
        return DecidingDispatch(engine, policy, inputs, placer, attempts, ledger)
    if isinstance(policy, ConservativeBackfill):
        return ConservativeDispatch(engine, policy, placer, attempts)
    if isinstance(policy, BackfillOrdering):
        return EasyDispatch(engine, policy, placer, attempts)
    return ListDispatch(inputs.order_keys.tolist(), policy.skip, placer, attempts)


def _suspending(record: RunRecord, grid: Callable[[float], GridView]) -> DecidingPolicy:
    """Return the run's ordering as one that leaves out whom the energy policy suspends."""
    inputs = record.inputs
    policy, energy = inputs.policies.ordering, inputs.policies.energy
    if not policy.suspendable:
        msg = f"{energy.name} suspends jobs, which {policy.name} does not let it -> expected another ordering"
        raise PolicyError(msg)
    if not isinstance(policy, DecidingPolicy):
        preempts = policy.preemptive
        policy = PreemptingKeys(policy, inputs.order_keys)
        policy.preemptive = preempts
    policy = Suspending(policy, energy, grid)
    return Scaling(policy, energy, grid) if energy.scales else policy
