"""Which dispatch realises the ordering policy of a run."""

from __future__ import annotations

from dcsim.engine import Engine
from dcsim.policies import DecidingPolicy
from dcsim.policies.allocation import AllocationPolicy
from dcsim.policies.backfill import BackfillOrdering, ConservativeBackfill
from dcsim.policies.preempting import PreemptingKeys
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


def make_dispatch(engine: Engine, record: RunRecord, placer: Placer, attempts: Attempts) -> Dispatch:
    """Return what starts and stops jobs by the run's ordering policy."""
    inputs = record.inputs
    policy = inputs.policies.ordering
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
