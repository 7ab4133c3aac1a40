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
from dcsim.facility.storage.loading import overlap_fraction
from dcsim.simulation.kinds import Order
from dcsim.simulation.running import RunningJob
from dcsim.simulation.step_state import StepState
from dcsim.simulation.traffic_log import TrafficLog
from dcsim.simulation.transfers import Transfers

__all__ = ["Stepping"]

_ROUNDING = 1e-9
"""A step that takes less than alone by more than this part has found better ways since its job was placed."""


class Stepping:
    """All jobs that go step by step.

    Args:
        engine: for the time and the calls.
        transfers: carry their bytes.
        traffic: is told what crosses which links.
        on_power: told (job, W before, W now) of each whose draw changes.
        on_finish: called with a job whose work is done.
        prefetch_bytes: how far a server reads ahead; None: as far as helps.
    """

    def __init__(
        self,
        engine: Engine,
        transfers: Transfers,
        traffic: TrafficLog,
        on_power: Callable[[RunningJob, float, float], object],
        on_finish: Callable[[RunningJob], object],
        prefetch_bytes: float | None = None,
    ) -> None:
        self._engine = engine
        self._transfers = transfers
        self._traffic = traffic
        self._on_power = on_power
        self._on_finish = on_finish
        self._prefetch_bytes = prefetch_bytes
        self._states: dict[int, StepState] = {}
        self._uses: dict[tuple[int, int], tuple[int, Sequence[tuple[int, float]]]] = {}

    def __contains__(self, running: RunningJob) -> bool:
        """Say whether a job goes step by step now."""
        return running.index in self._states

    def begin(self, running: RunningJob) -> None:
        """Let a job go step by step from this instant on: first it reads the input of its first step."""
        state = StepState(running)
        self._states[running.index] = state
        running.since_s = state.waiting_since_s = self._engine.now
        self._draw(running, busy=False)
        # A step that was broken off goes on where it stood.
        done = max(0.0, running.all_steps - running.total_left())
        state.before = done - math.floor(done)
        ahead = min(1.0 - state.before, running.steps_left)
        self._load(state, running.plan.stream_bytes_per_step * ahead)

    def stop(self, running: RunningJob) -> None:
        """Take a job out; of the step under way counts what it would not have to do any more (`StepState.done`)."""
        state = self._states.pop(running.index)
        self._count_part(state)
        for transfer in (state.exchange, state.feed):
            if transfer is not None:
                self._transfers.stop(transfer)
        state.exchange = state.feed = None
        state.turn += 1
        self._account(running)
        self._on_power(running, running.power_w, 0.0)
        running.power_w = 0.0

    def renew(self, running: RunningJob, prepare: Callable[[RunningJob], object]) -> None:
        """Let a job go on in its step, but over other links or at another speed: `prepare` changes them.

        Bytes that have not arrived yet take the new ways.
        """
        state, now_s = self._states[running.index], self._engine.now
        self._account(running)
        prepare(running)
        running.network = running.feed = None
        if state.feed is not None:
            self._load(state, self._transfers.stop(state.feed))
        if not state.in_step:
            return
        sent, state.exchange = state.exchange, None
        left_part = 0.0
        if sent is not None and sent.size_bytes > 0.0:
            left_part = self._transfers.stop(sent) / (state.parts[state.part].reference_bytes * state.scale)
        state.renewed(now_s)
        self._draw(running, busy=state.computing)
        if state.computing:
            self._call(state, state.busy_until_s, self._computed)
        if sent is not None:
            self._send(state, left_part)
        elif state.computing and state.hides and not state.sending:
            self._call(state, state.exchange_from_s, self._exchange)
        else:
            self._end_if_over((state, state.turn))

    def account(self, running: RunningJob) -> None:
        """Bring the steps and energy of a job up to the end of the run, now; it does not go on."""
        state = self._states[running.index]
        self._count_part(state)
        self._account(running)
        state.in_step, state.waiting_since_s = False, self._engine.now

    def steps_left(self, running: RunningJob) -> float:
        """Return the steps that a job has left now, without touching its books."""
        state = self._states[running.index]
        return max(0.0, running.steps_left - state.done(self._engine.now))

    # -- one step ----------------------------------------------------------------------------------

    def _start(self, state: StepState) -> None:
        """Begin a step whose input is there."""
        running, now_s = state.running, self._engine.now
        running.data_stall_s += now_s - state.waiting_since_s
        left_part = state.start(now_s, state.before)
        self._draw(running, busy=state.computing)
        if not state.last:
            size = running.plan.stream_bytes_per_step * min(1.0, running.steps_left - state.counts)
            ahead = overlap_fraction(self._prefetch_bytes, running.plan.stream_bytes_per_step)
            state.rest_bytes = (1.0 - ahead) * size
            self._load(state, ahead * size)
        if state.computing:
            self._call(state, state.busy_until_s, self._computed)
            if state.hides and not state.sending:
                self._call(state, state.exchange_from_s, self._exchange)
        if state.sending:
            self._send(state, left_part)
        elif not state.computing:
            self._exchange((state, state.turn))

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
        if state.hides:
            self._end_if_over(call)
        else:
            self._exchange(call)

    def _exchange(self, call: tuple[StepState, int]) -> None:
        """Begin a step's exchange."""
        state, turn = call
        if state.turn == turn:
            state.sending = True
            self._send(state)

    def _send(self, state: StepState, left_part: float | None = None) -> None:
        """Begin the next part of a step's exchange, or go on with what is left of it; end the step if there is none."""
        if state.part >= len(state.parts):
            self._end_if_over((state, state.turn))
            return
        part, running, scale, now_s = state.parts[state.part], state.running, state.scale, self._engine.now
        if left_part is None:
            state.part_from_s, left_part = now_s, 1.0
        state.exchange = self._transfers.begin(
            part.reference_bytes * scale * left_part,
            part.uses,
            lambda _: self._sent(state),
            cap_bytes_per_s=part.cap_bytes_per_s if self._transfers.shared else part.alone_bytes_per_s,
            latency_s=max(0.0, state.part_from_s + part.latency_s * scale - now_s),
            share=running.share,
            told=self._told(running, part.uses),
            row=running.index,
        )

    def _sent(self, state: StepState) -> None:
        state.exchange = None
        state.part += 1
        self._send(state)

    def _end_if_over(self, call: tuple[StepState, int]) -> None:
        state, turn = call
        if state.turn != turn or state.computing or state.exchange is not None:
            return
        if state.part < len(state.parts):
            return
        running, now_s = state.running, self._engine.now
        alone_s = state.own_s(state.size)
        if state.parts and now_s < state.begun_s + alone_s * (1.0 - _ROUNDING):
            self._call(state, state.begun_s + alone_s, self._end_if_over)
            return
        self._tell_inside(state, state.counts)
        if state.parts:
            running.network_stall_s += max(0.0, now_s - state.begun_s - alone_s)
        running.steps_left -= state.counts
        running.throttle_s += state.counts * running.cap_lag_s
        state.in_step, state.waiting_since_s, state.before = False, now_s, 0.0
        if state.last:
            self.stop(running)
            running.steps_left = 0.0
            self._on_finish(running)
        elif state.loaded:
            self._go_on(state)

    # -- input -------------------------------------------------------------------------------------

    def _load(self, state: StepState, size_bytes: float) -> None:
        running, state.loaded = state.running, False
        if not running.feed_uses or size_bytes <= 0.0:
            self._loaded(state)
            return
        state.feed = self._transfers.begin(
            size_bytes,
            running.feed_uses,
            lambda _: self._loaded(state),
            cap_bytes_per_s=running.feed_cap_bytes_per_s,
            share=running.share,
            told=self._told(running, running.feed_uses),
            row=running.index,
        )

    def _loaded(self, state: StepState) -> None:
        state.feed, state.loaded = None, True
        if not state.in_step:
            self._go_on(state)

    def _go_on(self, state: StepState) -> None:
        """Read what was not read ahead, then begin the next step."""
        if state.rest_bytes > 0.0:
            size_bytes, state.rest_bytes = state.rest_bytes, 0.0
            self._load(state, size_bytes)
        else:
            self._start(state)

    def _told(self, running: RunningJob, uses: Sequence[tuple[int, float]]) -> int:
        """Return the number under which the log of traffic knows these uses."""
        key = (running.tenant, id(uses))
        known = self._uses.get(key)
        if known is None:  # the uses are kept, too, so that no other object has their id
            known = self._uses[key] = (self._traffic.uses(uses, running.tenant), uses)
        return known[0]

    # -- books -------------------------------------------------------------------------------------

    def _count_part(self, state: StepState) -> None:
        """Count the part of a step that is under way, or the wait for its input."""
        running, now_s = state.running, self._engine.now
        if not state.in_step:
            running.data_stall_s += now_s - state.waiting_since_s
            return
        done = state.done(now_s)
        self._tell_inside(state, done)
        running.steps_left = max(0.0, running.steps_left - done)
        running.throttle_s += done * running.cap_lag_s
        if state.parts:
            alone_s = state.own_s(state.before + done)
            running.network_stall_s += max(0.0, now_s - state.begun_s - alone_s)

    def _tell_inside(self, state: StepState, steps: float) -> None:
        """Log what a step moves inside servers where that holds nobody back."""
        running = state.running
        uses, size = running.exchange.inside if running.exchange is not None else ((), 0.0)
        if uses and steps > 0.0:
            told = self._told(running, uses)
            size *= running.step_ratio * steps
            self._traffic.stint(state.from_s, self._engine.now, told, size)

    def _draw(self, running: RunningJob, *, busy: bool) -> None:
        """Let a job draw what its cores need, and its accelerators where they compute."""
        self._account(running)
        busy_s = StepState.busy_length_s(running)
        busy_w = running.plan.busy_energy_per_step_j / busy_s if busy and busy_s > 0.0 else 0.0
        power_w = quantised_w(running.cpu_power_w + busy_w)
        self._on_power(running, running.power_w, power_w)
        running.power_w = power_w

    def _account(self, running: RunningJob) -> None:
        now_s = self._engine.now
        running.energy_j += running.power_w * (now_s - running.since_s)
        running.since_s = now_s
