"""Checkpoints as objects: begun, complete, superseded, removed, lost with a disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dcsim.facility.storage.volumes import NO_SERVER, Full, Volumes
from dcsim.spec.checkpoints import CheckpointSpec

__all__ = ["Checkpoint", "CheckpointStore", "split_bytes"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint of one job, in one or more parts."""

    job: str
    number: int
    """Of the job's checkpoints that were begun, from 1."""
    size_bytes: int
    parts: tuple[tuple[int, int], ...]
    """(server, bytes): who writes how much; under target local also where it lies."""

    @property
    def key(self) -> str:
        """Name of the object."""
        return f"checkpoint/{self.job}/{self.number}"


def split_bytes(size_bytes: int, weights: Sequence[float]) -> list[int]:
    """Return whole bytes in proportion to the weights, which add up to `size_bytes` exactly.

    >>> split_bytes(10, [1.0, 1.0, 1.0])
    [3, 4, 3]
    """
    total, cut, before = sum(weights), [], 0
    running = 0.0
    for weight in weights:
        running += weight
        after = min(size_bytes, round(size_bytes * (running / total)))
        cut.append(after - before)
        before = after
    cut[-1] += size_bytes - before
    return cut


class CheckpointStore:
    """The checkpoints of all jobs on the volumes of a run.

    A checkpoint takes its room when it is begun, so the old and the new one are there together; the old
    one goes when the new one is complete. A full place is an answer (`Full`), and the job goes on with
    the checkpoint it has.

    Args:
        spec: target, how many are kept, what happens when the place is full.
        volumes: of the run.
    """

    def __init__(self, spec: CheckpointSpec, volumes: Volumes) -> None:
        self.spec = spec
        self._volumes = volumes
        self._begun: dict[str, int] = {}
        self._writing: dict[str, dict[int, Checkpoint]] = {}
        self._complete: dict[str, list[Checkpoint]] = {}
        """Of each job, oldest first; none is empty."""
        self._older: dict[int, dict[Checkpoint, None]] = {}
        """Server (or NO_SERVER) -> complete ones with a part there that a newer one supersedes, oldest first."""

    def begin(
        self, job: str, size_bytes: int, streams: Sequence[tuple[int, float]]
    ) -> tuple[Checkpoint | Full, tuple[Checkpoint, ...]]:
        """Take the room for a new checkpoint.

        Args:
            job: name of the job.
            size_bytes: of the whole checkpoint, whole bytes.
            streams: (server, weight) of its servers; each writes in proportion if `sharded`, else the
                first writes all.

        Returns:
            The checkpoint that is being written, or `Full`; and what was removed to make room.
        """
        number = self._begun[job] = self._begun.get(job, 0) + 1
        writers = streams if self.spec.sharded else streams[:1]
        sizes = split_bytes(size_bytes, [weight for _, weight in writers])
        parts = tuple((server, part) for (server, _), part in zip(writers, sizes, strict=True))
        new = Checkpoint(job, number, size_bytes, parts)
        removed: list[Checkpoint] = []
        stored: list[tuple[int, int]] = []
        for server, part in self._places(new):
            answer = self._put(new, server, part, removed)
            if isinstance(answer, Full):
                for other, _ in stored:
                    self._volumes.remove(self.spec.target, new.key, other)
                return answer, tuple(removed)
            stored.append((server, part))
        self._writing.setdefault(job, {})[number] = new
        return new, tuple(removed)

    def commit(self, checkpoint: Checkpoint) -> tuple[Checkpoint, ...]:
        """Let a checkpoint be complete; returns the older ones that go for it.

        One that a newer one has overtaken, or that was lost meanwhile, goes itself.
        """
        if self._writing.get(checkpoint.job, {}).pop(checkpoint.number, None) is None:
            return ()
        complete = self._complete.setdefault(checkpoint.job, [])
        complete.append(checkpoint)
        complete.sort(key=lambda c: c.number)
        for older in complete[:-1]:
            for server, _ in self._places(older):
                self._older.setdefault(server, {}).setdefault(older)
        gone = tuple(complete[: -self.spec.keep])
        for older in gone:
            self._remove(older)
        return gone

    def abort(self, checkpoint: Checkpoint) -> None:
        """Give up a checkpoint that is being written: its room is free again."""
        if self._writing.get(checkpoint.job, {}).pop(checkpoint.number, None) is not None:
            self._free(checkpoint)

    def latest(self, job: str) -> Checkpoint | None:
        """Return the newest complete checkpoint of a job; None: it has none."""
        complete = self._complete.get(job)
        return complete[-1] if complete else None

    def complete(self, job: str) -> tuple[Checkpoint, ...]:
        """Return the complete checkpoints of a job, oldest first."""
        return tuple(self._complete.get(job, ()))

    def forget(self, job: str) -> int:
        """Remove all checkpoints of a job that has ended; returns how many, those being written included."""
        gone = [*self._writing.pop(job, {}).values()]
        for checkpoint in gone:
            self._free(checkpoint)
        complete = self.complete(job)
        for checkpoint in complete:
            self._remove(checkpoint)
        self._begun.pop(job, None)
        return len(gone) + len(complete)

    def lose_server(self, server: int) -> tuple[str, ...]:
        """Lose what was on a server's disk; returns the jobs whose newest checkpoint is gone with it."""
        if self.spec.target != "local":
            return ()
        hit = []
        for checkpoints in self._writing.values():
            for number in [n for n, c in checkpoints.items() if _has_part(c, server)]:
                self._free(checkpoints.pop(number))
        for job in list(self._complete):
            newest = self._complete[job][-1]
            for checkpoint in [c for c in self._complete[job] if _has_part(c, server)]:
                self._remove(checkpoint)
            if _has_part(newest, server):
                hit.append(job)
        return tuple(hit)

    def _put(self, new: Checkpoint, server: int, part: int, removed: list[Checkpoint]) -> object:
        """Store one part, removing superseded checkpoints one by one where that is wanted."""
        answer = self._volumes.put(self.spec.target, new.key, part, server)
        while isinstance(answer, Full) and self.spec.on_full == "evict_oldest":
            oldest = next(iter(self._older.get(server, {})), None)
            if oldest is None:
                break
            self._remove(oldest)
            removed.append(oldest)
            answer = self._volumes.put(self.spec.target, new.key, part, server)
        return answer

    def _places(self, checkpoint: Checkpoint) -> tuple[tuple[int, int], ...]:
        """Return (server, bytes) of the objects of a checkpoint."""
        if self.spec.target == "local":
            return checkpoint.parts
        return ((NO_SERVER, checkpoint.size_bytes),)

    def _remove(self, checkpoint: Checkpoint) -> None:
        """Remove a complete checkpoint."""
        complete = self._complete[checkpoint.job]
        complete.remove(checkpoint)
        if not complete:
            del self._complete[checkpoint.job]
        for server, _ in self._places(checkpoint):
            self._older.get(server, {}).pop(checkpoint, None)
        self._free(checkpoint)

    def _free(self, checkpoint: Checkpoint) -> None:
        for server, _ in self._places(checkpoint):
            self._volumes.remove(self.spec.target, checkpoint.key, server)


def _has_part(checkpoint: Checkpoint, server: int) -> bool:
    return any(at == server for at, _ in checkpoint.parts)
