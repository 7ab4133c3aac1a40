"""Bytes on each link and tier in each time bin, and the tables they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.results.links import ListedLinks
from dcsim.simulation.traffic_bins import Uses

__all__ = ["MAX_LINKS", "MAX_TENANTS", "OTHER_TENANTS", "LinkSums"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Table = dict[str, npt.NDArray[Any]]

MAX_LINKS = 512
"""Links with rows of their own: those with the busiest bins. The tiers table counts all."""
MAX_TENANTS = 32
"""Tenants with rows of their own in the tiers table: those with most bytes."""
OTHER_TENANTS = "(others)"
"""What the rest of them together is called there."""
_TERMS_AT_A_TIME = 1 << 20
"""Bounds the memory."""


class LinkSums:
    """Sums that parts of stints are added to.

    Args:
        uses: the sets of uses of links.
        edges_s: (B + 1,) of the bins.
        tiers: (L,) tier of each link.
        capacity: (L,) bytes/s.
        tenants: names on which the tenants of the uses count.
        operations: (L,) whether a link counts operations, not bytes; all links of a tier alike.
    """

    def __init__(
        self,
        uses: Uses,
        edges_s: Floats,
        tiers: Sequence[str],
        capacity: Floats,
        tenants: Sequence[str],
        operations: Sequence[bool] = (),
    ) -> None:
        self._uses, self._edges_s, self._tiers, self._capacity = uses, edges_s, tiers, capacity
        self._tenants = ("", *tenants)
        self._bins = len(edges_s) - 1
        used = np.zeros(len(tiers), dtype=bool)
        used[uses.link] = True
        self._used = np.flatnonzero(used)
        """Links that any flow uses, ascending; only these have sums."""
        place = np.cumsum(used) - 1
        self._link_place = place[uses.link]
        self._tier_names = tuple(dict.fromkeys(tiers))
        counted = {tiers[link] for link, is_so in enumerate(operations) if is_so}
        self._tier_units = tuple("operations" if name in counted else "B" for name in self._tier_names)
        number = {name: place for place, name in enumerate(self._tier_names)}
        tier = np.array([number[name] for name in tiers], dtype=np.int64)
        self._tier = tier[uses.link]
        self._tier_capacity = np.bincount(tier, weights=capacity, minlength=len(number))
        self._of_links = np.zeros(len(self._used) * self._bins)
        self._of_tiers = np.zeros(len(self._tier_names) * len(self._tenants) * self._bins)

    def add(self, ident: Ints, bin_: Ints, bytes_: Floats) -> None:
        """Add (K,) parts of flows over sets of uses."""
        uses = self._uses
        count = uses.first[ident + 1] - uses.first[ident]
        step = max(1, _TERMS_AT_A_TIME // max(1, int(count.max(initial=1))))
        for low in range(0, len(ident), step):
            chosen = slice(low, low + step)
            self._add(ident[chosen], bin_[chosen], bytes_[chosen], count[chosen])

    def _add(self, ident: Ints, bin_: Ints, bytes_: Floats, count: Ints) -> None:
        uses, bins = self._uses, self._bins
        at = np.arange(int(count.sum())) + np.repeat(uses.first[ident] - np.cumsum(count) + count, count)
        bins_at = np.repeat(bin_, count)
        terms = np.repeat(bytes_, count) * uses.weight[at]
        _accumulate(self._of_links, self._link_place[at] * bins + bins_at, terms)
        tenant = np.repeat(uses.tenant[ident] + 1, count)
        of_tier = self._tier[at] * len(self._tenants) + tenant
        _accumulate(self._of_tiers, of_tier * bins + bins_at, terms)

    def links_table(self, names: Sequence[str]) -> tuple[Table, ListedLinks]:
        """Return the columns of `schema.LINKS` for the busiest `MAX_LINKS`, and which these are.

        Args:
            names: (L,) of the links.
        """
        sums = self._of_links.reshape(len(self._used), self._bins)
        duration_s = np.diff(self._edges_s)
        peak = np.zeros(len(self._tiers))
        if len(self._used):
            # A last bin as narrow as rounding says nothing of a rate.
            wide = duration_s > 1e-9 * self._edges_s[-1]
            peak[self._used] = (sums[:, wide] / duration_s[wide]).max(axis=1, initial=0.0)
        peak /= self._capacity
        kept = np.sort(np.argsort(-peak, kind="stable")[:MAX_LINKS])
        rows = np.full(len(peak), -1, dtype=np.int64)
        rows[kept] = np.arange(len(kept))
        listed_rows = rows[self._used]
        shown = listed_rows >= 0
        link, bin_ = np.nonzero(sums[shown])
        table: Table = {
            "time_s": self._edges_s[:-1][bin_],
            "duration_s": duration_s[bin_],
            "link": listed_rows[shown][link].astype(np.int32),
            "bytes": sums[shown][link, bin_],
        }
        listed = ListedLinks(
            names=tuple(names[i] for i in kept.tolist()),
            tiers=tuple(self._tiers[i] for i in kept.tolist()),
            capacity_bytes_per_s=self._capacity[kept],
            left_out=int(np.count_nonzero(sums[~shown].any(axis=1))),
        )
        return table, listed

    def tiers_table(self) -> Table:
        """Return the columns of `schema.TIERS`, sorted by tier as first listed, tenant and time."""
        sums = self._of_tiers.reshape(len(self._tier_names), len(self._tenants), self._bins)
        of_tenant = sums[:, 1:].sum(axis=(0, 2))
        least = np.sort(np.argsort(-of_tenant, kind="stable")[MAX_TENANTS:])
        names = list(self._tenants)
        if len(least):
            most = np.delete(np.arange(len(names)), least + 1)
            sums = np.concatenate([sums[:, most], sums[:, least + 1].sum(axis=1, keepdims=True)], axis=1)
            names = [*(names[i] for i in most.tolist()), OTHER_TENANTS]
        tier, tenant, bin_ = np.nonzero(sums)
        return {
            "time_s": self._edges_s[:-1][bin_],
            "duration_s": np.diff(self._edges_s)[bin_],
            "tier": np.array(self._tier_names, dtype=object)[tier],
            "tenant": np.array(names, dtype=object)[tenant],
            "bytes": sums[tier, tenant, bin_],
            "capacity_bytes_per_s": self._tier_capacity[tier],
            "unit": np.array(self._tier_units, dtype=object)[tier],
        }


def _accumulate(sums: Floats, at: Ints, terms: Floats) -> None:
    """Add terms to sums in place, several to one where they come more than once."""
    if len(at) * 8 < len(sums):
        np.add.at(sums, at, terms)
    else:
        sums += np.bincount(at, weights=terms, minlength=len(sums))
