"""What users import to test their own policies; needs the extra `testing` (Hypothesis).

`PolicyContract` and its kinds `PlacementContract`, `OrderingContract`, `DecidingContract` and
`EnergyContract` are classes to subclass: pytest then runs every check that a policy of that kind must pass.
`PolicyStateMachine` drives a placement policy through random histories of a fleet.
`dcsim.testing.strategies` draws clusters, workloads, views and whole scenarios.
See docs/how-to/test-a-policy.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dcsim.errors import MissingExtraError

if TYPE_CHECKING:
    from dcsim.testing import strategies
    from dcsim.testing.contracts import (
        ContractError,
        DecidingContract,
        EnergyContract,
        OrderingContract,
        PlacementContract,
        PolicyContract,
    )
    from dcsim.testing.state_machine import PolicyStateMachine

__all__ = [
    "ContractError",
    "DecidingContract",
    "EnergyContract",
    "OrderingContract",
    "PlacementContract",
    "PolicyContract",
    "PolicyStateMachine",
    "strategies",
]

_HOME = {name: "dcsim.testing.contracts" for name in __all__ if "Contract" in name}
_HOME |= {"PolicyStateMachine": "dcsim.testing.state_machine"}


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the name stands for
    """Import on first use: pytest loads this package for its plug-in, with Hypothesis or without."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        import_module("hypothesis")
    except ModuleNotFoundError:
        raise MissingExtraError("dcsim.testing", "testing") from None
    if name == "strategies":
        return import_module("dcsim.testing.strategies")
    return getattr(import_module(_HOME[name]), name)
