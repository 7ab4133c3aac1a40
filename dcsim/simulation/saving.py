"""Checkpoints as bytes: written and read back over the links that others use, kept where there is room."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dcsim.engine import Engine, EventLog
from dcsim.facility.storage import Checkpoint, Full, StorageState
from dcsim.facility.storage.checkpoint_times import checkpoint_bytes, snapshot_s, stagger_offset_s
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.kinds import LogKind
from dcsim.simulation.running import RunningJob
from dcsim.simulation.traffic_log import TrafficLog
from dcsim.simulation.transfers import Transfer, Transfers
from dcsim.workload.profile_store import LoadedProfile

__all__ = ["Saving"]

_DISK_FULL = int(LogKind.DISK_FULL)

Streams = Sequence[tuple[int, float]]


class _Move:
    """One checkpoint on its way to or from storage."""

    __slots__ = ("checkpoint", "on_done", "reads", "running", "streams", "transfer")

    def __init__(
        self,
        running: RunningJob,
        checkpoint: Checkpoint,
        streams: Streams,
        on_done: Callable[[], object],
        *,
        reads: bool,
    ) -> None:
        self.running = running
        self.checkpoint = checkpoint
        self.streams = streams
        self.on_done = on_done
        self.reads = reads
        self.transfer: Transfer | None = None


class Saving:
    """The checkpoints of a run, where the scenario describes them as objects (`checkpoints`).

    Args:
        inputs: of the run.
        engine: for the time.
        transfers: carry the bytes.
        traffic: is told what crosses which links.
        state: what is stored where.
        log: of events.
    """

    def __init__(
        self,
        inputs: RunInputs,
        engine: Engine,
        transfers: Transfers,
        traffic: TrafficLog,
        state: StorageState,
        log: EventLog,
    ) -> None:
        self._inputs = inputs
        self._engine = engine
        self._transfers = transfers
        self._traffic = traffic
        self._log = log
        self._spec = inputs.scenario.checkpoints
        self._store = state.checkpoints
        self._size = [self._bytes_of(profile) for profile in range(len(inputs.jobs.profile_names))]
        self._moves: dict[int, _Move] = {}
        """Row of a job -> what it writes or reads now."""
        self._told: dict[RunningJob, tuple[list[tuple[int, float]], int]] = {}
        """Who wrote or read of late -> the uses, and their number in the log of traffic."""

    def _bytes_of(self, profile: int) -> int:
        """Return the size of a checkpoint of a profile's jobs; 0: not known."""
        costs = self._inputs.profiles[self._inputs.jobs.profile_names[profile]]
        if self._spec is None or not isinstance(costs, LoadedProfile):
            return 0
        made = costs.profile
        return checkpoint_bytes(made.parameters or 0, made.checkpoint_bytes, self._spec.bytes_per_parameter)

    def size_bytes(self, job: int) -> int:
        """Return the size of a job's checkpoint; 0: it takes a time that the scenario gives, not bytes."""
        profile = int(self._inputs.jobs.profile[job])
        return self._size[profile] if profile >= 0 and self._store is not None else 0

    @property
    def asynchronous(self) -> bool:
        """Whether jobs go on while the bytes of their checkpoints are on their way."""
        return self._spec is not None and self._spec.mode == "asynchronous"

    def snapshot_s(self, running: RunningJob) -> float:
        """Return how long a job stands still for an asynchronous checkpoint."""
        spec = self._spec
        if spec is None:
            return 0.0
        bandwidth = spec.snapshot_bandwidth_bytes_per_s
        return snapshot_s(
            self.size_bytes(running.index), max(1, running.width), bandwidth, sharded=spec.sharded
        )

    def offset_s(self, job: int) -> float:
        """Return by how much a job puts off its first periodic checkpoint."""
        if self._spec is None or self._spec.stagger_s == 0.0:
            return 0.0
        return stagger_offset_s(self._inputs.jobs.job_id[job], self._spec.stagger_s)

    def busy(self, running: RunningJob) -> bool:
        """Return whether a checkpoint of a job is still on its way."""
        return running.index in self._moves

    def write(self, running: RunningJob, on_done: Callable[[], object]) -> bool:
        """Write a job's state as it is now; False: there is no room, and nothing is written.

        Args:
            running: the job.
            on_done: called when all is written, from then on the job's newest checkpoint.
        """
        store = self._store
        if store is None:
            return False
        job = running.index
        name, now_s = self._inputs.jobs.job_id[job], self._engine.now
        streams = [(server, float(max(1, count))) for server, count in running.placement]
        made, _ = store.begin(name, self.size_bytes(job), streams)
        if isinstance(made, Full):
            self._log.add(now_s, _DISK_FULL, job, made.server, float(made.asked_bytes))
            return False

        def complete() -> None:
            store.commit(made)
            on_done()

        self._begin(_Move(running, made, _parts(made), complete, reads=False))
        return True

    def read(self, running: RunningJob, on_done: Callable[[], object]) -> bool:
        """Read a job's newest checkpoint onto its servers; False: it has none.

        Args:
            running: the job.
            on_done: called when all has been read.
        """
        store = self._store
        made = None if store is None else store.latest(self._inputs.jobs.job_id[running.index])
        if made is None:
            return False
        total = sum(max(1, count) for _, count in running.placement)
        streams = [(server, made.size_bytes * max(1, count) / total) for server, count in running.placement]
        self._begin(_Move(running, made, streams, on_done, reads=True))
        return True

    def drop(self, running: RunningJob) -> None:
        """Break off what a job writes or reads; a checkpoint that is not complete is none."""
        self._told.pop(running, None)
        move = self._moves.pop(running.index, None)
        if move is None:
            return
        if move.transfer is not None:
            self._transfers.stop(move.transfer)
        if not move.reads and self._store is not None:
            self._store.abort(move.checkpoint)

    def forget(self, job: int) -> None:
        """Remove all checkpoints of a job that is over."""
        if self._store is not None:
            self._store.forget(self._inputs.jobs.job_id[job])

    def reroute(self) -> None:
        """Let all that is on its way take the ways there are now."""
        for move in list(self._moves.values()):
            if move.transfer is not None:
                left = self._transfers.stop(move.transfer)
                self._send(move, left)

    # -- inside --------------------------------------------------------------------------------------

    def _begin(self, move: _Move) -> None:
        self._moves[move.running.index] = move
        place = self._inputs.scenario.checkpoints.target if self._inputs.scenario.checkpoints else "shared"
        storage = self._inputs.storage
        self._send(move, float(move.checkpoint.size_bytes), latency_s=storage.latency_s(place))

    def _send(self, move: _Move, size_bytes: float, *, latency_s: float = 0.0) -> None:
        """Send what is left of a checkpoint, all its parts in lockstep."""
        total = sum(size for _, size in move.streams)
        streams = [(server, size / total) for server, size in move.streams if size > 0.0] if total else []
        uses = self._uses(move, streams)
        place = self._inputs.scenario.checkpoints.target if self._inputs.scenario.checkpoints else "shared"
        cap = self._inputs.storage.stream_cap_bytes_per_s(
            place, streams, write=not move.reads, reads_ahead=False
        )
        move.transfer = self._transfers.begin(
            size_bytes,
            uses,
            lambda _: self._done(move),
            cap_bytes_per_s=cap,
            latency_s=latency_s,
            share=self._inputs.network_share(move.running.index),
            told=self._number(move.running, uses),
            row=move.running.index,
        )

    def _number(self, running: RunningJob, uses: list[tuple[int, float]]) -> int:
        """Return the number under which the log of traffic knows some uses; equal ones one after the other have one."""
        known = self._told.get(running)
        if known is None or known[0] != uses:
            known = self._told[running] = (uses, self._traffic.uses(uses, running.tenant))
        return known[1]

    def _uses(self, move: _Move, streams: Streams) -> list[tuple[int, float]]:
        inputs, spec = self._inputs, self._inputs.scenario.checkpoints
        if spec is None or not streams:
            return []
        ways = inputs.links.ways
        if not move.reads:
            return inputs.storage.write_uses(ways, streams, spec.target, move.checkpoint.key)
        written = sum(size for _, size in move.checkpoint.parts)
        sources = [(server, size / written) for server, size in move.checkpoint.parts] if written else []
        return inputs.storage.restore_uses(ways, streams, spec.target, move.checkpoint.key, sources)

    def _done(self, move: _Move) -> None:
        del self._moves[move.running.index]
        move.on_done()


def _parts(checkpoint: Checkpoint) -> list[tuple[int, float]]:
    return [(server, float(size)) for server, size in checkpoint.parts]
