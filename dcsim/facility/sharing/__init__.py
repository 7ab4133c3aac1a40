"""Max-min fair sharing of links: the allocation, its certificate, and its incremental upkeep.

A flow is a set of streams in lockstep at one rate x (bytes/s); on link l it uses weight_l * x.
It never gets more than its demand. The allocation is max-min fair in x / share (Bertsekas, Gallager,
Data Networks, 2nd ed. 1992, section 6.5.2): no flow can get more without another, with no more for
its share, getting less. Equivalently every flow below its demand has a bottleneck: a saturated link on
which no other flow has more for its share.

| module | what it holds |
|---|---|
| filling | rates from scratch, and the certificate |
| flow | flows, groups of equal flows, the account of a watched link |
| links | who is booked where and grouped with whom |
| wave | new rates after a change, only where they differ |
"""

from __future__ import annotations

from dcsim.facility.sharing.filling import max_min_rates, unfair_flows
from dcsim.facility.sharing.flow import ELASTIC, Flow, FlowGroup, WatchedLink
from dcsim.facility.sharing.links import SharedLinks

__all__ = ["ELASTIC", "Flow", "FlowGroup", "SharedLinks", "WatchedLink", "max_min_rates", "unfair_flows"]
