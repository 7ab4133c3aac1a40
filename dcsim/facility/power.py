"""Electric power: what servers, capped accelerators and the conversion chain draw (pure functions)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.spec.power import PowerChainSpec

__all__ = [
    "ChainStage",
    "PowerCapCurve",
    "build_chain",
    "chain_input_w",
    "chain_losses_w",
    "constant_efficiency_input_w",
    "power_at_speed",
    "server_cpu_power_w",
    "speed_under_cap",
    "stage_input_w",
    "stage_loss_w",
]

Floats = npt.NDArray[np.float64]

_RATING_MARGIN = 1.25
"""Default rating of a stage over the largest power it must deliver."""


@dataclass(frozen=True, slots=True)
class PowerCapCurve:
    """Power of a busy accelerator against its relative speed: P / P0 = alpha + (1 - alpha) s^beta.

    P0 is the uncapped busy power and s the speed relative to it. `alpha` is the part that a lower
    clock does not save; a cap below alpha P0 cannot be held.
    """

    alpha: float
    """0 <= alpha < 1."""
    beta: float
    """>= 1."""
    source: str
    """Where the two numbers come from, and for which device if another one was measured."""


def power_at_speed(speed: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> Floats:
    """Return busy power over uncapped busy power at relative speed `speed` (0..1), elementwise.

    P / P0 = alpha + (1 - alpha) s^beta; fitted to the training traces of You et al., "Zeus:
    Understanding and Optimizing GPU Energy Consumption of DNN Training", NSDI 2023.

    >>> float(power_at_speed(1.0, 0.418, 5.79))
    1.0
    """
    fraction = np.asarray(alpha, dtype=np.float64)
    return np.asarray(fraction + (1.0 - fraction) * np.power(speed, beta), dtype=np.float64)


def speed_under_cap(cap_fraction: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> Floats:
    """Return the relative speed (0..1] of an accelerator capped at `cap_fraction` of its peak power.

    The inverse of `power_at_speed`; caps of 1 and more give speed 1. Raises `ValueError` for a cap
    at or under `alpha`, which no clock can hold, and for NaN.

    >>> round(float(speed_under_cap(0.6, 0.418, 5.79)), 3)
    0.818
    """
    cap = np.asarray(cap_fraction, dtype=np.float64)
    floor = np.asarray(alpha, dtype=np.float64)
    if not np.all(cap > floor):
        raise ValueError(
            f"power cap {np.min(cap):.3g} of peak: expected more than the floor {np.max(floor):.3g}"
        )
    headroom = (np.minimum(cap, 1.0) - floor) / (1.0 - floor)
    return np.asarray(np.power(headroom, 1.0 / np.asarray(beta, dtype=np.float64)), dtype=np.float64)


def server_cpu_power_w(idle_w: npt.ArrayLike, peak_w: npt.ArrayLike, utilisation: npt.ArrayLike) -> Floats:
    """Return the power of a server without its accelerators, W, at CPU utilisation 0..1.

    P_idle + (P_peak - P_idle) (2u - u^1.4): Fan, Weber and Barroso, "Power provisioning for a
    warehouse-sized computer", ISCA 2007, equation 2. Steep at low load, flat at high load.

    >>> [round(float(p), 1) for p in server_cpu_power_w(100.0, 200.0, [0.0, 0.5, 1.0])]
    [100.0, 162.1, 200.0]
    """
    idle = np.asarray(idle_w, dtype=np.float64)
    use = np.asarray(utilisation, dtype=np.float64)
    peak = np.asarray(peak_w, dtype=np.float64)
    return np.asarray(idle + (peak - idle) * (2.0 * use - np.power(use, 1.4)), dtype=np.float64)


def stage_loss_w(output_w: npt.ArrayLike, rated_w: float, c0: float, c1: float, c2: float) -> Floats:
    """Return what a conversion stage loses, W, while it delivers `output_w` (>= 0).

    rated (c0 + c1 u + c2 u^2), u = output / rated: no-load, proportional and ohmic losses, the
    quadratic form of Rasmussen, "Electrical efficiency modeling for data centers", APC white paper
    113 (2007), and of Pelley et al., "Understanding and abstracting total data center power", WEED 2009.
    """
    load = np.asarray(output_w, dtype=np.float64) / rated_w
    return np.asarray(rated_w * (c0 + load * (c1 + load * c2)), dtype=np.float64)


def stage_input_w(output_w: npt.ArrayLike, rated_w: float, c0: float, c1: float, c2: float) -> Floats:
    """Return what a conversion stage draws, W, to deliver `output_w`: the output plus `stage_loss_w`.

    >>> float(stage_input_w(500.0, 1000.0, 0.01, 0.02, 0.04))
    530.0
    """
    return np.asarray(output_w, dtype=np.float64) + stage_loss_w(output_w, rated_w, c0, c1, c2)


def constant_efficiency_input_w(output_w: npt.ArrayLike, overhead_w: float, efficiency: float) -> Floats:
    """Return (P_out + c) / eta, W: a converter with a constant efficiency behind a constant overhead.

    The form used for the rectifiers (c = 17 W, eta = 0.96) and the SIVOC converters (13 W, 0.98) of
    Frontier: Brewer et al., "A digital twin framework for liquid-cooled supercomputers as
    demonstrated at exascale", SC 2024. In terms of `stage_loss_w`: rated c0 = c / eta, c1 = 1/eta - 1, c2 = 0.

    >>> float(constant_efficiency_input_w(79.0, 17.0, 0.96))
    100.0
    """
    return (np.asarray(output_w, dtype=np.float64) + overhead_w) / efficiency


@dataclass(frozen=True, slots=True)
class ChainStage:
    """One stage of the power chain with its rating filled in."""

    name: str
    rated_w: float
    c0: float
    c1: float
    c2: float
    heats_hall: bool
    """Its losses are heat in the hall (else in a ventilated room outside the cooled volume)."""
    carries_cooling: bool
    """The cooling plant is fed from its output too."""


def build_chain(spec: PowerChainSpec, peak_it_w: float, peak_cooling_w: float) -> tuple[ChainStage, ...]:
    """Return the stages from the servers up, those without a rating at 1.25 times their peak output.

    `peak_it_w` is the largest IT power and `peak_cooling_w` the cooling power at that load in the
    plant's design weather. A facility without any load gets ratings of 1 W.
    """
    chain: list[ChainStage] = []
    output_w = peak_it_w
    cooling_fed = False
    for stage in spec.stages:
        if stage.carries_cooling and not cooling_fed:
            output_w += peak_cooling_w
            cooling_fed = True
        rated_w = stage.rated_power_w or _RATING_MARGIN * output_w or 1.0
        c0, c1, c2 = stage.loss_constant, stage.loss_linear, stage.loss_quadratic
        chain.append(ChainStage(stage.name, rated_w, c0, c1, c2, stage.heats_hall, stage.carries_cooling))
        output_w = float(stage_input_w(output_w, rated_w, c0, c1, c2))
    return tuple(chain)


def chain_losses_w(
    stages: Sequence[ChainStage], it_w: npt.ArrayLike, cooling_w: npt.ArrayLike = 0.0
) -> tuple[tuple[Floats, Floats], ...]:
    """Return (output W, loss W) of every stage while IT draws `it_w` and cooling `cooling_w`.

    Cooling joins at the first stage with `carries_cooling`.
    """
    flows: list[tuple[Floats, Floats]] = []
    output = np.asarray(it_w, dtype=np.float64)
    cooling_fed = False
    for stage in stages:
        if stage.carries_cooling and not cooling_fed:
            output = output + np.asarray(cooling_w, dtype=np.float64)
            cooling_fed = True
        loss = stage_loss_w(output, stage.rated_w, stage.c0, stage.c1, stage.c2)
        flows.append((output, loss))
        output = output + loss
    return tuple(flows)


def chain_input_w(
    stages: Sequence[ChainStage], it_w: npt.ArrayLike, cooling_w: npt.ArrayLike = 0.0
) -> Floats:
    """Return what the whole chain draws, W; IT and cooling plus the losses of every stage.

    Without a stage that carries cooling, cooling is fed at the meter and only added.
    """
    flows = chain_losses_w(stages, it_w, cooling_w)
    total = np.asarray(it_w, dtype=np.float64) + np.asarray(cooling_w, dtype=np.float64)
    for _, loss in flows:
        total = total + loss
    return total
