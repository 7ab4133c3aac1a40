"""Rows of published tables, predicted by models that have not seen them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from tests.oracles.figures import Figures
from trainers.imports.holdout import HeldOut, gavel_holdout, mape, pollux_holdout, within

pytestmark = pytest.mark.oracle

SEEDS = (0, 1, 2, 3, 4)
APPLICATIONS = ("bert", "cifar10", "deepspeech2", "imagenet", "ncf", "yolov3")
CLOUD = {"K80": 8, "P100": 4, "V100": 8}
"""Most GPUs of a virtual machine of Google Compute Engine: an assumption, as the table does not say what servers were."""


@lru_cache(maxsize=1)
def placements(folder: Path) -> tuple[HeldOut, ...]:
    return tuple(pollux_holdout(folder, SEEDS))


@pytest.fixture
def held_out(shared_data: Path) -> tuple[HeldOut, ...]:
    return placements(shared_data / "traces/pollux/placements")


def test_pollux_placements_that_were_not_seen(held_out: tuple[HeldOut, ...], figure: Figures) -> None:
    each = [mape([row for row in held_out if row.extra == seed]) for seed in SEEDS]
    basis = f"{len(held_out) // len(SEEDS)} steps, splits {', '.join(f'{error:.4f}' for error in each)}"
    figure.at_most(
        "Pollux: mean relative error of step times held out by placement", mape(held_out), 0.08, basis
    )
    figure.near("Pollux: share within bounds for 90 %", within(held_out), 0.9, 0.03)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_pollux_placements_of_an_application(
    name: str, held_out: tuple[HeldOut, ...], figure: Figures
) -> None:
    rows = [row for row in held_out if row.group == name]
    each = [mape([row for row in rows if row.extra == seed]) for seed in SEEDS]
    figure.at_most(f"{name}: the same", mape(rows), 0.08, ", ".join(f"{error:.4f}" for error in each))


def test_gavel_scale_factors_from_one_and_two(shared_data: Path, figure: Figures) -> None:
    """Told, without a target: gangs of 4 V100 on one server were slower than those of 8, which no model foresees."""
    path = shared_data / "traces/gavel/simulation_throughputs.json"
    rows = gavel_holdout(path)
    for group, width in sorted({(row.group, row.extra) for row in rows}):
        mine = [row for row in rows if (row.group, row.extra) == (group, width)]
        basis = f"{len(mine)} throughputs, {within(mine):.2f} within their bounds"
        figure.tell(f"Gavel {group} x {width}: mean relative error", mape(mine), basis)
    figure.tell("Gavel: all", mape(rows), f"{len(rows)} throughputs, {within(rows):.2f} within their bounds")
    figure.at_most(
        "Gavel: gangs on servers of their own", mape([r for r in rows if "spread" in r.group]), 0.12
    )
    known = [row for row in gavel_holdout(path, CLOUD) if (row.group, row.extra) == ("P100 one server", 8)]
    figure.tell("Gavel P100 x 8, if a server takes four", mape(known), f"{len(known)} throughputs")
