"""Where a job that goes step by step stands in its step, and what of the step is done."""

from __future__ import annotations

import math

from dcsim.simulation.exchange import ExchangePart
from dcsim.simulation.running import RunningJob
from dcsim.simulation.transfers import Transfer

__all__ = ["StepState"]

_ROUNDING = 1e-9
"""Of a step: what is left of a job is over with a step that ends so near."""


class StepState:
    """One step after the other of one job.

    A step computes for `busy_s`, bubbles of a pipeline included, and exchanges its parts one after the other;
    these begin early enough for what may hide behind computing to do so with nobody else on the links.
    """

    __slots__ = (
        "before",
        "begun_s",
        "busy_s",
        "busy_until_s",
        "computing",
        "exchange",
        "exchange_from_s",
        "feed",
        "from_s",
        "in_step",
        "last",
        "loaded",
        "part",
        "part_from_s",
        "parts",
        "rest_bytes",
        "running",
        "sending",
        "size",
        "turn",
        "waiting_since_s",
    )

    def __init__(self, running: RunningJob) -> None:
        self.running = running
        self.in_step = False
        """Else it waits for input."""
        self.size = 0.0
        """Of the step: the last may be part of one."""
        self.before = 0.0
        """Part of it that was done before it was broken off; it goes on from there."""
        self.last = False
        self.from_s = self.begun_s = self.busy_s = self.busy_until_s = 0.0
        # from_s: since when it is in the step now; begun_s: when it would have begun had it not been broken off.
        self.computing = False
        self.parts: tuple[ExchangePart, ...] = ()
        self.sending = False
        """Whether its exchange has begun."""
        self.exchange_from_s = 0.0
        """When that begins, if any of it may hide."""
        self.part = 0
        """Parts of the exchange that are over."""
        self.part_from_s = math.nan
        self.exchange: Transfer | None = None
        self.feed: Transfer | None = None
        self.loaded = False
        """Whether the input of the next step is there, as far as it is read ahead."""
        self.rest_bytes = 0.0
        """Of that input, to be read when this step is over."""
        self.waiting_since_s = math.nan
        """Since when it waits for input."""
        self.turn = 0
        """Counts the steps begun and changed: a call made before that is stale."""

    @staticmethod
    def busy_length_s(running: RunningJob) -> float:
        """Return how long a whole step of a job computes, with the bubbles of its pipeline [s]."""
        plan, exchange = running.plan, running.exchange
        bubbles = exchange.bubble_fraction if exchange is not None else 0.0
        return (plan.compute_s + plan.throttled_s) * (1.0 + bubbles)

    @property
    def scale(self) -> float:
        """What its parts are to be multiplied by: the size of the step, in steps of the width that the job has."""
        return self.size * self.running.step_ratio

    @property
    def hides(self) -> bool:
        """Whether its exchange begins before it has computed."""
        return bool(self.parts) and self.running.plan.hidden_s > 0.0

    @property
    def hidden_s(self) -> float:
        """How long before it has computed its exchange begins [s]."""
        return self.running.plan.hidden_s * self.size if self.parts else 0.0

    @property
    def counts(self) -> float:
        """Steps that its end adds to what its job has done."""
        return self.size - self.before

    def own_s(self, steps: float) -> float:
        """Return how long steps take by the job's plan, their input there and nobody else on the links [s]."""
        plan = self.running.plan
        return (plan.compute_s + plan.throttled_s + plan.communication_s) * steps

    def start(self, now_s: float, before: float) -> float:
        """Begin the next step, or go on with one of which a part was done; returns what is left to send of its part.

        Args:
            now_s: now.
            before: part of the step that was done, 0..1.
        """
        left = self.running.steps_left
        self.in_step, self.waiting_since_s = True, math.nan
        self.last = before + left <= 1.0 + _ROUNDING
        self.size = min(1.0, before + left)
        self.before = min(before, self.size)
        self.from_s, self.part, self.loaded = now_s, 0, False
        self.turn += 1
        self._plan()
        gone_s = self._length_s() * (self.before / self.size) if self.before > 0.0 else 0.0
        self.begun_s = now_s - gone_s
        self.busy_until_s = max(now_s, self.begun_s + self.busy_s)
        self.computing = self.busy_s > gone_s or gone_s == 0.0
        self.exchange_from_s = max(now_s, self.busy_until_s - self.hidden_s)
        return self._sent_already(now_s, gone_s - (self.busy_s - self.hidden_s))

    def _sent_already(self, now_s: float, gone_s: float) -> float:
        """Take off what the exchange did in so much time alone; returns the part of its current bytes that is left."""
        self.sending, self.part_from_s = gone_s > 0.0, now_s
        for part in self.parts if self.sending else ():
            alone_s, latency_s = part.alone_s * self.scale, part.latency_s * self.scale
            if gone_s < alone_s:
                self.part_from_s = now_s - min(gone_s, latency_s)
                return (
                    1.0 - max(0.0, gone_s - latency_s) / (alone_s - latency_s) if gone_s > latency_s else 1.0
                )
            gone_s -= alone_s
            self.part += 1
        return 1.0

    def renewed(self, now_s: float) -> None:
        """Its job has another plan or other ways now: what is left of computing takes as long as that says."""
        left = max(0.0, self.busy_until_s - now_s) / self.busy_s if self.busy_s > 0.0 else 0.0
        self._plan()
        self.busy_until_s = now_s + (left * self.busy_s if self.computing else 0.0)
        self.exchange_from_s = max(now_s, self.busy_until_s - self.hidden_s)
        self.part = min(self.part, len(self.parts))
        self.turn += 1

    def _plan(self) -> None:
        running = self.running
        self.parts = running.exchange.parts if running.exchange is not None else ()
        self.busy_s = self.busy_length_s(running) * self.size

    def _total_s(self) -> float:
        return math.fsum(part.alone_s for part in self.parts) * self.scale

    def _length_s(self) -> float:
        return max(self.busy_s, self.busy_s - self.hidden_s + self._total_s())

    def done(self, now_s: float) -> float:
        """Return what it has done of the step under way: what would not have to be done any more, alone, in steps.

        That is its time so far if nobody else was on the links. While others hold up its exchange it stands.
        """
        if not self.in_step:
            return 0.0
        length_s = self._length_s()
        if length_s <= 0.0:
            return self.counts
        computing_s = max(0.0, self.busy_until_s - now_s) if self.computing else 0.0
        left_s = max(computing_s, self._exchange_left_s(now_s, computing_s - self.hidden_s))
        done = self.size * (1.0 - left_s / length_s)
        if self.parts:  # no faster than its plan, whatever ways it has found since
            done = min(done, (now_s - self.begun_s) / self.own_s(1.0))
        return min(self.counts, max(0.0, done - self.before))

    def _exchange_left_s(self, now_s: float, until_begin_s: float) -> float:
        """Return how long the exchange would still take alone, from now on [s]."""
        if not self.sending:
            return max(0.0, until_begin_s) + self._total_s()
        left_s = math.fsum(part.alone_s for part in self.parts[self.part :]) * self.scale
        if self.exchange is None or self.part >= len(self.parts):
            return left_s
        part = self.parts[self.part]
        latency_s, size = part.latency_s * self.scale, part.reference_bytes * self.scale
        gone_s = min(latency_s, max(0.0, now_s - self.part_from_s))
        arrived = 1.0 - self.exchange.left_now(now_s) / size if size > 0.0 else 0.0
        return left_s - gone_s - arrived * (part.alone_s * self.scale - latency_s)
