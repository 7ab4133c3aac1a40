"""What the parts of a server draw: fans by inlet temperature, leakage, memory, network interfaces (pure functions)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.spec.cluster import ServerSpec

__all__ = ["PARTS", "fan_power_w", "idle_parts_w", "job_parts_w", "job_power_w", "leakage_w"]

Floats = npt.NDArray[np.float64]

PARTS = ("accelerators", "cpu", "memory", "nic", "fans")
"""Of a server's power, in the order of what is returned here."""


def fan_power_w(
    inlet_deg_c: npt.ArrayLike,
    *,
    power_w: npt.ArrayLike,
    full_power_w: npt.ArrayLike,
    reference_inlet_deg_c: npt.ArrayLike,
    full_inlet_deg_c: npt.ArrayLike,
) -> Floats:
    """Return the power of a server's fans, W, at an inlet temperature; elementwise, all arguments broadcast.

    The controller leaves the fans at their least speed up to the reference inlet and raises the speed
    linearly with the inlet until they turn at full speed; the power goes with the cube of the speed (fan
    affinity laws). The shape is that of figures 4 and 5 of ASHRAE TC 9.9, "2011 Thermal guidelines for data
    processing environments: expanded data center classes and usage guidance": flat, then rising steeply.

    Args:
        inlet_deg_c: of the air at the server.
        power_w: at the reference inlet and below, W >= 0.
        full_power_w: at `full_inlet_deg_c` and above, W >= power_w; equal to it: no rise.
        reference_inlet_deg_c: at which the speed begins to rise.
        full_inlet_deg_c: at which it is full, > the reference.

    >>> kinds = dict(power_w=8.0, full_power_w=216.0, reference_inlet_deg_c=25.0, full_inlet_deg_c=35.0)
    >>> [round(float(p), 9) for p in fan_power_w([20.0, 25.0, 30.0, 35.0, 40.0], **kinds)]
    [8.0, 8.0, 64.0, 216.0, 216.0]
    """
    inlet = np.asarray(inlet_deg_c, dtype=np.float64)
    least, most = np.asarray(power_w, dtype=np.float64), np.asarray(full_power_w, dtype=np.float64)
    start = np.asarray(reference_inlet_deg_c, dtype=np.float64)
    part = np.clip((inlet - start) / (np.asarray(full_inlet_deg_c, dtype=np.float64) - start), 0.0, 1.0)
    speed = np.cbrt(least) + (np.cbrt(most) - np.cbrt(least)) * part
    # The cube of a cube root is off by rounding: at either end the fans draw exactly what was given.
    between = np.clip(speed**3, least, most)
    return np.asarray(np.where(part <= 0.0, least, np.where(part < 1.0, between, most)), dtype=np.float64)


def leakage_w(
    temperature_deg_c: npt.ArrayLike,
    *,
    static_power_w: npt.ArrayLike,
    fraction_per_k: npt.ArrayLike,
    reference_deg_c: npt.ArrayLike,
) -> Floats:
    """Return what leakage adds to a device's draw, W, at a temperature over that at the reference one.

    static k (T - T_ref), at least -static; elementwise, all arguments broadcast. Leakage is exponential in
    temperature, and over the range in which chips work a straight line is within 1 % of it: Liu, Dick, Shang, Yang,
    "Accurate temperature-dependent integrated circuit leakage power estimation is easy", DATE 2007. Being
    linear, it leaves the temperature of a device between events an exponential, of gain 1 / (1 - R static k)
    and time constant R C / (1 - R static k); a device with R static k >= 1 runs away.

    Args:
        temperature_deg_c: of the device.
        static_power_w: the device's static power at the reference temperature, W >= 0.
        fraction_per_k: k, of the static power for each kelvin, >= 0; 0: no leakage is counted.
        reference_deg_c: at which the device's powers were measured.

    >>> kinds = dict(static_power_w=70.0, fraction_per_k=0.01, reference_deg_c=60.0)
    >>> leakage_w([60.0, 80.0, 50.0], **kinds).round(9).tolist()
    [0.0, 14.0, -7.0]
    """
    static = np.asarray(static_power_w, dtype=np.float64)
    rise = np.asarray(temperature_deg_c, dtype=np.float64) - np.asarray(reference_deg_c, dtype=np.float64)
    change = static * (np.asarray(fraction_per_k, dtype=np.float64) * rise)
    return np.asarray(np.maximum(change, -static), dtype=np.float64)


def idle_parts_w(spec: ServerSpec, accelerators_w: float) -> tuple[float, ...]:
    """Return the idle power of a server by part (`PARTS`), W, fans at the reference inlet.

    Memory, network interfaces and fans are as the scenario says, the CPU (with board and supplies) is what they leave
    of `spec.idle_power_w`; so the parts add up to it and to `accelerators_w`, to rounding.

    Args:
        spec: of the server.
        accelerators_w: idle power of all its accelerators.

    >>> spec = ServerSpec(idle_power_w=300.0, parts={"memory_idle_power_w": 40.0, "nic_idle_power_w": 30.0})
    >>> dict(zip(PARTS, idle_parts_w(spec, 320.0)))
    {'accelerators': 320.0, 'cpu': 230.0, 'memory': 40.0, 'nic': 30.0, 'fans': 0.0}
    """
    parts = spec.parts
    fans_w = spec.fans.power_w if spec.fans is not None else 0.0
    others_w = parts.memory_idle_power_w + parts.nic_idle_power_w + fans_w
    cpu_w = spec.idle_power_w - others_w
    return accelerators_w, cpu_w, parts.memory_idle_power_w, parts.nic_idle_power_w, fans_w


def job_parts_w(
    spec: ServerSpec,
    cpu_part: float,
    memory_part: float = 1.0,
    network_part: float = 0.0,
    *,
    accelerators_w: float = 0.0,
) -> tuple[float, ...]:
    """Return what a job draws on a server above idle by part (`PARTS`), W.

    Each part is linear in how much of it the job keeps busy, so that jobs on one server add up
    (docs/decisions/0063-job-power.md); with all parts busy they reach `spec.peak_power_w`, to rounding.

    Args:
        spec: of the server.
        cpu_part: of its cores that the job keeps busy, 0..1.
        memory_part: of its memory that the job holds, 0..1.
        network_part: of its network interfaces' busy power that is the job's, 0..1.
        accelerators_w: that the job's accelerators draw above idle.

    >>> spec = ServerSpec(idle_power_w=300.0, peak_power_w=900.0, parts={"memory_busy_power_w": 80.0})
    >>> job_parts_w(spec, 0.5, 0.25, accelerators_w=1000.0)
    (1000.0, 260.0, 20.0, 0.0, 0.0)
    """
    parts = spec.parts
    cpu_w = spec.peak_power_w - spec.idle_power_w - parts.memory_busy_power_w - parts.nic_busy_power_w
    return (
        accelerators_w,
        cpu_w * cpu_part,
        parts.memory_busy_power_w * memory_part,
        parts.nic_busy_power_w * network_part,
        0.0,
    )


def job_power_w(
    spec: ServerSpec, cpu_part: float, memory_part: float = 1.0, network_part: float = 0.0
) -> float:
    """Return what a job draws on a server above idle without its accelerators, W: the sum of `job_parts_w`.

    >>> job_power_w(ServerSpec(idle_power_w=300.0, peak_power_w=900.0), 0.5)
    300.0
    """
    _, cpu_w, memory_w, nic_w, _ = job_parts_w(spec, cpu_part, memory_part, network_part)
    return cpu_w + memory_w + nic_w
