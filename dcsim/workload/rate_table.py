"""Measured training rates: steps a second of a kind of job by accelerator, layout over servers, and batch.

A table holds what was measured, nothing fitted. Between measurements it interpolates as said at
`RateTable.rate_steps_per_s`; outside of them it answers all the same, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from dcsim.errors import Problem, ProfileError
from dcsim.spec.names import nearest

__all__ = [
    "RATE_TABLE_VERSION",
    "KindFacts",
    "MeasuredPair",
    "MeasuredRate",
    "MeasuredShape",
    "Rate",
    "RateProvenance",
    "RateTable",
    "ring_of",
    "split_batch",
]

RATE_TABLE_VERSION = 1

Floats = npt.NDArray[np.float64]
Layout = tuple[int, ...]

_WIDTH_MAX = 1_000_000


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class RateProvenance(_Part):
    """Where the figures of a table come from."""

    source: str = Field(min_length=1, max_length=1_000)
    """Publication or data set."""
    measured_on: str = Field(default="", max_length=1_000)
    """Machines, as far as the source says."""
    licence: str = Field(default="", max_length=1_000)
    """Of the figures."""
    files_sha256: dict[str, str] = {}
    """Name -> SHA-256 of each file that was read."""


class KindFacts(_Part):
    """What is known of a kind of job besides its rates; 0: nothing."""

    largest_batch: int = Field(default=0, ge=0)
    """Samples that one accelerator takes at once; a larger batch goes in several micro-steps."""
    total_batch_max: int = Field(default=0, ge=0)
    """Samples in a step of the whole gang, at most."""
    initial_batch: int = Field(default=0, ge=0)
    """On one accelerator a batch above this takes two micro-steps at least."""


class _Step(_Part):
    """The time of one step: exactly one of `steps_per_s` and `step_s`, as it was published."""

    kind: str = Field(min_length=1, max_length=200)
    accelerator: str = Field(min_length=1, max_length=100)
    batch: int = Field(default=0, ge=0)
    """Samples a step on each accelerator; 0: the kind itself says."""
    steps_per_s: float | None = Field(default=None, ge=0)
    """0: it does not run there."""
    step_s: float | None = Field(default=None, gt=0)
    sync_s: float = Field(default=0.0, ge=0)
    """Part of `step_s` that goes to the exchange of gradients, and is not needed in a micro-step."""

    @property
    def seconds(self) -> float:
        """Seconds a step; infinite where the kind does not run."""
        if self.step_s is not None:
            return self.step_s
        return 1.0 / self.steps_per_s if self.steps_per_s else math.inf

    @property
    def rate(self) -> float:
        """Steps a second."""
        return self.steps_per_s if self.steps_per_s is not None else 1.0 / self.seconds


class MeasuredRate(_Step):
    """One measurement of a gang laid out over servers in a known way."""

    layout: tuple[int, ...] = Field(min_length=1)
    """Accelerators on each server, in the order of their ring."""


class MeasuredShape(_Step):
    """One measurement of which only the number of servers and of accelerators is known."""

    servers: int = Field(ge=1)
    accelerators: int = Field(ge=1)


class MeasuredPair(_Part):
    """Two gangs of equal layout on the same devices at once."""

    kind_a: str = Field(min_length=1, max_length=200)
    kind_b: str = Field(min_length=1, max_length=200)
    accelerator: str = Field(min_length=1, max_length=100)
    layout: tuple[int, ...] = Field(min_length=1)
    rate_a: float = Field(ge=0)
    """Of `kind_a` [steps/s], or in parts of its rate alone where `relative`; 0 and 0: they do not fit."""
    rate_b: float = Field(ge=0)
    relative: bool = False


class Rate(NamedTuple):
    """What a table says of one gang."""

    steps_per_s: float
    """0: it does not run there."""
    extrapolated: bool
    """Outside of what was measured."""
    reason: str
    """How it was found; "measured" where it was."""


class _Curve(NamedTuple):
    """Step times of one layout over the batch on each accelerator (K,), ascending."""

    batch: Floats
    step_s: Floats
    sync_s: Floats


class _Point(NamedTuple):
    step_s: float
    sync_s: float
    outside: str
    """"" within what was measured, else where it is not."""


class RateTable(_Part):
    """Measured rates of kinds of jobs, alone and in pairs.

    >>> table = RateTable(
    ...     provenance=RateProvenance(source="by hand"),
    ...     rates=tuple(
    ...         MeasuredRate(kind="lm", accelerator="T4", layout=layout, batch=batch, step_s=step_s)
    ...         for layout, batch, step_s in (((2,), 8, 0.5), ((2,), 16, 0.75), ((1, 1), 8, 1.0))
    ...     ),
    ... )
    >>> table.rate_steps_per_s("lm", "T4", (2,), 8)
    Rate(steps_per_s=2.0, extrapolated=False, reason='measured')
    >>> table.rate_steps_per_s("lm", "T4", (2,), 12).steps_per_s
    1.6
    >>> table.rate_steps_per_s("lm", "T4", (2,), 32)
    Rate(steps_per_s=0.666..., extrapolated=True, reason='batch 32 of 8 to 16 measured on (2,)')
    """

    version: Literal[1] = 1
    provenance: RateProvenance
    layouts: Literal["measured", "any"] = "measured"
    """any: a gang is as fast on any servers as on one; its layout is not looked at."""
    kinds: dict[str, KindFacts] = {}
    rates: tuple[MeasuredRate, ...] = ()
    shapes: tuple[MeasuredShape, ...] = ()
    pairs: tuple[MeasuredPair, ...] = ()

    _rings: dict[tuple[str, str], dict[Layout, _Curve]] = PrivateAttr(default_factory=dict)
    _by_shape: dict[tuple[str, str], dict[tuple[int, int], _Curve]] = PrivateAttr(default_factory=dict)
    _exact: dict[tuple[str, str, Layout, int], float] = PrivateAttr(default_factory=dict)
    _pairs: dict[tuple[str, str, str, Layout], tuple[float, float, bool]] = PrivateAttr(default_factory=dict)
    _known: dict[tuple[str, str, Layout, int], Rate] = PrivateAttr(default_factory=dict)

    def model_post_init(self, _context: object, /) -> None:
        """Index the measurements."""
        places = {(rate.kind, rate.accelerator): None for rate in (*self.rates, *self.shapes)}
        for place in places:
            self._rings[place], self._by_shape[place] = {}, {}
        layouts: dict[tuple[str, str], dict[Layout, list[MeasuredRate]]] = {place: {} for place in places}
        shapes: dict[tuple[str, str], dict[tuple[int, int], list[_Step]]] = {place: {} for place in places}
        for rate in self.rates:
            place, ring = (rate.kind, rate.accelerator), ring_of(rate.layout)
            layouts[place].setdefault(ring, []).append(rate)
            shapes[place].setdefault((len(ring), sum(ring)), []).append(rate)
            self._exact[(*place, ring, rate.batch)] = rate.rate
        for shape in self.shapes:
            place = (shape.kind, shape.accelerator)
            shapes[place].setdefault((shape.servers, shape.accelerators), []).append(shape)
        for place in places:
            self._rings[place] = {ring: _curve(steps) for ring, steps in layouts[place].items()}
            self._by_shape[place] = {shape: _curve(steps) for shape, steps in shapes[place].items()}
        for pair in self.pairs:
            ring = ring_of(pair.layout)
            self._pairs[pair.kind_a, pair.kind_b, pair.accelerator, ring] = (
                pair.rate_a,
                pair.rate_b,
                pair.relative,
            )

    def __eq__(self, other: object) -> bool:
        """Compare what was measured, not what was looked up so far."""
        return isinstance(other, RateTable) and all(
            getattr(self, name) == getattr(other, name) for name in RateTable.model_fields
        )

    __hash__ = None  # type: ignore[assignment]  # as for every class with an __eq__ of its own

    def accelerators(self, kind: str) -> tuple[str, ...]:
        """Return the accelerators that a kind was measured on, in the order of the table."""
        return tuple(accelerator for name, accelerator in self._rings if name == kind)

    def names(self) -> tuple[str, ...]:
        """Return the kinds of jobs, in the order of the table."""
        return tuple(dict.fromkeys(name for name, _ in self._rings))

    def rate_steps_per_s(self, kind: str, accelerator: str, layout: Sequence[int], batch: int = 0) -> Rate:
        """Return how fast a gang alone on its devices makes steps, and whether that was measured.

        A batch larger than one accelerator takes at once goes in micro-steps (`split_batch`) of which
        only the last exchanges gradients: seconds a step = step + extra (step - sync).

        The layout is looked up as a ring, whichever server comes first. Where that ring was measured,
        step and sync times are linear in the batch. Else they come from the mean T(n, r) of what was
        measured on n servers and r accelerators: linear in r at each n, then in n between the nearest
        n that were measured below and above r. Outside of what was measured the nearest is taken,
        beyond the largest batch the time apart from sync in proportion, and `extrapolated` is true.

        Args:
            kind: Kind of job.
            accelerator: Catalogue name.
            layout: Accelerators on each server, each >= 1, in any order (most first, or as the ring goes).
            batch: Samples a step on each accelerator; 0: what the kind's name says, else the largest measured.

        Raises:
            ProfileError: The kind was not measured, or not on this accelerator.
            ValueError: An empty layout, or one with a count below 1, or a negative batch.
        """
        devices = tuple(int(count) for count in layout)
        if not devices or min(devices) < 1 or sum(devices) > _WIDTH_MAX or batch < 0:
            raise ValueError(f"layout {devices}, batch {batch} -> expected counts >= 1 and a batch >= 0")
        if (kind, accelerator) not in self._rings:
            raise ProfileError([self._missing(kind, accelerator)])
        key = (kind, accelerator, (sum(devices),) if self.layouts == "any" else ring_of(devices), batch)
        if key not in self._known:
            self._known[key] = self._rate(*key)
        return self._known[key]

    def pair_rates(
        self, kind_a: str, kind_b: str, accelerator: str, layout: Sequence[int] = (1,)
    ) -> tuple[float, float] | None:
        """Return (rate of a, rate of b) [steps/s] of two gangs on the same devices, None where not measured.

        Both rates are 0 where it was seen that the two do not fit on a device together.
        """
        ring = (sum(layout),) if self.layouts == "any" else ring_of(tuple(layout))
        for first, second, turn in ((kind_a, kind_b, 1), (kind_b, kind_a, -1)):
            found = self._pairs.get((first, second, accelerator, ring))
            if found is not None:
                rates = found[:2]
                if found[2]:
                    alone = [self.rate_steps_per_s(kind, accelerator, ring) for kind in (first, second)]
                    rates = rates[0] * alone[0].steps_per_s, rates[1] * alone[1].steps_per_s
                return rates if turn == 1 else (rates[1], rates[0])
        return None

    def problems(self, file: str = "rates") -> list[Problem]:
        """Return where the table contradicts itself; empty where it is sound."""
        return [Problem(file, None, *facts) for facts in self._contradictions()]

    def _contradictions(self) -> Iterator[tuple[str, str, str]]:
        if not self.rates and not self.shapes:
            yield "rates", "none", "at least one measurement"
        seen: set[tuple[object, ...]] = set()
        steps: Iterable[tuple[str, MeasuredRate | MeasuredShape]] = (
            *((f"rates.{i}", rate) for i, rate in enumerate(self.rates)),
            *((f"shapes.{i}", shape) for i, shape in enumerate(self.shapes)),
        )
        for path, step in steps:
            yield from _step_contradictions(path, step)
            where = (
                ring_of(step.layout) if isinstance(step, MeasuredRate) else (step.servers, step.accelerators)
            )
            key = (type(step), step.kind, step.accelerator, where, step.batch)
            if key in seen:
                yield path, f"{step.kind}, {step.accelerator}, batch {step.batch} again", "each measured once"
            seen.add(key)
        known = set(self.names())
        for i, pair in enumerate(self.pairs):
            for name in {pair.kind_a: 0, pair.kind_b: 0}:
                if name not in known:
                    yield f"pairs.{i}", repr(name), "a kind of the rates"
            if min(pair.layout) < 1:
                yield f"pairs.{i}.layout", f"{pair.layout}", "counts >= 1"

    def _missing(self, kind: str, accelerator: str) -> Problem:
        names = self.names()
        if kind not in names:
            return Problem(
                "rates", None, "kind", repr(kind), "a kind of the rate table", nearest(kind, names)
            )
        known = ", ".join(self.accelerators(kind))
        return Problem("rates", None, repr(kind), f"no rates on {accelerator!r}", f"one of {known}")

    def _rate(self, kind: str, accelerator: str, ring: Layout, batch: int) -> Rate:
        devices = sum(ring)
        curve, shapes = self._rings[kind, accelerator].get(ring), self._by_shape[kind, accelerator]
        largest = int(max(known.batch[-1] for known in ([curve] if curve else shapes.values())))
        batch = 0 if largest == 0 else batch or largest  # where the kind says the batch, none is looked up
        micro, extra = split_batch(batch, devices, self.kinds.get(kind, KindFacts()))
        exact = self._exact.get((kind, accelerator, ring, micro))
        if exact is not None and not extra:
            return Rate(exact, False, "measured")
        if curve is not None:
            point = _at(curve, micro)
            reason = (
                "measured" if micro in curve.batch else f"interpolated between batches measured on {ring}"
            )
            outside = f"{point.outside} on {ring}" if point.outside else ""
        else:
            point = _of_shape(shapes, len(ring), devices, micro)
            reason = f"layout {ring} interpolated between what was measured"
            outside = f"layout {ring}: {point.outside}" if point.outside else ""
        seconds = point.step_s
        if extra and math.isfinite(seconds):
            seconds += extra * (point.step_s - point.sync_s)
            reason += f", {extra + 1} micro-steps of {micro}"
        return Rate(1.0 / seconds, bool(outside), outside or reason)


def ring_of(layout: Layout) -> Layout:
    """Return the smallest rotation of a layout: servers in a ring have no first one.

    >>> ring_of((4, 2, 1)), ring_of((2, 4, 1))
    ((1, 4, 2), (1, 2, 4))
    """
    return min(layout[turn:] + layout[:turn] for turn in range(len(layout)))


def split_batch(batch: int, devices: int, facts: KindFacts) -> tuple[int, int]:
    """Return (samples a micro-step on each accelerator, micro-steps before the one that exchanges gradients).

    As the simulator of Pollux splits a batch (Qiao et al., OSDI 2021, artifact): as few equal
    micro-steps as fit an accelerator; at least two on a single one for a batch above the initial one,
    whose gradient noise could else not be told; never more samples in all than the kind may have.

    Args:
        batch: Samples a step on each accelerator, >= 0.
        devices: Accelerators, >= 1.
        facts: Limits of the kind; a limit of 0 is none.

    >>> split_batch(64, 6, KindFacts(largest_batch=12, total_batch_max=384, initial_batch=12))
    (10, 5)
    """
    extra = max(0, -(-batch // facts.largest_batch) - 1) if facts.largest_batch else 0
    if devices == 1 and facts.initial_batch and batch > facts.initial_batch:
        extra = max(1, extra)
    micro = -(-batch // (extra + 1))
    if facts.total_batch_max and batch:
        micro = max(1, min(micro, facts.total_batch_max // (devices * (extra + 1))))
    return micro, extra


def _step_contradictions(path: str, step: MeasuredRate | MeasuredShape) -> Iterator[tuple[str, str, str]]:
    """Yield (path, got, expected) of one measurement that cannot be right."""
    if (step.steps_per_s is None) == (step.step_s is None):
        yield path, f"steps_per_s {step.steps_per_s}, step_s {step.step_s}", "exactly one of the two"
    elif step.sync_s > step.seconds:
        yield f"{path}.sync_s", f"{step.sync_s:g}", f"at most the time of the step, {step.seconds:g} s"
    if isinstance(step, MeasuredRate) and min(step.layout) < 1:
        yield f"{path}.layout", f"{step.layout}", "counts >= 1"
    if isinstance(step, MeasuredShape) and step.accelerators < step.servers:
        yield f"{path}.accelerators", f"{step.accelerators}", f">= {step.servers}, one a server"


def _curve(steps: Iterable[_Step]) -> _Curve:
    """Return the mean times over the batch (K,) of measurements on one layout or of one shape."""
    groups: dict[int, list[_Step]] = {}
    for step in steps:
        groups.setdefault(step.batch, []).append(step)
    batches = sorted(groups)
    return _Curve(
        np.array(batches, dtype=np.float64),
        np.array([np.mean([step.seconds for step in groups[batch]]) for batch in batches]),
        np.array([np.mean([step.sync_s for step in groups[batch]]) for batch in batches]),
    )


def _at(curve: _Curve, batch: int) -> _Point:
    """Return the times at a batch; 0 or a curve of unsaid batches: those of its last point."""
    low, high = curve.batch[0], curve.batch[-1]
    if batch == 0 or high == 0:
        return _Point(float(curve.step_s[-1]), float(curve.sync_s[-1]), "")
    step_s = float(np.interp(batch, curve.batch, curve.step_s))
    sync_s = float(np.interp(batch, curve.batch, curve.sync_s))
    if low <= batch <= high:
        return _Point(step_s, sync_s, "")
    if batch > high:
        step_s = sync_s + (step_s - sync_s) * batch / float(high)
    return _Point(step_s, sync_s, f"batch {batch} of {low:g} to {high:g} measured")


def _of_shape(points: dict[tuple[int, int], _Curve], servers: int, devices: int, batch: int) -> _Point:
    """Return the times on so many servers and accelerators: linear in accelerators, then in servers."""
    counts: dict[int, list[int]] = {}
    for n, r in sorted(points):
        counts.setdefault(n, []).append(r)
    covering = [n for n, widths in counts.items() if widths[0] <= devices <= widths[-1]]
    if not covering:
        n, r = min(points, key=lambda shape: (abs(shape[1] - devices), abs(shape[0] - servers), shape))
        point = _at(points[n, r], batch)
        return _Point(point.step_s, point.sync_s, f"{devices} accelerators, that of {r} on {n} servers taken")
    below = max((n for n in covering if n <= servers), default=covering[0])
    above = min((n for n in covering if n >= servers), default=covering[-1])

    def on(n: int) -> _Point:
        low = max(r for r in counts[n] if r <= devices)
        high = min(r for r in counts[n] if r >= devices)
        return _between(_at(points[n, low], batch), _at(points[n, high], batch), low, high, devices)

    point = _between(on(below), on(above), below, above, servers)
    if not covering[0] <= servers <= covering[-1]:
        outside = f"{servers} servers of {covering[0]} to {covering[-1]} measured"
        return _Point(point.step_s, point.sync_s, outside)
    return point


def _between(first: _Point, last: _Point, low: int, high: int, at: int) -> _Point:
    """Return the times at `at` on the line through two points, held outside of them; infinite if either is."""
    if low == high or at <= low:
        return first
    if at >= high:
        return last
    part = (at - low) / (high - low)
    if not (math.isfinite(first.step_s) and math.isfinite(last.step_s)):
        return _Point(math.inf, 0.0, first.outside or last.outside)
    return _Point(
        first.step_s + (last.step_s - first.step_s) * part,
        first.sync_s + (last.sync_s - first.sync_s) * part,
        first.outside or last.outside,
    )
