"""A run's state on disk, by Orbax: written whole or not at all, and read back bit by bit."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dcsim.errors import InputError, MissingExtraError, Problem, ResultError
from trainers.data import Dataset
from trainers.registry import State, Task

__all__ = ["Checkpoints", "Fingerprint", "Saved", "fingerprint"]

FORMAT = 1


@dataclass(frozen=True)
class Fingerprint:
    """What two runs must have in common for one to go on where the other stopped."""

    model: str
    recipe: Mapping[str, Any]
    """Fields of `Recipe`."""
    schedule_steps: int
    """Updates the schedule is stretched over; 0 where the rate does not depend on them."""
    dataset: str
    train_samples: int
    seed: int
    batch: int
    """Samples of all devices together: how many devices share them may change."""

    def differences(self, stored: Mapping[str, Any], file: str) -> tuple[Problem, ...]:
        """Return in what a stored fingerprint differs from this one."""
        ours, theirs = _flat(asdict(self)), _flat(stored)
        return tuple(
            Problem(file, None, name, str(ours.get(name)), f"{theirs.get(name)}, as in the checkpoint")
            for name in sorted({*ours, *theirs})
            if ours.get(name) != theirs.get(name)
        )


def fingerprint(task: Task, dataset: Dataset, *, seed: int, batch: int) -> Fingerprint:
    """Return the fingerprint of a run; `batch` counts the samples of all devices together."""
    return Fingerprint(
        model=task.card.name,
        recipe=asdict(task.recipe),
        schedule_steps=task.steps if task.recipe.schedule != "constant" else 0,
        dataset=dataset.name,
        train_samples=len(dataset.train_x),
        seed=seed,
        batch=batch,
    )


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds."""

    state: State
    """On the host. `state.step` is also the number of the next batch: the iterator needs that and the seed only."""
    notes: Mapping[str, Any]
    """What the caller wanted to remember, as plain values."""


class Checkpoints:
    """The checkpoints of one run, in a folder of their own."""

    def __init__(self, folder: Path, *, keep: int = 3) -> None:
        """Take a folder, which is made when it is first written to, and how many checkpoints stay in it.

        Raises:
            MissingExtraError: if Orbax is not installed.
        """
        try:
            import orbax.checkpoint as orbax
        except ImportError as error:
            raise MissingExtraError("checkpoints", "train") from error
        self.folder = folder
        self._orbax = orbax
        self._keep = keep

    def steps(self) -> tuple[int, ...]:
        """Return the updates made at each checkpoint, ascending; what was never finished does not count."""
        if not self.folder.is_dir():
            return ()
        with self._manager() as manager:
            return tuple(sorted(manager.all_steps()))

    def save(self, state: State, mark: Fingerprint, notes: Mapping[str, Any]) -> None:
        """Write a checkpoint, unless there is one of this step, and drop the oldest beyond those kept.

        Args:
            state: on the host.
            mark: of the run.
            notes: plain values to hand back at `restore`.
        """
        tree = jax.tree.map(np.asarray, state._asdict())
        about = {
            "format": FORMAT,
            "fingerprint": asdict(mark),
            "crc32": _crc32(tree),
            "notes": dict(notes),
        }
        args = self._orbax.args
        with self._manager() as manager:
            if int(state.step) not in manager.all_steps():
                items = args.Composite(state=args.StandardSave(tree), about=args.JsonSave(about))
                manager.save(int(state.step), args=items)

    def restore(self, like: State, mark: Fingerprint, step: int | None = None) -> Saved | None:
        """Return a checkpoint, or None where there is none.

        Args:
            like: a state of the same shapes, on the host.
            mark: of the run that is to go on.
            step: which one; None: the latest.

        Raises:
            InputError: if it is of another model, recipe, data set, seed or batch; says in what they differ.
            ResultError: if it is damaged; says which earlier one is left.
        """
        steps = self.steps()
        if not steps:
            return None
        chosen = steps[-1] if step is None else step
        where = f"{self.folder.name}/{chosen}"
        about = self._read(chosen, steps, "about", self._orbax.args.JsonRestore())
        if not isinstance(about, dict):
            raise self._damaged(chosen, steps, "what is written about it is no mapping")
        if about.get("format") != FORMAT:
            raise InputError([Problem(where, None, "format", str(about.get("format")), str(FORMAT))])
        kinds = {"fingerprint": dict, "notes": dict, "crc32": int}
        if wrong := [name for name, kind in kinds.items() if not isinstance(about.get(name), kind)]:
            raise self._damaged(chosen, steps, f"no {' and no '.join(wrong)}")
        if differences := mark.differences(about["fingerprint"], where):
            raise InputError(differences)
        template = jax.tree.map(np.asarray, like._asdict())
        tree = self._read(chosen, steps, "state", self._orbax.args.StandardRestore(template))
        if _crc32(tree) != about["crc32"]:
            raise self._damaged(chosen, steps, "its checksum is wrong")
        return Saved(State(**tree), about["notes"])

    def damaged(self, step: int, reason: str) -> ResultError:
        """Return what to say of a checkpoint whose notes mean nothing to the caller."""
        return self._damaged(step, self.steps(), reason)

    def require_empty(self) -> None:
        """Refuse a folder that holds checkpoints: a new run's would be mixed with those of the run before.

        Raises:
            InputError: naming the checkpoints and the two ways out.
        """
        if steps := self.steps():
            got = f"checkpoints of step {', '.join(map(str, steps))}"
            hint = "--resume to go on from them, or another DIR"
            raise InputError(
                [Problem("options", None, f"--checkpoint {self.folder.name}", got, "none", hint)]
            )

    def _read(self, step: int, steps: tuple[int, ...], item: str, how: Any) -> Any:  # noqa: ANN401 - Orbax's
        """Return one item of a checkpoint."""
        with self._manager() as manager:
            try:
                return manager.restore(step, args=self._orbax.args.Composite(**{item: how}))[item]
            # Which errors a damaged file gives is the business of Orbax, TensorStore and the file system.
            except Exception as error:
                raise self._damaged(step, steps, str(error).partition("\n")[0][:200]) from error

    def _damaged(self, step: int, steps: tuple[int, ...], reason: str) -> ResultError:
        earlier = [str(each) for each in steps if each < step]
        left = f"remove it and step {earlier[-1]} is next" if earlier else "no earlier one is left"
        return ResultError(f"{self.folder.name}/{step}: the checkpoint is damaged ({reason}); {left}")

    @contextmanager
    def _manager(self) -> Iterator[Any]:
        """Open Orbax's manager of the folder, and close it: its threads do not outlive the call."""
        options = self._orbax.CheckpointManagerOptions(
            max_to_keep=self._keep, enable_async_checkpointing=False, create=True
        )
        # It warns of what a killed run left half written, which is removed and of no concern to anyone.
        logger = logging.getLogger("absl")
        level = logger.level
        logger.setLevel(logging.ERROR)
        manager = self._orbax.CheckpointManager(self.folder.absolute(), options=options)
        try:
            yield manager
        finally:
            manager.close()
            logger.setLevel(level)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values under names with dots."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _crc32(tree: Any) -> int:  # noqa: ANN401 - a pytree
    """Return a checksum of all arrays, their places, shapes and types."""
    crc = 0
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        array = np.ascontiguousarray(leaf)
        crc = zlib.crc32(f"{jax.tree_util.keystr(path)} {array.shape} {array.dtype.str}".encode(), crc)
        crc = zlib.crc32(array.tobytes(), crc)
    return crc
