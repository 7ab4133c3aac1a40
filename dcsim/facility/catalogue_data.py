"""The figures of the hardware catalogue as data: vendors' numbers, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dcsim.facility.cap_curve import CapCurve

__all__ = ["CATALOGUE_ROWS", "MEASURED_CURVES", "CatalogueRow"]

_ZEUS = (
    "fit to the power-limit tables of You, Chung, Chowdhury, Zeus, NSDI 2023, {}: on workloads left out, speed"
    " within {} and power within {} (docs/decisions/0083-cap-curves.md)"
)

MEASURED_CURVES: Mapping[str, CapCurve] = {
    "V100": CapCurve(
        static_power=0.154,
        knee_clock=0.704,
        voltage_rise=0.391,
        low_power=0.076,
        high_power=1.637,
        overhead_weight=0.854,
        lowest_clock=0.1,  # 135 of 1,380 MHz; no workload of the tables gets there
        lowest_limit=0.4,
        source=_ZEUS.format("V100 PCIe of 250 W, 100 W and up", "2 %", "3 %"),
    ),
    "A40": CapCurve(
        static_power=0.271,
        knee_clock=0.903,
        voltage_rise=0.292,
        low_power=0.206,
        high_power=1.121,
        overhead_weight=0.728,
        lowest_clock=0.243,
        lowest_limit=1.0 / 3.0,
        source=_ZEUS.format("A40 of 300 W, 100 W and up", "4 %", "4 %"),
    ),
}
"""By device measured: how it works under a cap."""


@dataclass(frozen=True)
class CatalogueRow:
    """One accelerator in the units of its data sheet."""

    name: str
    kind: str
    peak_tflop_per_s: Mapping[str, float]
    memory_bytes: float
    memory_bandwidth_gb_per_s: float
    link_bandwidth_gb_per_s: float
    idle_power_w: float
    peak_power_w: float
    sources: Mapping[str, str]
    cap_curve_of: str
    cap_curve_measured: bool = False


_GB = 1e9
_GIB = 2.0**30


def _sources(sheet: str, link: str, idle: str, **other: str) -> dict[str, str]:
    """Return one source a figure; `sheet` holds for those not named."""
    fields = ("peak_flop_per_s", "memory_bytes", "memory_bandwidth_bytes_per_s", "peak_power_w")
    found = dict.fromkeys(fields, sheet)
    return found | {"link_bandwidth_bytes_per_s": link, "idle_power_w": idle} | other


_SMI = "typical nvidia-smi reading of an idle board, no process, rounded; not a guaranteed figure"
_V100_SHEET = "NVIDIA V100 datasheet (2020), SXM2; fp16 is the Tensor Core rate"
_V100_LINK = "NVIDIA V100 datasheet (2020): NVLink 300 GB/s both directions, halved"
_A100_SHEET = "NVIDIA A100 datasheet (2021), SXM4, dense rates; fp64 and fp32 without Tensor Cores"
_A100_LINK = "NVIDIA A100 datasheet (2021): NVLink 600 GB/s both directions, halved"
_H100_SHEET = (
    "NVIDIA H100 datasheet (2023), SXM5; Tensor Core rates with sparsity there, halved; fp64 and fp32 without"
)
_H100_LINK = "NVIDIA H100 datasheet (2023): NVLink 900 GB/s both directions, halved"
_OPENB = "name of the Alibaba openb node list (Weng et al., ATC 2023)"

_V100_RATES = {"fp64": 7.8, "fp32": 15.7, "fp16": 125.0}
_A100_RATES = {"fp64": 9.7, "fp32": 19.5, "tf32": 156.0, "bf16": 312.0, "fp16": 312.0, "int8": 624.0}
_H100_RATES = {
    "fp64": 34.0,
    "fp32": 67.0,
    "tf32": 494.5,
    "bf16": 989.5,
    "fp16": 989.5,
    "fp8": 1979.0,
    "int8": 1979.0,
}
_A10_RATES = {"fp32": 31.2, "tf32": 62.5, "bf16": 125.0, "fp16": 125.0, "int8": 250.0}


def _v100(name: str, memory_gb: float, note: str = "") -> CatalogueRow:
    sheet = f"{_V100_SHEET}{note}"
    return CatalogueRow(
        name, "gpu", _V100_RATES, memory_gb * _GB, 900.0, 150.0, 40.0, 300.0,
        _sources(sheet, _V100_LINK, _SMI), "V100", cap_curve_measured=True,
    )  # fmt: skip


def _a100(name: str, memory_gb: float, bandwidth_gb_per_s: float, note: str = "") -> CatalogueRow:
    sheet = f"{_A100_SHEET}{note}"
    return CatalogueRow(
        name, "gpu", _A100_RATES, memory_gb * _GB, bandwidth_gb_per_s, 300.0, 55.0, 400.0,
        _sources(sheet, _A100_LINK, _SMI), "A40",
    )  # fmt: skip


def _a10(name: str, note: str = "") -> CatalogueRow:
    sheet = f"NVIDIA A10 datasheet (2021), dense rates{note}"
    link = "PCI Express 4.0 x16: 64 GB/s both directions (NVIDIA A10 datasheet, 2021), halved"
    return CatalogueRow(
        name, "gpu", _A10_RATES, 24 * _GB, 600.0, 32.0, 18.0, 150.0, _sources(sheet, link, _SMI), "A40"
    )


_CPU_SHEET = "one core of an AMD EPYC 9755 (datasheet, 2024: 128 cores, 4.1 GHz boost, 500 W, 12 channels DDR5-6400, 614.4 GB/s)"
_CPU_CORE = CatalogueRow(
    "cpu-core",
    "cpu",
    # Two 512-bit fused multiply-adds a cycle: 64 fp32 or 32 fp64 operations, at the boost clock. The
    # fastest core on sale, so that no honest measurement on an older one is above its device's peak.
    {"fp64": 32 * 4.1e-3, "fp32": 64 * 4.1e-3},
    4 * _GIB,
    614.4 / 128,
    614.4 / 128,
    0.8,
    500.0 / 128,
    {
        "peak_flop_per_s": f"{_CPU_SHEET}; AVX-512, two 512-bit fused multiply-adds a cycle (Zen 5), boost clock",
        "memory_bytes": "assumed: 4 GiB of server memory a core",
        "memory_bandwidth_bytes_per_s": f"{_CPU_SHEET}, an equal share of the socket",
        "link_bandwidth_bytes_per_s": "cores exchange data through memory: the core's share of the memory bandwidth",
        "idle_power_w": "assumed: a fifth of the peak, as SPECpower_ssj2008 results of EPYC servers show at active idle",
        "peak_power_w": f"{_CPU_SHEET}: thermal design power over cores",
    },
    "V100",
)

_TPU_ICI = "Google Cloud TPU documentation (2025): bidirectional inter-chip bandwidth a chip, halved"
_TPU_POWER = (
    "not published; assumed the bf16 rate per watt of TPU v4 (275 TFLOP/s at 192 W, Jouppi et al., ISCA 2023)"
)
_TPU_IDLE = (
    "not published; assumed the idle to peak ratio of TPU v4 (90 W to 192 W, Jouppi et al., ISCA 2023)"
)


def _tpu(
    name: str, rates: Mapping[str, float], memory: tuple[float, float], ici_gb_per_s: float, peak_power_w: float, *,
    power_source: str = _TPU_POWER,
) -> CatalogueRow:  # fmt: skip
    """Return a TPU; `memory` is (GB, GB/s)."""
    sheet = f"Google Cloud TPU documentation (2025), {name}; GB read as 2^30 bytes"
    sources = _sources(sheet, _TPU_ICI, _TPU_IDLE, peak_power_w=power_source)
    idle_power_w = round(peak_power_w * 90 / 192, 1)
    return CatalogueRow(
        name,
        "tpu",
        rates,
        memory[0] * _GIB,
        memory[1],
        ici_gb_per_s,
        idle_power_w,
        peak_power_w,
        sources,
        "A40",
    )


CATALOGUE_ROWS: tuple[CatalogueRow, ...] = (
    _CPU_CORE,
    CatalogueRow(
        "T4", "gpu", {"fp32": 8.1, "fp16": 65.0, "int8": 130.0}, 16 * _GB, 320.0, 16.0, 10.0, 70.0,
        _sources(
            "NVIDIA T4 datasheet (2019); fp16 and int8 are Tensor Core rates",
            "PCI Express 3.0 x16: 32 GB/s both directions (NVIDIA T4 datasheet, 2019), halved",
            _SMI,
        ),
        "V100",
    ),
    CatalogueRow(
        "K80", "gpu", {"fp64": 1.455, "fp32": 4.365}, 12 * _GB, 240.0, 16.0, 25.0, 150.0,
        _sources(
            "NVIDIA Tesla K80 datasheet (2014): 8.73 and 2.91 TFLOP/s, 480 GB/s, 24 GB and 300 W a board of two"
            " devices, halved",
            "PCI Express 3.0 x16: 32 GB/s both directions (NVIDIA Tesla K80 board specification, 2015), halved",
            _SMI,
        ),
        "V100",
    ),
    CatalogueRow(
        "P100", "gpu", {"fp64": 4.7, "fp32": 9.3, "fp16": 18.7}, 16 * _GB, 732.0, 16.0, 26.0, 250.0,
        _sources(
            "NVIDIA Tesla P100 PCIe datasheet (2016)",
            "PCI Express 3.0 x16: 32 GB/s both directions (NVIDIA Tesla P100 PCIe datasheet, 2016), halved",
            _SMI,
        ),
        "V100",
    ),
    _v100("V100", 32.0),
    _v100("V100M16", 16.0, f"; 16 GB, {_OPENB}"),
    _v100("V100M32", 32.0, f"; 32 GB, {_OPENB}"),
    _a10("A10"),
    CatalogueRow(
        "A40", "gpu", {"fp32": 37.4, "tf32": 74.8, "bf16": 149.7, "fp16": 149.7, "int8": 299.3}, 48 * _GB, 696.0,
        32.0, 30.0, 300.0,
        _sources(
            "NVIDIA A40 datasheet (2021), dense rates",
            "PCI Express 4.0 x16: 64 GB/s both directions (NVIDIA A40 datasheet, 2021), halved",
            _SMI,
        ),
        "A40",
        cap_curve_measured=True,
    ),
    _a10("G2", f"; {_OPENB}, model anonymised: assumed to be like an A10"),
    _a100("A100-40", 40.0, 1555.0),
    _a100("A100-80", 80.0, 2039.0),
    _a100("G3", 80.0, 2039.0, f"; {_OPENB}, model anonymised: assumed to be like an A100-80"),
    CatalogueRow(
        "H100", "gpu", _H100_RATES, 80 * _GB, 3350.0, 450.0, 70.0, 700.0,
        _sources(_H100_SHEET, _H100_LINK, _SMI), "A40",
    ),
    CatalogueRow(
        "H200", "gpu", _H100_RATES, 141 * _GB, 4800.0, 450.0, 80.0, 700.0,
        _sources(
            "NVIDIA H200 datasheet (2024), SXM; Tensor Core rates with sparsity there, halved",
            "NVIDIA H200 datasheet (2024): NVLink 900 GB/s both directions, halved",
            _SMI,
        ),
        "A40",
    ),
    CatalogueRow(
        "B200", "gpu",
        {"fp64": 40.0, "fp32": 80.0, "tf32": 1100.0, "bf16": 2250.0, "fp16": 2250.0, "fp8": 4500.0, "int8": 4500.0},
        180 * _GB, 8000.0, 900.0, 140.0, 1000.0,
        _sources(
            "NVIDIA Blackwell architecture technical brief (2024), HGX B200 at 1,000 W, dense rates",
            "NVIDIA Blackwell architecture technical brief (2024): NVLink 5 1.8 TB/s both directions, halved",
            _SMI,
            memory_bytes="NVIDIA DGX B200 datasheet (2024): 1,440 GB over eight devices",
        ),
        "A40",
    ),
    CatalogueRow(
        "TPU-v4", "tpu", {"bf16": 275.0, "int8": 275.0}, 32 * _GIB, 1200.0, 300.0, 90.0, 192.0,
        _sources(
            "Jouppi et al., TPU v4, ISCA 2023, table 4",
            "Jouppi et al., TPU v4, ISCA 2023, table 4: six links of 50 GB/s",
            "Jouppi et al., TPU v4, ISCA 2023, table 4: idle power",
        ),
        "A40",
    ),
    _tpu("TPU-v5e", {"bf16": 197.0, "int8": 393.0}, (16.0, 819.0), 200.0, 138.0),
    _tpu("TPU-v5p", {"bf16": 459.0, "int8": 918.0}, (95.0, 2765.0), 600.0, 320.0),
    _tpu(
        "TPU-v6e", {"bf16": 918.0, "int8": 1836.0}, (32.0, 1638.0), 400.0, 384.0,
        power_source="not published; assumed TPU v5e's and Google's 67 % better energy efficiency of Trillium (Google Cloud blog, 2024)",
    ),
)  # fmt: skip
"""Every built-in accelerator, oldest first within its vendor."""
