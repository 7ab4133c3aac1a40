"""Electric power: what servers and the conversion chain draw (pure functions)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.spec.power import PowerChainSpec, PowerStageSpec

__all__ = [
    "ChainStage",
    "build_chain",
    "chain_input_w",
    "chain_losses_w",
    "constant_efficiency_input_w",
    "constant_efficiency_losses",
    "server_cpu_power_w",
    "stage_input_w",
    "stage_loss_w",
]

Floats = npt.NDArray[np.float64]

_RATING_MARGIN = 1.25
"""Default rating of a stage over the largest power it must deliver."""


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
    """Of all installed modules together, over which the load is a fraction."""
    c0: float
    c1: float
    c2: float
    heats_hall: bool
    """Its losses are heat in the hall (else in a ventilated room outside the cooled volume)."""
    carries_cooling: bool
    """The cooling plant is fed from its output too."""
    spare_fraction: float = 0.0
    """Redundant part of the installed rating, [0, 1)."""
    bypass_w: float = 0.0
    """IT power that joins at its input without passing it."""
    level: str = "hall"
    """rack, pdu or hall: where its modules stand."""

    @property
    def usable_w(self) -> float:
        """What it can carry when its redundant modules have failed, W: more is an overload."""
        return self.rated_w * (1.0 - self.spare_fraction)


def build_chain(spec: PowerChainSpec, peak_it_w: float, peak_cooling_w: float) -> tuple[ChainStage, ...]:
    """Return the stages from the servers up, those without a rating at 1.25 times their peak output.

    `peak_it_w` is the largest IT power and `peak_cooling_w` the cooling power at that load in the
    plant's design weather. A facility without any load gets ratings of 1 W.

    >>> from dcsim.spec.power import PowerStageSpec
    >>> ups = PowerStageSpec(name="ups", rated_power_w=1000.0, redundancy="2N", loss_constant=0.01)
    >>> stage, = build_chain(PowerChainSpec(stages=(ups,)), 800.0, 0.0)
    >>> stage.rated_w, stage.usable_w
    (2000.0, 1000.0)
    """
    chain: list[ChainStage] = []
    output_w = peak_it_w
    cooling_fed = False
    for stage in spec.stages:
        if stage.carries_cooling and not cooling_fed:
            output_w += peak_cooling_w
            cooling_fed = True
        past_w = min(stage.bypass_power_w, output_w)
        chain.append(_chain_stage(stage, output_w - past_w))
        output_w = past_w + float(_stage_input(chain[-1], output_w - past_w))
    return tuple(chain)


def _chain_stage(stage: PowerStageSpec, peak_output_w: float) -> ChainStage:
    """Return one stage with its rating, and its losses as fractions of that of all its modules."""
    usable_w = stage.rated_power_w or _RATING_MARGIN * peak_output_w or 1.0
    rated_w = usable_w * stage.installed_ratio
    c0, c1, c2 = stage.loss_constant, stage.loss_linear, stage.loss_quadratic
    if stage.efficiency is not None:
        units = stage.units or 1
        if stage.unit_peak_w is not None:
            # A quotient just above a whole number is that number, rounded.
            units = math.ceil(peak_output_w / stage.unit_peak_w * stage.installed_ratio * (1.0 - 1e-9))
        c0, c1, c2 = constant_efficiency_losses(units, stage.unit_overhead_w, stage.efficiency, rated_w)
    return ChainStage(
        stage.name,
        rated_w,
        c0,
        c1,
        c2,
        stage.heats_hall,
        stage.carries_cooling,
        spare_fraction=1.0 - 1.0 / stage.installed_ratio,
        bypass_w=stage.bypass_power_w,
        level=stage.level,
    )


def constant_efficiency_losses(
    units: int, overhead_w: float, efficiency: float, rated_w: float
) -> tuple[float, float, float]:
    """Return (c0, c1, c2) of `units` equal converters rated `rated_w` together, each as `constant_efficiency_input_w`.

    However the load is shared among them, their loss together is the same: units c / eta + (1 / eta - 1) P_out.

    >>> constant_efficiency_losses(2, 48.0, 0.96, 1000.0)
    (0.1, 0.04166666666666674, 0.0)
    """
    return units * overhead_w / (efficiency * rated_w), 1.0 / efficiency - 1.0, 0.0


def _stage_input(stage: ChainStage, output_w: npt.ArrayLike) -> Floats:
    return stage_input_w(output_w, stage.rated_w, stage.c0, stage.c1, stage.c2)


def chain_losses_w(
    stages: Sequence[ChainStage], it_w: npt.ArrayLike, cooling_w: npt.ArrayLike = 0.0
) -> tuple[tuple[Floats, Floats], ...]:
    """Return (output W, loss W) of every stage while IT draws `it_w` and cooling `cooling_w`.

    Cooling joins at the first stage with `carries_cooling`; what bypasses a stage is not in its output and
    joins at the next one.
    """
    flows: list[tuple[Floats, Floats]] = []
    carried = np.asarray(it_w, dtype=np.float64)
    cooling_fed = False
    for stage in stages:
        if stage.carries_cooling and not cooling_fed:
            carried = carried + np.asarray(cooling_w, dtype=np.float64)
            cooling_fed = True
        output = carried - np.minimum(stage.bypass_w, carried) if stage.bypass_w else carried
        loss = stage_loss_w(output, stage.rated_w, stage.c0, stage.c1, stage.c2)
        flows.append((output, loss))
        carried = carried + loss
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
