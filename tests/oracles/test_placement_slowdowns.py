"""What spreading a gang costs, predicted from message sizes, placements and links, against published measurements.

Pollux (Qiao et al., OSDI 2021) measured the steps of six applications on servers with four T4 each, on every placement
over one to four of them. Per application the links are fitted on eight placements and all others predicted: all that are
uneven, and all over four servers.

Message sizes are published or counted, 4 bytes a parameter. Compute is the step without its exchange, measured on one
server with as many GPUs as the fullest of the placement: no figure of a held-out placement is used, and what
GPUs of one server take from each other (host memory, data loading) is not laid on the network.
"""

from __future__ import annotations

import ast
import csv
import json
import math
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from dcsim.workload.collective_cost import Links
from dcsim.workload.link_fit import LinkFit, LinkParameter, MeasuredStep, fit_links, predicted_step_s
from tests.oracles.figures import Figures

pytestmark = pytest.mark.oracle

Counts = tuple[int, ...]

FITTED_ON: tuple[Counts, ...] = ((2,), (3,), (1, 1), (2, 2), (4, 4), (1, 1, 1), (2, 2, 2), (4, 4, 4))
APART, TOGETHER = (1, 1, 1, 1), (4,)
WITHIN = 0.15
BUCKET_BYTES = 25 * 2**20
"""PyTorch's data parallelism sends gradients in buckets of this size (Li et al. 2020, section 3.2.3)."""


@dataclass(frozen=True)
class Application:
    """A model and what was published of its placements."""

    parameters: float
    source: str
    apart_over_together: float | None
    """Published: step time on four GPUs of four servers over that on four GPUs of one."""


APPLICATIONS = {
    "bert": Application(110e6, "BERT-base, Devlin et al. 2019, section 3", 1.77),
    "cifar10": Application(11.17e6, "ResNet-18 as changed for CIFAR-10, counted from its layers", 1.19),
    "deepspeech2": Application(41.2e6, "five bidirectional GRU layers of 800, counted from its layers", None),
    "imagenet": Application(25.6e6, "ResNet-50, He et al. 2016, as in torchvision", 1.09),
    "ncf": Application(1.60e6, "NeuMF, 32 factors, 3 layers, 6,040 users and 3,706 items, counted", 1.64),
    "yolov3": Application(61.5e6, "YOLOv3, Redmon and Farhadi 2018, 20 classes", 1.39),
}

# The pods of that cluster talked through Calico's IP-in-IP tunnels on EC2 instances: all that two servers exchange is one
# flow there, and EC2 limits a flow to 10 Gbit/s. See docs/decisions/0073-collectives-and-parallel-traffic.md.
TUNNEL: tuple[LinkParameter, ...] = (
    "inside_bandwidth_bytes_per_s",
    "pair_bandwidth_bytes_per_s",
    "inside_latency_s",
    "between_latency_s",
    "overlap_fraction",
)
TUNNEL_START = Links(10e9, math.inf, 10e-6, 10e-6, pair_bandwidth_bytes_per_s=1e9)


@dataclass(frozen=True)
class Measured:
    """All steps of one application, by placement and samples a GPU."""

    steps: dict[tuple[Counts, int], MeasuredStep]

    def fit(self) -> LinkFit:
        chosen = [step for (counts, _), step in self.steps.items() if counts in FITTED_ON]
        return fit_links(chosen, TUNNEL, TUNNEL_START)

    def held_out(self) -> list[MeasuredStep]:
        return [s for (counts, _), s in self.steps.items() if len(counts) > 1 and counts not in FITTED_ON]

    def apart_over_together(self) -> list[tuple[float, int]]:
        """(measured ratio, samples a GPU), ascending."""
        batches = [b for counts, b in self.steps if counts == APART and (TOGETHER, b) in self.steps]
        steps = self.steps
        return sorted((steps[APART, b].step_s / steps[TOGETHER, b].step_s, b) for b in batches)


