"""The scalars of a TensorBoard event log: step times that were logged, or wall times between logged steps.

An event file is TFRecords of `Event` messages (tensorflow/core/util/event.proto): 1 wall_time, 2 step, 5 summary; a summary is
values (summary.proto): 1 tag, 2 simple_value, 8 tensor (tensor.proto: 1 dtype, 4 tensor_content, 5 float_val, 6 double_val).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from dcsim.spec.names import nearest
from trainers.imports.repeats import point_of_times
from trainers.imports.run import Run
from trainers.imports.sources import (
    ImportedModel,
    Source,
    catalogue_device,
    content_of,
    file_sha256,
    profile_name,
    refusal,
)
from trainers.imports.tfrecord import records
from trainers.imports.wire import WireError, double, fields, signed, single

__all__ = ["UNITS", "Scalar", "read_event_log", "scalars", "step_times_s"]

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "steps_per_s": 0.0}
"""Of a scalar that holds step times, in seconds; steps_per_s holds rates."""

_FLOAT, _DOUBLE = 1, 2
_FILES_MAX = 1_000


class Scalar(NamedTuple):
    """One logged value."""

    tag: str
    step: int
    wall_time_s: float
    """Since 1970."""
    value: float


def read_event_log(
    path: Path, run: Run, *, tag: str | None = None, unit: str | None = None
) -> tuple[Source, list[ImportedModel]]:
    """Return the one point that a run's event log gives.

    Args:
        path: An event file (events.out.tfevents.*), or a folder that holds some.
        run: What the log does not say.
        tag: The scalar that is looked at; None: the one that was logged most often.
        unit: Of the scalar, a key of `UNITS`, where it holds step times; None: wall times between its steps are
            taken, checkpoints and evaluation included, of which the median does not see much.

    Raises:
        InputError: Not an event log, a wrong checksum, a file cut off, no such tag, or no two steps.
    """
    files = _files(path)
    logged = [scalar for file in files for scalar in scalars(content_of(file), file)]
    counts: dict[str, int] = {}
    for scalar in logged:
        counts[scalar.tag] = counts.get(scalar.tag, 0) + 1
    if not counts:
        raise refusal(path, "no scalars", "at least one tag with two steps")
    chosen = tag or max(counts, key=lambda name: counts[name])
    if chosen not in counts:
        names = ", ".join(list(counts)[:20])
        raise refusal(path, f"no scalar {chosen!r}", f"one of {names}", nearest(chosen, counts))
    times_s = step_times_s(path, [scalar for scalar in logged if scalar.tag == chosen], unit)[run.warm_up :]
    if not times_s:
        raise refusal(path, f"{counts[chosen]} values of {chosen!r}", f"more than {run.warm_up + 1} steps")
    device, assumed = catalogue_device("", run.device, path)
    name = run.model or path.name.split(".")[0]
    how = f"values of {chosen!r} [{unit}]" if unit else f"wall times between logged steps of {chosen!r}"
    model = ImportedModel(
        name=profile_name(name),
        description=f"{name} on {device}, from an event log",
        device=device,
        points=(point_of_times(run.devices, run.batch_per_device, times_s),),
        notes=(f"step times are {how}, the first {run.warm_up} left out", *filter(None, [assumed])),
        parameters=run.parameters,
    )
    digests = {file.name: file_sha256(file) for file in files}
    command = f"python -m trainers import tensorboard {path.name} --tag {chosen}"
    return Source("a TensorBoard event log of one's own", "not stated", digests, command), [model]


def scalars(content: bytes, path: Path) -> Iterator[Scalar]:
    """Yield the scalars of an event file in the order in which they were logged.

    Raises:
        ProfileError: A wrong checksum, a file cut off, or a record that is no event.
    """
    for count, record in enumerate(records(content, path)):
        try:
            yield from _event(record)
        except WireError as error:
            raise refusal(path, f"record {count}: {error}", "an event") from None


def step_times_s(path: Path, logged: Sequence[Scalar], unit: str | None) -> list[float]:
    """Return the step times that the values of one tag tell (N,) [s].

    Args:
        path: Only shown.
        logged: In the order in which they were logged.
        unit: Key of `UNITS`; None: wall times between successive steps, over the steps between.

    Raises:
        ProfileError: A value that is no step time.
    """
    if unit is None:
        return [
            (late.wall_time_s - early.wall_time_s) / (late.step - early.step)
            for early, late in pairwise(logged)
            # A run that was resumed repeats steps, and its clock jumps.
            if late.step > early.step and late.wall_time_s > early.wall_time_s
        ]
    wrong = [scalar for scalar in logged if not (math.isfinite(scalar.value) and scalar.value > 0)]
    if wrong:
        got = f"{wrong[0].value} at step {wrong[0].step}, {len(wrong)} such values"
        raise refusal(path, got, "step times above 0", "is it the right --tag?")
    if unit == "steps_per_s":
        return [1.0 / scalar.value for scalar in logged]
    return [scalar.value * UNITS[unit] for scalar in logged]


def _files(path: Path) -> list[Path]:
    """Return the event files of a run in the order of their names, which begin with the time of their making."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if "tfevents" in file.name and file.is_file())[:_FILES_MAX]
    if not found:
        raise refusal(path, "no file events.out.tfevents.*", "at least one")
    return found


def _event(record: bytes) -> Iterator[Scalar]:
    wall_time_s, step, summaries = 0.0, 0, []
    for number, value in fields(record):
        if number == 1:
            wall_time_s = double(value)
        elif number == 2:
            step = signed(value)
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for number, value in fields(summary):
            if number == 1 and isinstance(value, bytes):
                found = _value(value)
                if found is not None:
                    yield Scalar(found[0], step, wall_time_s, found[1])


def _value(message: bytes) -> tuple[str, float] | None:
    """Return (tag, value) of a summary value, or None where it is no scalar."""
    tag, scalar = "", None
    for number, value in fields(message):
        if number == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", errors="replace")
        elif number == 2:
            scalar = single(value)
        elif number == 8 and isinstance(value, bytes):
            scalar = _tensor(value)
    return None if scalar is None or not tag else (tag, scalar)


def _tensor(message: bytes) -> float | None:
    """Return the value of a tensor of one float or double, or None where it is another."""
    kind, content = 0, None
    for number, value in fields(message):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number in (4, 5, 6) and isinstance(value, bytes):
            content = value
    size = {_FLOAT: 4, _DOUBLE: 8}.get(kind)
    if content is None or size != len(content):
        return None
    return single(content) if kind == _FLOAT else double(content)
