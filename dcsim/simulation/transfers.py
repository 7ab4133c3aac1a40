"""Transfers of a run: bytes that take what their links give them, and somebody told when they have arrived.

A job that trains puts an average load on its links for hours (`Progress`). A transfer has a size: the
exchange of one step, the input of the next, a checkpoint on its way to storage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import count

from dcsim.engine import Engine
from dcsim.facility.sharing import Flow, FlowGroup, SharedLinks
from dcsim.simulation.kinds import Order

__all__ = ["Transfer", "Transfers"]


class Transfer:
    """Bytes under way: at a constant rate between changes of what its links give it."""

    __slots__ = (
        "called_s",
        "finish_s",
        "flow",
        "group",
        "ident",
        "left_bytes",
        "on_done",
        "rate",
        "row",
        "since_s",
        "size_bytes",
        "told",
    )

    def __init__(
        self, ident: int, size_bytes: float, on_done: Callable[[Transfer], object], told: int, row: int
    ) -> None:
        self.ident = ident
        self.size_bytes = size_bytes
        self.left_bytes = size_bytes
        self.on_done = on_done
        self.told = told
        """Its uses, as the log of traffic knows them; -1: not to be told."""
        self.row = row
        """Of the job it is for; -1: none."""
        self.flow: Flow | None = None
        """None before its latency is over, and once it has arrived."""
        self.group: FlowGroup | None = None
        self.rate = 0.0
        self.since_s = 0.0
        self.finish_s = math.inf
        self.called_s = math.inf

    def left_now(self, now_s: float) -> float:
        """Return the bytes that have not arrived by now."""
        return max(0.0, self.left_bytes - self.rate * (now_s - self.since_s))

    def __repr__(self) -> str:
        return (
            f"<Transfer {self.ident}: {self.left_bytes:g} of {self.size_bytes:g} B left at {self.rate:g} B/s>"
        )


class Transfers:
    """All transfers under way.

    Args:
        engine: for the time and the calls at which they arrive.
        links: that they share with everybody else.
        contention: whether they share them; else each has them to itself, as they were built.
        on_stretch: told of each stretch at one rate: (transfer, its start in s, bytes).
    """

    def __init__(
        self,
        engine: Engine,
        links: SharedLinks,
        *,
        contention: bool,
        on_stretch: Callable[[Transfer, float, float], object] | None = None,
    ) -> None:
        self._engine = engine
        self._links = links
        self._on_stretch = on_stretch
        self._idents = count()
        self._fresh: list[Transfer] = []
        self._moving: dict[Transfer, None] = {}
        """Those on links."""
        self.shared = contention
        self._alone = None if contention else tuple(links.capacity)
        """What links give each transfer as they were built, whatever befalls them; None: what they share."""

    def begin(
        self,
        size_bytes: float,
        uses: Sequence[tuple[int, float]],
        on_done: Callable[[Transfer], object],
        *,
        cap_bytes_per_s: float = math.inf,
        latency_s: float = 0.0,
        share: float = 1.0,
        told: int = -1,
        row: int = -1,
    ) -> Transfer:
        """Send bytes over links.

        Args:
            size_bytes: >= 0; nothing to send arrives after the latency.
            uses: (link, bytes on it for each byte of the transfer).
            on_done: called with the transfer at the instant at which all has arrived.
            cap_bytes_per_s: never faster than this.
            latency_s: until the first byte moves.
            share: of a full link, against other flows of share 1.
            told: its uses, as the log of traffic knows them; -1: not to be told.
            row: of the job it is for; -1: none.
        """
        transfer = Transfer(next(self._idents), size_bytes, on_done, told, row)
        self._links_for(transfer, uses, cap_bytes_per_s, share)
        if latency_s > 0.0:
            due_s = self._engine.now + latency_s
            self._engine.call_at(due_s, Order.TRANSFER, transfer.ident, self._enter, transfer)
        else:
            self._enter(transfer)
        return transfer

    def _links_for(
        self, transfer: Transfer, uses: Sequence[tuple[int, float]], cap_bytes_per_s: float, share: float
    ) -> None:
        if transfer.size_bytes <= 0.0 or not (uses or math.isfinite(cap_bytes_per_s)):
            return
        if self._alone is not None:
            built = [self._alone[link] / weight for link, weight in uses]
            cap_bytes_per_s = min([cap_bytes_per_s, *(most for most in built if most > 0.0)])
            if cap_bytes_per_s == math.inf:
                return
            uses = ()
        transfer.flow = Flow.over(transfer, cap_bytes_per_s, uses, share)

    def _enter(self, transfer: Transfer) -> None:
        now_s = self._engine.now
        transfer.since_s = now_s
        if transfer.on_done is _gone:
            return
        if transfer.flow is None:
            self._call(transfer, now_s)
            return
        self._links.add(transfer.flow)
        self._moving[transfer] = None
        self._fresh.append(transfer)

    def settle(self) -> None:
        """At the end of an instant, after the links were shared: plan those that came in."""
        fresh, self._fresh = self._fresh, []
        for transfer in fresh:
            if transfer.flow is not None:
                self.regrouped(transfer)
                self.replan(transfer)

    def stop(self, transfer: Transfer) -> float:
        """Break a transfer off; returns the bytes that did not arrive."""
        self._advance(transfer)
        self._part(transfer)
        transfer.on_done = _gone
        transfer.finish_s = math.inf
        return transfer.left_bytes

    def account(self) -> None:
        """Tell of all that is under way what has arrived until now."""
        for transfer in self._moving:
            self._advance(transfer)

    def regrouped(self, transfer: Transfer) -> None:
        """Its flow shares other full links than before: hear of that group's rate from now on."""
        flow = transfer.flow
        if flow is None or flow.group is transfer.group:
            return
        if transfer.group is not None:
            transfer.group.users.pop(transfer, None)
        transfer.group = flow.group
        if flow.group is not None:
            flow.group.users[transfer] = None
        self.replan(transfer)

    def replan(self, transfer: Transfer) -> None:
        """Its rate is another one from now on."""
        flow = transfer.flow
        if flow is None or flow.rate == transfer.rate:
            return
        self._advance(transfer)
        transfer.rate = flow.rate
        now_s = self._engine.now
        self._call(transfer, now_s + transfer.left_bytes / flow.rate if flow.rate > 0.0 else math.inf)

    # -- inside ------------------------------------------------------------------------------------

    def _advance(self, transfer: Transfer) -> None:
        now_s = self._engine.now
        if transfer.flow is not None and now_s > transfer.since_s and transfer.rate > 0.0:
            sent = min(transfer.left_bytes, transfer.rate * (now_s - transfer.since_s))
            transfer.left_bytes -= sent
            if self._on_stretch is not None:
                self._on_stretch(transfer, transfer.since_s, sent)
        transfer.since_s = now_s

    def _part(self, transfer: Transfer) -> None:
        """Take its flow off the links."""
        if transfer.group is not None:
            transfer.group.users.pop(transfer, None)
            transfer.group = None
        if transfer.flow is not None and transfer.flow.ident >= 0:
            self._links.remove(transfer.flow)
            self._moving.pop(transfer, None)
        transfer.flow = None

    def _call(self, transfer: Transfer, finish_s: float) -> None:
        transfer.finish_s = finish_s
        if finish_s < transfer.called_s:  # a later one than is called already is called again when that comes
            transfer.called_s = finish_s
            self._engine.call_at(finish_s, Order.TRANSFER, transfer.ident, self._arrive, transfer)

    def _arrive(self, transfer: Transfer) -> None:
        now_s = self._engine.now
        if transfer.called_s != now_s:
            return  # an earlier call has been made since
        transfer.called_s = math.inf
        if transfer.finish_s == math.inf:
            return
        if transfer.finish_s > now_s:
            self._call(transfer, transfer.finish_s)
            return
        if transfer.flow is not None and self._on_stretch is not None and transfer.left_bytes > 0.0:
            self._on_stretch(transfer, transfer.since_s, transfer.left_bytes)
        transfer.left_bytes = 0.0  # exactly, not up to rounding
        self._part(transfer)
        transfer.finish_s = math.inf
        transfer.on_done(transfer)


def _gone(transfer: Transfer) -> None:
    """Nobody waits for a transfer that was broken off."""