@lru_cache(maxsize=8)
def measured(folder: Path, name: str) -> Measured:
    times: dict[tuple[Counts, int], tuple[float, float]] = {}
    with (folder / name / "placements.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            counts = tuple(map(int, row["placement"]))
            times[counts, int(row["local_bsz"])] = float(row["step_time"]), float(row["sync_time"])
    size = 4.0 * APPLICATIONS[name].parameters
    buckets = math.ceil(size / BUCKET_BYTES)
    steps = {}
    for (counts, batch), (step_s, _) in times.items():
        alone = times.get(((max(counts),), batch))
        if alone is not None and sum(counts) > 1:
            steps[counts, batch] = MeasuredStep(counts, size, alone[0] - alone[1], step_s, buckets)
    return Measured(steps)


def errors(steps: list[MeasuredStep], fit: LinkFit) -> list[float]:
    return [abs(predicted_step_s(step, fit) / step.step_s - 1.0) for step in steps]


@pytest.fixture
def folder(shared_data: Path) -> Path:
    return shared_data / "traces/pollux/placements"


@pytest.mark.parametrize("name", APPLICATIONS)
def test_held_out_placements(name: str, folder: Path, figure: Figures) -> None:
    data = measured(folder, name)
    fit, held_out = data.fit(), data.held_out()
    found = errors(held_out, fit)
    basis = f"{len(held_out)} steps, 90th percentile {np.quantile(found, 0.9):.3f}"
    figure.at_most(
        f"{name}: median relative error of held-out placements", float(np.median(found)), WITHIN, basis
    )
    links, overlap = fit.links, fit.overlap_fraction
    figure.tell(
        f"{name}: two servers exchange GB/s, both ways",
        links.pair_bandwidth_bytes_per_s / 1e9,
        f"inside {links.inside_bandwidth_bytes_per_s / 1e9:.2f} GB/s, a message between servers "
        f"{links.between_latency_s * 1e6:.0f} us, overlap {overlap:.2f}, residual {fit.residual_relative:.3f}",
    )


def test_held_out_placements_of_all_applications(folder: Path, figure: Figures) -> None:
    found = [
        error
        for name in APPLICATIONS
        for error in errors(measured(folder, name).held_out(), measured(folder, name).fit())
    ]
    basis = f"{len(found)} steps of {len(APPLICATIONS)} applications"
    figure.at_most("median relative error of held-out placements", float(np.median(found)), WITHIN, basis)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_four_gpus_on_four_servers_instead_of_one(name: str, folder: Path, figure: Figures) -> None:
    data, published = measured(folder, name), APPLICATIONS[name].apart_over_together
    ratios = data.apart_over_together()
    # The published figure is the median over batch sizes, of an even number the upper one.
    middle, batch = ratios[len(ratios) // 2]
    fit = data.fit()
    apart_s, together_s = (predicted_step_s(data.steps[c, batch], fit) for c in (APART, TOGETHER))
    label = f"{name}: 4 servers over 1, {batch} samples a GPU"
    if published is None:
        figure.tell(f"{label}, predicted", apart_s / together_s, f"measured {middle:.3f}")
        return
    figure.near(f"{label}, measured median of {len(ratios)} batch sizes", middle, published, 0.0051)
    figure.near(f"{label}, predicted", apart_s / together_s, published, WITHIN * published)


def test_six_applications_see_one_link(folder: Path, figure: Figures) -> None:
    """Message sizes differ 70-fold; were they or the patterns wrong, so would be the bandwidths found."""
    found = [measured(folder, name).fit().links.pair_bandwidth_bytes_per_s for name in APPLICATIONS]
    shown = ", ".join(f"{name} {b / 1e9:.2f}" for name, b in zip(APPLICATIONS, found, strict=True))
    figure.at_most(
        "largest over smallest bandwidth between two servers", max(found) / min(found), 1.75, shown
    )
    mean = math.exp(float(np.mean(np.log(found))))
    figure.at_most("their geometric mean in GB/s, under the limit of a flow", mean / 1e9, 1.25, "10 Gbit/s")


def test_without_the_limit_of_a_flow(folder: Path, figure: Figures) -> None:
    """What links of servers alone would give: told, to show what the limit between two servers is worth."""
    for name in APPLICATIONS:
        data = measured(folder, name)
        fit = fit_links([step for (counts, _), step in data.steps.items() if counts in FITTED_ON])
        _, batch = data.apart_over_together()[len(data.apart_over_together()) // 2]
        apart_s, together_s = (predicted_step_s(data.steps[c, batch], fit) for c in (APART, TOGETHER))
        basis = f"4 servers over 1: {apart_s / together_s:.2f}"
        figure.tell(
            f"{name}: median error, servers' links only",
            float(np.median(errors(data.held_out(), fit))),
            basis,
        )


GAVEL = {
    "ResNet-18": 11.17e6,
    "ResNet-50": 25.6e6,
    # Six layers each of encoder and decoder, width 512, vocabularies of some 3,000 words (Multi30k): counted.
    "Transformer": 47.2e6,
    # Two LSTM layers of 200, a vocabulary of 33,278 (WikiText-2), embedding and output apart: counted.
    "LM": 13.99e6,
}
"""Parameters of the kinds of jobs that Gavel (Narayanan et al., OSDI 2020) ran on several V100."""


def gavel_steps(shared_data: Path) -> dict[str, list[MeasuredStep]]:
    """Steps with each V100 on a server of its own, by model; compute is the step with all on one server.

    Throughputs are summed over the workers. The links inside (NVLink) are so much faster that what they take is no
    part of the prediction.
    """
    path = shared_data / "traces/gavel/simulation_throughputs.json"
    rates = json.loads(path.read_text(encoding="utf-8"))
    steps = defaultdict(list)
    for key, together in rates["v100"].items():
        kind, width = ast.literal_eval(key)
        apart = rates["v100_unconsolidated"][key]["null"]
        if width > 1:
            model = kind.split(" (")[0]
            step = MeasuredStep((1,) * width, 4.0 * GAVEL[model], width / together["null"], width / apart)
            steps[model].append(step)
    return dict(steps)


def test_gavel_models_on_servers_of_their_own(shared_data: Path, figure: Figures) -> None:
    """Every model is predicted by the one bandwidth that the other three give."""
    steps = gavel_steps(shared_data)
    seen, predicted = [], []
    for model, mine in steps.items():
        others = [step for name, rows in steps.items() if name != model for step in rows]
        fit = fit_links(others, ("between_bandwidth_bytes_per_s",), Links(1e12, 1e9))
        ratios = [step.compute_s / predicted_step_s(step, fit) for step in mine]
        measured_here = [step.compute_s / step.step_s for step in mine]
        predicted += ratios
        seen += measured_here
        basis = f"measured {np.median(measured_here):.3f}; {fit.links.between_bandwidth_bytes_per_s / 1e9:.2f} GB/s"
        figure.tell(f"{model}: median rate apart over together", float(np.median(ratios)), basis)
    figure.near("V100, median rate apart over together, measured", float(np.median(seen)), 0.425, 0.0005)
    figure.near(
        "V100, the same predicted", float(np.median(predicted)), 0.425, WITHIN * 0.425, f"{len(seen)} jobs"
    )
