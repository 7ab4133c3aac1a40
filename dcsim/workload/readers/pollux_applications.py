"""What the jobs of Pollux's workloads have to do: epochs, samples, batch limits and gradient noise.

Figures published with the simulator of Pollux (Qiao et al., OSDI 2021; petuum/adaptdl, folder
simulator/, Apache-2.0): epochs and limits in applications.py, samples from the progress recorded
for each epoch, and gradient noise from the squared norm q and the variance v of the gradient, recorded
for each epoch at the batch sizes that bracket those of the workloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from dcsim.workload.rate_table import KindFacts, split_batch

__all__ = ["POLLUX_APPLICATIONS", "PolluxApplication"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PolluxApplication:
    """One application of the workloads.

    >>> application = POLLUX_APPLICATIONS["bert"]
    >>> application.samples_per_step(384, 6)  # six GPUs take 6 x 10 samples six times
    360
    >>> application.epoch_steps(360).round(1).tolist()
    [258.8, 250.1]
    """

    initial_batch: int
    """Samples in a step that work is counted in."""
    total_batch_max: int
    largest_batch: int
    """Samples that one GPU takes at once."""
    samples_per_epoch: int
    signal: tuple[int, ...]
    """x = q / (q + v) in each epoch (E,), in units of 1e-5: 1 / (1 + noise scale / initial batch)."""

    @property
    def facts(self) -> KindFacts:
        """What a rate table needs to know."""
        return KindFacts(
            largest_batch=self.largest_batch,
            total_batch_max=self.total_batch_max,
            initial_batch=self.initial_batch,
        )

    @property
    def noise_scale_samples(self) -> float:
        """Gradient noise scale [samples] of the mean signal of all epochs."""
        return self.initial_batch * (1e5 / float(np.mean(self.signal)) - 1.0)

    def samples_per_step(self, batch: int, devices: int) -> int:
        """Return the samples that a step of `devices` GPUs takes when `batch` in all were asked for."""
        micro, extra = split_batch(-(-batch // devices), devices, self.facts)
        return devices * micro * (extra + 1)

    def epoch_steps(self, batch: int) -> Floats:
        """Return the steps of each epoch (E,) at `batch` samples a step.

        A step of a batch s times the initial one is worth gain = (v + q) / (v / s + q) steps of that
        (section 3.1 of the paper), so an epoch takes samples / initial batch / gain.
        """
        part = self.initial_batch / batch
        signal = np.array(self.signal, dtype=np.float64) / 1e5
        return self.samples_per_epoch / self.initial_batch * (part + (1.0 - part) * signal)


# fmt: off
_BERT = (
    176, 54,
)

_CIFAR10 = (
    60464, 23725, 20182, 14793, 10648, 8462, 6815, 6082, 4602, 4275, 4193, 3942, 4517, 3101, 2895, 2744,
    2777, 2465, 2509, 2402, 2268, 2083, 2052, 2013, 1921, 1862, 1919, 1725, 1665, 1622, 1597, 1480,
    1536, 1384, 1443, 1245, 1254, 1296, 1178, 1155, 1072, 1097, 1028, 1013, 975, 902, 796, 912, 861,
    719, 688, 623, 577, 610, 525, 497, 467, 416, 426, 428, 385, 316, 277, 241, 230, 239, 228, 184, 200,
    146, 172, 164, 217, 131, 181, 135, 100, 112, 110, 139, 96, 81, 87, 101, 105, 111, 76, 131, 129, 98,
    144, 106, 83, 128, 100, 91, 131, 126, 84, 87,
)

_DEEPSPEECH2 = (
    61509, 26640, 11629, 7363, 5228, 4330, 3333, 2704, 2356, 2229, 1880, 1649, 1439, 1206, 1086, 1006,
    870, 857, 753, 623, 578, 541, 513, 479, 443, 424, 372, 322, 284, 315, 320, 279, 241, 199, 168, 136,
    110, 87, 79, 53, 41, 39, 33, 18, 18, 20, 19, 18, 23, 28, 38, 48, 6, 11, 9, 7, 4, 2, 9, 11, 16, 26,
    29, 36, 36, 41, 39, 35, 29, 30, 39, 50, 37, 33, 32, 32, 26, 31, 34, 31,
)

_IMAGENET = (
    23321, 9060, 4566, 3427, 2986, 2729, 2533, 2386, 2293, 2226, 2163, 2118, 2085, 2043, 1997, 1983,
    1973, 1940, 1920, 1918, 1888, 1890, 1865, 1863, 1853, 1829, 1834, 1826, 1808, 1810, 373, 327, 365,
    395, 403, 436, 460, 479, 486, 510, 518, 535, 540, 556, 562, 565, 573, 573, 585, 580, 585, 587, 594,
    594, 586, 589, 591, 587, 585, 582, 141, 98, 106, 111, 109, 120, 117, 118, 122, 130, 128, 126, 132,
    125, 130, 134, 135, 134, 140, 145, 138, 140, 147, 145, 146, 144, 144, 153, 143, 147,
)

_NCF = (
    123, 14, 15, 15, 6, 3, 4, 0, 0, 0,
)

_YOLOV3 = (
    95252, 4409, 4117, 3434, 2723, 2413, 1975, 2394, 2377, 2244, 2277, 1998, 2201, 1874, 1931, 2124,
    2203, 1512, 1758, 1810, 1797, 1331, 1741, 1864, 1775, 1784, 1374, 1484, 1354, 1125, 903, 1323, 898,
    829, 989, 999, 759, 449, 774, 678, 528, 485, 361, 357, 274, 262, 147, 105, 77, 67,
)
# fmt: on

POLLUX_APPLICATIONS: Mapping[str, PolluxApplication] = MappingProxyType(
    {
        "bert": PolluxApplication(12, 384, 12, 88_644, _BERT),
        "cifar10": PolluxApplication(128, 4_096, 1_024, 50_000, _CIFAR10),
        "deepspeech2": PolluxApplication(20, 640, 80, 7_134, _DEEPSPEECH2),
        "imagenet": PolluxApplication(200, 12_800, 200, 1_281_167, _IMAGENET),
        "ncf": PolluxApplication(256, 32_768, 32_768, 4_970_845, _NCF),
        "yolov3": PolluxApplication(8, 512, 8, 16_551, _YOLOV3),
    }
)
"""The six applications by name; their epochs are as many as their signals."""
