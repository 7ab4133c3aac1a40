"""Jobs whose every step is told: it computes, exchanges, and reads the input of the next step meanwhile.

The fluid run (`Progress`) puts a job's average load on its links. Here the bytes of each step are
transfers that take what they get, so bursts of several jobs meet as they fall. For small runs, or a
window of one: a step costs some events of its own (docs/decisions/0075-steps-told-one-by-one.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from dcsim.engine import Engine
from dcsim.facility.servers import quantised_w
from dcsim.simulation.exchange import ExchangePart
from dcsim.simulation.kinds import Order
from dcsim.simulation.running import RunningJob
from dcsim.simulation.traffic_log import TrafficLog
from dcsim.simulation.transfers import Transfer, Transfers

__all__ = ["StepState", "Stepping"]


class StepState:
    """Where a job stands in its step."""

    __slots__ = (
        "begun_s",
        "computing",
        "exchange",
        "feed",
        "fraction",
        "loaded",
        "part",
        "running",
        "turn",
        "waiting_since_s",
    )

    def __init__(self, running: RunningJob) -> None:
        self.running = running
        self.fraction = 0.0
        """Of a whole step; 0 between steps."""
        self.begun_s = 0.0
        self.computing = False
        self.part = 0
        """Parts of the exchange that are over."""
        self.exchange: Transfer | None = None
        self.feed: Transfer | None = None
        self.loaded = False
        """Whether the input of the next step is there."""
        self.waiting_since_s = math.nan
        """Since when it waits for input."""
        self.turn = 0
        """Counts the steps begun: a call made for an older one is stale."""


class Stepping:
    """All jobs that go step by step.

    Args:
        engine: for the time and the calls.
        transfers: carry their bytes.
        traffic: is told what crosses which links.
        on_power: told the change of their draw [W].
        on_finish: called with a job whose work is done.
    """

    def __init__(
        self,
        engine: Engine,
        transfers: Transfers,
        traffic: TrafficLog,
        on_power: Callable[[float], object],
        on_finish: Callable[[RunningJob], object],
    ) -> None:
        self._engine = engine
        self._transfers = transfers
        self._traffic = traffic
        self._on_power = on_power
        self._on_finish = on_finish
        self._states: dict[int, StepState] = {}
        self._uses: dict[tuple[int, int], tuple[int, Sequence[tuple[int, float]]]] = {}

    def __contains__(self, running: RunningJob) -> bool:
        """Say whether a job goes step by step now."""
        return running.index in self._states

    def begin(self, running: RunningJob) -> None:
        """Let a job go step by step from this instant on: first it reads the input of its first step."""
        state = StepState(running)
        self._states[running.index] = state
        running.since_s = self._engine.now
        self._draw(running, busy=False)
        state.waiting_since_s = self._engine.now
        self._load(state, min(1.0, running.steps_left))

    def stop(self, running: RunningJob) -> None:
        """Take a job out; of a step that is under way the part counts that its time is of a step alone."""
        state = self._states.pop(running.index)
        self._count_part(state)
        for transfer in (state.exchange, state.feed):
            if transfer is not None:
                self._transfers.stop(transfer)
        state.exchange = state.feed = None
        state.turn += 1
        self._account(running)
        self._on_power(-running.power_w)
        running.power_w = 0.0

    def account(self, running: RunningJob) -> None:
        """Bring the steps and energy of a job that goes on up to now."""
        self.stop(running)
        self.begin(running)

    def steps_left(self, running: RunningJob) -> float:
        """Return the steps that a job has left now, without touching its books."""
        state = self._states[running.index]
        return max(0.0, running.steps_left - self._part_done(state))

    # -- one step ----------------------------------------------------------------------------------

    def _start(self, state: StepState) -> None:
        """Begin a step whose input is there."""
        running, now_s = state.running, self._engine.now
        running.data_stall_s += now_s - state.waiting_since_s
        state.waiting_since_s = math.nan
        state.fraction = min(1.0, running.steps_left)
        state.begun_s, state.part, state.loaded = now_s, 0, False
        state.computing = True
        state.turn += 1
        self._draw(running, busy=True)
        plan = running.plan
        compute_s = (plan.compute_s + plan.throttled_s) * state.fraction
        parts = running.exchange.parts if running.exchange is not None else ()
        hidden_s = plan.hidden_s * state.fraction
        self._call(state, now_s + compute_s, self._computed)
        if parts and hidden_s > 0.0:
            self._call(state, now_s + max(0.0, compute_s - hidden_s), self._exchange)
        after = running.steps_left - state.fraction
        if after > 0.0:
            self._load(state, min(1.0, after))

    def _call(
        self, state: StepState, time_s: float, function: Callable[[tuple[StepState, int]], object]
    ) -> None:
        self._engine.call_at(time_s, Order.STEP, state.running.index, function, (state, state.turn))

    def _computed(self, call: tuple[StepState, int]) -> None:
        state, turn = call
        if state.turn != turn:
            return
        state.computing = False
        self._draw(state.running, busy=False)
        running = state.running
        parts = running.exchange.parts if running.exchange is not None else ()
        if not parts or running.plan.hidden_s * state.fraction <= 0.0:
            self._exchange(call)
        else:
            self._end_if_over(state)

    def _exchange(self, call: tuple[StepState, int]) -> None:
        """Begin the next part of a step's exchange, or end the step."""
        state, turn = call
        if state.turn != turn:
            return
        parts: tuple[ExchangePart, ...] = ()
        if state.running.exchange is not None:
            parts = state.running.exchange.parts
        if state.part == len(parts):
            self._end_if_over(state)
            return
        part = parts[state.part]
        ratio = state.running.step_ratio
        told = self._told(state.running, part.uses)
        state.exchange = self._transfers.begin(
            part.reference_bytes * state.fraction * ratio,
            part.uses,
            lambda _: self._exchanged(state, turn),
            cap_bytes_per_s=part.cap_bytes_per_s,
            latency_s=part.latency_s * state.fraction * ratio,
            share=state.running.share,
            told=told,
            row=state.running.index,
        )

    def _exchanged(self, state: StepState, turn: int) -> None:
        state.exchange = None
        state.part += 1
        self._exchange((state, turn))

    def _end_if_over(self, state: StepState) -> None:
        running = state.running
        parts = running.exchange.parts if running.exchange is not None else ()
        if state.computing or state.exchange is not None or state.part < len(parts):
            return
        now_s = self._engine.now
        alone_s = state.fraction / running.plan.rate
        running.network_stall_s += max(0.0, now_s - state.begun_s - alone_s)
        running.steps_left -= state.fraction
        state.fraction = 0.0
        state.waiting_since_s = now_s
        if running.steps_left <= 0.0:
            self.stop(running)
            running.steps_left = 0.0
            self._on_finish(running)
        elif state.loaded:
            self._start(state)

    # -- input -------------------------------------------------------------------------------------

    def _load(self, state: StepState, fraction: float) -> None:
        running = state.running
        if not running.feed_uses:
            self._loaded(state)
            return
        state.feed = self._transfers.begin(
            running.plan.stream_bytes_per_step * fraction,
            running.feed_uses,
            lambda _: self._loaded(state),
            cap_bytes_per_s=running.feed_cap_bytes_per_s,
            share=running.share,
            told=self._told(running, running.feed_uses),
            row=running.index,
        )

    def _loaded(self, state: StepState) -> None:
        state.feed, state.loaded = None, True
        if state.fraction == 0.0:
            self._start(state)

    def _told(self, running: RunningJob, uses: Sequence[tuple[int, float]]) -> int:
        """Return the number under which the log of traffic knows these uses."""
        key = (running.tenant, id(uses))
        known = self._uses.get(key)
        if known is None:  # the uses are kept, too, so that no other object has their id
            known = self._uses[key] = (self._traffic.uses(uses, running.tenant), uses)
        return known[0]

    # -- books -------------------------------------------------------------------------------------

    def _part_done(self, state: StepState) -> float:
        """Return what counts of the step under way, in steps: its time over that of a step alone."""
        if state.fraction == 0.0:
            return 0.0
        elapsed_s = self._engine.now - state.begun_s
        return min(state.fraction, elapsed_s * state.running.plan.rate)

    def _count_part(self, state: StepState) -> None:
        running, now_s = state.running, self._engine.now
        if state.fraction > 0.0:
            done = self._part_done(state)
            running.steps_left = max(0.0, running.steps_left - done)
            running.network_stall_s += max(0.0, now_s - state.begun_s - done / running.plan.rate)
        elif not math.isnan(state.waiting_since_s):
            running.data_stall_s += now_s - state.waiting_since_s

    def _draw(self, running: RunningJob, *, busy: bool) -> None:
        """Let a job draw what its cores need, and its accelerators where they compute."""
        self._account(running)
        plan = running.plan
        compute_s = plan.compute_s + plan.throttled_s
        busy_w = plan.busy_energy_per_step_j / compute_s if busy and compute_s > 0.0 else 0.0
        power_w = quantised_w(running.cpu_power_w + busy_w)
        self._on_power(power_w - running.power_w)
        running.power_w = power_w

    def _account(self, running: RunningJob) -> None:
        now_s = self._engine.now
        running.energy_j += running.power_w * (now_s - running.since_s)
        running.since_s = now_s
